"""What stands in for a client? Its connection, driven by a script as a real one is."""

import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from gateway.errors import ClientGone, GatewayError
from gateway.http.script import Alarm, Script
from gateway.messages import Request, RequestHead
from gateway.ports import Upstream
from gateway.simulation.engine import Engine


class SimulatedClient:
    """One client's connection: a script with an alarm, and what has come back to it so far.

    Kept like a real one: when a script has ended the next task may start on it.
    """

    __slots__ = (
        "_alarm",
        "_engine",
        "_script",
        "began_at",
        "bytes_out",
        "closing",
        "cut",
        "forwarding",
        "lost",
        "peer",
        "refused",
        "replying",
        "stalled_at",
        "status",
        "waited_s",
        "wake",
        "whole",
        "writable",
    )

    def __init__(self, engine: Engine, on_end: Callable[[BaseException | None], None]) -> None:
        self._engine = engine
        self._script = Script(on_end)
        self.wake = self._script.wake
        self._alarm = Alarm(engine, engine.time, self.wake)
        self.peer = "client"
        self.forwarding: tuple[bytes, RequestHead | None] = (b"", None)
        self.refused: GatewayError | None = None
        self.closing = False
        self.writable = True
        self.stalled_at = 0.0
        self.begin()

    def begin(self) -> None:
        """Be as new, for another task."""
        self.lost = False
        self.replying = False
        self.bytes_out = 0
        self.waited_s = 0.0
        self.status = 0  # of the answer that came
        self.began_at = 0.0  # when its first byte did
        self.cut = False
        self.whole = False

    def __repr__(self) -> str:
        return f"<SimulatedClient {self.status or ('left' if self.lost else 'waiting')}>"

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._script.start(coroutine)

    def leave(self) -> None:
        """Close the connection: the script ends at its next wait, which is now."""
        self.lost = True
        self.wake()

    @types.coroutine
    def pause(self, at: float, until: float) -> Generator[None, None, float]:
        if self.lost:
            raise ClientGone
        alarm, script = self._alarm, self._script
        alarm.at = until
        if until < alarm.armed_for:
            alarm.arm(until)
        if script.again:
            script.again = False
        else:
            yield
        after = self._engine.now
        self.waited_s += after - at
        if self.lost:
            raise ClientGone
        return after

    def begin_reply(
        self, request: Request, status: int, fields: bytes, length: int | None, body: bool
    ) -> None:
        self.replying = True
        self.status = status
        self.began_at = self._engine.now

    def reply_whole(self, request: Request, status: int, fields: bytes, body: bytes) -> None:
        self.begin_reply(request, status, fields, len(body), True)
        self.whole = True

    def end_reply(self) -> None:
        self.whole = True

    def cut_reply(self) -> None:
        self.cut = True

    def relay_from(self, source: Upstream) -> None:
        """Tokens are counted where they are made; see `SimulatedConnections.pieces`."""

    def relay(self, data: bytes) -> None:
        self.bytes_out += len(data)
