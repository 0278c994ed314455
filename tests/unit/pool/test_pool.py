"""Who may take work: probes, ejections, drains, limits, panic, reload."""

import random
from collections import Counter

import pytest

from gateway.admission.queue import QueueRule, Ticket
from gateway.balancing.least_latency import LeastLatency
from gateway.balancing.least_requests import LeastRequests
from gateway.balancing.round_robin import RoundRobin
from gateway.errors import GatewayError
from gateway.health.outlier import OutlierRule
from gateway.health.state import HealthRule
from gateway.messages import Outcome
from gateway.pool.backend import Backend, BackendRules, BackendSpec
from gateway.pool.pool import PATIENT, Pool
from gateway.pool.roster import PoolRules
from tests.unit.pool.asking import asked, at_work, take, take_from


def rules(health: HealthRule | None = None, outlier: OutlierRule | None = None, **more: float) -> PoolRules:
    return PoolRules(BackendRules(health, outlier or OutlierRule()), **more)  # type: ignore[arg-type]


PROBED = rules(HealthRule(interval_s=5.0, rise=2, fall=3))
PASSIVE = rules(outlier=OutlierRule(consecutive_failures=1, ejection_s=10.0, max_ejected=0.5))


def specs(*names: str, **more: int) -> list[BackendSpec]:
    return [BackendSpec(f"http://{name}.test", name, **more) for name in names]  # type: ignore[arg-type]


def pool_of(*names: str, rules: PoolRules = PASSIVE, **more: int) -> Pool:
    return Pool("chat", specs(*names, **more), "round_robin", RoundRobin(), random.Random(1), rules)


def names(pool: Pool, now: float) -> list[str]:
    return [backend.name for backend in pool.candidates(now)]


def probe(pool: Pool, name: str, results: str, now: float = 1.0) -> None:
    for result in results:
        if result == "+":
            pool.probed(pool.backend(name), "success", "answered", now)
        else:
            pool.probed(pool.backend(name), "failure", "refused", now)


def fail(pool: Pool, name: str, now: float) -> None:
    """One failed attempt on exactly that backend."""
    take_from(pool, name, now).close(Outcome.CONNECT_ERROR, now)


def test_candidates_are_sorted_and_kept_while_nothing_changes() -> None:
    """Sorted by name, and the very same list at the next request: the hot path filters nothing."""
    pool = pool_of("b", "c", "a")
    first = pool.candidates(1.0)
    assert [backend.name for backend in first] == ["a", "b", "c"]
    take(pool, 2.0).close(Outcome.OK, 3.0)
    assert pool.candidates(1000.0) is first


def test_two_backends_of_one_name_are_refused() -> None:
    """Names are metric labels and must differ; the message says what to do."""
    with pytest.raises(ValueError, match="give each backend its own name"):
        pool_of("a", "a")


def test_backends_start_unknown_and_take_work() -> None:
    """A gateway serves from its first second; one good probe settles it, three bad ones take it out."""
    pool = pool_of("a", "b", "c", rules=PROBED)
    assert names(pool, 0.0) == ["a", "b", "c"]
    assert {backend.state for backend in pool.backends} == {"starting"}
    probe(pool, "a", "+")
    probe(pool, "b", "--")
    assert [backend.state for backend in pool.backends] == ["up", "starting", "starting"]
    assert names(pool, 1.0) == ["a", "b", "c"]
    probe(pool, "b", "-")
    assert (pool.backend("b").state, pool.backend("b").why) == ("down", "refused")
    assert names(pool, 1.0) == ["a", "c"]


def test_a_down_backend_comes_back_after_rise_good_probes() -> None:
    """One good probe is not enough, two are; every probe is counted."""
    pool = pool_of("a", "b", rules=PROBED)
    probe(pool, "a", "+---")
    probe(pool, "a", "+", now=7.0)
    assert names(pool, 7.0) == ["b"]
    probe(pool, "a", "+", now=8.0)
    assert names(pool, 8.0) == ["a", "b"]
    assert pool.backend("a").health_checks == {"success": 3, "failure": 3, "loading": 0, "skipped": 0}
    assert pool.backend("a").since == 8.0


def test_an_ejection_ends_by_itself() -> None:
    """Out for ten seconds from the failure, then in again without anybody asking."""
    pool = pool_of("a", "b")
    fail(pool, "a", 1.0)
    assert names(pool, 10.9) == ["b"]
    assert names(pool, 11.0) == ["a", "b"]
    assert (pool.backend("a").state, pool.backend("a").since) == ("up", 11.0)


def test_ejection_cannot_take_the_whole_pool() -> None:
    """Of four backends with a share of one half two are ejected, however many fail."""
    pool = pool_of("a", "b", "c", "d")
    for name in "abcd":
        fail(pool, name, 1.0)
    assert Counter(backend.state for backend in pool.backends) == {"ejected": 2, "up": 2}


def test_the_only_backend_is_never_ejected_and_one_of_two_is() -> None:
    """A small share still allows one of two, never one of one."""
    least = rules(outlier=OutlierRule(consecutive_failures=1, max_ejected=0.1))
    single, pair = pool_of("a", rules=least), pool_of("a", "b", rules=least)
    for pool in (single, pair):
        fail(pool, "a", 1.0)
    assert (single.backend("a").state, pair.backend("a").state) == ("up", "ejected")


def test_an_ejection_that_began_in_panic_ends_too() -> None:
    """A down backend that panic sends work to is ejected like any other and counts failures again after."""
    both = rules(HealthRule(), OutlierRule(consecutive_failures=1, ejection_s=10.0))
    pool = pool_of("a", "b", rules=both)
    for name in "ab":
        probe(pool, name, "---")
    fail(pool, "a", 1.0)
    assert (pool.panic, pool.backend("a").state) == (True, "down")
    fail(pool, "a", 11.0)
    assert pool.backend("a").ejections["consecutive_failures"] == 2


def test_a_draining_backend_is_not_ejected() -> None:
    """It gets no work anyway; what fails while it drains does not use up the share of the others."""
    pool = pool_of("a", "b", "c")
    lease = take_from(pool, "a", 1.0)
    pool.drain("a", 1.0)
    lease.close(Outcome.RESET, 2.0)
    assert not any(pool.backend("a").ejections.values())
    assert pool.backend("a").state == "draining"


def test_a_down_backend_that_recovers_after_its_ejection_is_simply_up() -> None:
    """Nobody asked the pool since the ejection ended: the good probes lead to up, not through ejected."""
    told: list[str] = []
    pool = pool_of("a", "b", rules=rules(HealthRule(), OutlierRule(consecutive_failures=1)))
    fail(pool, "a", 1.0)
    probe(pool, "a", "---", now=2.0)
    pool.on_change = lambda _pool, _backend, _old, new, _why: told.append(new)
    probe(pool, "a", "++", now=60.0)
    assert names(pool, 60.0) == ["a", "b"]
    assert told == ["up"]


def test_draining_stops_new_work_and_keeps_leases() -> None:
    """A drained backend is no candidate; what it has in flight ends normally; undrain brings it back."""
    pool = pool_of("a", "b")
    lease = take_from(pool, "a", 1.0)
    pool.drain("a", 2.0)
    assert names(pool, 2.0) == ["b"]
    assert lease.backend.in_flight == 1
    lease.close(Outcome.OK, 3.0)
    pool.undrain("a")
    assert names(pool, 3.0) == ["a", "b"]


def test_draining_calls_an_ejected_backend_back_when_too_few_are_left() -> None:
    """With the other one drained, the ejected backend would be all there is."""
    pool = pool_of("a", "b")
    fail(pool, "a", 1.0)
    pool.drain("b", 2.0)
    assert (pool.backend("a").state, names(pool, 2.0)) == ("up", ["a"])


def test_draining_nobody_is_an_error_that_names_the_backends() -> None:
    """The message lists what there is."""
    with pytest.raises(KeyError, match="it has a, b"):
        pool_of("a", "b").drain("x")


def test_a_full_backend_takes_no_more_until_one_leaves() -> None:
    """max_in_flight is a limit: more have to wait, and the place is free the moment the lease is closed."""
    pool = pool_of("a", "b", max_in_flight=1)
    first, second = take(pool, 1.0), take(pool, 1.0)
    assert {first.backend.name, second.backend.name} == {"a", "b"}
    assert pool.acquire(asked(1.0)) is None
    assert pool.able(1.0)
    first.close(Outcome.OK, 2.0)
    assert take(pool, 2.0).backend is first.backend
    assert not pool.shed


def waiting(pool: Pool, now: float, *tried: str, priority: int = 1) -> Ticket:
    """A request that waits, or is given a backend at once."""
    woken: list[int] = []
    context = asked(now, *tried, rng=pool.rng)
    assert pool.acquire(context) is None
    ticket = Ticket(priority, 0, now, now + 60.0, context, lambda: woken.append(1))
    pool.wait(ticket, now)
    assert bool(woken) == (ticket.grant is not None)
    return ticket


def given(ticket: Ticket) -> str:
    """Whom a ticket was given; nobody: "" as long as it waits."""
    return "" if ticket.grant is None else str(ticket.grant.backend.name)


def test_who_waits_is_given_the_next_place_in_order() -> None:
    """The first that came first, each at the moment of a close, with the time he waited counted."""
    pool = pool_of("a", "b", max_in_flight=1)
    leases = [take(pool, 1.0), take(pool, 1.0)]
    tickets = [waiting(pool, 2.0 + number) for number in range(4)]
    assert pool.queued.total == 0
    leases[0].close(Outcome.OK, 10.0)
    assert given(tickets[0]) == leases[0].backend.name
    leases[1].close(Outcome.OK, 11.0)
    tickets[0].grant.close(Outcome.CANCELLED, 12.0)
    assert [bool(given(ticket)) for ticket in tickets] == [True, True, True, False]
    assert (pool.queued.total, pool.queued.sum) == (3, 8.0 + 8.0 + 8.0)
    assert tickets[2].grant.started == 12.0


def test_nobody_overtakes_those_who_wait() -> None:
    """Also where a backend is free that the one who waits has been to."""
    pool = pool_of("a", "b", max_in_flight=1)
    lease = take_from(pool, "a", 1.0)
    ticket = waiting(pool, 1.0, "b")
    assert names(pool, 1.0) == ["b"]
    assert given(ticket) == ""
    assert pool.spare(asked(1.0, "a")) is None
    assert given(waiting(pool, 1.0)) == "b"
    lease.close(Outcome.OK, 2.0)
    assert given(ticket) == "a"


def test_those_who_are_passed_over_keep_their_order() -> None:
    """Three that may not go to the one that is free; when theirs is, they go in the order they came."""
    pool = pool_of("a", "b", max_in_flight=1)
    lease = take_from(pool, "a", 1.0)
    tickets = [waiting(pool, 1.0, "b") for _ in range(3)]
    for number in range(3):
        lease.close(Outcome.OK, 2.0 + number)
        lease = tickets[number].grant
        assert lease.backend.name == "a"


def test_a_queue_of_nothing_refuses_at_once() -> None:
    """With an honest Retry-After; the ticket is nobody's."""
    pool = pool_of("a", rules=PoolRules(queue=QueueRule(capacity=0)), max_in_flight=1)
    take(pool, 1.0)
    with pytest.raises(GatewayError) as refused:
        waiting(pool, 1.0)
    assert refused.value.kind == "queue_full"
    assert refused.value.retry_after_s is not None
    assert refused.value.retry_after_s >= 1.0
    assert len(pool.queue) == 0


def test_a_second_attempt_takes_nobody_s_place() -> None:
    """Another one that is free, or none: not the same, not a full one."""
    pool = pool_of("a", "b", max_in_flight=1)
    first = take_from(pool, "a", 1.0)
    second = pool.spare(asked(1.0, "a"))
    assert second is not None
    assert second.backend.name == "b"
    first.close(Outcome.OK, 2.0)
    assert pool.spare(asked(2.0, "a")) is None


def fast_and_slow() -> Pool:
    """One place each; a answers in 0.1 s, b in 4 s, and both are known for it."""
    one_each = PoolRules(BackendRules(limit=1))
    pool = Pool("chat", specs("a", "b"), "least_latency", LeastLatency(), random.Random(1), one_each)
    at_work(pool, {"a": 0.1, "b": 4.0}, 40.0)
    return pool


def test_a_patient_policy_waits_for_a_fast_backend() -> None:
    """The slow one is free, the fast one will be sooner: it waits for that, and nothing stays promised."""
    pool = fast_and_slow()
    lease = take_from(pool, "a", 45.0)
    ticket = waiting(pool, 45.0)
    assert given(ticket) == ""
    assert [backend.promised for backend in pool.backends] == [0, 0]
    lease.close(Outcome.OK, 45.1)
    assert given(ticket) == "a"


def test_patience_ends_where_many_wait() -> None:
    """Each who waits for the fast one makes that wait longer: in the end somebody takes the slow one."""
    pool = fast_and_slow()
    take_from(pool, "a", 45.0)
    tickets = [waiting(pool, 45.0) for _ in range(PATIENT + 1)]
    assert sorted(map(given, tickets)) == [""] * PATIENT + ["b"]
    assert all(backend.promised == 0 for backend in pool.backends)


def test_a_request_that_is_refused_leaves_no_promise() -> None:
    """It would have waited for the fast one, and may not wait at all."""
    pool = fast_and_slow()
    pool.queue.rule = QueueRule(capacity=0)
    take_from(pool, "a", 45.0)
    with pytest.raises(GatewayError):
        waiting(pool, 45.0)
    assert all(backend.promised == 0 for backend in pool.backends)


def test_an_impatient_policy_takes_what_is_free() -> None:
    """Round robin does not weigh one against the other."""
    pool = pool_of("a", "b", max_in_flight=1)
    take_from(pool, "a", 1.0)
    assert take(pool, 1.0).backend.name == "b"


def test_a_limit_that_was_found_holds_from_the_next_close_on() -> None:
    """Lowered, raised, and with it who is free."""
    pool = pool_of("a", rules=PoolRules(BackendRules(limit="auto")))
    (backend,) = pool.backends
    assert backend.limiter is not None
    leases = [take(pool, 1.0) for _ in range(5)]
    for limit, expected in ((4, []), (3, []), (6, ["a"]), (1, [])):
        backend.limiter.limit = limit
        leases.pop().close(Outcome.CANCELLED, 2.0)
        assert names(pool, 2.0) == expected
        assert backend.limit == limit


def test_a_limit_lowered_by_reload_holds() -> None:
    """Three in flight and a new limit of two: it is full until only one is left."""
    pool = pool_of("a", max_in_flight=3)
    leases = [take(pool, 1.0) for _ in range(3)]
    pool.replace(specs("a", max_in_flight=2), 2.0)
    for lease, expected in zip(leases, ([], ["a"], ["a"]), strict=True):
        lease.close(Outcome.OK, 3.0)
        assert names(pool, 3.0) == expected


def test_tried_backends_are_left_out() -> None:
    """A retry goes elsewhere, waits for an elsewhere that is full, and goes back when there is none."""
    pool = pool_of("a", "b", max_in_flight=5)
    leases = [take(pool, 1.0, "a") for _ in range(5)]
    assert {lease.backend.name for lease in leases} == {"b"}
    assert pool.acquire(asked(1.0, "a")) is None
    assert take(pool, 1.0, "a", "b").backend.name == "a"
    leases.pop().close(Outcome.OK, 2.0)
    assert {take(pool, 2.0, "a", "b").backend.name for _ in range(2)} == {"a", "b"}
    assert not pool.shed


def test_panic_ignores_health_when_too_few_are_well() -> None:
    """Half well is no panic, less is: then all take work, and it is counted once until it ends."""
    pool = pool_of("a", "b", "c", "d", rules=PROBED)
    for name in "ab":
        probe(pool, name, "---")
    assert (names(pool, 1.0), pool.panic) == (["c", "d"], False)
    probe(pool, "c", "---")
    assert (names(pool, 1.0), pool.panic) == (["a", "b", "c", "d"], True)
    probe(pool, "d", "---")
    assert (names(pool, 1.0), pool.panics) == (["a", "b", "c", "d"], 1)
    assert not pool.able(1.0)
    probe(pool, "a", "++", now=2.0)
    probe(pool, "b", "++", now=2.0)
    assert (names(pool, 2.0), pool.panic) == (["a", "b"], False)


def test_panic_still_respects_drains_and_limits() -> None:
    """What an operator took out stays out, and a full backend stays full."""
    pool = pool_of("a", "b", "c", rules=PROBED, max_in_flight=1)
    for name in "abc":
        probe(pool, name, "---")
    pool.drain("a")
    take_from(pool, "b", 1.0)
    assert names(pool, 1.0) == ["c"]


def test_without_panic_a_dead_pool_refuses_honestly() -> None:
    """Retry-After is the time to the next probe, at least a second, with some jitter."""
    calm = rules(HealthRule(interval_s=5.0), panic_below=0.0)
    pool = pool_of("a", rules=calm)
    probe(pool, "a", "---", now=10.0)
    with pytest.raises(GatewayError) as refused:
        pool.acquire(asked(11.0))
    assert refused.value.retry_after_s is not None
    assert 4.0 <= refused.value.retry_after_s <= 4.8
    assert 1.0 <= pool.retry_after(14.9) <= 1.2
    assert pool.shed == {"no_backend": 1}
    assert not pool.able(11.0)


def test_retry_after_follows_the_soonest_ejection() -> None:
    """Two ejected for ten seconds, three apart, the third drained: the first to return counts."""
    calm = rules(outlier=OutlierRule(1, 10.0, 300.0, max_ejected=1.0), panic_below=0.0)
    pool = pool_of("a", "b", rules=calm)
    fail(pool, "a", 0.0)
    fail(pool, "b", 3.0)
    assert names(pool, 4.0) == []
    assert 6.0 <= pool.retry_after(4.0) <= 7.2


def test_an_empty_pool_refuses() -> None:
    """No backends, no crash: an honest refusal, and not able."""
    pool = pool_of()
    with pytest.raises(GatewayError):
        pool.acquire(asked(1.0))
    assert not pool.able(1.0)
    assert not pool.panic


def test_a_new_backend_is_scored_like_a_typical_one() -> None:
    """Beside measured peers a newcomer is as slow as the median, and does not get the whole burst."""
    at_once = PoolRules(BackendRules(slow_start_s=0.0))
    pool = Pool("chat", specs("a", "b", "c"), "least_latency", LeastLatency(), random.Random(1), at_once)
    at_work(pool, {"a": 0.1, "b": 0.2, "c": 0.4}, 20.0)
    pool.replace(specs("a", "b", "c", "new"), 20.5)
    rows, _ = pool.explain(20.5)
    slowness = {row["backend"]: row["slowness"] for row in rows}
    assert slowness["new"] == 1.0
    assert rows[0]["backend"] == "a"
    leases = [take(pool, 20.5) for _ in range(20)]
    taken = Counter(lease.backend.name for lease in leases)
    assert taken["a"] > taken["new"] > taken["c"]


@pytest.mark.parametrize(
    ("policy", "seconds", "weight"),
    [
        (LeastLatency(), 0.1, 1.0),
        (LeastLatency(), 0.3, 0.15),  # three times slower: by time
        (LeastRequests(), 0.1, 0.15),  # nobody would see it if the next ones were slow
    ],
)
def test_quick_answers_end_a_ramp_where_slowness_is_gone_by(
    policy: LeastLatency | LeastRequests, seconds: float, weight: float
) -> None:
    """Of a newcomer, of thirty seconds, after four and a half and more than nine answers."""
    pool = Pool("chat", specs("a", "b"), "policy", policy, random.Random(1))
    at_work(pool, {"a": 0.1, "b": 0.1}, 20.0)
    pool.replace(specs("a", "b", "new"), 20.0)
    at_work(pool, {"a": 0.1, "b": 0.1, "new": seconds}, 24.3, since=20.0)
    pool.candidates(24.5)
    assert pool.backend("new").weight == pytest.approx(weight, abs=0.01)


def test_reload_keeps_what_is_known() -> None:
    """Same name and URL: same object, with its latency, counts, drain and open leases; the weight follows."""
    pool = pool_of("a", "b", rules=PROBED)
    probe(pool, "a", "+---")
    lease = take_from(pool, "b", 1.0)
    kept, left = pool.backend("a"), pool.backend("b")
    came, went = pool.replace([BackendSpec("http://a.test", "a", weight=3.0), *specs("c")], 5.0)
    assert [backend.name for backend in came] == ["c"]
    assert went == [left]
    assert pool.backend("a") is kept
    assert (kept.state, kept.weight) == ("down", 3.0)
    lease.close(Outcome.OK, 6.0)
    assert left.in_flight == 0


def test_the_same_name_at_another_url_is_another_backend() -> None:
    """What was learnt about one machine does not pass to another."""
    pool = pool_of("a")
    old = pool.backend("a")
    pool.replace([BackendSpec("http://elsewhere.test", "a")], 1.0)
    assert pool.backend("a") is not old


def test_switching_checks_off_brings_down_backends_up() -> None:
    """Without active checks only traffic can take a backend out."""
    pool = pool_of("a", "b", rules=PROBED)
    probe(pool, "a", "---")
    pool.replace(specs("a", "b"), 2.0, PASSIVE)
    assert [backend.state for backend in pool.backends] == ["up", "up"]


def test_a_smaller_pool_calls_back_what_it_cannot_spare() -> None:
    """Two of four ejected, then the well ones leave: one of the two may stay out, the soonest due returns."""
    pool = pool_of("a", "b", "c", "d")
    fail(pool, "a", 1.0)
    fail(pool, "b", 2.0)
    pool.replace(specs("a", "b"), 3.0)
    assert (pool.backend("a").state, pool.backend("b").state) == ("up", "ejected")


def test_changes_of_state_are_told_once() -> None:
    """Old, new and why, for every change and only for changes."""
    told: list[tuple[str, str, str, str]] = []

    def tell(pool: str, backend: Backend, old: str, new: str, why: str) -> None:
        told.append((backend.name, old, new, why))

    pool = Pool("chat", specs("a", "b"), "round_robin", RoundRobin(), random.Random(1), PROBED, tell)
    probe(pool, "a", "++----")
    pool.drain("a", 3.0)
    pool.undrain("a", 4.0)
    assert told == [
        ("a", "starting", "up", "answered"),
        ("a", "up", "down", "refused"),
        ("a", "down", "draining", "drained by an operator"),
        ("a", "draining", "down", "its checks failed while it was drained"),
    ]


def test_explain_names_everybody_and_changes_nothing() -> None:
    """Candidates best first with their terms; each of the others with its reason; asking has no effect."""
    pool = Pool(
        "chat",
        [*specs("a", "b", "c", "d", "e", "g"), *specs("f", max_in_flight=1)],
        "least_latency",
        LeastLatency(),
        random.Random(1),
        rules(HealthRule(), OutlierRule(1), panic_below=0.0),
    )
    at_work(pool, {"a": 0.25, "b": 0.125}, 1.0)
    probe(pool, "c", "---")
    fail(pool, "d", 1.0)
    pool.drain("e", 1.0)
    take_from(pool, "g", 1.0).close(Outcome.OVERLOADED, 1.0, 30.0)
    take_from(pool, "f", 1.0)
    before = [(backend.selected, backend.in_flight, repr(backend.speed)) for backend in pool.backends]
    rows, excluded = pool.explain(1.5)
    assert [row["backend"] for row in rows] == ["b", "a"]
    expected_s, slowness = pool.backend("b").expected_s(1.5, asked(1.5)), pool.backend("b").slowness(1.5)
    assert rows[0] == {
        "backend": "b",
        "score": expected_s,
        "latency_s": 0.125,
        "in_flight": 0,
        "weight": 1.0,
        "expected_s": expected_s,
        "guard": 1.0,
        "slowness": slowness,
    }
    assert {row["backend"]: row["why"] for row in excluded} == {
        "c": "down: refused",
        "d": "ejected for 9.5 s more: consecutive failures: 1; out for 10 s",
        "e": "draining: drained by an operator",
        "f": "full: 1 of 1 in flight",
        "g": "resting for 29.5 s more: it said that it is overloaded",
    }
    after = [(backend.selected, backend.in_flight, repr(backend.speed)) for backend in pool.backends]
    assert after == before


def test_a_trace_leaves_out_what_was_tried_as_the_choice_does() -> None:
    """With its reason; where there is nobody else, who was tried is a candidate again."""
    pool = pool_of("a", "b", "c")
    trace = pool.trace(asked(1.0, "b"))
    assert {row["backend"] for row in trace.candidates} == {"a", "c"}
    assert trace.excluded == [{"backend": "b", "why": "tried: this request has been there"}]
    trace = pool.trace(asked(1.0, "a", "b", "c"))
    assert {row["backend"] for row in trace.candidates} == {"a", "b", "c"}
    assert not trace.excluded


def test_repr_is_fit_for_a_log() -> None:
    """Name, policy and how many are well."""
    pool = pool_of("a", "b", rules=PROBED)
    probe(pool, "a", "---")
    assert repr(pool) == "<Pool chat round_robin, 1 of 2 well>"
