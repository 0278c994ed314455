"""Paired comparison over seeds."""

from math import exp
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulation.comparison import compare, interval


def test_a_constant_ratio_is_certain() -> None:
    """However different the seeds are: that is what pairing is for."""
    theirs = [1.0, 10.0, 100.0, 3.0]
    ratio = compare([0.8 * value for value in theirs], theirs, Random(1))
    assert (ratio.value, ratio.low, ratio.high) == (pytest.approx(0.8),) * 3
    assert (ratio.wins, ratio.ties, ratio.losses) == (4, 0, 0)


def test_differences_within_a_tenth_are_ties() -> None:
    """The others are wins, lower being better, and losses."""
    ratio = compare([0.5, 1.05, 0.95, 2.0, 3.0], [1.0] * 5, Random(1))
    assert (ratio.wins, ratio.ties, ratio.losses) == (1, 2, 2)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Of samples of 20 log-normal ratios around 1.2, nine in ten intervals and more hold it."""
    dice, covered = Random(7), 0
    for trial in range(200):
        ours = [1.2 * exp(dice.gauss(0, 0.3)) for _ in range(20)]
        ratio = compare(ours, [1.0] * 20, Random(trial))
        covered += ratio.low <= 1.2 <= ratio.high
    assert 175 <= covered < 200


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=8), st.integers(0, 100))
def test_the_same_dice_give_the_same_interval_around_the_mean(values: list[float], seed: int) -> None:
    """Within the smallest and the largest value."""
    low, high = interval(values, Random(seed))
    assert (low, high) == interval(values, Random(seed))
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9


def test_nothing_cannot_be_compared_and_a_zero_can() -> None:
    """Figures of 0 count as almost nothing."""
    with pytest.raises(ValueError, match="nothing to compare"):
        compare([], [], Random(1))
    with pytest.raises(ValueError, match="zip"):
        compare([1.0], [1.0, 2.0], Random(1))
    assert compare([0.0], [0.0], Random(1)).value == 1.0
    assert compare([0.0], [1.0], Random(1)).wins == 1
