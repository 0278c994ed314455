"""What happens next? A heap of callbacks on a virtual clock.

Nothing here reads a clock or throws dice: the same callbacks, given the same times, run in the same order.
Callbacks due at the same moment run in the order they were asked for.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from math import inf


class Timer:
    """A callback that may be cancelled before its time."""

    __slots__ = ("_callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback

    def __repr__(self) -> str:
        return f"<Timer {'off' if self._callback is None else 'set'}>"

    def cancel(self) -> None:
        self._callback = None

    def fire(self) -> None:
        callback = self._callback
        if callback is not None:
            self._callback = None
            callback()


class Engine:
    """Owns virtual time, `now` in seconds from 0, and what is to happen at which moment."""

    __slots__ = ("_count", "_heap", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0  # breaks ties, so that callbacks are never compared

    def __repr__(self) -> str:
        return f"<Engine at {self.now:.3f} s, {len(self._heap)} to come>"

    def time(self) -> float:
        """`now` as a call, for code that takes a clock."""
        return self.now

    def at(self, when: float, callback: Callable[[], None]) -> None:
        """Call `callback` at `when`, or now if that has passed; never for infinity. Cannot be cancelled."""
        if when == inf:
            return
        self._count = count = self._count + 1
        now = self.now
        heappush(self._heap, (when if when > now else now, count, callback))

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` in `delay` seconds unless cancelled; as an event loop has it."""
        timer = Timer(callback)
        self.at(self.now + delay, timer.fire)
        return timer

    def run(self, until: float) -> None:
        """Let everything happen that is due up to and at `until`, and make that the time."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            self.now, _, callback = heappop(heap)
            callback()
        self.now = max(self.now, until)
