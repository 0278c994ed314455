"""Who is drawn, in proportion to weight? The baseline every other policy must beat."""

from collections.abc import Sequence

from gateway.balancing.policy import BackendView, PickContext


class RandomChoice:
    """Weighted random. Keeps no state."""

    __slots__ = ()

    def pick(self, candidates: Sequence[BackendView], context: PickContext) -> BackendView:
        left = context.rng.random() * sum([backend.weight for backend in candidates])
        for backend in candidates:
            left -= backend.weight
            if left < 0.0:
                return backend
        return candidates[-1]  # rounding may leave a trace above zero

    def scores(self, candidates: Sequence[BackendView], now: float) -> list[dict[str, float | None]]:
        """The score is 1 / weight: the likelier, the lower."""
        return [
            {
                "score": 1.0 / backend.weight,
                "latency_s": backend.latency_s(now),
                "in_flight": backend.in_flight,
                "weight": backend.weight,
            }
            for backend in candidates
        ]
