"""Failures in a row, or too many in a while, eject; each time for longer; good behaviour is remembered."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.health.outlier import BUCKETS, REASONS, OutlierRule, OutlierState, Reason, Window
from gateway.messages import Outcome

RULE = OutlierRule(consecutive_failures=3, ejection_s=10.0, max_ejection_s=25.0)
RATIO = OutlierRule(consecutive_failures=0, failure_ratio=0.5, min_requests=4, window_s=30.0)


def play(state: OutlierState, results: Iterable[str], now: float = 100.0) -> list[Reason | None]:
    """What each failure (-) leads to; + is a success."""
    found = []
    for result in results:
        if result == "+":
            state.succeeded(now)
        else:
            found.append(state.failed(now))
    return found


# In a row.


def test_only_failures_in_a_row_count() -> None:
    """fail fail ok fail fail do not, one more does."""
    assert play(OutlierState(RULE), "--+---") == [None, None, None, None, "consecutive_failures"]


def test_zero_turns_a_test_off() -> None:
    """Neither a run nor a share of failures of any size ejects."""
    assert set(play(OutlierState(OutlierRule(consecutive_failures=0, failure_ratio=0.0)), "-" * 100)) == {
        None
    }
    assert "failure_ratio" not in play(OutlierState(OutlierRule(failure_ratio=0.0)), "-" * 100)
    assert "consecutive_failures" not in play(OutlierState(OutlierRule(consecutive_failures=0)), "-" * 100)


# A share of them.


@pytest.mark.parametrize(
    ("results", "earned"),
    [
        ("---", False),  # too few to tell
        ("+--+--", True),
        ("+++---", True),  # exactly half
        ("++++---", False),
        ("+-+-", True),  # never two in a row
    ],
)
def test_a_share_of_failures_ejects(results: str, earned: bool) -> None:
    """Half of four or more within the window, in whatever order; looked at when one fails."""
    assert play(OutlierState(RATIO), results)[-1] == ("failure_ratio" if earned else None)


def test_a_share_that_cannot_be_written_exactly_is_meant_exactly() -> None:
    """7 of 100 are 7 %, though 0.07 x 100 is a little more than 7."""
    state = OutlierState(OutlierRule(consecutive_failures=0, failure_ratio=0.07, min_requests=100))
    assert play(state, "+" * 93 + "-" * 7) == [None] * 6 + ["failure_ratio"]


def test_old_failures_are_forgotten() -> None:
    """Three failures, then a window without any: one good and one bad are too few to tell again."""
    state = OutlierState(RATIO)
    play(state, "---", 100.0)
    assert play(state, "+-", 133.0) == [None]
    assert play(state, "+-", 133.0) == ["failure_ratio"]


def test_the_window_moves_by_tenths() -> None:
    """What is 27 s old still counts, what is 30 s old does not."""
    for later, failures in ((126.9, 5), (129.9, 1), (1e9, 1)):
        window = Window(30.0)
        for _ in range(4):
            window.add(True, 99.0)
        window.add(True, later)
        assert (window.failures, window.total) == (failures, failures)


def test_an_attempt_that_is_told_late_still_counts() -> None:
    """Times are those of attempts, which may arrive a little out of order."""
    window = Window(30.0)
    window.add(True, 130.0)
    window.add(True, 126.0)
    assert window.failures == 2


def test_both_tests_at_once_name_the_run() -> None:
    """It is the plainer reason."""
    state = OutlierState(OutlierRule(consecutive_failures=4, min_requests=4))
    assert play(state, "----")[-1] == "consecutive_failures"


def test_the_evidence_is_in_the_reason() -> None:
    """People see what was counted."""
    state = OutlierState(RATIO)
    play(state, "+--+-")
    assert state.evidence("failure_ratio") == "failures: 3 of 5 in 30 s"
    assert state.evidence("consecutive_failures") == "consecutive failures: 1"


# Only watching.


def test_a_rule_that_only_watches_says_what_it_would_have_done() -> None:
    """Once for each run, not for each failure after it; nothing is ejected."""
    state = OutlierState(OutlierRule(consecutive_failures=2, failure_ratio=0.0, enforce=False))
    would = "would_consecutive_failures"
    assert play(state, "------") == [None, would, None, would, None, would]
    assert state.until == 0.0
    share = OutlierRule(
        consecutive_failures=0, failure_ratio=0.5, min_requests=4, window_s=30.0, enforce=False
    )
    assert play(OutlierState(share), "-" * 8) == [*[None] * 3, "would_failure_ratio"] * 2


def test_every_reason_can_be_given() -> None:
    """The closed list is what metrics are labelled with."""
    found = set()
    for enforce in (True, False):
        for run, share in ((2, 0.0), (0, 0.5)):
            rule_ = OutlierRule(run, failure_ratio=share, min_requests=4, enforce=enforce)
            found |= set(play(OutlierState(rule_), "-" * 4))
    assert found == {None, *REASONS}


# Ejections.


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


def test_what_was_sent_before_the_ejection_does_not_count() -> None:
    """It ends while the backend is out and is already paid for; nor do its good ends help."""
    state = OutlierState(OutlierRule(consecutive_failures=3, min_requests=4))
    state.eject(100.0)
    assert play(state, "-" * 10 + "+" * 10, 105.0) == [None] * 10
    state.release(110.0)
    assert play(state, "--+-", 110.0) == [None, None, "failure_ratio"]


def test_a_backend_returns_with_nothing_held_against_it() -> None:
    """Neither the run nor the share that ejected it."""
    state = OutlierState(OutlierRule(consecutive_failures=3, min_requests=4))
    play(state, "+-+--", 100.0)
    state.eject(100.0)
    state.release(101.0)
    assert play(state, "--", 101.0) == [None, None]


# Whether probes can end it.

_FAILURES = {"c": Outcome.CONNECT_ERROR, "r": Outcome.RESET, "5": Outcome.SERVER_ERROR, "t": Outcome.TIMEOUT}


def ejected_for(failures: str) -> OutlierState:
    """A backend that answered well and then failed in these ways."""
    state = OutlierState(OutlierRule(consecutive_failures=len(failures)))
    state.succeeded(99.0)
    assert [state.failed(100.0, _FAILURES[kind]) for kind in failures][-1] == "consecutive_failures"
    state.eject(100.0)
    return state


@pytest.mark.parametrize(
    ("failures", "absent"),
    [
        ("ccc", True),
        ("rrc", True),
        ("c", True),
        ("rrr", False),
        ("cc5", False),
        ("tcc", False),
        ("555", False),
    ],
)
def test_only_one_that_was_not_there_is_proven_by_being_there(failures: str, absent: bool) -> None:
    """Connections were refused, and nothing but cuts came with them. Who answers requests wrongly may answer
    probes rightly all the time."""
    state = ejected_for(failures)
    assert state.absent == absent
    assert [state.refuted(True, 2) for _ in range(3)] == [False, absent, absent]


def test_good_probes_count_in_a_row() -> None:
    """As many as bring back one whose probes had failed."""
    state = ejected_for("ccc")
    probes = [True, True, False, True, True, True]
    assert [state.refuted(good, 3) for good in probes] == [False] * 5 + [True]


def test_a_backend_that_is_in_has_nothing_to_prove() -> None:
    """Nor does the proof of one ejection count for the next."""
    state = OutlierState(OutlierRule(consecutive_failures=1))
    assert not state.refuted(True, 1)
    state.failed(100.0, Outcome.CONNECT_ERROR)
    state.eject(100.0)
    assert not state.refuted(True, 2)
    state.release(101.0)
    assert not state.absent
    state.failed(102.0, Outcome.CONNECT_ERROR)
    state.eject(102.0)
    assert [state.refuted(True, 2), state.refuted(True, 2)] == [False, True]


# Reload.


def test_another_rule_keeps_what_was_counted_unless_the_window_is_another() -> None:
    """Half of four failed: under a lower share the next failure ejects, in another window it is the first."""
    lower = OutlierRule(consecutive_failures=0, failure_ratio=0.2, min_requests=4, window_s=30.0)
    longer = OutlierRule(consecutive_failures=0, failure_ratio=0.2, min_requests=4, window_s=60.0)
    kept, emptied = OutlierState(RATIO), OutlierState(RATIO)
    for state in (kept, emptied):
        play(state, "+++")
    kept.adopt(lower)
    emptied.adopt(longer)
    assert play(kept, "-") == ["failure_ratio"]
    assert play(emptied, "---") == [None, None, None]
    assert play(emptied, "-") == ["failure_ratio"]


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


class OutlierMachine(RuleBasedStateMachine):
    """Answers, failures, ejections, returns and time in any order, beside a list of all that counts."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.counted: list[tuple[float, bool]] = []  # (when, failed), since the last time all was forgotten
        self.run = 0

    @initialize(
        consecutive=st.integers(0, 4),
        ratio=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
        least=st.integers(1, 8),
        window_s=st.sampled_from([0.5, 30.0]),
        enforce=st.booleans(),
    )
    def start(self, consecutive: int, ratio: float, least: int, window_s: float, enforce: bool) -> None:
        self.rule = OutlierRule(
            consecutive,
            failure_ratio=ratio,
            min_requests=least,
            window_s=window_s,
            enforce=enforce,
        )
        self.state = OutlierState(self.rule)

    def in_window(self) -> list[bool]:
        """Failed or not, of what is not older than the window, which moves by tenths."""
        slot_s = self.rule.window_s / BUCKETS
        return [failed for at, failed in self.counted if int(at / slot_s) > int(self.now / slot_s) - BUCKETS]

    def forget(self) -> None:
        self.counted.clear()
        self.run = 0

    @rule(times=st.integers(1, 5))
    def answer(self, times: int) -> None:
        for _ in range(times):
            self.state.succeeded(self.now)
            self.run = 0
            if not self.state.until:
                self.counted.append((self.now, False))

    @rule(times=st.integers(1, 5))
    def fail(self, times: int) -> None:
        for _ in range(times):
            reason = self.state.failed(self.now)
            if self.state.until:
                assert reason is None
                return
            self.run += 1
            self.counted.append((self.now, True))
            assert reason == self.earned()
            if reason is not None and not self.rule.enforce:
                self.forget()

    def earned(self) -> str | None:
        recent = self.in_window()
        share = self.rule.failure_ratio
        if 0 < self.rule.consecutive_failures <= self.run:
            reason = "consecutive_failures"
        elif share and len(recent) >= self.rule.min_requests and sum(recent) >= share * len(recent) - 1e-6:
            reason = "failure_ratio"
        else:
            return None
        return reason if self.rule.enforce else f"would_{reason}"

    @precondition(lambda self: not self.state.until)
    @rule()
    def eject(self) -> None:
        times = self.state.times_at(self.now)
        length_s = self.state.eject(self.now)
        assert length_s == min(self.rule.ejection_s * (times + 1), self.rule.max_ejection_s)
        assert self.state.until == self.now + length_s
        self.forget()

    @precondition(lambda self: self.state.until)
    @rule(late_s=st.sampled_from([0.0, 1.0, 100.0]))
    def come_back(self, late_s: float) -> None:
        self.now = max(self.now, self.state.until) + late_s
        self.state.release(self.now)
        self.forget()

    @rule(seconds=st.sampled_from([0.0, 0.04, 0.6, 2.9, 3.0, 10.0, 31.0, 1e5]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def counts_are_never_negative(self) -> None:
        window = self.state._window
        assert 0 <= window.failures <= window.total
        assert (window.failures, window.total) == (sum(window._failures), sum(window._totals))
        assert self.state.failures == self.run >= 0
        assert self.state.times_at(self.now) >= 0


TestOutlierMachine = OutlierMachine.TestCase
