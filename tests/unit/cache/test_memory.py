"""Does the store in memory keep its bound, its figures and its word?"""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.cache.entry import Entry
from gateway.cache.eviction import POLICIES
from gateway.cache.memory import MemoryStore
from gateway.cache.store import Purge
from tests.unit.cache.making import NOW, digest, entry

ONE = entry().size
everyone = pytest.mark.parametrize("policy", POLICIES)


@everyone
def test_the_last_one_put_is_got(policy: str) -> None:
    """A second answer under the same key takes the first one's place."""
    store = MemoryStore(10 * ONE, policy)
    first, second = entry(100), entry(50)
    assert store.put(digest("a"), first, NOW)
    assert store.get(digest("a"), NOW) is first
    assert store.put(digest("a"), second, NOW)
    assert store.get(digest("a"), NOW) is second
    figures = store.figures
    assert (figures.entries, figures.bytes, figures.hits, figures.misses) == (1, second.size, 2, 0)
    assert figures.evictions["replaced"] == 1


@everyone
def test_expired_is_a_miss_and_goes(policy: str) -> None:
    """From `expires_at` on it is not given, and a look takes it away."""
    store = MemoryStore(10 * ONE, policy)
    store.put(digest("a"), entry(lasts_s=10.0), NOW)
    assert store.get(digest("a"), NOW + 9.99) is not None
    assert store.get(digest("a"), NOW + 10.0) is None
    assert (store.figures.entries, store.figures.bytes) == (0, 0)
    assert store.figures.evictions["expired"] == 1
    assert (store.figures.hits, store.figures.misses) == (1, 1)


@everyone
def test_expired_ones_go_as_others_come(policy: str) -> None:
    """Nobody need ask for them: a few puts take away many that have expired."""
    store = MemoryStore(1000 * ONE, policy)
    for number in range(80):
        store.put(digest(number), entry(lasts_s=10.0 + number / 10), NOW)
    for number in range(15):
        store.put(digest(f"new {number}"), entry(now=NOW + 60.0), NOW + 60.0)
    assert store.figures.entries == 15
    assert store.figures.evictions["expired"] == 80


@everyone
def test_what_comes_expired_is_not_taken(policy: str) -> None:
    """And what it was to replace goes."""
    store = MemoryStore(10 * ONE, policy)
    store.put(digest("a"), entry(), NOW)
    assert not store.put(digest("a"), entry(lasts_s=0.0), NOW)
    assert store.get(digest("a"), NOW) is None


@everyone
def test_larger_than_all_is_rejected(policy: str) -> None:
    """It pushes nobody out."""
    store = MemoryStore(10 * ONE, policy)
    store.put(digest("a"), entry(), NOW)
    assert not store.put(digest("b"), entry(100 * ONE), NOW)
    assert store.figures.evictions["rejected"] == 1
    assert store.get(digest("a"), NOW) is not None


@everyone
def test_room_is_made(policy: str) -> None:
    """As many go as are needed, and are counted."""
    store = MemoryStore(10 * ONE, policy)
    for number in range(25):
        assert store.put(digest(number), entry(), NOW)
    assert store.figures.entries == 10
    assert store.figures.evictions["size"] == 15


@everyone
def test_who_made_room_is_forgotten_by_the_sweep(policy: str) -> None:
    """An entry that went before its time is not missed when its time comes."""
    store = MemoryStore(2 * ONE, policy)
    for number in range(5):
        store.put(digest(number), entry(lasts_s=5.0), NOW)
    later = NOW + 60.0
    assert store.put(digest(0), entry(now=later), later)
    assert store.put(digest(5), entry(now=later), later)
    assert store.figures.entries == 2
    assert (store.figures.evictions["size"], store.figures.evictions["expired"]) == (3, 2)


@everyone
def test_delete_says_whether_and_counts_why(policy: str) -> None:
    """One that is not there is not deleted."""
    store = MemoryStore(10 * ONE, policy)
    store.put(digest("a"), entry(), NOW)
    assert store.delete(digest("a"), "corrupt")
    assert not store.delete(digest("a"), "corrupt")
    assert store.figures.evictions["corrupt"] == 1


@everyone
def test_purge_takes_what_matches(policy: str) -> None:
    """By route, by model, by digest, all given together, or everything."""
    store = MemoryStore(100 * ONE, policy)
    for route in ("chat", "embed"):
        for model in ("x", "y"):
            store.put(digest((route, model)), entry(route=route, model=model), NOW)
    assert store.purge(Purge(route="chat", model="x")) == 1
    assert store.purge(Purge(digest=digest(("chat", "y")), route="embed")) == 0
    assert store.purge(Purge(digest=digest(("chat", "y")))) == 1
    assert store.purge(Purge(model="y")) == 1
    assert {where for where, _ in store.items()} == {digest(("embed", "x"))}
    assert store.purge(Purge()) == 1
    assert store.figures.evictions["purged"] == 4
    assert (store.figures.entries, store.figures.bytes) == (0, 0)


@everyone
def test_items_end_with_the_most_used(policy: str) -> None:
    """For a snapshot, those worth keeping most come last; taking entries out meanwhile does no harm."""
    store = MemoryStore(20 * ONE, policy)
    for number in range(10):
        store.put(digest(number), entry(), NOW)
    for _ in range(3):
        store.get(digest(4), NOW)
    for number in range(10, 25):
        store.put(digest(number), entry(), NOW)
    items, order = store.items(), []
    for where, _ in items:
        order.append(where)
        store.delete(where, "purged")
    assert len(order) == len(set(order)) == 20
    if policy == "lru":
        assert order[-1] == digest(24)
    else:
        assert order[-1] == digest(4)


def test_an_unknown_policy_is_refused() -> None:
    """The message names those there are."""
    with pytest.raises(ValueError, match="cost, lru, lfu"):
        MemoryStore(1000, "fifo")


class Walk(RuleBasedStateMachine):
    """The store beside a dict that forgets nothing: what may be given, and what the figures must say."""

    policy = "cost"

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.store = MemoryStore(5 * ONE, self.policy)
        self.last: dict[bytes, Entry] = {}
        self.gets = 0
        self.puts = 0

    names = st.integers(0, 9)

    @rule(
        name=names,
        size=st.sampled_from([0, 100, 100, 100, 3000, 5 * ONE]),
        cost_s=st.sampled_from([0.0, 0.1, 1.0, 30.0]),
        lasts_s=st.sampled_from([0.0, 0.5, 5.0, 600.0, 5000.0, float("inf")]),
    )
    def put(self, name: int, size: int, cost_s: float, lasts_s: float) -> None:
        new = entry(size, cost_s, lasts_s, self.now, route=f"r{name % 2}")
        self.puts += 1
        self.last.pop(digest(name), None)
        if self.store.put(digest(name), new, self.now):
            assert new.expires_at > self.now
            self.last[digest(name)] = new
            assert self.store.get(digest(name), self.now) is new
            self.gets += 1

    @rule(name=names)
    def get(self, name: int) -> None:
        self.gets += 1
        got = self.store.get(digest(name), self.now)
        if got is not None:
            assert got is self.last[digest(name)]
            assert got.expires_at > self.now

    @rule(name=names)
    def delete(self, name: int) -> None:
        was = self.store.figures.entries
        assert self.store.delete(digest(name), "purged") == (self.store.figures.entries < was)
        self.last.pop(digest(name), None)

    @rule(route=st.sampled_from(["r0", "r1"]))
    def purge(self, route: str) -> None:
        self.store.purge(Purge(route=route))
        assert all(found.route != route for _, found in self.store.items())
        self.last = {where: one for where, one in self.last.items() if one.route != route}

    @rule(moved=st.sampled_from([0.3, 1.0, 7.0, 700.0, 3000.0, -20.0, -5000.0]))
    def pass_time(self, moved: float) -> None:
        self.now += moved

    @invariant()
    def never_above_the_bound(self) -> None:
        assert 0 <= self.store.figures.bytes <= self.store.max_bytes

    @invariant()
    def figures_agree(self) -> None:
        figures, items = self.store.figures, list(self.store.items())
        assert figures.entries == len(items)
        assert figures.bytes == sum(one.size for _, one in items)
        assert all(self.last[where] is one for where, one in items)
        assert figures.hits + figures.misses == self.gets
        assert figures.entries + sum(figures.evictions.values()) == self.puts


def walk(policy: str) -> Any:
    """A test case over the policy."""
    made = type(f"Walk_{policy}", (Walk,), {"policy": policy}).TestCase
    made.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
    return made


TestCostWalk = walk("cost")
TestLruWalk = walk("lru")
TestLfuWalk = walk("lfu")
