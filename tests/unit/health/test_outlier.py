"""Failures in a row eject, each time for longer, and good behaviour is remembered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.health.outlier import OutlierRule, OutlierState

RULE = OutlierRule(consecutive_failures=3, ejection_s=10.0, max_ejection_s=25.0)


def test_only_failures_in_a_row_count() -> None:
    """fail fail ok fail fail do not, one more does."""
    state = OutlierState(RULE)
    assert [state.failed(), state.failed()] == [False, False]
    state.succeeded()
    assert [state.failed(), state.failed(), state.failed()] == [False, False, True]


def test_zero_turns_it_off() -> None:
    """No number of failures ejects."""
    state = OutlierState(OutlierRule(consecutive_failures=0))
    assert not any([state.failed() for _ in range(100)])


def test_each_ejection_lasts_longer_up_to_a_limit() -> None:
    """10, 20, then 25 at most, when it fails right after each return."""
    state = OutlierState(RULE)
    now, lengths = 0.0, []
    for _ in range(4):
        lengths.append(state.eject(now))
        now = state.until
        state.release(now)
    assert lengths == [10.0, 20.0, 25.0, 25.0]


@pytest.mark.parametrize(
    ("good_s", "length"), [(9.9, 30.0), (10.0, 20.0), (19.9, 20.0), (20.0, 10.0), (1e6, 10.0)]
)
def test_good_behaviour_is_forgiven_by_and_by(good_s: float, length: float) -> None:
    """Ejected twice; each ten good seconds take one off."""
    state = OutlierState(OutlierRule(ejection_s=10.0))
    state.eject(0.0)
    state.release(10.0)
    state.eject(10.0)
    state.release(30.0)
    assert state.eject(30.0 + good_s) == length


def test_failures_of_what_was_sent_before_the_ejection_do_not_count() -> None:
    """They end while it is out and are already paid for."""
    state = OutlierState(RULE)
    state.eject(0.0)
    assert not any([state.failed() for _ in range(10)])
    state.release(10.0)
    assert state.failures == 0


@pytest.mark.parametrize(
    ("backends", "share", "most"),
    [
        (0, 0.5, 0),
        (1, 1.0, 0),
        (2, 0.1, 1),
        (2, 1.0, 2),
        (3, 0.5, 1),
        (4, 0.5, 2),
        (100, 0.29, 29),
        (9, 0.0, 0),
    ],
)
def test_how_many_may_be_out_together(backends: int, share: float, most: int) -> None:
    """The share rounded down, but of two or more at least one, and of one none."""
    assert OutlierRule(max_ejected=share).most_ejected(backends) == most


@given(st.integers(0, 1000), st.floats(0.0, 1.0))
def test_the_share_is_never_exceeded_but_by_the_one(backends: int, share: float) -> None:
    """At most the share, or one."""
    assert OutlierRule(max_ejected=share).most_ejected(backends) <= max(1, backends * share + 1e-6)
