"""What every policy in the registry keeps to; a new one is tested by being registered."""

import gc
import heapq
import random
import weakref
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.balancing.policy import BackendView, PickContext, Policy, PolicyOptions
from gateway.pool.ewma import PeakEwma
from gateway.registry import POLICIES
from tests.unit.balancing.views import View, context, fleet

Make = Callable[[PolicyOptions], Policy]
OPTIONS = PolicyOptions()
every_policy = pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES.keys())

#: Policies whose pick is left to chance: the lowest score is only the likeliest.
CHANCE = {"random", "p2c_ewma"}
#: Policies for which a slow backend is another than a fast one.
BY_LATENCY = ["least_latency", "peak_ewma", "p2c_ewma", "prequal", "prefix_aware"]

views = st.lists(
    st.builds(
        View,
        st.text("abcdef0123456789", min_size=1, max_size=8),
        st.none() | st.floats(1e-6, 600.0),
        st.integers(0, 1000),
        st.floats(0.01, 1000.0),
        st.just(1 << 30) | st.integers(1, 1000),
    ),
    min_size=1,
    max_size=20,
    unique_by=lambda view: view.name,
).map(lambda found: sorted(found, key=lambda view: view.name))

contexts = st.builds(
    lambda now, seed, tried, key, prefixes: PickContext(
        now, random.Random(seed), tried, key=key, prefixes=prefixes
    ),
    st.floats(0.0, 1e6),
    st.integers(),
    st.lists(st.text(max_size=3)).map(tuple),
    st.none() | st.integers(0, 2**64 - 1),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=8).map(tuple),
)


def tally(policy: Policy, candidates: Sequence[View], picks: int, hold: int) -> Counter[str]:
    """How often each is picked; a pick stays in flight for the next `hold`."""
    at = PickContext(1.0, random.Random(7))
    counts: Counter[str] = Counter()
    held: list[View] = []
    by_name = {view.name: view for view in candidates}
    for _ in range(picks):
        view = by_name[policy.pick(candidates, at).name]
        counts[view.name] += 1
        view.in_flight += 1
        held.append(view)
        if len(held) > hold:
            held.pop(at.rng.randrange(len(held))).in_flight -= 1
    return counts


# What is asked and what is answered.


@every_policy
@given(candidates=views, at=contexts)
def test_picks_a_candidate_and_changes_none(make: Make, candidates: list[View], at: PickContext) -> None:
    """Whatever latency, load and weight: one of those given, several times in a row, none written to."""
    policy = make(OPTIONS)
    before = [view.facts() for view in candidates]
    for _ in range(3):
        picked = policy.pick(candidates, at)
        assert any(picked is view for view in candidates)
    assert [view.facts() for view in candidates] == before


@every_policy
def test_a_single_candidate_is_taken(make: Make) -> None:
    """However loaded, slow or light it is."""
    only = View("a", 500.0, in_flight=10_000, weight=0.001)
    for at in (context(), context(key=1, prefixes=(1, 2))):
        assert make(OPTIONS).pick([only], at) is only


@every_policy
def test_no_candidate_is_kept(make: Make) -> None:
    """After the call nothing holds the candidates: what is known of a backend belongs to the pool."""
    policy = make(OPTIONS)
    candidates = [View("a"), View("b", None), View("c", 0.3)]
    for key in (None, 1, 2, 3, 4):
        at = context(key=key, prefixes=(1, 2, 3))
        policy.pick(candidates, at)
        policy.scores(candidates, at)
    gone = [weakref.ref(view) for view in candidates]
    del candidates
    gc.collect()
    assert [ref() for ref in gone] == [None, None, None]


@every_policy
@given(candidates=views, at=contexts)
def test_scores_explain_each_candidate(make: Make, candidates: list[View], at: PickContext) -> None:
    """In the order given, with score and terms as numbers; twice the same, for asking changes nothing."""
    policy = make(OPTIONS)
    dice = at.rng.getstate()
    scores = policy.scores(candidates, at)
    assert len(scores) == len(candidates)
    for row, view in zip(scores, candidates, strict=True):
        assert {"score", "latency_s", "in_flight", "weight"} <= set(row)
        assert row["score"] is not None
        assert (row["in_flight"], row["weight"]) == (view.in_flight, view.weight)
    assert policy.scores(candidates, at) == scores
    assert at.rng.getstate() == dice


@pytest.mark.parametrize("name", sorted(set(POLICIES) - CHANCE))
@given(candidates=views, at=contexts)
def test_the_pick_has_the_lowest_score(name: str, candidates: list[View], at: PickContext) -> None:
    """What the scores say is what happens, the first time and with what the first pick left behind."""
    policy = POLICIES[name](OPTIONS)
    for _ in range(2):
        scores = [row["score"] for row in policy.scores(candidates, at)]
        picked = policy.pick(candidates, at)
        assert scores[[view.name for view in candidates].index(picked.name)] == min(scores)  # type: ignore[type-var]


@every_policy
def test_the_same_seed_makes_the_same_picks(make: Make) -> None:
    """With keys and prefixes, while backends come and go: chance comes from the context alone."""

    def picks() -> list[str]:
        policy, at, world = make(OPTIONS), context(seed=11), random.Random(5)
        names = []
        for _ in range(300):
            candidates = sorted(
                world.sample(fleet(150), world.choice((1, 5, 140))), key=lambda view: view.name
            )
            at.key = world.choice((None, world.getrandbits(64)))
            at.prefixes = tuple(range(world.randrange(6)))
            names.append(policy.pick(candidates, at).name)
        return names

    assert picks() == picks()


def test_registered_names_are_those_of_the_manual() -> None:
    """The names users write in `policy:`."""
    assert {*BY_LATENCY, "least_requests", "consistent_hash", "round_robin", "random"} <= set(POLICIES)


class Watched(View):
    """Counts how often anything of it is read."""

    __slots__ = ()
    reads = 0

    def __getattribute__(self, name: str) -> object:
        Watched.reads += 1
        return super().__getattribute__(name)


def reads(policy: Policy, count: int) -> int:
    """Of `count` candidates, by a hundred picks once the policy has met them all."""
    candidates = [Watched(f"b{number:04}") for number in range(count)]
    at = context()
    for number in range(200):
        if number == 100:
            Watched.reads = 0
        at.key, at.prefixes = at.rng.getrandbits(64), (1, 2, number)
        policy.pick(candidates, at)
    return Watched.reads


@every_policy
def test_a_pick_among_a_thousand_costs_little_more_than_one_among_a_hundred(make: Make) -> None:
    """Not twice as much is looked at."""
    assert 0 < reads(make(OPTIONS), 1000) <= 2 * reads(make(OPTIONS), 100)


# Shares.


@every_policy
def test_weights_are_honoured(make: Make) -> None:
    """Alike but for weights 1, 2, 3: shares of a sixth, a third and a half, within two points.

    With hundreds in flight: of a few, whole requests are too coarse a measure.
    """
    candidates = [View("a", weight=1.0), View("b", weight=2.0), View("c", weight=3.0)]
    counts = tally(make(OPTIONS), candidates, 6000, hold=400)
    for view in candidates:
        assert abs(counts[view.name] / 6000 - view.weight / 6) < 0.02, counts


@every_policy
def test_no_place_is_favoured(make: Make) -> None:
    """Idle and alike, each gets its quarter, within three points: the first no more than the last."""
    counts = tally(make(OPTIONS), fleet(4), 4000, hold=0)
    assert all(abs(count / 4000 - 0.25) < 0.03 for count in counts.values()), counts


@every_policy
def test_a_large_pool_shares_too(make: Make) -> None:
    """Among 300, of which not all are looked at each time, each gets between half and twice its part."""
    counts = tally(make(OPTIONS), fleet(300), 18_000, hold=600)
    assert len(counts) == 300
    assert min(counts.values()) > 30, min(counts.values())
    assert max(counts.values()) < 120, max(counts.values())


@pytest.mark.parametrize("name", sorted(set(POLICIES) - {"p2c_ewma"}))  # who is not drawn cannot be chosen
def test_weights_are_honoured_in_a_large_pool(name: str) -> None:
    """Every fourth of 200 has three times the weight of the others: half of the work, within three points."""
    candidates = fleet(200)
    for view in candidates[::4]:
        view.weight = view.base_weight = 3.0
    counts = tally(POLICIES[name](OPTIONS), candidates, 20_000, hold=4000)
    heavy = sum(counts[view.name] for view in candidates[::4])
    assert abs(heavy / 20_000 - 0.5) < 0.03, heavy


# In a small world where latency follows load.

SLOTS = 4
MEAN_WORK_S = 0.2


class Server(View):
    """Four slots and a queue, `slowness` times the work of others; latency is the gateway's own estimate."""

    __slots__ = ("ewma", "free", "peers", "slowness")

    def __init__(self, name: str, slowness: float, peers: "list[Server]") -> None:
        super().__init__(name)
        self.slowness = slowness
        self.free = [0.0] * SLOTS
        self.ewma = PeakEwma()
        self.peers = peers

    def latency_s(self, now: float) -> float | None:
        known = sorted(peer.ewma.value_s for peer in self.peers if peer.ewma.value_s is not None)
        return self.ewma.value_at(now, known[(len(known) - 1) // 2] if known else None)

    def expected_s(self, now: float, context: PickContext) -> float:
        latency = self.latency_s(now)
        return (MEAN_WORK_S if latency is None else latency) * (self.in_flight + 1)

    def serve(self, now: float, work: float) -> float:
        """When a request that comes now has its answer."""
        end = max(now, heapq.heappop(self.free)) + work * self.slowness
        heapq.heappush(self.free, end)
        return end


def simulate(
    make: Make,
    slowness: dict[str, float],
    load: float,
    absent: Callable[[str, float], bool] = lambda name, now: False,
    seconds: float = 100.0,
) -> list[tuple[float, str]]:
    """(arrival, backend) of each request: Poisson at `load` x what the servers can do, with a conversation's
    key and prompt each. `absent(name, now)` leaves a backend out of the candidates.
    """
    rng, at = random.Random(17), PickContext(0.0, random.Random(18))
    policy = make(OPTIONS)
    servers: list[Server] = []
    servers += [Server(name, factor, servers) for name, factor in slowness.items()]
    rate = load * sum(SLOTS / (MEAN_WORK_S * factor) for factor in slowness.values())
    turns = [rng.randrange(8) for _ in range(200)]
    ends: list[tuple[float, int, float, Server]] = []
    picks = []
    now = 0.0
    while now < seconds:
        now += rng.expovariate(rate)
        while ends and ends[0][0] <= now:
            end, _, started, server = heapq.heappop(ends)
            server.in_flight -= 1
            server.ewma.observe(end - started, end)
        talk = rng.randrange(len(turns))
        turns[talk] = turns[talk] % 8 + 1
        at.now, at.key = now, talk * 0x9E3779B97F4A7C15 % 2**64
        # All begin with the same system prompt of two blocks.
        at.prefixes = (-1, -2, *[talk * 100 + turn for turn in range(turns[talk])])
        server = policy.pick([one for one in servers if not absent(one.name, now)], at)  # type: ignore[assignment]
        server.in_flight += 1
        work = max(0.01, rng.gauss(MEAN_WORK_S, MEAN_WORK_S / 2))
        heapq.heappush(ends, (server.serve(now, work), len(picks), now, server))
        picks.append((now, server.name))
    return picks


def share(picks: list[tuple[float, str]], name: str, start: float, end: float) -> float:
    inside = [backend for arrival, backend in picks if start <= arrival < end]
    return inside.count(name) / len(inside)


@every_policy
def test_equal_backends_share_equally(make: Make) -> None:
    """At 70 % of capacity each of four gets between half and twice its part."""
    picks = simulate(make, dict.fromkeys("abcd", 1.0), load=0.7)
    for name in "abcd":
        assert 0.125 < share(picks, name, 10.0, 100.0) < 0.5


@pytest.mark.parametrize("policy", BY_LATENCY)
def test_a_slow_backend_gets_little_but_not_nothing(policy: str) -> None:
    """Four times as slow as its three peers: less than a thirteenth, which is its part of what all can do,
    but asked again within every half minute.
    """
    picks = simulate(POLICIES[policy], {"a": 1.0, "b": 1.0, "c": 1.0, "d": 4.0}, load=0.6)
    assert share(picks, "d", 10.0, 100.0) < 1 / 13
    for start in (10.0, 40.0, 70.0):
        assert share(picks, "d", start, start + 30.0) > 0.0


@every_policy
def test_who_goes_by_slowness_leaves_the_slow_ones_alone(make: Make) -> None:
    """Whatever the weight: a pool trusts those policies with backends that may be cold."""
    policy = make(OPTIONS)
    if policy.by_slowness:
        cold = [View("a", expected=1.0, weight=0.3), View("b", expected=1.0), View("c", expected=0.2)]
        assert {policy.pick(cold, context(seed)).name for seed in range(20)} == {"c"}


@every_policy
def test_a_backend_that_went_and_came_back_has_its_part_again(make: Make) -> None:
    """Gone from 30 s to 50 s it gets nothing; then between half and twice its part."""

    def absent(name: str, now: float) -> bool:
        return name == "b" and 30.0 <= now < 50.0

    picks = simulate(make, dict.fromkeys("abcd", 1.0), load=0.5, absent=absent)
    assert share(picks, "b", 30.0, 50.0) == 0.0
    assert 0.125 < share(picks, "b", 55.0, 100.0) < 0.5


@every_policy
def test_candidates_may_change_between_picks(make: Make) -> None:
    """Backends come and go under ever new names; each pick is among those given then."""
    policy, at = make(OPTIONS), context(seed=3)
    for generation in range(40):
        old = [View(f"{generation:03}-{number}") for number in range(12)]
        for _ in range(20):
            candidates: list[BackendView] = sorted(
                at.rng.sample(old, at.rng.randint(1, 12)), key=lambda view: view.name
            )
            at.now += 30.0
            at.key, at.prefixes = at.rng.getrandbits(64), (1, 2, at.rng.randrange(5))
            picked = policy.pick(candidates, at)
            assert any(picked is view for view in candidates)
