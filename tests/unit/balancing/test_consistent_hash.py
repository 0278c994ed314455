"""A key's own backend, until it has more than its part."""

import random
from collections import Counter
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.balancing.consistent_hash import ConsistentHash
from gateway.balancing.policy import PickContext
from tests.unit.balancing.views import View, context, fleet, picked

KEYS = [random.Random(number).getrandbits(64) for number in range(2000)]


def homes(policy: ConsistentHash, candidates: list[View]) -> dict[int, str]:
    return {key: policy.pick(candidates, context(key=key)).name for key in KEYS}


def test_a_key_has_a_home() -> None:
    """Idle, each key always goes to the same backend, all have keys, and a second gateway agrees."""
    candidates, policy = fleet(10), ConsistentHash()
    first = homes(policy, candidates)
    assert homes(policy, candidates) == first == homes(ConsistentHash(), candidates)
    assert len(set(first.values())) == 10


def test_a_backend_that_leaves_moves_only_its_own_keys() -> None:
    """They go to several others; all the rest stay, and on its return everything is as it was."""
    candidates, policy = fleet(10), ConsistentHash()
    before = homes(policy, candidates)
    without = homes(policy, candidates[:3] + candidates[4:])
    assert {before[key] for key in KEYS if without[key] != before[key]} == {"b0003"}
    assert len({without[key] for key in KEYS if before[key] == "b0003"}) > 3
    assert homes(policy, candidates) == before


def test_a_newcomer_takes_its_part_and_no_more() -> None:
    """The eleventh gets about an eleventh of the keys; no key moves between the ten."""
    policy = ConsistentHash()
    before = homes(policy, fleet(10))
    after = homes(policy, fleet(11))
    assert {after[key] for key in KEYS if after[key] != before[key]} == {"b0010"}
    assert 0.05 < sum(after[key] != before[key] for key in KEYS) / len(KEYS) < 0.14


@pytest.mark.parametrize("balance", [1.01, 1.25, 2.0])
@pytest.mark.parametrize("weights", [(1.0,) * 8, (1.0, 2.0, 4.0, 1.0)])
def test_nobody_has_more_than_balance_times_its_part(balance: float, weights: tuple[float, ...]) -> None:
    """All with one key: it fills its home up to the bound, then the next, whatever their weights."""
    candidates = [View(f"b{number}", weight=weight) for number, weight in enumerate(weights)]
    policy = ConsistentHash(balance)
    for total in range(1, 400):
        view = picked(policy.pick(candidates, context(key=7)))
        view.in_flight += 1
        assert view.in_flight <= ceil(balance * total * view.weight / sum(weights) + 1e-9)


def test_a_heavy_home_has_room_for_its_part() -> None:
    """Five of seven in flight, at three quarters of the weight: eight may be. Not twenty of twenty."""
    light, heavy = View("a", in_flight=2), View("b", in_flight=5, weight=3.0)
    policy = ConsistentHash()
    own = [
        key for key in KEYS if policy.pick([View("a"), View("b", weight=3.0)], context(key=key)).name == "b"
    ]
    assert all(policy.pick([light, heavy], context(key=key)) is heavy for key in own)
    heavy.in_flight, light.in_flight = 20, 0
    assert all(policy.pick([light, heavy], context(key=key)) is light for key in own)


def test_the_neighbour_of_a_busy_home_is_always_the_same() -> None:
    """A key whose home is over its part goes to the next on the ring, and back once there is room."""
    candidates, policy = fleet(10), ConsistentHash()
    home = picked(policy.pick(candidates, context(key=5)))
    home.in_flight = 20
    seconds = {policy.pick(candidates, context(seed, key=5)).name for seed in range(20)}
    assert len(seconds) == 1
    assert seconds != {home.name}
    home.in_flight = 0
    assert policy.pick(candidates, context(key=5)) is home


def test_without_a_key_the_fewest_requests_decide() -> None:
    """A request that has nothing to go by goes to who has least to do."""
    candidates = [View("a", in_flight=2), View("b", in_flight=1), View("c", in_flight=3)]
    assert ConsistentHash().pick(candidates, context()).name == "b"


def test_shares_follow_weights() -> None:
    """Many keys in flight over weights 1, 2, 3: a sixth, a third, a half, within five points."""
    candidates = [View("a"), View("b", weight=2.0), View("c", weight=3.0)]
    policy, rng = ConsistentHash(), random.Random(1)
    counts = Counter(policy.pick(candidates, context(key=rng.getrandbits(64))).name for _ in range(4000))
    for view in candidates:
        assert abs(counts[view.name] / 4000 - view.weight / 6) < 0.05, counts


def test_a_large_pool_is_on_the_ring_from_the_first_pick() -> None:
    """Though only some of 1000 are looked at each time, keys are at home from the first request on."""
    candidates = fleet(1000)
    policy = ConsistentHash()
    first = homes(policy, candidates)
    assert homes(policy, candidates) == first
    assert len(set(first.values())) > 800


def test_a_newcomer_in_a_large_pool_is_met_soon() -> None:
    """One of 300 is replaced: after some hundred picks its successor has keys."""
    candidates, policy = fleet(300), ConsistentHash()
    homes(policy, candidates)
    candidates[299] = View("b9999")
    for seed in range(200):
        policy.pick(candidates, context(seed, key=1))
    assert "b9999" in homes(policy, candidates).values()


def test_a_busy_home_in_a_large_pool_passes_on() -> None:
    """The bound goes by a sample there: ten times the average is above it in any."""
    candidates = fleet(500)
    for view in candidates:
        view.in_flight = 4
    policy = ConsistentHash()
    home = picked(policy.pick(candidates, context(key=5)))
    home.in_flight = 40
    assert all(policy.pick(candidates, context(seed, key=5)) is not home for seed in range(50))


@given(
    loads=st.lists(st.integers(0, 50), min_size=2, max_size=12),
    key=st.integers(0, 2**64 - 1),
    balance=st.floats(1.01, 3.0),
)
def test_the_score_is_the_place_in_the_keys_order(loads: list[int], key: int, balance: float) -> None:
    """Those with room before those without, each in the order of the ring; `room_for` says how many."""
    candidates = [View(f"b{number:02}", in_flight=load) for number, load in enumerate(loads)]
    policy, at = ConsistentHash(balance), PickContext(0.0, random.Random(1), key=key)
    rows = policy.scores(candidates, at)
    has_room = [view.in_flight < (row["room_for"] or 0.0) for view, row in zip(candidates, rows, strict=True)]
    scores = [row["score"] or 0.0 for row in rows]
    assert len(set(scores)) == len(scores)
    assert all(
        score < len(loads) if room else score > len(loads)
        for score, room in zip(scores, has_room, strict=True)
    )
    assert policy.pick(candidates, at) is candidates[scores.index(min(scores))]
    assert policy.scores(candidates, at) == rows


def test_names_that_are_gone_leave_the_ring() -> None:
    """New names every second, the old ones never seen again: those of some minutes stay."""
    policy = ConsistentHash()
    for second in range(2000):
        candidates = [View("b"), View(f"pod-{second:04}")]
        policy.pick(candidates, context(now=float(second), key=second))
    assert len(policy._ring) <= 300 + 60 + 2
