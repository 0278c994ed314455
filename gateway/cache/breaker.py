"""May a store that failed be asked again? Not for a pause that grows, and then by one call alone.

Closed, it lets every call pass until some in a row have failed; open, none; after the pause it is half open:
one call is let through on trial, whose success closes it and whose failure opens it for twice as long.
"""

#: Times in seconds, of any one clock that never goes back.
FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 30.0
FAILURES = 3  # one may be chance; each costs its caller the whole time allowed


class Breaker:
    """Give what `admit` returned to exactly one of `succeeded`, `failed`, `left`, once the call is over."""

    def __init__(
        self, failures: int = FAILURES, first_pause_s: float = FIRST_PAUSE_S, max_pause_s: float = MAX_PAUSE_S
    ) -> None:
        self._failures = failures
        self._first_pause_s = first_pause_s
        self._max_pause_s = max_pause_s
        self._in_a_row = 0
        self._pause_s = 0.0  # 0.0: closed
        self._until = 0.0
        self._trial = False
        self._era = 1  # changes with every change of state, so that late ends of earlier calls say nothing

    def __repr__(self) -> str:
        return f"<Breaker {self.state}>"

    @property
    def state(self) -> str:
        """`closed`, `open` (also when its pause has passed, until somebody asks) or `half_open`."""
        if self._pause_s == 0.0:
            return "closed"
        return "half_open" if self._trial else "open"

    @property
    def pause_s(self) -> float:
        """How long the pause is that it last began; 0.0 when closed."""
        return self._pause_s

    def admit(self, now: float) -> int:
        """A ticket for one call, or 0: do not call."""
        if self._pause_s == 0.0:
            return self._era
        if self._trial or now < self._until:
            return 0
        self._trial = True
        self._era += 1
        return self._era

    def succeeded(self, ticket: int) -> bool:
        """The call was answered. True when that closed it."""
        if ticket != self._era:
            return False
        self._in_a_row = 0
        if self._pause_s == 0.0:
            return False
        self._pause_s = 0.0
        self._trial = False
        self._era += 1
        return True

    def failed(self, ticket: int, now: float) -> bool:
        """The call was not answered. True when that opened it, or kept it open for longer."""
        if ticket != self._era:
            return False
        if self._pause_s == 0.0:
            self._in_a_row += 1
            if self._in_a_row < self._failures:
                return False
            self._pause_s = self._first_pause_s
        else:
            self._pause_s = min(2 * self._pause_s, self._max_pause_s)
        self._in_a_row = 0
        self._trial = False
        self._until = now + self._pause_s
        self._era += 1
        return True

    def left(self, ticket: int) -> None:
        """The call ended without telling anything, as when cancelled: another may be the trial."""
        if ticket == self._era and self._trial:
            self._trial = False
            self._era += 1
