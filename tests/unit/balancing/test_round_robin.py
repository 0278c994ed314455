"""Turns: in proportion to weight, evenly interleaved, whoever comes and goes."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.balancing.policy import BackendView
from gateway.balancing.round_robin import NEWCOMERS, RoundRobin
from tests.unit.balancing.views import View, context, fleet


def turns(policy: RoundRobin, candidates: list[View], picks: int) -> str:
    return "".join(policy.pick(candidates, context()).name for _ in range(picks))


def test_turns_are_interleaved() -> None:
    """Weights 5, 1, 1: five of every seven, with the two others apart from one another."""
    assert turns(RoundRobin(), [View("a", weight=5.0), View("b"), View("c")], 21) == "aacaaba" * 3


@pytest.mark.parametrize("count", [2, 3, 7, 100, 1000])
def test_equal_backends_come_once_a_round(count: int) -> None:
    """In any round of n picks each of n, and always in the same order."""
    policy, candidates = RoundRobin(), fleet(count)
    rounds = [[policy.pick(candidates, context()).name for _ in range(count)] for _ in range(3)]
    assert sorted(rounds[0]) == [view.name for view in candidates]
    assert rounds[0] == rounds[1] == rounds[2]


@given(weights=st.lists(st.integers(1, 20), min_size=2, max_size=12))
def test_nobody_is_ever_far_from_its_part(weights: list[int]) -> None:
    """At every moment each has had its part of the turns, give or take two."""
    candidates = [View(f"{number:02}", weight=float(weight)) for number, weight in enumerate(weights)]
    policy, had = RoundRobin(), Counter[str]()
    for done in range(1, 3 * sum(weights)):
        had[policy.pick(candidates, context()).name] += 1
        for view in candidates:
            assert abs(had[view.name] - done * view.weight / sum(weights)) < 2.0


def test_an_absence_costs_nobody_else_a_turn() -> None:
    """While b is away a and c take turns; when it is back it has its own again."""
    a, b, c = View("a"), View("b"), View("c")
    policy = RoundRobin()
    assert turns(policy, [a, b, c], 6) == "acbacb"
    assert turns(policy, [a, c], 6) == "acacac"
    assert Counter(turns(policy, [a, b, c], 30)) == {"a": 10, "b": 10, "c": 10}


def test_newcomers_are_met_within_few_picks() -> None:
    """As many go as come, so the number tells nothing, and those that went have their turns in a long time:
    looking at a few each time finds all that came.
    """
    policy = RoundRobin()
    stay = fleet(30)
    went = [View(f"c{number}", weight=0.001) for number in range(10)]
    for _ in range(100):
        policy.pick(stay + went, context())
    now: list[View] = stay + [View(f"d{number}") for number in range(10)]
    for _ in range(len(now) // NEWCOMERS):
        policy.pick(now, context())
    counts = Counter(policy.pick(now, context()).name for _ in range(400))
    assert all(9 <= counts[view.name] <= 11 for view in now), counts


def test_names_that_are_gone_are_forgotten() -> None:
    """Backends that come and go under new names do not fill the memory: a few rounds' worth is there."""
    policy = RoundRobin()
    for number in range(1000):
        policy.pick([View("b"), View(f"pod-{number:04}")], context())
        assert len(policy._due) == len(policy._heap) <= 8


def test_a_new_weight_counts_from_the_next_turn_on() -> None:
    """From 1 to 3 beside a peer of 1: three of four turns."""
    a, b = View("a"), View("b")
    policy = RoundRobin()
    assert Counter(turns(policy, [a, b], 20)) == {"a": 10, "b": 10}
    a.weight = 3.0
    assert abs(Counter(turns(policy, [a, b], 400))["a"] - 300) <= 2


def test_scores_tell_whose_turn_is_next() -> None:
    """The lowest score is the next pick, and asking does not take a turn."""
    candidates: list[BackendView] = [View("a", weight=3.0), View("b", weight=2.0), View("c")]
    policy = RoundRobin()
    for _ in range(12):
        scores = [row["score"] or 0.0 for row in policy.scores(candidates, context())]
        assert min(scores) >= 0.0
        assert policy.pick(candidates, context()) is candidates[scores.index(min(scores))]
