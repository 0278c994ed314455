"""Which backend will answer soonest, going by how slow it is and by what it already has to do?

    score = slowness x predicted work / weight          the lowest wins, ties at random

Slowness and work are the pool's (pool/speed.py): freed from the size of requests and from the batch they are
answered in, one figure for models that stream and for those that do not. It is asked inside a guard: nobody
with much more in flight than the average is asked, however fast he looks, since in-flight counts are true now
and every estimate is of the past (Prequal, NSDI 2024, found the same order: first the counts, then latency).
The score goes by the configured weight; slow start and degrading, which lower it, narrow the guard: a
newcomer is asked, but only for so much at once. A full scan: one gateway sees all its own requests, so
looking at all beats looking at two at every load.
"""

from collections.abc import Sequence
from math import inf
from typing import Final

from gateway.balancing.context import PickContext
from gateway.balancing.policy import Row, row
from gateway.balancing.sample import sampled
from gateway.balancing.view import BackendView

#: In flight per weight, against the average of the candidates: this many times that and one more. Streams may
#: lie further apart: what a larger batch costs them is in the score already.
GUARD: Final = 1.2
GUARD_STREAMS: Final = 1.8
#: The guard gives way where everybody inside it is expected to take this many times longer: who is dead or
#: fails at once has nothing in flight, and a count must not make him attractive.
LIFT: Final = 4.0


class LeastLatency:
    """Lowest expected time per weight, inside the guard. Keeps no state: that belongs to the pool."""

    __slots__ = ()

    #: Asked about full backends too: it may find that waiting for one of them is quicker.
    patient = True
    by_slowness = True

    def pick(self, candidates: Sequence[BackendView], context: PickContext) -> BackendView:
        looked_at = sampled(candidates, context.rng)
        most = _most(looked_at, GUARD_STREAMS if context.stream else GUARD)
        now = context.now
        lowest = beyond = inf
        best = other = looked_at[0]
        ties = 1
        for backend in looked_at:
            score = backend.expected_s(now, context) / backend.base_weight
            if backend.in_flight > most * backend.weight:
                if score < beyond:
                    beyond = score
                    other = backend
            elif score < lowest:
                lowest = score
                best = backend
                ties = 1
            elif score == lowest:
                ties += 1
                if context.rng.random() * ties < 1.0:
                    best = backend
        return best if lowest <= LIFT * beyond else other

    def scores(self, candidates: Sequence[BackendView], context: PickContext) -> list[Row]:
        """Terms: seconds expected there, the guard as most in flight. Infinite above it unless lifted."""
        most = _most(candidates, GUARD_STREAMS if context.stream else GUARD)
        now = context.now
        expected = [backend.expected_s(now, context) for backend in candidates]
        scores = [
            seconds / backend.base_weight for seconds, backend in zip(expected, candidates, strict=True)
        ]
        beyond = [b.in_flight > most * b.weight for b in candidates]
        inside = min([score for score, out in zip(scores, beyond, strict=True) if not out], default=inf)
        rows = []
        for score, seconds, out, backend in zip(scores, expected, beyond, candidates, strict=True):
            shown = score if not out or inside > LIFT * score else inf
            terms = row(shown, backend, backend.latency_s(now))
            rows.append(terms | {"expected_s": seconds, "guard": most * backend.weight})
        return rows


def _most(candidates: Sequence[BackendView], guard: float) -> float:
    """Most in flight per weight that a candidate may have; somebody always has less."""
    in_flight = weight = 0.0
    for backend in candidates:
        in_flight += backend.in_flight
        weight += backend.weight
    mean = weight / len(candidates)
    return guard * in_flight / weight + 1.0 / mean
