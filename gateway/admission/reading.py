"""What do a backend's answers look like with so many in flight, and what has changed between two looks?

An answer is observed as x: its time to the first body byte over what a request of that size takes at low
load. Waiting adds the same to everybody, slowness multiplies. So on a logarithmic scale a backend that is
slower by any factor has another *level* (mean of ln x) and the same *spread* (standard deviation of ln x);
behind a queue the level rises and the spread shrinks.
"""

from math import log, sqrt

WINDOW_S = 1.0
#: What lies so far below the level counts as if there: very short answers say nothing of the rest.
_FLOOR = 2.5
#: The spread that is taken for none: with less, answers are as good as regular.
_LEAST_SPREAD = 0.05
#: The spread at which spread and level count alike.
_REGULAR = 0.5


class Reading:
    """Level and spread of x in one window, and the mean number `in_flight` when those attempts began."""

    __slots__ = ("in_flight", "level", "spread")

    def __init__(self, level: float, spread: float, in_flight: float) -> None:
        self.level = level
        self.spread = spread
        self.in_flight = in_flight

    def __repr__(self) -> str:
        return f"<Reading {self.level:+.2f} ±{self.spread:.2f} at {self.in_flight:.1f}>"

    @property
    def irregular(self) -> float:
        """0 when x is always the same, toward 1 as it varies by more than its own size."""
        square = self.spread * self.spread
        return square / (square + _REGULAR * _REGULAR)

    def blend(self, other: "Reading", level: float, spread: float) -> None:
        """Move toward `other`, by these shares: the level is of the moment, the spread more lasting."""
        self.level += level * (other.level - self.level)
        self.in_flight += level * (other.in_flight - self.in_flight)
        self.spread += spread * (other.spread - self.spread)


class Window:
    """Samples taken under alike conditions, summed up until they are enough for a reading."""

    __slots__ = ("_in_flight", "_since", "_squares", "_sum", "count")

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0.0
        self._squares = 0.0
        self._in_flight = 0
        self._since = 0.0

    def __repr__(self) -> str:
        return f"<Window {self.count} samples>"

    def add(self, x: float, in_flight: int, level: float, now: float) -> None:
        """Take one sample; `level` is about where the level is."""
        if not self.count:
            self._since = now
        least = level - _FLOOR
        y = max(log(x), least) if x > 0.0 else least
        self.count += 1
        self._sum += y
        self._squares += y * y
        self._in_flight += in_flight

    def lasts(self, now: float) -> bool:
        """Whether it covers a second or more."""
        return now - self._since >= WINDOW_S

    def read(self) -> Reading:
        """What it shows; there must be a sample."""
        count = self.count
        level = self._sum / count
        variance = self._squares / count - level * level
        spread = sqrt(variance) if variance > 0.0 else 0.0
        return Reading(level, max(spread, _LEAST_SPREAD), self._in_flight / count)

    def clear(self) -> None:
        self.count = 0
        self._sum = self._squares = 0.0
        self._in_flight = 0


def narrowing(base: Reading, reading: Reading) -> float:
    """How much narrower `reading` is than `base`: difference of the logarithms, from -0.5 (wider) to 1."""
    return min(1.0, max(-0.5, log(base.spread / reading.spread)))


def elasticity(low: Reading, high: Reading) -> float:
    """The power of the number in flight with which x grew: 0 when not at all, 1 when all wait.

    For readings taken one soon after the other, so that the backend's own speed was the same. Where answers
    are irregular, a spread that did not shrink speaks against waiting.
    """
    rise = high.level - low.level
    weight = low.irregular
    return (rise + weight * narrowing(low, high)) / ((1.0 + weight) * log(high.in_flight / low.in_flight))
