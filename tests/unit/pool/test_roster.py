"""Who is well, and who of those is free: limits, rests, loading models, ramps. What else: test_pool.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission.limit import START
from gateway.balancing.policy import NO_LIMIT
from gateway.health.degraded import DegradedRule
from gateway.health.outlier import OutlierRule
from gateway.health.slow_start import ANSWERS, FLOOR
from gateway.health.state import HealthRule, Result
from gateway.messages import Outcome
from gateway.pool.backend import COOL_S, Backend, BackendRules, BackendSpec
from gateway.pool.roster import REWEIGH_S, PoolRules, Roster

PROBED = PoolRules(BackendRules(HealthRule(rise=2, fall=3)), panic_below=0.5)


def specs(*names: str, **more: float) -> list[BackendSpec]:
    return [BackendSpec(f"http://{name}.test", name, **more) for name in names]  # type: ignore[arg-type]


def roster_of(
    *names: str, rules: PoolRules | None = None, by_slowness: bool = False, **more: float
) -> Roster:
    roster = Roster("chat", rules or PoolRules(), None, by_slowness)
    roster.replace(specs(*names, **more), 0.0)
    return roster


def free(roster: Roster, now: float) -> str:
    return "".join(backend.name for backend in roster.candidates(now))


def well(roster: Roster, now: float) -> str:
    roster.candidates(now)
    return "".join(backend.name for backend in roster.well)


def probe(roster: Roster, results: dict[str, Result], times: int = 1, now: float = 1.0) -> None:
    for name, result in results.items():
        for _ in range(times):
            roster.probed(roster.backend(name), result, "said so", now)


# Limits.


def begin(roster: Roster, backend: Backend) -> None:
    """One more at this backend, as the pool counts it."""
    backend.in_flight += 1
    if backend.in_flight == backend.limit:
        roster.set_full(backend)


def end(roster: Roster, backend: Backend) -> None:
    backend.in_flight -= 1
    if backend.in_flight + 1 == backend.limit:
        roster.set_free(backend)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=60), st.sets(st.integers(0, 4)))
def test_the_free_ones_are_those_below_their_limit_in_order(
    steps: list[tuple[int, bool]], drained: set[int]
) -> None:
    """After any number of beginnings and ends, without working everything out anew; nobody twice."""
    roster = roster_of("a", "b", "c", "d", "e", max_in_flight=2)
    for index in drained:
        roster.drain("abcde"[index])
    roster.candidates(1.0)
    kept = roster.free
    for index, more in steps:
        backend = roster.backends[index]
        if more and backend.in_flight < 2 and index not in drained:
            begin(roster, backend)
        elif not more and backend.in_flight:
            end(roster, backend)
        expected = [b for b in roster.backends if b.in_flight < 2 and not b.draining]
        assert roster.candidates(1.0) == expected
    assert roster.free is kept


def test_a_backend_that_is_not_well_is_not_freed() -> None:
    """Drained while it was full: when one of its requests ends it stays out, until it is undrained."""
    roster = roster_of("a", "b", max_in_flight=1)
    roster.candidates(1.0)
    begin(roster, roster.backend("a"))
    roster.drain("a", 1.0)
    assert free(roster, 1.0) == "b"
    end(roster, roster.backend("a"))
    assert free(roster, 1.0) == "b"
    roster.undrain("a", 2.0)
    assert free(roster, 2.0) == "ab"


def test_one_that_went_is_not_freed_in_another_s_place() -> None:
    """Its rank is that of a stranger now: the end of what it had in flight lets nobody in."""
    roster = roster_of("a", "b", max_in_flight=1)
    roster.candidates(1.0)
    gone, kept = roster.backends
    begin(roster, gone)
    begin(roster, kept)
    roster.replace(specs("b", max_in_flight=1), 2.0)
    assert (free(roster, 2.0), gone.rank, kept.rank) == ("", 0, 0)
    end(roster, gone)
    assert free(roster, 2.0) == ""
    end(roster, kept)
    assert free(roster, 2.0) == "b"


def test_full_ones_are_well() -> None:
    """Being full is no illness: such a backend is well, not free, and the pool is able."""
    roster = roster_of("a", "b", max_in_flight=1)
    roster.candidates(1.0)
    begin(roster, roster.backend("a"))
    assert (free(roster, 1.0), well(roster, 1.0), roster.able(1.0)) == ("b", "ab", True)


@pytest.mark.parametrize(
    ("limit", "own", "found"),
    [(None, None, NO_LIMIT), (5, None, 5), (5, 2, 2), ("auto", None, START), ("auto", 3, 3), (None, 3, 3)],
)
def test_a_backend_s_own_limit_comes_first(limit: object, own: int | None, found: int) -> None:
    """Then the pool's; `auto` starts somewhere and is found; with neither there is none."""
    roster = Roster("chat", PoolRules(BackendRules(limit=limit)), None)  # type: ignore[arg-type]
    roster.replace([BackendSpec("http://a.test", "a", max_in_flight=own)])
    (backend,) = roster.backends
    assert backend.limit == found
    assert (backend.limiter is not None) == (limit == "auto" and own is None)


def test_a_found_limit_survives_a_reload_and_no_other_does() -> None:
    """`auto` goes on with what it knows; a written limit replaces it; back at `auto` it starts again."""
    auto, five = PoolRules(BackendRules(limit="auto")), PoolRules(BackendRules(limit=5))
    roster = roster_of("a", rules=auto)
    (backend,) = roster.backends
    found = backend.limiter
    backend.limit = 11  # as found by now
    roster.replace(specs("a"), 1.0, auto)
    assert (backend.limiter, backend.limit) == (found, 11)
    roster.replace(specs("a"), 2.0, five)
    assert (backend.limiter, backend.limit) == (None, 5)
    roster.replace(specs("a"), 3.0, auto)
    assert backend.limiter is not None
    assert backend.limit == START


# Rests.


def test_who_is_overloaded_rests_for_as_long_as_it_asked() -> None:
    """It is neither well nor free until then, and back at that moment without anybody's doing."""
    roster = roster_of("a", "b", "c")
    roster.backend("b").cool(1.0, 7.0)
    roster.changed()
    assert (free(roster, 1.0), well(roster, 7.9)) == ("ac", "ac")
    assert free(roster, 8.0) == "abc"


def test_a_rest_without_a_time_is_a_second_and_a_long_one_is_cut() -> None:
    """A longer rest is not made shorter by asking for a short one."""
    (backend,) = roster_of("a").backends
    backend.cool(10.0, None)
    assert backend.cool_until == 10.0 + COOL_S
    backend.cool(10.0, 1e9)
    assert backend.cool_until == 310.0
    backend.cool(11.0, 2.0)
    assert backend.cool_until == 310.0


def test_when_all_ask_for_a_rest_none_has_it() -> None:
    """Somebody has to be asked; when the first one's time is over it is the only one again."""
    roster = roster_of("a", "b")
    roster.backend("a").cool(1.0, 5.0)
    roster.backend("b").cool(1.0, 9.0)
    roster.changed()
    assert free(roster, 2.0) == "ab"
    assert free(roster, 6.0) == "a"
    assert free(roster, 10.0) == "ab"


# Loading.


def test_a_loading_model_is_out_at_its_word_and_back_at_its_first_answer() -> None:
    """No three failures, no two successes: it says itself what it is."""
    roster = roster_of("a", "b", rules=PROBED)
    probe(roster, {"a": "success", "b": "success"})
    probe(roster, {"a": "loading"})
    assert (free(roster, 1.0), roster.backend("a").state, roster.backend("a").why) == ("b", "down", "said so")
    probe(roster, {"a": "success"})
    assert (free(roster, 1.0), roster.backend("a").state) == ("ab", "up")
    assert roster.backend("a").health_checks == {"success": 2, "failure": 0, "loading": 1, "skipped": 0}


def test_loading_ones_do_not_count_for_panic() -> None:
    """Three of four still load, as when a pool grows: the one that is there takes the work, no panic."""
    roster = roster_of("a", "b", "c", "d", rules=PROBED)
    probe(roster, {"a": "success", "b": "loading", "c": "loading", "d": "loading"})
    assert (free(roster, 1.0), roster.panic) == ("a", False)
    probe(roster, {"a": "failure"}, times=3)
    assert (free(roster, 1.0), roster.panic) == ("a", True)  # and in a panic they are not asked either


def test_drained_ones_do_not_count_for_panic() -> None:
    """Half of those who are not drained are well, and that is enough."""
    roster = roster_of("a", "b", "c", "d", rules=PROBED)
    probe(roster, {"a": "success", "b": "failure", "c": "failure", "d": "failure"}, times=3)
    assert (free(roster, 1.0), roster.panic) == ("abcd", True)
    roster.drain("c")
    roster.drain("d")
    assert (free(roster, 1.0), roster.panic, roster.panics) == ("a", False, 1)


def test_a_share_that_cannot_be_written_exactly_is_meant_exactly() -> None:
    """7 of 25 are not fewer than 28 %, though 0.28 x 25 is a little more than 7."""
    names = "abcdefghijklmnopqrstuvwxy"
    roster = roster_of(*names, rules=PoolRules(BackendRules(HealthRule(fall=1)), panic_below=0.28))
    probe(roster, dict.fromkeys(names[7:], "failure"))
    assert (free(roster, 1.0), roster.panic) == (names[:7], False)
    probe(roster, {"a": "failure"})
    assert (free(roster, 1.0), roster.panic) == (names, True)


def test_a_skipped_probe_is_counted_and_says_nothing() -> None:
    """Its traffic proved it well."""
    roster = roster_of("a", rules=PROBED)
    probe(roster, {"a": "skipped"}, times=5)
    assert roster.backend("a").state == "starting"
    assert roster.backend("a").health_checks["skipped"] == 5


# Ramps.


def answer(backend: Backend, times: int, now: float) -> None:
    for _ in range(times):
        backend.succeeded(now)


def test_a_newcomer_gets_its_weight_by_and_by() -> None:
    """Against its peers, who have all of theirs: a tenth at first, then as time passes and answers come."""
    roster = roster_of("a", rules=PoolRules(BackendRules(slow_start_s=30.0)), weight=2.0)
    roster.replace(specs("a", "b", weight=2.0), 100.0)
    old, new = roster.backends
    weights = []
    for now in (100.0, 109.0, 115.0, 124.0, 131.0):
        roster.candidates(now)
        weights.append(new.weight)
        answer(new, ANSWERS, now)
    assert weights == pytest.approx([2.0 * FLOOR, 2.0 * 0.3, 2.0 * 0.5, 2.0 * 0.8, 2.0])
    assert old.weight == 2.0


def test_time_alone_does_not_make_a_newcomer_warm() -> None:
    """Nobody has asked it: after its window it has a third of its weight, not all."""
    roster = roster_of("a")
    roster.replace(specs("a", "b"), 100.0)
    roster.candidates(130.0)
    assert roster.backend("b").weight == pytest.approx(1 / 3)


def test_weights_follow_a_ramp_in_steps() -> None:
    """Nothing is worked out anew at every request, but after a quarter of a second."""
    roster = roster_of("a")
    roster.replace(specs("a", "b"), 100.0)
    roster.candidates(106.0)
    newcomer = roster.backend("b")
    answer(newcomer, ANSWERS, 106.0)
    roster.candidates(106.0)
    assert newcomer.weight == FLOOR
    roster.candidates(106.0 + REWEIGH_S)
    assert newcomer.weight == pytest.approx(6.25 / 30.0)


def test_a_pool_s_first_backends_and_a_window_of_zero_start_at_full_weight() -> None:
    """There is nobody else to take the work, or nobody wants it otherwise."""
    roster = roster_of("a", "b")
    roster.candidates(0.0)
    assert [backend.weight for backend in roster.backends] == [1.0, 1.0]
    roster = roster_of("a", rules=PoolRules(BackendRules(slow_start_s=0.0)))
    roster.replace(specs("a", "b"), 100.0)
    roster.candidates(100.0)
    assert [backend.weight for backend in roster.backends] == [1.0, 1.0]


def test_who_was_out_starts_slowly_again() -> None:
    """After an ejection, failed checks or a drain: each time a tenth."""
    roster = roster_of(
        "a", "b", "c", rules=PoolRules(BackendRules(HealthRule(fall=1, rise=1), OutlierRule(1)))
    )
    probe(roster, {"a": "success", "b": "success", "c": "success"})
    assert roster.eject(roster.backend("a"), 1.0)
    probe(roster, {"b": "failure"})
    roster.drain("c", 1.0)
    probe(roster, {"b": "success"}, now=11.0)
    roster.undrain("c", 11.0)
    assert free(roster, 11.0) == "abc"
    assert [backend.weight for backend in roster.backends] == [FLOOR] * 3


def test_who_comes_back_is_forgiven_its_failures() -> None:
    """They made it slow in the eyes of the policy; after its ejection it is what it was before."""
    roster = roster_of("a", "b", rules=PoolRules(BackendRules(outlier=OutlierRule(1))))
    backend = roster.backend("a")
    backend.speed.opened(1.0, 0, 0.0)
    backend.speed.gone(1.0, 0, 0.0, 0.0, 5.0)
    assert roster.eject(backend, 1.0)
    assert backend.speed.value(1.0, 0) > 5.0
    assert free(roster, 11.0) == "ab"
    assert backend.speed.value(11.0, 0) == pytest.approx(1.0)


def refuse(backend: Backend, times: int, now: float) -> None:
    for _ in range(times):
        backend.outlier.failed(now, Outcome.CONNECT_ERROR)


def test_who_was_ejected_for_not_being_there_is_called_back_by_its_probes() -> None:
    """`rise` good ones; it starts slowly and is forgiven, but its next ejection is still the second."""
    roster = roster_of("a", "b", rules=PROBED)
    probe(roster, {"a": "success", "b": "success"})
    backend = roster.backend("a")
    refuse(backend, 5, 2.0)
    assert roster.eject(backend, 2.0)
    assert not backend.settled
    probe(roster, {"a": "failure"}, now=3.0)
    probe(roster, {"a": "success"}, now=4.0)
    assert free(roster, 4.0) == "b"
    probe(roster, {"a": "success"}, now=5.0)
    assert free(roster, 5.0) == "ab"
    assert backend.settled
    assert (backend.state, backend.why) == ("up", "called back: it is there again")
    assert backend.weight == FLOOR
    assert backend.outlier.eject(6.0) == 2 * OutlierRule().ejection_s


def test_who_also_failed_its_probes_is_called_back_by_as_many_good_ones() -> None:
    """Down and ejected at once: the same probes end both."""
    roster = roster_of("a", "b", rules=PROBED)
    probe(roster, {"a": "success", "b": "success"})
    backend = roster.backend("a")
    refuse(backend, 5, 2.0)
    assert roster.eject(backend, 2.0)
    probe(roster, {"a": "failure"}, 3, now=3.0)
    assert backend.state == "down"
    probe(roster, {"a": "success"}, 2, now=4.0)
    assert free(roster, 4.0) == "ab"


def test_good_probes_do_not_call_back_who_answered_wrongly() -> None:
    """Its probes were good while it failed."""
    roster = roster_of("a", "b", rules=PROBED)
    backend = roster.backend("a")
    for _ in range(5):
        backend.outlier.failed(2.0)
    assert roster.eject(backend, 2.0)
    probe(roster, {"a": "success"}, 9, now=3.0)
    assert backend.state == "ejected"


def fail(backend: Backend, now: float) -> None:
    backend.speed.opened(now, 0, 0.0)
    backend.speed.gone(now, 0, 0.0, 0.0, 5.0)


def test_who_was_away_too_shortly_to_be_taken_out_has_come_back_too() -> None:
    """Requests failed, and then a probe; when the next one is good it was restarted, so it starts anew."""
    roster = roster_of("a", "b", rules=PROBED, by_slowness=True)
    probe(roster, {"a": "success", "b": "success"})
    backend = roster.backend("a")
    fail(backend, 2.0)
    probe(roster, {"a": "failure"}, now=2.5)
    assert free(roster, 3.0) == "ab"
    assert backend.speed.value(3.0, 0) > 5.0
    probe(roster, {"a": "success"}, now=3.5)
    roster.candidates(3.5)
    assert backend.speed.value(3.5, 0) == pytest.approx(1.0)
    assert backend.weight == FLOOR


@pytest.mark.parametrize(
    ("failed_at", "probed", "by_slowness"),
    [
        (2.0, "success", True),  # its checks are fine all the time: fast failures, which stand
        (None, "failure", True),  # a probe was lost, nothing else
        (-30.0, "failure", True),  # or its failures are of long ago
        (2.0, "failure", False),  # nothing keeps it idle, but the ramp would, for long
    ],
)
def test_who_was_not_away_has_not_come_back(
    failed_at: float | None, probed: Result, by_slowness: bool
) -> None:
    """Probes and traffic must both have spoken against it, and whoever chooses must go by slowness."""
    roster = roster_of("a", "b", rules=PROBED, by_slowness=by_slowness)
    probe(roster, {"a": "success", "b": "success"})
    backend = roster.backend("a")
    if failed_at is not None:
        fail(backend, failed_at)
    probe(roster, {"a": probed}, now=2.5)
    probe(roster, {"a": "success"}, now=3.5)
    roster.candidates(3.5)
    assert backend.weight == 1.0
    assert (backend.speed.value(3.5, 0) > 5.0) == (failed_at == 2.0)


def test_a_degraded_backend_keeps_a_share_of_its_weight() -> None:
    """Slow start and degrading multiply."""
    rules = PoolRules(BackendRules(degraded=DegradedRule(0.25)))
    roster = roster_of("a", rules=rules)
    roster.replace(specs("a", "b", weight=4.0), 100.0)
    for backend in roster.backends:
        backend.degraded.degraded = True
    roster.candidates(100.0)
    assert [backend.weight for backend in roster.backends] == [1.0, 4.0 * FLOOR * 0.25]


# Reload.


def test_ranks_are_places_by_name() -> None:
    """They find a backend among the free ones without a search by name."""
    roster = roster_of("c", "a")
    assert [(backend.name, backend.rank) for backend in roster.backends] == [("a", 0), ("c", 1)]
    roster.replace(specs("c", "b", "a"))
    assert [(backend.name, backend.rank) for backend in roster.backends] == [("a", 0), ("b", 1), ("c", 2)]


def test_a_rule_that_only_watches_counts_and_leaves_everybody_in() -> None:
    """Shadow mode: what would have been is in the figures."""
    roster = roster_of("a", "b", "c", rules=PoolRules(BackendRules(outlier=OutlierRule(2, enforce=False))))
    backend = roster.backend("a")
    backend.outlier.failed(1.0)
    reason = backend.outlier.failed(1.0)
    assert reason is not None
    assert not roster.eject(backend, 1.0, reason)
    assert backend.ejections["would_consecutive_failures"] == 1
    assert sum(backend.ejections.values()) == 1
    assert free(roster, 1.0) == "abc"
