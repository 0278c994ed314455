"""Which backend has the least to do, for its weight?

    score = (in flight + 1) / weight                    the lowest wins, ties at random

Right where the backends are alike and answers differ much in length.
"""

from collections.abc import Sequence

from gateway.balancing.policy import BackendView, PickContext, Row, row
from gateway.balancing.sample import lowest, sampled


class LeastRequests:
    """Lowest (in flight + 1) / weight. Keeps no state."""

    __slots__ = ()

    patient = False
    by_slowness = False

    def pick(self, candidates: Sequence[BackendView], context: PickContext) -> BackendView:
        looked_at = sampled(candidates, context.rng)
        scores = [(backend.in_flight + 1) / backend.weight for backend in looked_at]
        return lowest(looked_at, scores, context.rng)

    def scores(self, candidates: Sequence[BackendView], context: PickContext) -> list[Row]:
        return [
            row((backend.in_flight + 1) / backend.weight, backend, backend.latency_s(context.now))
            for backend in candidates
        ]
