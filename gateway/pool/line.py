"""How does a cost grow with the number under way, when it is measured at backends of different speed?"""

from typing import Final

#: The least slope, as a share of the mean for each one more.
LEAST_SLOPE: Final = 0.1
#: So many samples of variance 1 have to speak against what a slope is supposed to be at first.
RIDGE: Final = 200.0
_FORGET: Final = 0.9997  # of sums for slopes, per sample: some 3000 samples are remembered
_SLOW: Final = 0.002  # of means over the pool, per sample
_OWN: Final = 0.02  # of means of one backend, per sample
_LEAST_SHARE: Final = 0.2  # no cost falls below this share of the mean, whatever the slope says


class Line:
    """A straight line y(n) through samples of several backends, its slope from within each of them only.

    Backends of different speed sit at different n, and a line through all would take their difference for an
    effect of n ("fixed effects" in statistics). It always rises a little: where no effect of n is seen yet,
    fewer under way is the better guess all the same.
    """

    __slots__ = ("_least", "_ridge", "_supposed", "_sxx", "_sxy", "mean", "n", "seen", "slope")

    def __init__(self, supposed: float = 0.0, ridge: float = RIDGE, least: float = LEAST_SLOPE) -> None:
        self.mean = 0.0
        self.n = 0.0
        self.slope = supposed
        self._supposed = supposed
        self._least = least
        self._ridge = ridge
        self.seen = 0
        self._sxy = 0.0
        self._sxx = 0.0

    def __repr__(self) -> str:
        return f"<Line {self.mean:.4g} at {self.n:.1f}, {self.slope:+.3g} each>"

    def at(self, n: float) -> float:
        value = self.mean + self.slope * (n - self.n)
        least = self.mean * _LEAST_SHARE
        return value if value > least else least

    def observe(self, own: "Own", n: float, y: float) -> None:
        """A sample of the backend that `own` belongs to."""
        share = max(_SLOW, 1.0 / (self.seen + 1))
        self.seen += 1
        self.mean += (y - self.mean) * share
        self.n += (n - self.n) * share
        own_share = max(_OWN, 1.0 / (own.seen + 1))
        dx, dy = n - own.n, y - own.y
        if own.seen:
            self._sxy = self._sxy * _FORGET + dx * dy
            self._sxx = self._sxx * _FORGET + dx * dx
        own.seen += 1
        own.n += dx * own_share
        own.y += dy * own_share
        slope = (self._sxy + self._supposed * self._ridge) / (self._sxx + self._ridge)
        least = self._least * self.mean
        self.slope = slope if slope > least else least


class Own:
    """One backend's means of what a line is drawn through."""

    __slots__ = ("n", "seen", "y")

    def __init__(self) -> None:
        self.n = 0.0
        self.y = 0.0
        self.seen = 0
