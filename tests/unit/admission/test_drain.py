"""How fast a queue gives way, from its grants."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission.drain import KNOWN_GRANTS, DrainRate


def draining(gaps: list[float], start: float = 0.0) -> tuple[DrainRate, float]:
    """A rate after grants with these gaps before them, and what time it is."""
    rate, now = DrainRate(), start
    rate.begin(now)
    for gap in gaps:
        now += gap
        rate.granted(now)
    return rate, now


def test_the_wait_is_the_number_times_the_mean_gap() -> None:
    """Four grants a second: 20 take five seconds."""
    rate, now = draining([0.25] * 41)
    assert rate.wait_s(20, now) == pytest.approx(5.0, rel=0.03)
    assert rate.usual_s(20) == pytest.approx(5.0, rel=0.03)


def test_few_grants_are_no_rate() -> None:
    """Before there are enough of them the wait is unknown, which is 0."""
    few = int(KNOWN_GRANTS) - 1
    rate, now = draining([5.0] * few)
    assert rate.wait_s(1000, now) == 0.0
    rate.granted(now + 5.0)
    assert rate.wait_s(1000, now + 5.0) > 1000.0


def test_what_was_before_the_first_grant_is_not_counted() -> None:
    """A queue that had to wait long for its first grant, and then got ten a second, is a fast one."""
    rate, now = draining([20.0] + [0.1] * 30)
    assert rate.wait_s(10, now) == pytest.approx(1.0, rel=0.1)


def test_time_without_anybody_waiting_does_not_count() -> None:
    """Ten grants a second while somebody waits, with five seconds of nobody in between."""
    rate, now = draining([])
    for _ in range(20):
        rate.begin(now)
        for _ in range(3):
            now += 0.1
            rate.granted(now)
        now += 5.0
    rate.begin(now)
    assert rate.wait_s(10, now) == pytest.approx(1.0, rel=0.1)


def test_time_of_those_who_went_without_a_grant_counts() -> None:
    """They waited for nothing: the queue is slower than its grants alone would say."""
    rate, now = draining([0.1] * 20)
    before_s = rate.usual_s(10)
    for _ in range(10):
        rate.begin(now)
        now += 0.2
        rate.end(now)
        now += 1.0
    assert rate.usual_s(10) == pytest.approx(before_s * 2.0, rel=0.1)


def test_the_rate_follows_within_a_minute() -> None:
    """From a hundred a second to five a second, and within half of that back."""
    rate, now = draining([0.01] * 2000)
    for _ in range(300):
        now += 0.2
        rate.granted(now)
    assert rate.usual_s(1) == pytest.approx(0.2, rel=0.2)
    for _ in range(3000):
        now += 0.01
        rate.granted(now)
    assert rate.usual_s(1) == pytest.approx(0.01, rel=0.2)


def test_a_slow_queue_is_remembered_by_its_grants() -> None:
    """One grant in seven seconds: after a memory by time alone there would never be a rate."""
    rate, now = draining([7.0] * 40)
    assert rate.wait_s(3, now) == pytest.approx(21.0, rel=0.05)


def test_a_standstill_does_not_become_the_rate() -> None:
    """Eighty a second at random, ten seconds nothing, then on: what comes after is expected at the old rate.

    During the standstill the wait is expected longer, but not by more than it has lasted.
    """
    rng = random.Random(7)
    rate, now = draining([rng.expovariate(80.0) for _ in range(200)])
    usual_s = rate.usual_s(640)
    assert usual_s == pytest.approx(8.0, rel=0.2)
    assert usual_s * 1.5 < rate.wait_s(640, now + 10.0) < usual_s * 2.5
    rate.granted(now + 10.0)
    assert rate.usual_s(640) == pytest.approx(usual_s, rel=0.1)


def test_grants_in_batches_are_no_standstills() -> None:
    """Sixty-four at once, once a second: 64 a second, though nearly all gaps are zero."""
    rate, now = draining(([1.0] + [0.0] * 63) * 20)
    assert rate.wait_s(640, now) == pytest.approx(10.0, rel=0.1)


def test_what_was_known_a_minute_before_is_forgotten() -> None:
    """Nobody has waited for so long that backends and load may be others."""
    rate, now = draining([0.5] * 20)
    rate.begin(now + 59.0)
    assert rate.usual_s(1) > 0.0
    rate.begin(now + 59.0 + 61.0)
    assert rate.usual_s(1) == 0.0


@given(
    st.lists(st.floats(0.0, 2.0), min_size=1, max_size=60),
    st.lists(st.floats(0.0, 2.0), max_size=4),
    st.integers(1, 4),
)
def test_grants_taken_back_leave_no_trace(gaps: list[float], pauses: list[float], number: int) -> None:
    """Handing out and taking back, several at once and again and again, changes nothing but the clock."""
    left, now = draining(gaps)
    right, _ = draining(gaps)
    for pause in pauses:
        now += pause
        for _ in range(number):
            right.granted(now)
        for _ in range(number):
            right.taken_back()
    for rate in (left, right):
        rate.granted(now + 0.5)
    assert right.usual_s(7) == pytest.approx(left.usual_s(7))
    assert right.wait_s(7, now + 1.0) == pytest.approx(left.wait_s(7, now + 1.0))


def test_it_says_what_it_has_counted() -> None:
    """For a log line."""
    assert repr(draining([0.5] * 3)[0]) == "<DrainRate 3.0 in 1.00 s>"
