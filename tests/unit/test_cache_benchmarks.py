"""Do the cache benchmarks count rightly? The offline optimum, the bound, the traces."""

import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import cache_ratio
from benchmarks.rig import offline, traces

few_keys = st.lists(st.integers(0, 4), min_size=1, max_size=9)


def best(keys: list[int], sizes: dict[int, int], costs: dict[int, float], room: int) -> float:
    """What the best of all ways to keep saves, by trying all: each hit needs its key kept all the way."""
    spans = [(at, use) for at, use in enumerate(offline.next_uses(keys)) if use != offline.NEVER]
    top = 0.0
    for count in range(len(spans) + 1):
        for chosen in combinations(spans, count):
            # Between request t and t + 1 the kept ones must fit.
            if all(
                sum(sizes[keys[at]] for at, use in chosen if at <= moment < use) <= room
                for moment in range(len(keys))
            ):
                top = max(top, sum(costs[keys[at]] for at, _ in chosen))
    return top / sum(costs[key] for key in keys)


@given(few_keys, st.integers(1, 3))
def test_belady_is_the_best_of_all_ways(keys: list[int], room: int) -> None:
    """As many hits as trying everything finds."""
    ones = dict.fromkeys(keys, 1)
    found = best(keys, ones, dict.fromkeys(keys, 1.0), room)
    assert offline.belady(keys, room) == pytest.approx(found)


@given(few_keys, st.integers(1, 6))
def test_no_way_saves_more_than_the_bound(keys: list[int], room: int) -> None:
    """The bound is at or above the best that trying everything finds."""
    sizes = {key: 1 + key % 3 for key in keys}
    costs = {key: 1.0 + key for key in keys}
    assert offline.most_saved(keys, sizes, costs, room) >= best(keys, sizes, costs, room) - 1e-9


@pytest.mark.parametrize("name", traces.UNIT)
def test_traces_are_the_same_for_the_same_seed(name: str) -> None:
    """As many requests as asked for, none of a negative key."""
    trace = traces.UNIT[name]
    keys = trace(random.Random(5), 3000)
    assert keys == trace(random.Random(5), 3000)
    assert len(keys) == 3000
    assert min(keys) >= 0


def test_lru_in_the_benchmark_is_lru() -> None:
    """The gateway's store, run by the benchmark, hits as often as a plain list in order of use."""
    keys = traces.zipf(random.Random(1), 50, 0.9, 2000)
    held: list[int] = []
    hits = 0
    for key in keys:
        if key in held:
            hits += 1
            held.remove(key)
        held = [*held, key][-10:]
    ratio, _ = cache_ratio.ours("lru", keys, None, 10 * cache_ratio.entry(cache_ratio.ONE).size)
    assert ratio == hits / len(keys)
