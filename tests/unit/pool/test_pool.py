"""Who may take work: probes, ejections, drains, limits, panic, reload."""

import random
from collections import Counter

import pytest

from gateway.balancing.least_latency import LeastLatency
from gateway.balancing.round_robin import RoundRobin
from gateway.errors import GatewayError
from gateway.health.outlier import OutlierRule
from gateway.health.state import HealthRule
from gateway.messages import Outcome
from gateway.pool.backend import Backend, BackendSpec
from gateway.pool.pool import Pool, PoolRules

PROBED = PoolRules(health=HealthRule(interval_s=5.0, rise=2, fall=3))
PASSIVE = PoolRules(outlier=OutlierRule(consecutive_failures=1, ejection_s=10.0, max_ejected=0.5))


def specs(*names: str, **more: int) -> list[BackendSpec]:
    return [BackendSpec(f"http://{name}.test", name, **more) for name in names]  # type: ignore[arg-type]


def pool_of(*names: str, rules: PoolRules = PASSIVE, **more: int) -> Pool:
    return Pool("chat", specs(*names, **more), "round_robin", RoundRobin(), random.Random(1), rules)


def names(pool: Pool, now: float) -> list[str]:
    return [backend.name for backend in pool.candidates(now)]


def probe(pool: Pool, name: str, results: str, now: float = 1.0) -> None:
    for result in results:
        pool.probed(pool.backend(name), result == "+", "answered" if result == "+" else "refused", now)


def fail(pool: Pool, name: str, now: float) -> None:
    """One failed attempt on exactly that backend."""
    others = tuple(backend.name for backend in pool.backends if backend.name != name)
    pool.acquire(now, tried=others).close(Outcome.CONNECT_ERROR, now)


def test_candidates_are_sorted_and_kept_while_nothing_changes() -> None:
    """Sorted by name, and the very same tuple at the next request: the hot path filters nothing."""
    pool = pool_of("b", "c", "a")
    first = pool.candidates(1.0)
    assert [backend.name for backend in first] == ["a", "b", "c"]
    pool.acquire(2.0).close(Outcome.OK, 3.0)
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
    assert pool.backend("a").health_checks == {"success": 3, "failure": 3}
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
    rules = PoolRules(outlier=OutlierRule(consecutive_failures=1, max_ejected=0.1))
    single, pair = pool_of("a", rules=rules), pool_of("a", "b", rules=rules)
    for pool in (single, pair):
        fail(pool, "a", 1.0)
    assert (single.backend("a").state, pair.backend("a").state) == ("up", "ejected")


def test_an_ejection_that_began_in_panic_ends_too() -> None:
    """A down backend that panic sends work to is ejected like any other and counts failures again after."""
    rules = PoolRules(HealthRule(), OutlierRule(consecutive_failures=1, ejection_s=10.0))
    pool = pool_of("a", "b", rules=rules)
    for name in "ab":
        probe(pool, name, "---")
    fail(pool, "a", 1.0)
    assert (pool.panic, pool.backend("a").state) == (True, "down")
    fail(pool, "a", 11.0)
    assert pool.backend("a").ejections == {"consecutive_failures": 2}


def test_a_draining_backend_is_not_ejected() -> None:
    """It gets no work anyway; what fails while it drains does not use up the share of the others."""
    pool = pool_of("a", "b", "c")
    lease = pool.acquire(1.0, tried=("b", "c"))
    pool.drain("a", 1.0)
    lease.close(Outcome.RESET, 2.0)
    assert pool.backend("a").ejections == {"consecutive_failures": 0}
    assert pool.backend("a").state == "draining"


def test_a_down_backend_that_recovers_after_its_ejection_is_simply_up() -> None:
    """Nobody asked the pool since the ejection ended: the good probes lead to up, not through ejected."""
    told: list[str] = []
    pool = pool_of("a", "b", rules=PoolRules(HealthRule(), OutlierRule(consecutive_failures=1)))
    fail(pool, "a", 1.0)
    probe(pool, "a", "---", now=2.0)
    pool.on_change = lambda _pool, _backend, _old, new, _why: told.append(new)
    probe(pool, "a", "++", now=60.0)
    assert names(pool, 60.0) == ["a", "b"]
    assert told == ["up"]


def test_draining_stops_new_work_and_keeps_leases() -> None:
    """A drained backend is no candidate; what it has in flight ends normally; undrain brings it back."""
    pool = pool_of("a", "b")
    lease = pool.acquire(1.0, tried=("b",))
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
    """max_in_flight is a limit, and the place is free at the moment the lease is closed."""
    pool = pool_of("a", "b", max_in_flight=1)
    first, second = pool.acquire(1.0), pool.acquire(1.0)
    assert {first.backend.name, second.backend.name} == {"a", "b"}
    with pytest.raises(GatewayError) as refused:
        pool.acquire(1.0)
    assert refused.value.kind == "no_backend"
    assert "limit" in refused.value.message
    assert pool.shed == {"full": 1}
    assert pool.able(1.0)
    first.close(Outcome.OK, 2.0)
    assert pool.acquire(2.0).backend is first.backend


def test_a_limit_lowered_by_reload_holds() -> None:
    """Three in flight and a new limit of two: it is full until only one is left."""
    pool = pool_of("a", max_in_flight=3)
    leases = [pool.acquire(1.0) for _ in range(3)]
    pool.replace(specs("a", max_in_flight=2), 2.0)
    for lease, expected in zip(leases, ([], ["a"], ["a"]), strict=True):
        lease.close(Outcome.OK, 3.0)
        assert names(pool, 3.0) == expected


def test_tried_backends_are_left_out() -> None:
    """A retry goes elsewhere; with nobody else there it is refused, or allowed back when asked to."""
    pool = pool_of("a", "b")
    assert {pool.acquire(1.0, tried=("a",)).backend.name for _ in range(5)} == {"b"}
    with pytest.raises(GatewayError, match="no other backend"):
        pool.acquire(1.0, tried=("a", "b"))
    assert pool.acquire(1.0, tried=("a", "b"), allow_tried=True).backend.name in {"a", "b"}
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
    pool.acquire(1.0, tried=("c",))
    assert names(pool, 1.0) == ["c"]


def test_without_panic_a_dead_pool_refuses_honestly() -> None:
    """Retry-After is the time to the next probe, at least a second, with some jitter."""
    rules = PoolRules(health=HealthRule(interval_s=5.0), panic_below=0.0)
    pool = pool_of("a", rules=rules)
    probe(pool, "a", "---", now=10.0)
    with pytest.raises(GatewayError) as refused:
        pool.acquire(11.0)
    assert refused.value.retry_after_s is not None
    assert 4.0 <= refused.value.retry_after_s <= 4.8
    assert 1.0 <= pool.retry_after(14.9) <= 1.2
    assert pool.shed == {"no_backend": 1}
    assert not pool.able(11.0)


def test_retry_after_follows_the_soonest_ejection() -> None:
    """Two ejected for ten seconds, three apart, the third drained: the first to return counts."""
    rules = PoolRules(outlier=OutlierRule(1, 10.0, 300.0, max_ejected=1.0), panic_below=0.0)
    pool = pool_of("a", "b", rules=rules)
    fail(pool, "a", 0.0)
    fail(pool, "b", 3.0)
    assert names(pool, 4.0) == []
    assert 6.0 <= pool.retry_after(4.0) <= 7.2


def test_an_empty_pool_refuses() -> None:
    """No backends, no crash: an honest refusal, and not able."""
    pool = pool_of()
    with pytest.raises(GatewayError):
        pool.acquire(1.0)
    assert not pool.able(1.0)
    assert not pool.panic


def test_a_new_backend_is_scored_like_a_typical_one() -> None:
    """Beside measured peers a newcomer gets the median, not the whole burst."""
    pool = Pool("chat", specs("a", "b", "c"), "least_latency", LeastLatency(), random.Random(1), PASSIVE)
    for backend, seconds in zip(pool.backends, (0.1, 0.2, 0.4), strict=True):
        backend.latency.observe(seconds, 1.0)
    pool.replace(specs("a", "b", "c", "new"), 1.0)
    rows, _ = pool.explain(1.0)
    assert {row["backend"]: row["latency_s"] for row in rows}["new"] == 0.2
    assert rows[0]["backend"] == "a"
    leases = [pool.acquire(1.0) for _ in range(20)]
    taken = Counter(lease.backend.name for lease in leases)
    assert taken["a"] > taken["new"] > taken["c"]


def test_reload_keeps_what_is_known() -> None:
    """Same name and URL: same object, with its latency, counts, drain and open leases; the weight follows."""
    pool = pool_of("a", "b", rules=PROBED)
    probe(pool, "a", "+---")
    lease = pool.acquire(1.0, tried=("a",))
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

    def tell(pool: Pool, backend: Backend, old: str, new: str, why: str) -> None:
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
    rules = PoolRules(health=HealthRule(), outlier=OutlierRule(1), panic_below=0.0)
    pool = Pool(
        "chat",
        [*specs("a", "b", "c", "d", "e"), *specs("f", max_in_flight=1)],
        "least_latency",
        LeastLatency(),
        random.Random(1),
        rules,
    )
    for backend, seconds in zip(pool.backends, (0.3, 0.1, 1, 1, 1, 1), strict=True):
        backend.latency.observe(seconds, 1.0)
    probe(pool, "c", "---")
    fail(pool, "d", 1.0)
    pool.drain("e", 1.0)
    pool.acquire(1.0, tried=("a", "b"))
    before = [(backend.selected, backend.in_flight) for backend in pool.backends]
    rows, excluded = pool.explain(1.0, tried=("x",))
    assert [row["backend"] for row in rows] == ["b", "a"]
    assert rows[0] == {"backend": "b", "score": 0.1, "latency_s": 0.1, "in_flight": 0, "weight": 1.0}
    assert {row["backend"]: row["why"] for row in excluded} == {
        "c": "down: refused",
        "d": "ejected for 10.0 s more: consecutive failures: 1; out for 10 s",
        "e": "draining: drained by an operator",
        "f": "full: 1 of 1 in flight",
    }
    assert [(backend.selected, backend.in_flight) for backend in pool.backends] == before
    assert pool.explain(1.0, tried=("b",))[1][0] == {
        "backend": "b",
        "why": "tried: this request has been there",
    }


def test_repr_is_fit_for_a_log() -> None:
    """Name, policy and how many are well."""
    pool = pool_of("a", "b", rules=PROBED)
    probe(pool, "a", "---")
    assert repr(pool) == "<Pool chat round_robin, 1 of 2 well>"
