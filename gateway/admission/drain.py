"""How fast does a queue give way, and how long will so many take?

Counted only while somebody waits: how fast a queue drains that nobody is in says nothing. A mean over the
gaps between grants, in which a gap far longer than the rest counts as if it were only just that long: after
all backends have stood still for a while, the queue will not go on at the rate of that while.
"""

#: The mean reaches back this far: so many seconds, and at least so many grants, which slow pools need.
MEMORY_S = 10.0
MEMORY_GRANTS = 30.0
#: Fewer grants than this are no rate yet: a rate from n events is off by 1 in sqrt(n).
KNOWN_GRANTS = 8.0
#: After so long without anybody waiting, backends and load may be other ones.
FORGET_S = 60.0
#: Too long is so many times the gap in which a moment falls on average. Grants at random exceed it once in
#: 3000; where they come in batches, that average is about the time from batch to batch.
LONG = 4.0


class DrainRate:
    """Grants per second, those longer ago counting less (exponentially)."""

    __slots__ = ("_before", "_fresh", "_grants", "_mark", "_real_s", "_seconds", "_squares")

    def __init__(self) -> None:
        self._mark = 0.0
        self._grants = 0.0
        self._seconds = 0.0  # with somebody waiting, up to the mark
        self._squares = 0.0  # of gaps
        self._real_s = 0.0  # seconds as they were
        self._fresh = 0  # grants at the mark
        self._before = (0.0, 0.0, 0.0, 0.0, 0.0)  # all this without them

    def __repr__(self) -> str:
        return f"<DrainRate {self._grants:.1f} in {self._seconds:.2f} s>"

    def begin(self, now: float) -> None:
        """From now on somebody waits."""
        if now - self._mark > FORGET_S:
            self._grants = self._seconds = self._squares = self._real_s = 0.0
        self._mark = now
        self._remember()

    def end(self, now: float) -> None:
        """Whoever waited has gone without a grant."""
        self._pass(now)
        self._remember()

    def granted(self, now: float) -> None:
        """Somebody who waited does no longer."""
        if now > self._mark:
            self._remember()
            self._pass(now)
        self._grants += 1.0
        self._fresh += 1

    def taken_back(self) -> None:
        """The last grant was none after all."""
        self._fresh -= 1
        if self._fresh:
            self._grants -= 1.0
        else:
            self._mark, self._grants, self._seconds, self._squares, self._real_s = self._before

    def wait_s(self, number: float, now: float) -> float:
        """Seconds until `number` will have been granted; 0.0 when nothing is known.

        Longer while there are no grants, slowly: a pause may be over at any moment. For a queue that somebody
        is in, or that has just begun.
        """
        return self.usual_s(number) * (1.0 + (now - self._mark) / max(self._seconds, MEMORY_S))

    def usual_s(self, number: float) -> float:
        """The same at the rate up to the last grant."""
        return number * self._seconds / self._grants if self._grants >= KNOWN_GRANTS else 0.0

    def _pass(self, now: float) -> None:
        gap = now - self._mark
        self._mark = now
        if not self._grants:
            return  # the first grant only starts the clock: those before it were not waited for
        if self._grants > MEMORY_GRANTS and self._real_s > MEMORY_S:
            kept = max(MEMORY_GRANTS / self._grants, MEMORY_S / self._real_s)
            self._grants *= kept
            self._seconds *= kept
            self._squares *= kept
            self._real_s *= kept
        self._real_s += gap
        if self._grants >= KNOWN_GRANTS and self._seconds > 0.0:
            gap = min(gap, LONG * self._squares / self._seconds)
        self._seconds += gap
        self._squares += gap * gap

    def _remember(self) -> None:
        self._fresh = 0
        self._before = (self._mark, self._grants, self._seconds, self._squares, self._real_s)
