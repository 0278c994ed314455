"""Which backend has the least to do, for its weight?

    score = (in flight + 1) / weight                    the lowest wins, ties at random

Right where the backends are alike and answers differ much in length.
"""

from collections.abc import Sequence
from math import inf

from gateway.balancing.policy import BackendView, PickContext


class LeastRequests:
    """Lowest (in flight + 1) / weight. Keeps no state."""

    __slots__ = ()

    def pick(self, candidates: Sequence[BackendView], context: PickContext) -> BackendView:
        lowest = inf
        best = candidates[0]
        ties: list[BackendView] | None = None
        for backend in candidates:
            score = (backend.in_flight + 1) / backend.weight
            if score < lowest:
                lowest = score
                best = backend
                ties = None
            elif score == lowest:
                if ties is None:
                    ties = [best]
                ties.append(backend)
        return best if ties is None else ties[int(context.rng.random() * len(ties))]

    def scores(self, candidates: Sequence[BackendView], now: float) -> list[dict[str, float | None]]:
        return [
            {
                "score": (backend.in_flight + 1) / backend.weight,
                "latency_s": backend.latency_s(now),
                "in_flight": backend.in_flight,
                "weight": backend.weight,
            }
            for backend in candidates
        ]
