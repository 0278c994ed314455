"""Which of two backends, drawn at random, has the lower product of latency and load?

The choice of Finagle, Linkerd, tower and Envoy's least request. It is there to be compared with: drawing
two keeps balancers that do not see one another from all running to the same backend, and one that sees all
its own requests pays for that with a longer tail.
"""

from collections.abc import Sequence

from gateway.balancing.peak_ewma import PeakEwma, ewma_scores
from gateway.balancing.policy import BackendView, PickContext, Row
from gateway.balancing.sample import lowest


class P2cEwma:
    """The lower latency x (in flight + 1) / weight of two different candidates, any two equally likely."""

    __slots__ = ()

    patient = False
    by_slowness = False

    def pick(self, candidates: Sequence[BackendView], context: PickContext) -> BackendView:
        count = len(candidates)
        if count == 1:
            return candidates[0]
        rng = context.rng
        first = int(rng.random() * count)
        second = int(rng.random() * (count - 1))
        if second >= first:
            second += 1
        pair = (candidates[first], candidates[second])
        return lowest(pair, ewma_scores(pair, context.now), rng)

    def scores(self, candidates: Sequence[BackendView], context: PickContext) -> list[Row]:
        """Of all candidates, though only two of them are compared at a pick."""
        return PeakEwma().scores(candidates, context)
