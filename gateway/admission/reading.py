"""What do a backend's answers look like with so many in flight, and what has changed between two looks?

An answer is observed as x: its time to the first body byte over what a request of that size takes at low
load. Waiting adds the same to everybody, slowness multiplies. So on a logarithmic scale a backend that is
slower by any factor has another *level* (mean of ln x) and the same *spread* (standard deviation of ln x);
behind a queue the level rises and the spread shrinks.

Beside it stands how many others were answered (or gave up) between its start and its first byte. Those who
wait for a place are served in about the order they came, so this is at least the number who waited before it;
and by Little's law its mean is answers per second times the time to a first byte, the number in flight that
have no answer yet. Neither depends on how fast the backend is, nor on what it was before.
"""

from math import ceil, inf, log, sqrt

WINDOW_S = 1.0
#: What lies so far below the level counts as if there: very short answers say nothing of the rest.
_FLOOR = 2.5
#: The spread that is taken for none: with less, answers are as good as regular.
_LEAST_SPREAD = 0.05
#: The spread at which spread and level count alike.
_REGULAR = 0.5
#: With a smaller share in flight unanswered, a backend writes answers and lets nobody wait to speak of.
WRITING = 0.1
#: How many times over it is counted what those can have waited who are unanswered: half of them have a place.
_TWICE = 2.0
#: Who was preceded by less than this share of those in flight has overtaken most of them. That so many did is
#: no chance: enough to end a first look, and to rule out what level and spread say.
_OVERTAKES = 0.3
_SOME = 0.1
_MANY = 0.2
#: Overtaking counts where so many are unanswered: while others are being written, everybody overtakes those.
_PLAIN = 0.5


class Reading:
    """Level and spread of x in one window, and the mean number `in_flight` when those attempts began.

    `unanswered` is the share of these that had no answer yet; `overtook` the share of the answers that came
    before most of those begun earlier. Where neither is known they are 1 and 0, and rule nothing out.
    """

    __slots__ = ("in_flight", "level", "overtook", "spread", "unanswered")

    def __init__(
        self,
        level: float,
        spread: float,
        in_flight: float,
        unanswered: float = 1.0,
        overtook: float = 0.0,
    ) -> None:
        self.level = level
        self.spread = spread
        self.in_flight = in_flight
        self.unanswered = unanswered
        self.overtook = overtook

    def __repr__(self) -> str:
        return f"<Reading {self.level:+.2f} ±{self.spread:.2f} at {self.in_flight:.1f}>"

    @property
    def irregular(self) -> float:
        """0 when x is always the same, toward 1 as it varies by more than its own size."""
        square = self.spread * self.spread
        return square / (square + _REGULAR * _REGULAR)

    @property
    def free(self) -> bool:
        """Whether so many overtook most of those before them that few can have waited for a place."""
        return self.overtook >= _SOME

    @property
    def most_waiting(self) -> float:
        """The most that ln(1 + waiting / work) can be, from the number who can have waited at all."""
        most = inf if self.unanswered >= 1.0 else -_TWICE * log(1.0 - self.unanswered)
        if self.overtook >= _MANY and self.unanswered >= _PLAIN:
            n = self.in_flight
            most = min(most, log(n / (n - ceil(_OVERTAKES * n - 1.0))))
        return most

    def blend(self, other: "Reading", level: float, spread: float) -> None:
        """Move toward `other`, by these shares: the level is of the moment, the spread more lasting."""
        self.level += level * (other.level - self.level)
        self.in_flight += level * (other.in_flight - self.in_flight)
        self.spread += spread * (other.spread - self.spread)


class Window:
    """Samples taken under alike conditions, summed up until they are enough for a reading."""

    __slots__ = ("_in_flight", "_overtook", "_passed", "_since", "_squares", "_sum", "count")

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0.0
        self._squares = 0.0
        self._in_flight = 0
        self._passed = 0
        self._overtook = 0
        self._since = 0.0

    def __repr__(self) -> str:
        return f"<Window {self.count} samples>"

    def add(self, x: float, in_flight: int, level: float, now: float, passed: int) -> None:
        """Take one sample; `level` is about where the level is, `passed` who was answered meanwhile."""
        if not self.count:
            self._since = now
        least = level - _FLOOR
        y = max(log(x), least) if x > 0.0 else least
        self.count += 1
        self._sum += y
        self._squares += y * y
        self._in_flight += in_flight
        self._passed += passed
        if passed < _OVERTAKES * in_flight:
            self._overtook += 1

    def lasts(self, now: float) -> bool:
        """Whether it covers a second or more."""
        return now - self._since >= WINDOW_S

    @property
    def writing(self) -> bool:
        """Whether nearly all in flight were answered already, and are being written."""
        return self._passed < WRITING * self._in_flight and self._in_flight >= 2 * self.count

    def read(self) -> Reading:
        """What it shows; there must be a sample."""
        count = self.count
        level = self._sum / count
        variance = self._squares / count - level * level
        spread = sqrt(variance) if variance > 0.0 else 0.0
        return Reading(
            level,
            max(spread, _LEAST_SPREAD),
            self._in_flight / count,
            min(1.0, self._passed / self._in_flight),
            self._overtook / count,
        )

    def clear(self) -> None:
        self.count = 0
        self._sum = self._squares = 0.0
        self._in_flight = self._passed = self._overtook = 0


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
