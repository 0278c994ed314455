"""The limiter finds the knee of a backend and follows it. Seeded: the same at every run."""

import random
from collections.abc import Callable
from statistics import fmean

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.admission.limit import CEILING, START, AutoLimit
from gateway.admission.reading import Reading
from tests.unit.admission.models import (
    Batch,
    Service,
    Slots,
    constant,
    exponential,
    lognormal,
    mild,
    truncated,
)

SERVICES = pytest.mark.parametrize("service", [exponential, lognormal, mild, truncated, constant])


def always(number: float) -> Callable[[float], float]:
    return lambda now: number


def steps(before: int, after: int, at: float = 90.0) -> Callable[[float], int]:
    return lambda now: before if now < at else after


# -- finding the knee ------------------------------------------------------------------------------------


@SERVICES
@pytest.mark.parametrize("slots", [1, 2, 4, 16, 64])
@pytest.mark.parametrize("seed", [1, 2])
def test_it_finds_the_knee_within_a_minute(slots: int, service: Service, seed: int) -> None:
    """Under three times the load that the slots can serve it settles between 1 and 1.7 times their number.

    Between one and a few, one more is a lot, and the next number is tried now and then. Next to nothing of
    what the slots can do is lost.
    """
    trace = Slots(seed, service, lambda now: slots).run(90)
    assert 0.95 * slots <= trace.limit(60, 90) <= max(1.7 * slots, slots + 1.5)
    if slots > 2:  # others serve too few in half a minute to be measured so closely
        assert trace.done(60, 90) >= 0.93 * slots


@pytest.mark.parametrize("rate", [0.5, 0.9, 1.1, 3.0])
@pytest.mark.parametrize("seed", [1, 2])
def test_it_costs_no_throughput_at_any_load(rate: float, seed: int) -> None:
    """From half of what sixteen slots can do to three times that: done is what comes, or what they can."""
    trace = Slots(seed, exponential, lambda now: 16, always(rate)).run(150)
    assert trace.done(60, 150) >= 0.96 * 16 * min(rate, 1.0)
    assert trace.limit(120, 150) >= 16


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_dips_cost_about_a_hundredth(seed: int) -> None:
    """Over five minutes of full load, looking anew at what answers are like without waiting."""
    trace = Slots(seed, exponential, lambda now: 32).run(360)
    assert trace.done(60, 360) >= 0.98 * 32


class Fixed:
    """A limiter that knows."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def observe(self, x: float, in_flight: int, now: float, passed: int) -> None:
        pass


@pytest.mark.parametrize(("places", "output"), [(16, 200.0), (16, 60.0), (32, 100.0)])
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_it_finds_the_places_of_a_batching_backend(places: int, output: float, seed: int) -> None:
    """Each stream slows the others a little, and more gets done, until there are no more places.

    Beyond those, requests wait for a whole answer to end: a cliff, which it keeps off.
    """
    best = Batch(seed, places, output, Fixed(places)).run(240)
    trace = Batch(seed, places, output).run(240)
    assert trace.done(60, 240) >= 0.88 * best.done(60, 240)
    assert 0.8 * places <= trace.limit(60, 240) <= 1.25 * places


@pytest.mark.parametrize("places", [64, 128])
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_many_places_of_a_batching_backend_are_used(places: int, seed: int) -> None:
    """Reading many prompts makes first bytes late long before there are no more places; it is not misled.

    Few are unanswered, so nobody can be waiting for a place.
    """
    best = Batch(seed, places, 200.0, Fixed(places)).run(240)
    trace = Batch(seed, places, 200.0).run(240)
    assert trace.done(60, 240) >= 0.93 * best.done(60, 240)
    assert 0.65 * places <= trace.limit(60, 120)
    assert 0.7 * places <= trace.limit(120, 240) <= 1.25 * places


def test_where_prompts_are_what_there_is_too_much_of_it_stops_before_the_places() -> None:
    """Short answers: at a quarter of the places all that can be read is read, and more would only wait."""
    best = Batch(1, 64, 30.0, Fixed(64)).run(240)
    trace = Batch(1, 64, 30.0).run(240)
    assert trace.done(60, 240) >= 0.93 * best.done(60, 240)
    assert trace.limit(60, 240) <= 0.5 * 64


@pytest.mark.parametrize("service", [exponential, lognormal, truncated])
@pytest.mark.parametrize("slots", [2, 3, 4, 6])
def test_the_first_look_costs_next_to_nothing(slots: int, service: Service) -> None:
    """Into full load from the first second: of what irregular answers allow in a minute, under a twentieth.

    It sees by who overtakes whom that nobody waits, and need not try how much less gets done with fewer.
    """
    shares = [Slots(seed, service, lambda now: slots).run(60).done(5, 60) / slots for seed in range(1, 7)]
    assert fmean(shares) >= 0.95
    assert min(shares) >= 0.88


# -- following it ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", [exponential, lognormal, constant])
@pytest.mark.parametrize(
    ("before", "after"), [(16, 8), (8, 16), (4, 16), (16, 4), (64, 32), (64, 8), (2, 4), (4, 2)]
)
def test_it_follows_the_knee_within_a_minute(before: int, after: int, service: Service) -> None:
    """When half of the slots fail, or twice as many come, the limit is right again after a minute."""
    trace = Slots(1, service, steps(before, after)).run(180)
    assert 0.95 * after <= trace.limit(150, 180) <= max(1.7 * after, after + 1.5)


@SERVICES
@pytest.mark.parametrize("slots", [4, 32])
@pytest.mark.parametrize("times", [3.0, 1 / 3])
def test_a_slower_backend_keeps_its_limit(slots: int, service: Service, times: float) -> None:
    """Everything takes three times as long, or a third: there are as many slots as before."""
    trace = Slots(2, service, lambda now: slots, slowness=lambda now: 1.0 if now < 90 else times).run(150)
    assert 0.85 * slots <= trace.limit(95, 120) <= 2.5 * slots
    assert 0.95 * slots <= trace.limit(120, 150) <= 1.75 * slots


@SERVICES
@pytest.mark.parametrize("slots", [4, 16])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_backend_that_is_slow_now_and_then_is_used_to_the_full(
    slots: int, service: Service, seed: int
) -> None:
    """Three times slower for ten seconds of every forty, as beside a noisy neighbour."""

    def slowness(now: float) -> float:
        return 3.0 if now % 40.0 < 10.0 else 1.0

    trace = Slots(seed, service, lambda now: slots, slowness=slowness).run(260)
    full = slots * (0.75 + 0.25 / 3.0)
    assert trace.done(60, 260) >= 0.92 * full
    assert trace.limit(60, 260) <= 2.2 * slots


@pytest.mark.parametrize("seed", [1, 2])
def test_a_reference_taken_while_others_waited_is_found_out(seed: int) -> None:
    """It says that answers of a busy backend are those of an idle one; dip by dip that comes out."""
    slots = Slots(seed, exponential, lambda now: 16)
    slots.limiter = AutoLimit(64)
    slots.limiter._search = None
    slots.limiter._reference = Reading(1.0, 0.35, 48.0)
    trace = slots.run(360)
    assert trace.limit(0, 10) > 40
    assert 16 <= trace.limit(300, 360) <= 1.7 * 16


@pytest.mark.parametrize("service", [exponential, constant])
def test_it_runs_up_when_there_is_much_room(service: Service) -> None:
    """Sixteen times as many slots as before are in use within twenty seconds."""
    trace = Slots(1, service, steps(4, 64)).run(115)
    assert trace.limit(110, 115) >= 64


def test_what_x_is_at_low_load_does_not_matter() -> None:
    """Where all answers take four times what they should, or a quarter, the knee is found as well."""
    for times in (0.25, 4.0):
        trace = Slots(1, exponential, lambda now: 16, slowness=always(times)).run(120)
        assert 16 <= trace.limit(90, 120) <= 26


# -- what it does not do ---------------------------------------------------------------------------------


def test_a_limit_that_is_not_used_does_not_grow() -> None:
    """Three at once, all well: that says nothing of eight or more."""
    limiter = AutoLimit()
    for number in range(3000):
        limiter.observe(1.0, 3, number * 0.01)
    assert limiter.limit == START == 8


def test_attempts_begun_under_a_higher_limit_do_not_count() -> None:
    """They say how it was then."""
    limiter = AutoLimit()
    for number in range(3000):
        limiter.observe(50.0, 9, number * 0.01)
    assert limiter.limit == 8


def test_it_stays_at_one_where_one_waits_for_the_other() -> None:
    """And tries two only now and then."""
    trace = Slots(1, constant, lambda now: 1).run(300)
    tried = [row[0] for row in trace.rows[60:]]
    assert set(tried) == {1, 2}
    assert tried.count(1) > 0.6 * len(tried)


def test_it_grows_to_the_ceiling_and_no_further() -> None:
    """Of a backend that takes any number at once."""
    limiter, now = AutoLimit(), 0.0
    rng = random.Random(1)
    while now < 100.0:
        now += 0.01
        limiter.observe(rng.uniform(0.9, 1.1), limiter.limit, now)
    assert limiter.limit == CEILING == 1000


def test_answers_in_no_time_are_answers() -> None:
    """x = 0 has no logarithm; from a cache, say."""
    limiter, now = AutoLimit(), 0.0
    for number in range(2000):
        now += 0.01
        limiter.observe(float(number % 3), limiter.limit, now)
    assert 1 <= limiter.limit <= CEILING


# -- failures --------------------------------------------------------------------------------------------


def failing(share: float, seconds: float, limiter: AutoLimit, seed: int = 1) -> list[int]:
    """The limits while this share of a hundred attempts a second fails, and all others are well."""
    rng, limits = random.Random(seed), []
    for number in range(int(seconds * 100)):
        now = number / 100.0
        if rng.random() < share:
            limiter.failed(now)
        else:
            limiter.observe(rng.expovariate(1.0), limiter.limit, now)
        limits.append(limiter.limit)
    return limits


def test_when_all_fail_one_is_left() -> None:
    """A backend that answers nothing gets one at a time, and the limit has not risen on the way."""
    limits = failing(1.0, 120.0, AutoLimit(64))
    assert limits[0] <= 64
    assert limits == sorted(limits, reverse=True)
    assert limits[-1] == 1


def test_under_steady_failures_it_does_not_climb() -> None:
    """A fifth of the attempts fails, the others are as quick as ever: it stays low for good."""
    limits = failing(0.2, 600.0, AutoLimit())
    assert max(limits[60_00:]) <= 8
    assert max(limits) <= 16


def test_under_steady_failures_it_does_not_climb_either_where_nobody_seems_to_wait() -> None:
    """Those that are answered are so before all others: a batching backend, say."""
    rng, limiter, limits = random.Random(1), AutoLimit(), []
    for number in range(600_00):
        now = number / 100.0
        if rng.random() < 0.2:
            limiter.failed(now)
        else:
            limiter.observe(rng.expovariate(1.0), limiter.limit, now, 0)
        limits.append(limiter.limit)
    assert max(limits[60_00:]) <= 8
    assert max(limits) <= 16


def test_failures_now_and_then_cut_nothing() -> None:
    """One in two hundred, as in any network."""
    limits = failing(0.005, 120.0, AutoLimit())
    assert limits[-1] > 100


def test_failures_long_ago_are_forgotten() -> None:
    """One in two hundred, for ever; most of the limit is not in use, so that it could not grow back."""
    limiter, now = AutoLimit(20), 0.0
    for number in range(20_000):
        now += 0.01
        if number % 200 == 100:
            limiter.failed(now)
        else:
            limiter.observe(1.0, 1, now)
    assert limiter.limit == 20


def test_answers_long_ago_excuse_nothing() -> None:
    """A hundred thousand good ones, and then ten of ten fail."""
    limiter = AutoLimit(20)
    for number in range(100_000):
        limiter.observe(1.0, 1, number * 0.01)
    for number in range(10):
        limiter.failed(1000.0 + number)
    assert limiter.limit < 20


def test_a_cut_takes_three_tenths() -> None:
    """And growth pauses after it."""
    limiter = AutoLimit(100)
    limiter.failed(10.0)
    assert limiter.limit == 70


def test_all_that_was_under_way_cuts_once() -> None:
    """Forty attempts that were sent together and time out one after the other are one sign."""
    limiter = AutoLimit(100)
    limiter.observe(1.0, 40, 1.0)
    for number in range(40):
        limiter.failed(10.0 + number * 0.1)
    assert limiter.limit == 70
    for number in range(40):
        limiter.failed(20.0 + number * 0.1)
    assert limiter.limit == 49


def test_there_is_one_cut_a_second_at_most() -> None:
    """With a few in flight that are refused at once and again."""
    limiter = AutoLimit(100)
    limiter.observe(1.0, 1, 1.0)
    for number in range(1000):
        limiter.failed(10.0 + number * 0.01)
    assert limiter.limit == int(100 * 0.7**10)


class LimitMachine(RuleBasedStateMachine):
    """Whatever it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.limiter = AutoLimit()
        self.now = 0.0

    @rule(
        x=st.sampled_from([0.0, 1e-9, 0.3, 1.0, 7.0, 1e6]),
        used=st.sampled_from([0.0, 0.4, 0.8, 1.0, 1.5]),
        count=st.integers(1, 80),
        gap_s=st.sampled_from([0.0, 0.01, 1.0]),
        passed=st.sampled_from([-1.0, 0.0, 0.2, 0.9, 3.0]),
    )
    def observe(self, x: float, used: float, count: int, gap_s: float, passed: float) -> None:
        for number in range(count):
            self.now += gap_s
            n = max(1, int(used * self.limiter.limit))
            self.limiter.observe(x * (1 + number % 3), n, self.now, int(passed * n))

    @rule(count=st.integers(1, 80), gap_s=st.sampled_from([0.0, 0.01, 1.0]))
    def fail(self, count: int, gap_s: float) -> None:
        before = self.limiter.limit
        for _ in range(count):
            self.now += gap_s
            self.limiter.failed(self.now)
        assert self.limiter.limit <= max(before, int(self.limiter._exact))

    @invariant()
    def the_limit_is_one(self) -> None:
        assert 1 <= self.limiter.limit <= CEILING
        assert self.limiter.limit <= self.limiter._exact + 1e-9


TestLimitMachine = LimitMachine.TestCase
TestLimitMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_it_can_be_logged() -> None:
    """With what it is doing."""
    assert repr(AutoLimit()) == "<AutoLimit 8, searching, reference <Reading +0.00 ±1.00 at 1.0>>"
