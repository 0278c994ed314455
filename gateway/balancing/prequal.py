"""Which of the backends that are not too busy has the lowest latency?

The hot-cold rule of Prequal (Wydrowski et al., "Load is not what you should balance", NSDI 2024): load
decides who may be chosen, latency who is. A candidate is hot when its load is above the quantile `Q_RIF` of
all loads, else cold; among the cold the lowest latency wins, of equal ones (before anything is measured) the
lowest load, ties at random.

Two departures. Prequal asks servers by probes, remembers the answers, and falls back to the lowest load when
all that it remembers are hot; here the loads are this gateway's own and of this moment, so somebody is
always cold. And latency is that of recent answers, not the server's estimate for its present load.
"""

from collections.abc import Sequence

from gateway.balancing.latencies import latencies_s
from gateway.balancing.policy import NO_LIMIT, BackendView, PickContext, Row, row
from gateway.balancing.sample import lowest, sampled

#: The paper's 0.84 lets five of six choose by latency alone, which sends a burst to the fastest until its
#: latency shows it. prequal-rs measured that herding at high load and ships 0.6.
Q_RIF = 0.6


class Prequal:
    """Lowest latency among the candidates whose load is at most the `quantile` of all loads. No state."""

    __slots__ = ("quantile",)

    patient = False
    by_slowness = False

    def __init__(self, quantile: float = Q_RIF) -> None:
        self.quantile = quantile

    def pick(self, candidates: Sequence[BackendView], context: PickContext) -> BackendView:
        looked_at = sampled(candidates, context.rng)
        loads = _loads(looked_at)
        hot_above = self._hot_above(loads)
        cold = [
            (latency, load, backend)
            for latency, load, backend in zip(
                latencies_s(looked_at, context.now), loads, looked_at, strict=True
            )
            if load <= hot_above
        ]
        quickest = min([latency for latency, _, _ in cold])
        even = [(backend, load) for latency, load, backend in cold if latency == quickest]
        return lowest([backend for backend, _ in even], [load for _, load in even], context.rng)

    def scores(self, candidates: Sequence[BackendView], context: PickContext) -> list[Row]:
        """A cold candidate's score is its latency; a hot one's lies above all latencies by its load."""
        loads = _loads(candidates)
        latencies = latencies_s(candidates, context.now)
        hot_above, longest = self._hot_above(loads), max(latencies)
        rows = []
        for backend, load, latency in zip(candidates, loads, latencies, strict=True):
            score = latency if load <= hot_above else longest + load
            rows.append(row(score, backend, latency) | {"load": load, "hot_above": hot_above})
        return rows

    def _hot_above(self, loads: list[float]) -> float:
        """The quantile, rounded down: of a few candidates too the busiest is hot, unless all are as busy."""
        return sorted(loads)[int(self.quantile * (len(loads) - 1))]


def _loads(candidates: Sequence[BackendView]) -> list[float]:
    """Requests in flight as a part of the limit where all have one, else for each unit of weight."""
    if all([backend.limit < NO_LIMIT for backend in candidates]):
        return [backend.in_flight / backend.limit for backend in candidates]
    return [backend.in_flight / backend.weight for backend in candidates]
