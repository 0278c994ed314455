"""Lowest expected time for the weight, inside a guard that gives way. Ties: test_policies_exact.py."""

import random
from collections import Counter
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.balancing.context import PickContext
from gateway.balancing.least_latency import GUARD, GUARD_STREAMS, LIFT, LeastLatency
from tests.unit.balancing.views import View, context, picked


def pick(*candidates: View, seed: int = 1) -> str:
    return LeastLatency().pick(candidates, context(seed)).name


def view(name: str, expected: float, in_flight: int = 0, weight: float = 1.0) -> View:
    return View(name, in_flight=in_flight, weight=weight, expected=expected)


def test_the_soonest_wins_however_many_it_has() -> None:
    """Two in flight of an average of one and a third are within 1.2 x 4/3 + 1."""
    assert pick(view("a", 0.1, 2), view("b", 0.2, 1), view("c", 0.2, 1)) == "a"


@pytest.mark.parametrize(("in_flight", "inside"), [(3, True), (4, False)])
def test_who_has_much_more_than_the_average_is_not_asked(in_flight: int, inside: bool) -> None:
    """Beside 2 and 0: of 3 the average is 5/3 and 3.0 the most, of 4 it is 2 and 3.4."""
    candidates = [view("a", 0.1, in_flight), view("b", 0.2, 2), view("c", 0.3, 0)]
    assert pick(*candidates) == ("a" if inside else "b")


def test_exactly_the_most_is_not_too_much() -> None:
    """Of 20 in two 1.2 x 10 + 1 = 13 are allowed, 14 are not."""
    assert GUARD == 1.2
    assert pick(view("a", 0.1, 13), view("b", 0.2, 7)) == "a"
    assert pick(view("a", 0.1, 14), view("b", 0.2, 6)) == "b"


def test_streams_may_lie_further_apart() -> None:
    """Of 20 in two 1.8 x 10 + 1 = 19 are allowed where a stream is asked for; scores say so too."""
    assert GUARD_STREAMS == 1.8
    at = PickContext(10.0, random.Random(1), stream=True)
    for in_flight, name in ((19, "a"), (20, "b")):
        candidates = [view("a", 0.1, in_flight), view("b", 0.2, 20 - in_flight)]
        assert LeastLatency().pick(candidates, at).name == name
        assert LeastLatency().scores(candidates, at)[0]["guard"] == 19.0


def test_weights_widen_the_guard() -> None:
    """Of weights 3 and 1, with 8 at the other, the first may have 3 x (1.2 x (n + 8)/4 + 1/2) = n: 87."""
    assert pick(view("a", 0.3, 86, weight=3.0), view("b", 0.2, 8)) == "a"
    assert pick(view("a", 0.3, 88, weight=3.0), view("b", 0.2, 8)) == "b"


def test_slow_start_narrows_the_guard_and_nothing_else() -> None:
    """A newcomer is as quick as it is, but has one at a time where its peers have ten."""
    new = View("c", weight=0.1, expected=0.1)
    new.base_weight = 1.0
    peers = [view("a", 0.2, 10), view("b", 0.2, 10)]
    assert pick(*peers, new) == "c"
    new.in_flight = 2  # 0.1 x (1.2 x 22/2.1 + 1/0.7)
    assert pick(*peers, new) in "ab"


def test_one_who_has_nothing_is_always_asked() -> None:
    """However little its weight."""
    new = View("c", weight=1e-6, expected=1e-9)
    new.base_weight = 1e-5
    assert pick(view("a", 0.2), view("b", 0.2), new) == "c"


@pytest.mark.parametrize(("dead", "chosen"), [(0.39, "dead"), (0.41, "busy")])
def test_the_guard_gives_way_where_nobody_inside_is_any_good(dead: float, chosen: str) -> None:
    """Who fails at once has nothing in flight: four times slower than a busy one, he gets no more."""
    assert LIFT == 4.0
    assert pick(view("busy", 0.1, 9), view("dead", dead)) == chosen


def test_behind_the_guard_the_best_one_inside_counts() -> None:
    """One good backend inside keeps it up, though another one there is dead."""
    assert pick(view("busy", 0.1, 30), view("dead", 100.0), view("slow", 0.3, 5)) == "slow"


def test_ties_inside_are_even_and_those_outside_are_left_out() -> None:
    """Of four with the same expectation, one of them too busy, three share."""
    candidates = [view("a", 0.1), view("b", 0.1, 20), view("c", 0.1), view("d", 0.1)]
    at = context()
    counts = Counter(LeastLatency().pick(candidates, at).name for _ in range(3000))
    assert counts.keys() == {"a", "c", "d"}
    assert all(900 < count < 1100 for count in counts.values())


def test_equal_backends_are_filled_evenly() -> None:
    """A hundred at once, each expected to wait for those before it: ten backends have ten each."""
    candidates = [View(f"b{number}") for number in range(10)]
    at = context()
    for _ in range(100):
        picked(LeastLatency().pick(candidates, at)).in_flight += 1
    assert {candidate.in_flight for candidate in candidates} == {10}


def test_terms_are_what_the_pick_went_by() -> None:
    """Expectation, guard and weight of each; the score of those behind the guard is infinite …"""
    candidates = [view("a", 0.1, 9), view("b", 0.2, 1), view("c", 0.6, 0, weight=2.0)]
    most = GUARD * 10 / 4 + 3 / 4
    assert LeastLatency().scores(candidates, context()) == [
        {"score": inf, "latency_s": 0.1, "in_flight": 9, "weight": 1.0, "expected_s": 0.1, "guard": most},
        {"score": 0.2, "latency_s": 0.1, "in_flight": 1, "weight": 1.0, "expected_s": 0.2, "guard": most},
        {"score": 0.3, "latency_s": 0.1, "in_flight": 0, "weight": 2.0, "expected_s": 0.6, "guard": 2 * most},
    ]


def test_terms_show_when_the_guard_gave_way() -> None:
    """… unless it has: then the busy one's score is the lowest."""
    rows = LeastLatency().scores([view("busy", 0.1, 9), view("dead", 50.0)], context())
    assert [row["score"] for row in rows] == [0.1, 50.0]


_views = st.lists(
    st.tuples(st.floats(1e-4, 1e4), st.integers(0, 30), st.sampled_from([0.1, 0.5, 1.0, 3.0])),
    min_size=1,
    max_size=12,
)


@given(_views)
def test_scores_and_pick_say_the_same(facts: list[tuple[float, int, float]]) -> None:
    """The one picked has the lowest score, it is inside the guard or much better than all that are, and
    somebody always is inside."""
    candidates = [view(f"b{number:02}", *fact) for number, fact in enumerate(facts)]
    chosen = picked(LeastLatency().pick(candidates, context()))
    rows = LeastLatency().scores(candidates, context())
    scores = [row["score"] for row in rows]
    assert scores[candidates.index(chosen)] == min(score for score in scores if score is not None) < inf
    in_flight, weight = sum(v.in_flight for v in candidates), sum(v.weight for v in candidates)
    most = GUARD * in_flight / weight + len(candidates) / weight
    inside = [v for v in candidates if v.in_flight <= most * v.weight or not v.in_flight]
    assert inside
    times = {v.name: (v.expected or 0.0) / v.weight for v in candidates}
    best_inside = min(times[v.name] for v in inside)
    if chosen in inside:
        assert times[chosen.name] == best_inside
    else:
        assert times[chosen.name] * LIFT < best_inside
        assert times[chosen.name] == min(times.values())


def test_it_is_asked_about_full_backends_too() -> None:
    """That waiting may be quicker is for this policy to say."""
    assert LeastLatency.patient
