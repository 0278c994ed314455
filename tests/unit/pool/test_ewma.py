"""The latency estimate: quick to believe bad news, slow to forget it, unchanged by being read."""

from math import exp, isclose

from hypothesis import given
from hypothesis import strategies as st

from gateway.pool.ewma import FLOOR_S, PeakEwma, Typical

seconds = st.floats(1e-3, 100.0)


def measured(value_s: float, at: float = 0.0) -> PeakEwma:
    ewma = PeakEwma(tau_s=10.0)
    ewma.observe(value_s, at)
    return ewma


@given(seconds, seconds, st.floats(0, 1000))
def test_a_larger_sample_is_believed_at_once(first: float, more: float, gap: float) -> None:
    """Whatever the age of the estimate, a sample above it becomes the estimate."""
    ewma = measured(first)
    ewma.observe(first + more, gap)
    assert ewma.value_s == first + more


@given(seconds, st.floats(0.01, 1.0), st.floats(0.001, 100.0))
def test_a_smaller_sample_pulls_by_elapsed_time(first: float, share: float, gap: float) -> None:
    """new = old w + sample (1 - w) with w = exp(-elapsed / tau)."""
    ewma = measured(first)
    ewma.observe(first * share, gap)
    weight = exp(-gap / 10.0)
    assert ewma.value_s is not None
    assert isclose(ewma.value_s, first * weight + first * share * (1 - weight), rel_tol=1e-9)


@given(st.lists(st.tuples(seconds, st.floats(0, 50)), min_size=1))
def test_the_estimate_stays_within_its_samples(samples: list[tuple[float, float]]) -> None:
    """No sequence of samples leads outside the smallest and the largest of them."""
    ewma, now = PeakEwma(), 0.0
    for value, gap in samples:
        now += gap
        ewma.observe(value, now)
    values = [value for value, _ in samples]
    assert ewma.value_s is not None
    assert min(values) * (1 - 1e-9) <= ewma.value_s <= max(values)


@given(seconds, seconds, st.floats(0, 1000), st.floats(0, 1000))
def test_silence_moves_the_estimate_toward_its_peers(
    value: float, toward: float, early: float, late: float
) -> None:
    """Later readings lie nearer to what is typical, never beyond it, and reading changes nothing."""
    ewma = measured(value)
    early, late = sorted((early, late))
    first, second = ewma.value_at(early, toward), ewma.value_at(late, toward)
    assert first is not None
    assert second is not None
    assert abs(second - toward) <= abs(first - toward) + 1e-9
    assert min(value, toward) - 1e-9 <= second <= max(value, toward) + 1e-9
    assert ewma.value_at(early, toward) == first
    assert (ewma.value_s, ewma.at) == (value, 0.0)


def test_after_one_tau_37_percent_of_the_difference_is_left() -> None:
    """toward + (value - toward) exp(-1)."""
    value = measured(5.0).value_at(10.0, toward=1.0)
    assert value is not None
    assert isclose(value, 1.0 + 4.0 * exp(-1))


def test_without_peers_the_last_value_stands() -> None:
    """Nothing to move toward: the estimate stays; never measured stays None."""
    assert measured(5.0).value_at(1e6) == 5.0
    assert PeakEwma().value_at(3.0, toward=1.0) is None


def test_a_fast_failure_is_observed_as_slow() -> None:
    """2 ms of failure count as 5 s, a slower failure as its own time."""
    ewma = measured(0.04)
    ewma.penalise(0.002, 1.0)
    assert ewma.value_s == 5.0
    ewma.penalise(60.0, 2.0)
    assert ewma.value_s == 60.0


def test_retry_after_is_believed_up_to_a_cap() -> None:
    """The backend's own figure replaces the 5 s, at most 300 s."""
    short, long = PeakEwma(), PeakEwma()
    short.penalise(0.002, 1.0, retry_after_s=1.5)
    long.penalise(0.002, 1.0, retry_after_s=86_400.0)
    assert (short.value_s, long.value_s) == (1.5, 300.0)


def test_zero_and_clocks_that_stand_still_do_no_harm() -> None:
    """A sample of zero is floored; a second sample at the same or an earlier instant leaves time alone."""
    ewma = measured(0.0, at=5.0)
    assert ewma.value_s == FLOOR_S
    ewma.observe(1.0, 5.0)
    ewma.observe(0.5, 4.0)
    assert (ewma.value_s, ewma.at) == (1.0, 5.0)


def test_typical_is_the_lower_median() -> None:
    """Of two the better one; the unmeasured do not count; nothing measured leaves it None."""
    typical = Typical()
    typical.refresh([PeakEwma()], 0.0)
    assert typical.median_s is None
    typical.refresh([measured(5.0), PeakEwma(), measured(0.1)], 0.0)
    assert typical.median_s == 0.1
    typical.refresh([measured(5.0), measured(0.2), measured(0.1)], 0.0)
    assert typical.median_s == 0.2
