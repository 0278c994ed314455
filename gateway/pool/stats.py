"""How are durations and tokens counted cheaply enough to do it for every request?"""

from bisect import bisect_left

#: Upper bounds of the buckets: geometric from 1 ms to 600 s, 40 of them, each 1.41 times the one before.
#: Model servers answer an embedding in milliseconds and a long generation in minutes.
LATENCY_BOUNDS_S: tuple[float, ...] = tuple(float(f"{0.001 * 600_000 ** (i / 39):.3g}") for i in range(40))

#: Of what a reader of a streamed answer waits for: its first token, and then each.
FIRST_TOKEN_BOUNDS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
#: Finest where decoding usually is: 10 to 100 ms a token.
INTER_TOKEN_BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 5.0)


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

    def observe_times(self, value: float, times: int) -> None:
        """Count `value` so many times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times


class TokenStats:
    """One backend's tokens: those of prompts and completions, the cached ones among the prompts', and their
    times, in seconds."""

    __slots__ = ("cached", "completion", "first", "gaps", "prompt")

    def __init__(self) -> None:
        self.prompt = 0
        self.completion = 0
        self.cached = 0
        self.first = Histogram(FIRST_TOKEN_BOUNDS_S)
        self.gaps = Histogram(INTER_TOKEN_BOUNDS_S)

    def __repr__(self) -> str:
        return f"<TokenStats {self.prompt} + {self.completion}, {self.cached} cached>"
