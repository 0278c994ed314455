"""How is one found among many candidates? By looking at a sample of them, by its name, by its score.

A pick must not cost ten times more among ten times more backends. Up to 128 everybody is looked at, which
one gateway that sees all its own requests does best; above that, a sample. Thirty-two rather than the two
of "power of two choices": where a tenth of the backends is idle, two of them miss it four times in five, 32
once in thirty.
"""

import random
from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from gateway.balancing.view import BackendView

FULL_SCAN: Final = 128
SAMPLE: Final = 32

_name = attrgetter("name")


def sampled(candidates: Sequence[BackendView], rng: random.Random) -> Sequence[BackendView]:
    """The candidates themselves up to 128; above that 32 different ones, each as likely as any other.

    One is drawn from each of 32 equally long stretches, which begin at a random place and wrap around.
    """
    count = len(candidates)
    if count <= FULL_SCAN:
        return candidates
    stretch = count // SAMPLE
    at = int(rng.random() * count)
    drawn = []
    for _ in range(SAMPLE):
        drawn.append(candidates[(at + int(rng.random() * stretch)) % count])
        at += stretch
    return drawn


def find(candidates: Sequence[BackendView], name: str) -> BackendView | None:
    """The candidate called `name`, found by halving: they are in order by name."""
    at = bisect_left(candidates, name, key=_name)
    if at < len(candidates) and candidates[at].name == name:
        return candidates[at]
    return None


def lowest(candidates: Sequence[BackendView], scores: list[float], rng: random.Random) -> BackendView:
    """The candidate with the lowest score; of equal ones any, never the first by position."""
    best = min(scores)
    if scores.count(best) == 1:
        return candidates[scores.index(best)]
    ties = [backend for backend, score in zip(candidates, scores, strict=True) if score == best]
    return ties[int(rng.random() * len(ties))]
