"""Who is drawn, in proportion to weight? The baseline every other policy must beat."""

from collections.abc import Sequence

from gateway.balancing.policy import BackendView, PickContext, Row, row
from gateway.balancing.sample import FULL_SCAN

#: Draws before the heaviest weight is taken to be a thing of the past. Where it is still there, and ten times
#: the average, as many fail in a row once in a thousand picks.
DRAWS = 64


class RandomChoice:
    """Weighted random.

    Up to 128 candidates one draw against the sum of weights. Above, nobody is looked at but who is drawn:
    each is as likely as any, and taken with the probability weight / heaviest, else another is drawn. The
    heaviest weight is all the state.
    """

    __slots__ = ("_heaviest",)

    patient = False
    by_slowness = False

    def __init__(self) -> None:
        self._heaviest = 0.0

    def pick(self, candidates: Sequence[BackendView], context: PickContext) -> BackendView:
        random = context.rng.random
        count = len(candidates)
        if count > FULL_SCAN and self._heaviest > 0.0:
            for _ in range(DRAWS):
                backend = candidates[int(random() * count)]
                weight = backend.weight
                self._heaviest = max(self._heaviest, weight)
                if random() * self._heaviest < weight:
                    return backend
        weights = [backend.weight for backend in candidates]
        self._heaviest = max(weights)
        left = random() * sum(weights, 0.0)
        for backend, weight in zip(candidates, weights, strict=True):
            left -= weight
            if left < 0.0:
                return backend
        return candidates[-1]  # rounding may leave a trace above zero

    def scores(self, candidates: Sequence[BackendView], context: PickContext) -> list[Row]:
        """The score is 1 / weight: the likelier, the lower."""
        return [row(1.0 / backend.weight, backend, backend.latency_s(context.now)) for backend in candidates]
