"""Few of many candidates: all different, all equally likely; the one of a name; the lowest."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.balancing.sample import FULL_SCAN, SAMPLE, find, lowest, sampled
from tests.unit.balancing.views import View, fleet


@pytest.mark.parametrize("count", [1, 2, FULL_SCAN])
def test_up_to_the_full_scan_all_are_looked_at(count: int) -> None:
    """The candidates themselves, without throwing dice."""
    candidates, rng = fleet(count), random.Random(1)
    before = rng.getstate()
    assert sampled(candidates, rng) is candidates
    assert rng.getstate() == before


@given(count=st.integers(FULL_SCAN + 1, 2000), seed=st.integers())
def test_above_it_a_sample_is(count: int, seed: int) -> None:
    """Thirty-two different candidates, whatever their number."""
    candidates = fleet(count)
    drawn = sampled(candidates, random.Random(seed))
    assert len(drawn) == SAMPLE == len({view.name for view in drawn})
    assert {view.name for view in drawn} <= {view.name for view in candidates}


@pytest.mark.parametrize("count", [129, 159, 1000])
def test_each_is_as_likely_as_any_other(count: int) -> None:
    """Also where the number is no multiple of 32: within six standard deviations of the mean."""
    candidates, rng = fleet(count), random.Random(1)
    rounds = 200 * count // SAMPLE
    counts = Counter(view.name for _ in range(rounds) for view in sampled(candidates, rng))
    assert len(counts) == count
    assert all(abs(times - 200) < 6 * 200**0.5 for times in counts.values()), counts


@given(names=st.sets(st.text(max_size=4), min_size=1, max_size=40), other=st.text(max_size=4))
def test_a_candidate_is_found_by_its_name(names: set[str], other: str) -> None:
    """Each that is there, and no other."""
    candidates = [View(name) for name in sorted(names)]
    assert all(find(candidates, view.name) is view for view in candidates)
    assert (find(candidates, other) is None) == (other not in names)


def test_the_lowest_is_taken_and_equals_in_turn_of_chance() -> None:
    """The only lowest at once; three equal ones a third each, within three points."""
    candidates, rng = fleet(4), random.Random(1)
    assert lowest(candidates, [3.0, 1.0, 2.0, 1.5], rng) is candidates[1]
    counts = Counter(lowest(candidates, [1.0, 2.0, 1.0, 1.0], rng).name for _ in range(3000))
    assert counts["b0001"] == 0
    assert all(abs(counts[name] - 1000) < 90 for name in ("b0000", "b0002", "b0003"))
