"""When is a second attempt worth it, can it be paid for, and does cancelling help?"""

import random
from math import exp, inf, log
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.attempts.hedge import CANCELS, LEAST_SAMPLES, MOST_SAVED, OFF_S, STEP, Hedger, HedgeRule

KIND, OTHER = 7, 8
WARM_UP, SAMPLES = 2000, 4000


def taught(hedger: Hedger, seconds: float, times: int = 200, kind: int = KIND) -> Hedger:
    for _ in range(times):
        hedger.observe(kind, seconds)
    return hedger


def delay(hedger: Hedger, kind: int = KIND) -> float:
    found = hedger.delay_s(kind, 0.0)
    assert found is not None
    return found


# The percentile.


@pytest.mark.parametrize("after", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("spread", [0.5, 1.0, 1.5])
def test_the_percentile_is_that_of_the_answers(after: float, spread: float) -> None:
    """Lognormal times, as waiting times are: on average within 12 %, and as many of all answers are above it
    as should be, to within 0.3 % of them."""
    rng, hedger = random.Random(5), Hedger(HedgeRule(after=after))
    true_s = 0.2 * exp(spread * NormalDist().inv_cdf(after))
    above, off = 0, 0.0
    for number in range(WARM_UP + SAMPLES):
        seconds = 0.2 * exp(rng.gauss(0.0, spread))
        if number >= WARM_UP:
            found = delay(hedger)
            above += seconds > found
            off += log(found / true_s)
        hedger.observe(KIND, seconds)
    assert abs(off / SAMPLES) < 0.12
    assert above / SAMPLES == pytest.approx(1.0 - after, abs=0.003)


@given(st.lists(st.floats(1e-3, 1e3), min_size=40, max_size=400), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_so_many_are_above_it_whatever_the_times_are(samples: list[float], after: float) -> None:
    """Steps up and down balance: more than the share are above it only as far as it has moved up."""
    hedger = taught(Hedger(HedgeRule(after=after)), samples[0], 20)
    start, above = delay(hedger), 0
    for seconds in samples:
        above += seconds > delay(hedger)
        hedger.observe(KIND, seconds)
    moved = log(delay(hedger) / start) / STEP
    assert above - len(samples) * (1.0 - after) == pytest.approx(moved, abs=1e-6)


def test_it_follows_a_change_in_both_directions() -> None:
    """Four times slower is found within about 30 slow answers, four times faster within the half minute or so
    in which a busy pool has 600."""
    hedger = taught(Hedger(HedgeRule()), 1.0)
    taught(hedger, 4.0, 40)
    assert delay(hedger) == pytest.approx(4.0, rel=0.1)
    taught(hedger, 1.0, 600)
    assert delay(hedger) == pytest.approx(1.0, rel=0.1)


def test_the_first_answers_weigh_more() -> None:
    """The first is taken as it is; then steps shrink as 1 / n down to the lasting one."""
    hedger = Hedger(HedgeRule(after=0.9))
    for seconds in (2.0, 8.0, 1.0):
        hedger.observe(KIND, seconds)
    taught(hedger, 1e9, LEAST_SAMPLES - 3)
    steps = sum(max(STEP, 1.0 / number) for number in range(4, LEAST_SAMPLES + 1))
    assert delay(hedger) == pytest.approx(2.0 * exp(0.9 / 2 - 0.1 / 3 + 0.9 * steps))


def test_few_answers_are_no_percentile() -> None:
    """Nothing is hedged before twenty answers of that size class, whatever is known of others."""
    hedger = taught(Hedger(HedgeRule()), 1.0, LEAST_SAMPLES - 1)
    taught(hedger, 1.0, kind=OTHER)
    assert hedger.delay_s(KIND, 0.0) is None
    taught(hedger, 1.0, 1)
    assert hedger.delay_s(KIND, 0.0) is not None


def test_each_size_class_has_its_own() -> None:
    """Long prompts do not make short ones wait."""
    hedger = taught(taught(Hedger(HedgeRule()), 0.1), 10.0, kind=OTHER)
    assert delay(hedger, KIND) == pytest.approx(0.1, rel=0.2)
    assert delay(hedger, OTHER) == pytest.approx(10.0, rel=0.2)


def test_an_answer_in_no_time_does_no_harm() -> None:
    """A clock that did not move between request and answer: the percentile stays above 0, and recovers."""
    hedger = taught(Hedger(HedgeRule()), 0.0, 50)
    assert 0.0 < delay(hedger) < 1e-3
    taught(hedger, 0.1, 600)
    assert delay(hedger) == pytest.approx(0.1, rel=0.2)


# The budget.


@given(
    st.floats(0.0, 1.0),
    st.lists(st.booleans(), max_size=300),
)
def test_the_budget_is_never_overspent(budget: float, steps: list[bool]) -> None:
    """However requests and second attempts follow one another, they stay within their share."""
    hedger, requests, spent = Hedger(HedgeRule(budget=budget)), 0, 0
    for request in steps:
        if request:
            hedger.deposit()
            requests += 1
        elif hedger.affordable():
            hedger.spend()
            spent += 1
        assert spent <= budget * requests + 1e-9


def test_twenty_requests_pay_for_one() -> None:
    """At 5 %, not nineteen."""
    hedger = Hedger(HedgeRule(budget=0.05))
    affordable = []
    for _ in range(20):
        affordable.append(hedger.affordable())
        hedger.deposit()
    assert not any(affordable)
    assert hedger.affordable()
    hedger.spend()
    assert not hedger.affordable()


def test_a_long_calm_saves_up_no_burst() -> None:
    """After a day without a second attempt ten are there at once, not thousands."""
    hedger, spent = Hedger(HedgeRule()), 0
    for _ in range(100_000):
        hedger.deposit()
    while hedger.affordable():
        hedger.spend()
        spent += 1
    assert spent == MOST_SAVED


# Where cancelling does not help.


def cancel(hedger: Hedger, results: str, now: float) -> None:
    for result in results:
        hedger.cancelled(result == "+", now)


@pytest.mark.parametrize(
    ("results", "off"),
    [
        ("-" * (CANCELS - 1), False),  # too few to tell
        ("-" * CANCELS, True),
        ("+-+-+-+-", False),  # half of them stop
        ("+-+-+---", True),
        ("+" * 20, False),
    ],
)
def test_servers_that_go_on_when_left_are_not_hedged(results: str, off: bool) -> None:
    """Fewer than half of eight stopped: a second attempt costs a whole one there."""
    hedger = taught(Hedger(HedgeRule()), 1.0)
    cancel(hedger, results, 100.0)
    assert (hedger.delay_s(KIND, 100.0) is None) is off
    assert hedger.off_until == (100.0 + OFF_S if off else 0.0)


def test_it_is_tried_again_after_a_minute() -> None:
    """With nothing held against the servers: it takes eight more to turn it off again."""
    hedger = taught(Hedger(HedgeRule()), 1.0)
    cancel(hedger, "-" * CANCELS, 100.0)
    assert hedger.delay_s(KIND, 100.0 + OFF_S - 0.1) is None
    assert hedger.delay_s(KIND, 100.0 + OFF_S) is not None
    cancel(hedger, "-" * (CANCELS - 1), 200.0)
    assert hedger.delay_s(KIND, 200.0) is not None
    cancel(hedger, "-", 200.0)
    assert hedger.delay_s(KIND, 200.0) is None


def test_old_cancels_are_forgotten() -> None:
    """Servers that always stopped and do not any more are found out within a dozen or so."""
    hedger = taught(Hedger(HedgeRule()), 1.0)
    cancel(hedger, "+" * 1000, 100.0)
    cancel(hedger, "-" * 12, 100.0)
    assert hedger.delay_s(KIND, 100.0) is None


@given(st.lists(st.booleans(), max_size=60))
def test_a_server_that_always_stops_is_never_given_up(others: list[bool]) -> None:
    """Once none goes on any more, hedging stays on after the next eight."""
    hedger = taught(Hedger(HedgeRule()), 1.0)
    for freed in others:
        hedger.cancelled(freed, 0.0)
    cancel(hedger, "+" * CANCELS, 0.0)
    before = hedger.off_until
    cancel(hedger, "+" * 50, 1000.0)
    assert hedger.off_until == before
    assert hedger.delay_s(KIND, inf) is not None


def test_repr_is_fit_for_a_log() -> None:
    """When, and how much is left."""
    hedger = Hedger(HedgeRule(after=0.95, budget=0.5))
    hedger.deposit()
    assert repr(hedger) == "<Hedger after p95, 0.5 saved>"
