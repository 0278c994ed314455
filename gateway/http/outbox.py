"""When does a write leave at once, and when with the others of its turn of the event loop?

While many exchanges run, a turn handles dozens of sockets, each with a little work between two writes. Every
such write wakes a peer that had just gone to sleep, which on one machine costs more than the write itself.
So under load the writes of a turn wait for its end and leave together; when a turn has few of them, writes
are made directly, and only now and then one is held to see whether that has changed.
"""

from collections.abc import Callable
from typing import Protocol

FEW = 4  # writes in a turn below which holding them gains nothing
DIRECT = 64  # writes made directly before a turn is tried again


class Corked(Protocol):
    """A connection with bytes that wait for the end of the turn."""

    def uncork(self) -> None: ...


class Outbox:
    """Owns the connections whose bytes wait for the end of this turn of the event loop."""

    __slots__ = ("_call_soon", "_direct", "_waiting")

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._call_soon = call_soon
        self._waiting: list[Corked] = []
        self._direct = DIRECT  # writes still to be made directly

    def __repr__(self) -> str:
        return f"<Outbox {len(self._waiting)} waiting, {self._direct} direct>"

    def takes(self, connection: Corked) -> bool:
        """Whether a write of `connection` waits: it then keeps its bytes until it is uncorked."""
        if self._direct:
            self._direct -= 1
            return False
        if not self._waiting:
            self._call_soon(self.flush)
        self._waiting.append(connection)
        return True

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if len(waiting) < FEW:
            self._direct = DIRECT
        for connection in waiting:
            connection.uncork()
