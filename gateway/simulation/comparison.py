"""Does it differ, or did the dice fall so? Paired comparison over seeds.

The same seed gives every policy the same tasks and the same machines, so results are compared seed by seed:
by the geometric mean of their ratios, with a bootstrap interval over the seeds (Efron 1979, percentiles).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, fsum, log
from random import Random

RESAMPLES = 2000
#: Ratios within this share of 1 are ties.
TIE = 0.1
_FLOOR = 1e-9  # for figures of 0, such as the waste of those who waste nothing


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ours divided by theirs: the mean, its 95 % interval, and in how many seeds ours was lower by more than
    a tenth, about the same, or higher."""

    value: float
    low: float
    high: float
    wins: int
    ties: int
    losses: int


def compare(ours: Sequence[float], theirs: Sequence[float], rng: Random) -> Ratio:
    """Compare figures of the same seeds; ValueError when they are not as many, or none."""
    if not ours:
        raise ValueError("nothing to compare")
    logs = [log(max(one, _FLOOR) / max(other, _FLOOR)) for one, other in zip(ours, theirs, strict=True)]
    low, high = interval(logs, rng)
    tie = log(1.0 + TIE)
    wins, losses = sum(each < -tie for each in logs), sum(each > tie for each in logs)
    return Ratio(exp(fsum(logs) / len(logs)), exp(low), exp(high), wins, len(logs) - wins - losses, losses)


def interval(values: Sequence[float], rng: Random) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean of `values`."""
    n = len(values)
    means = sorted(fsum(rng.choices(values, k=n)) / n for _ in range(RESAMPLES))
    return means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES) - 1]
