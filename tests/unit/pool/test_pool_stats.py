"""Histograms count every value once, in the right bucket."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pool.stats import LATENCY_BOUNDS_S, Histogram, TokenStats


def test_bounds_are_geometric_from_a_millisecond_to_ten_minutes() -> None:
    """At most 40 bounds, 1 ms first, 600 s last, each about 1.41 times the one before."""
    assert len(LATENCY_BOUNDS_S) <= 40
    assert (LATENCY_BOUNDS_S[0], LATENCY_BOUNDS_S[-1]) == (0.001, 600.0)
    ratios = [high / low for low, high in pairwise(LATENCY_BOUNDS_S)]
    assert all(1.39 < ratio < 1.42 for ratio in ratios)


def test_a_value_on_a_bound_belongs_to_that_bucket() -> None:
    """Bounds are inclusive, as Prometheus' `le` is; what exceeds all goes into the last bucket."""
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 2.1):
        histogram.observe(value)
    assert histogram.counts == [2, 2, 1]
    assert histogram.sum == 7.1
    assert repr(histogram) == "<Histogram 5 values, sum 7.100>"


@given(st.lists(st.floats(0, 1e4)))
def test_every_value_is_counted_once(values: list[float]) -> None:
    """The counts add up to the number of values, and each bucket to those between its bounds."""
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    assert histogram.total == len(values)
    assert sum(histogram.counts[:10]) == sum(value <= LATENCY_BOUNDS_S[9] for value in values)


@given(st.floats(0, 1e4), st.integers(0, 50))
def test_a_value_counted_several_times_is_so_many_values(value: float, times: int) -> None:
    """`observe_times` is `observe`, again and again."""
    at_once, one_by_one = Histogram(), Histogram()
    at_once.observe_times(value, times)
    for _ in range(times):
        one_by_one.observe(value)
    assert at_once.counts == one_by_one.counts
    assert at_once.sum == pytest.approx(one_by_one.sum)


def test_tokens_begin_at_nothing() -> None:
    """Three counts and two histograms of bounds of their own, which grow."""
    tokens = TokenStats()
    assert repr(tokens) == "<TokenStats 0 + 0, 0 cached>"
    for histogram in (tokens.first, tokens.gaps):
        assert histogram.total == 0
        assert list(histogram.bounds) == sorted(set(histogram.bounds))
