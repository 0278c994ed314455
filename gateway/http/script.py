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


class Script:
    """Owns one coroutine and whether it runs, waits or has ended."""

    __slots__ = ("_coroutine", "_on_end", "_running", "again")

    def __init__(self, on_end: Callable[[BaseException | None], None]) -> None:
        self._coroutine: Coroutine[Any, Any, None] | None = None
        self._on_end = on_end
        self._running = False
        self.again = False

    def __repr__(self) -> str:
        return f"<Script {'ended' if self._coroutine is None else 'running' if self._running else 'waiting'}>"

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run `coroutine` up to its first pause; at its end `on_end` gets its exception, or None."""
        self._coroutine = coroutine
        self.wake()

    def wake(self) -> None:
        """Go on, now; a no-op once ended."""
        if self._running:
            self.again = True
            return
        coroutine = self._coroutine
        if coroutine is None:
            return
        self._running = True
        try:
            coroutine.send(None)
        except StopIteration:
            self._coroutine = None
            self._on_end(None)
        except BaseException as error:
            self._coroutine = None
            self._on_end(error)
        finally:
            self._running = False

    @types.coroutine
    def pause(self) -> Generator[None, None, None]:
        """Wait for the next wake."""
        if not self.again:
            yield
        self.again = False


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

    __slots__ = ("_handle", "_now", "_ring", "_timers", "armed_for", "at")

    def __init__(self, timers: Timers, now: Callable[[], float], ring: Callable[[], None]) -> None:
        self._timers = timers
        self._now = now
        self._ring = ring
        self._handle: Handle | None = None
        self.armed_for = inf
        self.at = inf

    def set(self, at: float) -> None:
        self.at = at
        if at < self.armed_for:
            self.arm(at)

    def clear(self) -> None:
        self.at = inf

    def close(self) -> None:
        """No ring any more; lets go of the loop's timer."""
        self.at = inf
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self.armed_for = -inf

    def arm(self, at: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self.armed_for = at
        # Timers of the loop have millisecond steps and may fire a little early.
        self._handle = self._timers.call_later(max(at - self._now(), 0.0) + 0.001, self._fire)

    def _fire(self) -> None:
        self._handle = None
        self.armed_for = inf
        if self.at == inf:
            return
        if self._now() < self.at:
            self.arm(self.at)
        else:
            self.at = inf
            self._ring()
