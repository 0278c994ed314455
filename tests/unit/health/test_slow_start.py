"""A backend that has come back gets its share by and by: with time, but no faster than it has answered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.health.slow_start import ANSWERS, FLOOR, PATIENCE, USUAL, SlowStart


def ramp(answers: int, window_s: float = 30.0) -> SlowStart:
    """One that began at 100.0 and has answered so often."""
    ramp = SlowStart(window_s)
    ramp.begin(100.0)
    for _ in range(answers):
        ramp.succeeded()
    return ramp


@pytest.mark.parametrize(
    ("seconds", "answers", "factor"),
    [
        (0.0, 0, 0.1),
        (0.0, 1000, 0.1),  # answers alone are not enough
        (15.0, 1000, 0.5),
        (15.0, 2, 0.3),
        (15.0, 0, 1 / 6),  # of three windows, half a one
        (29.0, 1000, 29 / 30),
        (30.0, 8, 0.9),
        (30.0, 9, 1.0),
        (60.0, 0, 2 / 3),
        (90.0, 0, 1.0),  # nobody asked it: over all the same
    ],
)
def test_the_share_after_a_while(seconds: float, answers: int, factor: float) -> None:
    """The window is 30 s."""
    assert ramp(answers).factor(100.0 + seconds) == pytest.approx(factor)


@pytest.mark.parametrize(
    ("seconds", "answers", "slowness", "factor"),
    [
        (0.0, 0, 1.0, 0.1),  # nothing is proven yet
        (1.0, 4, 1.0, 0.5),
        (1.0, 9, 0.7, 1.0),
        (1.0, 9, USUAL, 1.0),
        (1.0, 9, USUAL + 0.01, 0.1),  # many answers, but slow ones
        (15.0, 9, 3.0, 0.5),
        (15.0, 0, 1.0, 1 / 6),  # not asked: no more than without
        (90.0, 0, 3.0, 1.0),
    ],
)
def test_quick_answers_are_proof_enough(seconds: float, answers: int, slowness: float, factor: float) -> None:
    """Where slowness is gone by time holds back only those that are slow, or are not asked."""
    assert ramp(answers).factor(100.0 + seconds, slowness) == pytest.approx(factor)


def test_who_turns_out_to_be_cold_is_held_back_again() -> None:
    """Until it was over: what was warm once is not cold for being slow."""
    ramping = ramp(5)
    assert ramping.factor(101.0, 1.0) == pytest.approx(0.6)
    assert ramping.factor(101.5, 2.0) == FLOOR
    assert ramping.factor(102.0, 1.0) == pytest.approx(0.6)
    for _ in range(4):
        ramping.succeeded()
    assert ramping.factor(102.0, 1.0) == 1.0
    assert ramping.factor(102.5, 9.0) == 1.0


def test_a_new_one_does_not_ramp() -> None:
    """A pool's first backends have all their weight; so has one for which it is off."""
    assert SlowStart().factor(0.0) == 1.0
    assert not SlowStart().ramping
    off = SlowStart(0.0)
    off.begin(100.0)
    assert (off.ramping, off.factor(100.0)) == (False, 1.0)


def test_it_ends_once_and_begins_anew() -> None:
    """Full weight stays until the backend was away again; old answers prove nothing then."""
    again = ramp(ANSWERS)
    assert again.ramping
    assert again.factor(130.0) == 1.0
    assert not again.ramping
    again.succeeded()
    assert again.factor(130.0) == 1.0
    again.begin(200.0)
    assert again.factor(230.0) == pytest.approx(max(FLOOR, 1.0 / PATIENCE))


def test_a_reload_that_turns_it_off_ends_it() -> None:
    """The ramp under way too."""
    ramping = ramp(0)
    ramping.window_s = 0.0
    assert ramping.factor(101.0) == 1.0


@given(
    st.floats(1.0, 3600.0),
    st.lists(st.tuples(st.floats(0.0, 600.0), st.integers(0, 5)), max_size=40),
)
def test_the_share_only_rises(window_s: float, steps: list[tuple[float, int]]) -> None:
    """From a tenth to all, never beyond what time allows or what time and answers prove."""
    ramping, now, answers, before = ramp(0, window_s), 100.0, 0, 0.0
    for seconds, more in steps:
        now += seconds
        answers += more
        for _ in range(more):
            ramping.succeeded()
        factor = ramping.factor(now)
        windows = (now - 100.0) / window_s
        assert before <= factor <= 1.0
        assert factor >= FLOOR
        assert factor <= max(FLOOR, windows)
        assert factor <= max(FLOOR, (answers + 1) / ANSWERS, windows / PATIENCE)
        before = factor
