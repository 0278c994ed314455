"""How are durations counted cheaply enough to do it for every request?"""

from bisect import bisect_left

#: Upper bounds of the buckets: geometric from 1 ms to 600 s, 40 of them, each 1.41 times the one before.
#: Model servers answer an embedding in milliseconds and a long generation in minutes.
LATENCY_BOUNDS_S: tuple[float, ...] = tuple(float(f"{0.001 * 600_000 ** (i / 39):.3g}") for i in range(40))


class Histogram:
    """Counts of values by bucket, and their sum.

    `counts[i]` holds values <= `bounds[i]` and above the bound before; the last one, past all bounds, is
    the rest. Counts are not cumulative and only grow, so histograms of several workers add up.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...] = LATENCY_BOUNDS_S) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def __repr__(self) -> str:
        return f"<Histogram {self.total} values, sum {self.sum:.3f}>"

    @property
    def total(self) -> int:
        """How many values were observed."""
        return sum(self.counts)

    def observe(self, value: float) -> None:
        """Count `value`, in the unit of the bounds."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value
