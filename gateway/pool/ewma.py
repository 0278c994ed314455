"""How slow is this backend now, judged by its recent answers?

Peak-EWMA, as in Finagle's load balancer: an average that believes a larger sample at once and forgets it
slowly. Two departures. Reading never writes, so that looking at a backend does not change it. And silence
moves the estimate toward what is typical of its peers rather than toward zero: an old bad sample is
retried, yet nobody is mistaken for the fastest because it was not asked.
"""

from math import exp

TAU_S = 10.0
#: A sample of zero would make every number of requests in flight look equally good.
FLOOR_S = 1e-6
#: What a failed attempt counts as when the backend does not say when to come back (Linkerd's figure).
PENALTY_S = 5.0
#: Longest Retry-After that is believed.
MAX_PENALTY_S = 300.0


class PeakEwma:
    """Decaying peak of samples in seconds; `tau_s` is the time in which a difference falls to 37 %.

    `value_s` is the estimate as of `at`; None when never measured.
    """

    __slots__ = ("at", "fresh_s", "tau_s", "value_s")

    def __init__(self, tau_s: float = TAU_S) -> None:
        self.tau_s = tau_s
        self.fresh_s = tau_s / 50  # younger estimates are read as they are: the decay would be under 2 %
        self.value_s: float | None = None
        self.at = 0.0

    def __repr__(self) -> str:
        return "<PeakEwma never measured>" if self.value_s is None else f"<PeakEwma {self.value_s:.4g} s>"

    def observe(self, value_s: float, now: float) -> None:
        """Take a sample: a larger one replaces the estimate, a smaller one pulls it down by elapsed time."""
        value_s = max(value_s, FLOOR_S)
        old = self.value_s
        if old is None or value_s >= old:
            self.value_s = value_s
        elif now > self.at:
            weight = exp((self.at - now) / self.tau_s)
            self.value_s = old * weight + value_s * (1.0 - weight)
        self.at = max(self.at, now)

    def penalise(self, seconds: float, now: float, retry_after_s: float | None = None) -> None:
        """Take a failed attempt that lasted `seconds` as at least a penalty: a fast error is no fast host.

        The penalty is the backend's Retry-After (at most 300 s) if it gave one, else 5 s.
        """
        penalty_s = PENALTY_S if retry_after_s is None else min(retry_after_s, MAX_PENALTY_S)
        self.observe(max(seconds, penalty_s), now)

    def value_at(self, now: float, toward: float | None = None) -> float | None:
        """The estimate at `now`: toward + (value - toward) x exp(-silence / tau). Writes nothing.

        With `toward` None the last value stands. None when never measured.
        """
        value = self.value_s
        if value is None or toward is None:
            return value
        silence = now - self.at
        if silence <= self.fresh_s:
            return value
        return toward + (value - toward) * exp(-silence / self.tau_s)


class Typical:
    """The latency typical of a pool: the lower median of its backends' estimates; None until one is measured.

    Of two backends the better one is typical, so one that failed once finds its way back.
    """

    __slots__ = ("due", "median_s")

    REFRESH_S = 0.1  # sorting at every sample would cost more than the pick

    def __init__(self) -> None:
        self.median_s: float | None = None
        self.due = 0.0

    def refresh(self, estimates: list[PeakEwma], now: float) -> None:
        """Compute the median anew; `due` is when that is worth doing again."""
        values = sorted([e.value_s for e in estimates if e.value_s is not None])
        if values:
            self.median_s = values[(len(values) - 1) // 2]
            self.due = now + self.REFRESH_S
