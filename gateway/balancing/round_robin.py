"""Whose turn is it?

Smooth weighted round robin, as nginx does it: at each pick everybody's credit grows by its weight, the
highest credit wins and pays the sum of all weights. Weights 5, 1, 1 give a a b a c a a, never five a in a
row.
"""

from collections.abc import Sequence
from math import inf

from gateway.balancing.policy import BackendView, PickContext


class RoundRobin:
    """Turns in proportion to weight.

    Its only state is a credit per name, so it survives backends that come and go; credits of names not
    seen for long are dropped.
    """

    __slots__ = ("_credit",)

    def __init__(self) -> None:
        self._credit: dict[str, float] = {}

    def pick(self, candidates: Sequence[BackendView], context: PickContext) -> BackendView:
        credit = self._credit
        total = 0.0
        highest = -inf
        best = candidates[0]
        for backend in candidates:
            name = backend.name
            weight = backend.weight
            total += weight
            credit[name] = have = credit.get(name, 0.0) + weight
            if have > highest:
                highest = have
                best = backend
        credit[best.name] = highest - total
        if len(credit) > 2 * len(candidates) + 64:
            self._credit = {backend.name: credit[backend.name] for backend in candidates}
        return best

    def scores(self, candidates: Sequence[BackendView], now: float) -> list[dict[str, float | None]]:
        """The score is the credit each would have at the next pick, negated: lowest wins here too."""
        return [
            {
                "score": -(self._credit.get(backend.name, 0.0) + backend.weight),
                "latency_s": backend.latency_s(now),
                "in_flight": backend.in_flight,
                "weight": backend.weight,
            }
            for backend in candidates
        ]
