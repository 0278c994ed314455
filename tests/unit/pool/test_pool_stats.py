"""Histograms count every value once, in the right bucket."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.pool.stats import LATENCY_BOUNDS_S, Histogram


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
