"""Slow against its peers and against its own past: less weight, until it is neither."""

import random
from statistics import median_low

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.health.degraded import JUDGEMENTS, LEARN_S, DegradedRule, DegradedState

RULE = DegradedRule(share=0.3)


class Backends:
    """Backends judged once a second, as a pool does it: each with the lower median of all."""

    def __init__(self, *usual: float, rule: DegradedRule = RULE) -> None:
        self.usual = list(usual)
        self.states = [DegradedState(rule) for _ in usual]
        self.now = 1000.0

    def live(self, seconds: int, *times: float) -> list[bool]:
        """So many seconds, each backend `times` as slow as usual (or as given last); who is degraded."""
        times = times or (1.0,) * len(self.usual)
        values = [usual * factor for usual, factor in zip(self.usual, times, strict=True)]
        middle = median_low(values)
        found: list[bool] = []
        for _ in range(seconds):
            self.now += 1.0
            found = [s.judge(v, middle, self.now) for s, v in zip(self.states, values, strict=True)]
        return found


def learned(*usual: float, rule: DegradedRule = RULE) -> Backends:
    """With two minutes of usual behaviour behind them."""
    backends = Backends(*usual, rule=rule)
    assert not any(backends.live(120))
    return backends


def test_one_that_becomes_slow_is_degraded_and_recovers() -> None:
    """Ten times slower: after three judgements it keeps 30 % of its weight; as usual again: all of it."""
    backends = learned(1.0, 1.0, 1.0)
    assert backends.live(JUDGEMENTS - 1, 10.0, 1.0, 1.0) == [False, False, False]
    assert backends.live(1, 10.0, 1.0, 1.0) == [True, False, False]
    assert [state.factor for state in backends.states] == [0.3, 1.0, 1.0]
    assert backends.live(600, 10.0, 1.0, 1.0) == [True, False, False]
    assert backends.live(JUDGEMENTS - 1) == [True, False, False]
    assert backends.live(1) == [False, False, False]
    assert backends.states[0].factor == 1.0


def test_of_two_the_slow_one_is_degraded() -> None:
    """The better one is the measure."""
    assert learned(1.0, 1.0).live(10, 10.0, 1.0) == [True, False]


def test_the_only_backend_never_is() -> None:
    """There is nobody to compare it with."""
    assert learned(1.0).live(100, 50.0) == [False]


def test_a_small_machine_is_not_a_broken_one() -> None:
    """Slow against its peers, but as ever: that is what weights and scores are for."""
    assert learned(1.0, 1.0, 8.0).live(600) == [False, False, False]


@pytest.mark.parametrize("times", [(10.0, 10.0, 1.0), (10.0, 10.0, 10.0), (20.0, 10.0)])
def test_when_most_are_slow_it_is_the_load(times: tuple[float, ...]) -> None:
    """More than half of the pool ten times slower: nobody is degraded."""
    assert not any(learned(*(1.0,) * len(times)).live(100, *times))


def test_load_does_not_degrade_the_small_machine() -> None:
    """When all become 2.5 times slower, it is still as slow against them as it always was."""
    assert learned(1.0, 1.0, 4.0).live(100, 2.5, 2.5, 2.5) == [False, False, False]


def test_load_that_goes_does_not_degrade_those_who_stay() -> None:
    """Peers that became faster make nobody slower than his own past."""
    assert learned(1.0, 1.0, 1.0).live(100, 0.2, 0.2, 1.0) == [False, False, False]


def test_a_slow_moment_is_forgiven() -> None:
    """Two judgements out of three, again and again, are not three in a row."""
    backends = learned(1.0, 1.0, 1.0)
    for _ in range(50):
        assert not any(backends.live(JUDGEMENTS - 1, 10.0, 1.0, 1.0))
        assert not any(backends.live(1))


def test_between_the_thresholds_nothing_changes() -> None:
    """2.5 times its peers: not slow enough to be degraded, too slow to be taken back."""
    well, slow = learned(1.0, 1.0, 1.0), learned(1.0, 1.0, 1.0)
    assert slow.live(10, 10.0, 1.0, 1.0)[0]
    assert not well.live(100, 2.5, 1.0, 1.0)[0]
    assert slow.live(100, 2.5, 1.0, 1.0)[0]


def test_a_small_machine_recovers_to_its_own_pace() -> None:
    """Four times its peers is its usual: back there it is well, though far above the median."""
    backends = learned(1.0, 1.0, 4.0)
    assert backends.live(10, 1.0, 1.0, 10.0)[2]
    assert not backends.live(10)[2]


def test_a_fast_machine_need_not_be_the_fastest_to_be_well() -> None:
    """Usually twice as fast as its peers, now like them: slow for its own past only."""
    backends = learned(1.0, 1.0, 0.5)
    assert backends.live(10, 1.0, 1.0, 10.0)[2]
    assert not backends.live(10, 1.0, 1.0, 2.4)[2]


def test_a_slow_beginning_is_soon_forgotten() -> None:
    """At first the past is a plain mean, or the first value would stand for minutes."""
    backends = Backends(1.0, 1.0, 1.0)
    backends.live(1, 10.0, 1.0, 1.0)
    backends.live(60)
    assert backends.states[0].past == pytest.approx(1.0, rel=0.2)


def test_the_past_is_not_rewritten_by_the_slow_time() -> None:
    """An hour of slowness does not become what is usual."""
    backends = learned(1.0, 1.0, 1.0)
    backends.live(3600, 10.0, 1.0, 1.0)
    assert backends.states[0].past == pytest.approx(1.0)
    assert backends.states[0].degraded


def test_the_past_follows_what_lasts() -> None:
    """A new model that makes everybody three times slower is the usual after half an hour."""
    backends = learned(1.0, 1.0, 1.0)
    backends.live(1800, 3.0, 3.0, 3.0)
    assert [state.past for state in backends.states] == pytest.approx([3.0] * 3, rel=0.01)
    assert not any(backends.live(10, 3.0, 3.0, 3.0))


def test_no_verdict_before_a_minute_is_known() -> None:
    """A backend that has just come has no past to be slow against."""
    backends = Backends(1.0, 1.0, 1.0)
    backends.live(int(LEARN_S) // 2)
    assert not any(backends.live(20, 10.0, 1.0, 1.0))


def test_a_value_after_an_hour_is_not_an_hour_of_past() -> None:
    """Away for long, then one judgement: what is usual has hardly moved."""
    backends = learned(1.0, 1.0, 1.0)
    backends.now += 3600.0
    backends.live(1, 2.0, 1.0, 1.0)
    assert backends.states[0].past == pytest.approx(1.0, abs=0.05)


def test_the_full_share_turns_it_off() -> None:
    """`degraded: 100%` degrades nobody, and ends what a reload finds degraded."""
    assert not any(learned(1.0, 1.0, rule=DegradedRule(1.0)).live(100, 10.0, 1.0))
    backends = learned(1.0, 1.0)
    assert backends.live(10, 10.0, 1.0)[0]
    for state in backends.states:
        state.rule = DegradedRule(1.0)
    assert backends.states[0].factor == 1.0
    assert not backends.live(JUDGEMENTS, 10.0, 1.0)[0]


def test_noise_degrades_nobody() -> None:
    """An hour of estimates that vary by half around their mean, for eight backends of unequal speed."""
    rng = random.Random(7)
    backends = Backends(*(rng.uniform(0.2, 2.0) for _ in range(8)))
    for _ in range(3600):
        assert not any(backends.live(1, *(rng.lognormvariate(0.0, 0.4) for _ in range(8))))


@given(
    st.lists(
        st.tuples(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), st.floats(0.0, 100.0)), min_size=1, max_size=80
    )
)
def test_nobody_is_degraded_who_is_not_slower_than_the_pool(steps: list[tuple[float, float, float]]) -> None:
    """Whatever came before: three times the median is the least, and the past is a mean of what was seen."""
    state, now = DegradedState(RULE), 0.0
    seen: list[float] = []
    for value, median, seconds in steps:
        now += seconds
        before = state.degraded
        degraded = state.judge(value, median, now)
        seen.append(value)
        if degraded and not before:
            assert value >= 3.0 * median
        assert state.past is None or min(seen) * 0.999 <= state.past <= max(seen) * 1.001
