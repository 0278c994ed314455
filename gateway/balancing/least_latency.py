"""Which backend will answer soonest, going by its latency and by what it already has to do?

    score = latency x (in flight + 1) / weight          the lowest wins, ties at random

A full scan: one gateway sees all its own requests in flight, so looking at all backends beats looking at
two of them at every load, and costs less than the send that follows. The product is Finagle's Peak-EWMA
load; the weight is ours. A backend that was never measured is scored with the candidates' median: scored
zero it would take the whole burst, scored high it would never be asked.
"""

from collections.abc import Sequence
from math import inf

from gateway.balancing.policy import BackendView, PickContext

#: With no measurement anywhere every latency is the same, and requests in flight decide.
NOTHING_MEASURED_S = 1.0


class LeastLatency:
    """Lowest latency x (in flight + 1) / weight. Keeps no state: latency belongs to the backends."""

    __slots__ = ()

    def pick(self, candidates: Sequence[BackendView], context: PickContext) -> BackendView:
        now = context.now
        lowest = inf
        best = candidates[0]
        ties: list[BackendView] | None = None
        for backend in candidates:
            latency = backend.latency_s(now)
            if latency is None:
                return self._pick_with_unmeasured(candidates, context)
            score = latency * (backend.in_flight + 1) / backend.weight
            if score < lowest:
                lowest = score
                best = backend
                ties = None
            elif score == lowest:
                if ties is None:
                    ties = [best]
                ties.append(backend)
        return best if ties is None else ties[int(context.rng.random() * len(ties))]

    def _pick_with_unmeasured(self, candidates: Sequence[BackendView], context: PickContext) -> BackendView:
        latencies = _filled([backend.latency_s(context.now) for backend in candidates])
        scores = [
            latency * (backend.in_flight + 1) / backend.weight
            for latency, backend in zip(latencies, candidates, strict=True)
        ]
        lowest = min(scores)
        ties = [backend for backend, score in zip(candidates, scores, strict=True) if score == lowest]
        return ties[int(context.rng.random() * len(ties))]

    def scores(self, candidates: Sequence[BackendView], now: float) -> list[dict[str, float | None]]:
        known = [backend.latency_s(now) for backend in candidates]
        return [
            {
                "score": latency * (backend.in_flight + 1) / backend.weight,
                "latency_s": latency,
                "in_flight": backend.in_flight,
                "weight": backend.weight,
            }
            for latency, backend in zip(_filled(known), candidates, strict=True)
        ]


def _filled(latencies: list[float | None]) -> list[float]:
    """`latencies` with the lower median in place of what was never measured."""
    known = sorted([latency for latency in latencies if latency is not None])
    middle = known[(len(known) - 1) // 2] if known else NOTHING_MEASURED_S
    return [middle if latency is None else latency for latency in latencies]
