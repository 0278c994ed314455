"""Which backend has the lowest product of its latency and of what it already has to do?

    score = latency x (in flight + 1) / weight          the lowest wins, ties at random

The product is the load of Finagle's Peak-EWMA balancer, the weight is ours. Finagle compares two backends
drawn at random; here all are looked at (sample.py), because one gateway sees all its own requests in flight.
"""

from collections.abc import Sequence

from gateway.balancing.latencies import latencies_s
from gateway.balancing.policy import BackendView, PickContext, Row, row
from gateway.balancing.sample import lowest, sampled


class PeakEwma:
    """Lowest latency x (in flight + 1) / weight. Keeps no state: latency belongs to the backends."""

    __slots__ = ()

    patient = False
    by_slowness = False

    def pick(self, candidates: Sequence[BackendView], context: PickContext) -> BackendView:
        looked_at = sampled(candidates, context.rng)
        return lowest(looked_at, ewma_scores(looked_at, context.now), context.rng)

    def scores(self, candidates: Sequence[BackendView], context: PickContext) -> list[Row]:
        scores = ewma_scores(candidates, context.now)
        latencies = latencies_s(candidates, context.now)
        return [
            row(score, backend, latency)
            for score, backend, latency in zip(scores, candidates, latencies, strict=True)
        ]


def ewma_scores(candidates: Sequence[BackendView], now: float) -> list[float]:
    """latency x (in flight + 1) / weight of each."""
    return [
        latency * (backend.in_flight + 1) / backend.weight
        for latency, backend in zip(latencies_s(candidates, now), candidates, strict=True)
    ]
