"""Level and spread tell waiting from slowness."""

import random
from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission.reading import WINDOW_S, Reading, Window, elasticity, narrowing
from tests.unit.admission.models import Service, exponential, lognormal, truncated


def read(values: list[float], in_flight: int = 4, level: float = 0.0) -> Reading:
    window = Window()
    for value in values:
        window.add(value, in_flight, level, 0.0, in_flight)
    return window.read()


def test_a_reading_is_mean_and_deviation_of_logarithms() -> None:
    """Of e and 1/e: level 0, spread 1; in flight is the mean."""
    window = Window()
    window.add(exp(1.0), 3, 0.0, 5.0, 3)
    window.add(exp(-1.0), 4, 0.0, 5.0, 4)
    reading = window.read()
    assert (reading.level, reading.spread) == pytest.approx((0.0, 1.0))
    assert reading.in_flight == 3.5
    assert repr(reading) == "<Reading +0.00 ±1.00 at 3.5>"


def test_a_window_lasts_a_second() -> None:
    """From its first sample; cleared, it begins anew."""
    window = Window()
    window.add(1.0, 1, 0.0, 10.0, 1)
    assert not window.lasts(10.0 + WINDOW_S - 0.01)
    assert window.lasts(10.0 + WINDOW_S)
    window.clear()
    assert window.count == 0
    window.add(1.0, 1, 0.0, 20.0, 1)
    assert not window.lasts(20.5)
    assert window.read().level == 0.0
    assert repr(window) == "<Window 1 samples>"


def test_very_short_answers_count_as_short_ones() -> None:
    """From a cache, or an error in disguise: e^-2.5 of what is usual, however short; no time at all too."""
    for short in (0.0, 1e-300, 1e-6):
        assert read([short], level=1.0).level == pytest.approx(-1.5)


def test_what_is_always_the_same_has_no_spread_but_a_least() -> None:
    """So that two of them can be compared."""
    assert read([3.0] * 10).spread == 0.05
    assert read([3.0] * 10).irregular < 0.02
    assert 0.8 < read([0.1, 10.0]).irregular < 1.0


@given(st.floats(0.05, 20.0), st.lists(st.floats(0.5, 2.0), min_size=2, max_size=30))
def test_slowness_moves_the_level_and_not_the_spread(times: float, values: list[float]) -> None:
    """By its logarithm, whatever it is."""
    before, after = read(values), read([value * times for value in values], level=log(times))
    assert after.level - before.level == pytest.approx(log(times), abs=1e-6)
    assert after.spread == pytest.approx(before.spread, abs=1e-6)
    assert narrowing(before, after) == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("service", [exponential, lognormal, truncated])
def test_waiting_narrows_the_spread(service: Service) -> None:
    """A quarter of the mean work, the same for all: plainly, where the mean grows by a quarter only."""
    rng = random.Random(3)
    work = [service(rng) for _ in range(4000)]
    free, waiting = read(work), read([0.25 + value for value in work])
    assert 0.3 < narrowing(free, waiting) < 1.0
    assert waiting.level > free.level


def passed(values: list[int], in_flight: int) -> Reading:
    window = Window()
    for value in values:
        window.add(1.0, in_flight, 0.0, 0.0, value)
    return window.read()


def test_those_unanswered_are_counted_by_littles_law() -> None:
    """The mean number of others that were answered meanwhile, over the number in flight; at most all."""
    assert passed([1, 2, 3], 20).unanswered == pytest.approx(0.1)
    assert passed([50, 70], 20).unanswered == 1.0


def test_overtaking_is_being_answered_before_most() -> None:
    """Fewer than three tenths of those in flight were answered meanwhile."""
    assert passed([5, 6, 19, 40], 20).overtook == 0.25
    assert passed([0, 1], 2).overtook == 0.5


def test_no_more_can_wait_than_are_unanswered() -> None:
    """Whatever level and spread say; nothing is ruled out where all are, or where it is not known."""
    assert Reading(0.0, 1.0, 20.0).most_waiting == float("inf")
    assert passed([0, 0], 20).most_waiting == 0.0
    assert 0.05 < passed([1, 0], 20).most_waiting < 0.1
    assert passed([19, 18], 20).most_waiting > 2.0


def test_nobody_waits_where_many_overtake() -> None:
    """Two at once, and one in two is answered first: nobody was before it. Of twenty, a quarter at most."""
    assert passed([0, 2], 2).most_waiting == 0.0
    assert 0.2 < passed([4, 4, 25, 25, 25], 20).most_waiting < 0.3
    assert passed([5, 25, 25, 25, 25, 25], 20).most_waiting == float("inf")
    assert passed([5, 25, 25, 25, 25, 25], 20).free


def test_how_much_narrower_has_bounds() -> None:
    """One window is not believed without end."""
    narrow, wide = Reading(0.0, 0.05, 1.0), Reading(0.0, 3.0, 1.0)
    assert narrowing(wide, narrow) == 1.0
    assert narrowing(narrow, wide) == -0.5


def test_elasticity_is_the_power_of_the_number_in_flight() -> None:
    """0 when twice as many take as long, 1 when they take twice as long, above when they queue for queues."""
    low = Reading(0.0, 0.05, 8.0)
    for power in (0.0, 0.5, 1.0, 3.0):
        high = Reading(power * log(2.0), 0.05, 16.0)
        assert elasticity(low, high) == pytest.approx(power, abs=0.03)


def test_a_spread_that_grows_speaks_against_waiting() -> None:
    """Irregular answers that take half longer: batching if they became more irregular, else waiting."""
    low = Reading(0.0, 0.6, 8.0)
    assert elasticity(low, Reading(0.4, 1.0, 16.0)) < 0.3
    assert elasticity(low, Reading(0.4, 0.4, 16.0)) > 0.5


def test_readings_blend_by_shares() -> None:
    """The level of one, a quarter of the way for the spread."""
    reading = Reading(0.0, 1.0, 4.0)
    reading.blend(Reading(2.0, 3.0, 8.0), 1.0, 0.25)
    assert (reading.level, reading.spread, reading.in_flight) == (2.0, 1.5, 8.0)
