"""How can a handler read from top to bottom and still cost no more than callbacks?

A `Script` drives one coroutine straight from the protocol callbacks that wake it: no task, no future, no
trip through the event loop's ready queue. A coroutine under a script waits only in `pause()`, which ends
at the next `wake()`; it then looks again at what it waits for, as with a condition variable, so a wake
too many does no harm. A wake that comes while the coroutine runs makes its next `pause()` return at once.
"""

import types
from collections.abc import Callable, Coroutine, Generator
from math import inf
from typing import Any, Protocol


@types.coroutine
def _suspend() -> Generator[None, None, None]:
    yield


class Script:
    """Owns one coroutine and whether it runs, waits or has ended."""

    __slots__ = ("_again", "_coroutine", "_on_crash", "_running", "ended")

    def __init__(self, on_crash: Callable[[BaseException], None]) -> None:
        self._coroutine: Coroutine[Any, Any, None] | None = None
        self._on_crash = on_crash
        self._running = False
        self._again = False
        self.ended = False

    def __repr__(self) -> str:
        state = "ended" if self.ended else "running" if self._running else "waiting"
        return f"<Script {state}>"

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run `coroutine` up to its first pause."""
        self._coroutine = coroutine
        self.wake()

    def wake(self) -> None:
        """Go on, now; a no-op once ended."""
        if self._running:
            self._again = True
            return
        coroutine = self._coroutine
        if coroutine is None:
            return
        self._running = True
        try:
            coroutine.send(None)
        except StopIteration:
            self._end()
        except BaseException as error:
            self._end()
            self._on_crash(error)
        finally:
            self._running = False

    async def pause(self) -> None:
        """Wait for the next wake."""
        if self._again:
            self._again = False
            return
        await _suspend()
        self._again = False

    def _end(self) -> None:
        self.ended = True
        self._coroutine = None


class Handle(Protocol):
    def cancel(self) -> None: ...


class Timers(Protocol):
    """The part of an event loop that an alarm needs."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> Handle: ...


class Alarm:
    """One deadline of a connection, moved at the cost of an assignment.

    The loop's timer is armed only when none is, or when the deadline moves before it; a timer that fires
    early re-arms itself for what is left. `ring` is called once the deadline has passed.
    """

    __slots__ = ("_armed_for", "_handle", "_now", "_ring", "_timers", "at")

    def __init__(self, timers: Timers, now: Callable[[], float], ring: Callable[[], None]) -> None:
        self._timers = timers
        self._now = now
        self._ring = ring
        self._handle: Handle | None = None
        self._armed_for = inf
        self.at = inf

    def set(self, at: float) -> None:
        self.at = at
        if at < self._armed_for:
            self._arm(at)

    def clear(self) -> None:
        self.at = inf

    def close(self) -> None:
        """No ring any more; lets go of the loop's timer."""
        self.at = inf
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._armed_for = -inf

    def _arm(self, at: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._armed_for = at
        # Timers of the loop have millisecond steps and may fire a little early.
        self._handle = self._timers.call_later(max(at - self._now(), 0.0) + 0.001, self._fire)

    def _fire(self) -> None:
        self._handle = None
        self._armed_for = inf
        if self.at == inf:
            return
        if self._now() < self.at:
            self._arm(self.at)
        else:
            self.at = inf
            self._ring()
