"""Sticky until saturated, in seconds."""

import random
from collections import Counter

import pytest

from gateway.balancing.least_requests import LeastRequests
from gateway.balancing.policy import BackendView, Policy
from gateway.balancing.prefix_aware import PrefixAware
from tests.unit.balancing.views import View, context, fleet, picked

PROMPT = (11, 12, 13, 14)


def with_prompt_at(view: View, penalty_s: float = 2.0) -> PrefixAware:
    """A policy that sent PROMPT to `view` once."""
    policy = PrefixAware(penalty_s)
    policy.pick([view], context(prefixes=PROMPT))
    return policy


def test_a_prompt_goes_where_it_was() -> None:
    """Until the other is expected two seconds sooner."""
    a, b = View("a", expected=2.9), View("b", expected=1.0)
    policy = with_prompt_at(a)
    assert policy.pick([a, b], context(prefixes=PROMPT)) is a
    a.expected = 3.1
    assert policy.pick([a, b], context(prefixes=PROMPT)) is b


def test_a_part_excuses_its_part_of_the_penalty() -> None:
    """Half of the prompt is known: one second, not two."""
    longer = (*PROMPT, 15, 16, 17, 18)
    for expected, name in ((1.9, "a"), (2.1, "b")):
        a, b = View("a", expected=expected), View("b", expected=1.0)
        assert with_prompt_at(a).pick([a, b], context(prefixes=longer)).name == name


def test_among_holders_the_soonest_is_taken() -> None:
    """Three of five have it: the one of them that is expected first, though another is sooner still."""
    views = [View(name, expected=1.0) for name in "abcde"]
    policy = PrefixAware()
    for view in views[:3]:
        policy.pick([view], context(prefixes=PROMPT))
    views[1].expected = 0.5
    views[4].expected = 0.1
    assert policy.pick(views, context(prefixes=PROMPT)) is views[1]


def test_what_both_of_two_have_excuses_nothing() -> None:
    """Half of the prompt is with both, the rest with b: b is a whole prompt ahead, not half of one."""
    a, b = View("a", expected=1.0), View("b", expected=2.5)
    policy = with_prompt_at(b)
    policy.pick([a], context(prefixes=PROMPT[:2]))
    assert policy.pick([a, b], context(prefixes=PROMPT)) is b


def test_without_a_prompt_the_soonest_for_its_weight_is_taken() -> None:
    """0.5 at twice the weight is sooner than 0.3, and nothing is remembered."""
    policy = PrefixAware()
    heavy = View("a", expected=0.5, weight=2.0)
    assert policy.pick([heavy, View("b", expected=0.3)], context()) is heavy
    assert policy.size == 0


@pytest.mark.parametrize("unit", [0.01, 1.0, 100.0])
def test_the_unit_of_weights_does_not_matter(unit: float) -> None:
    """A second is a second, also where all weights are 100."""
    for expected, name in ((2.9, "a"), (3.1, "b")):
        a, b = View("a", expected=expected, weight=unit), View("b", expected=1.0, weight=unit)
        assert with_prompt_at(a).pick([a, b], context(prefixes=PROMPT)).name == name


def test_the_choice_is_remembered() -> None:
    """A prompt that was sent elsewhere is known there from then on, and the table grows by its blocks."""
    a, b = View("a", expected=9.0), View("b", expected=1.0)
    policy = with_prompt_at(a)
    assert policy.size == 4
    assert policy.pick([a, b, View("c", expected=1.0)], context(prefixes=PROMPT)) is not a
    rows = policy.scores([a, b, View("c")], context(prefixes=PROMPT))
    assert [row["match"] for row in rows].count(1.0) == 2


def test_a_holder_that_is_away_is_done_without() -> None:
    """The prompt goes to another; back again, it is one of two that know it."""
    a, b, c, d = (View(name, expected=1.0) for name in "abcd")
    policy = with_prompt_at(a)
    other = policy.pick([b, c, d], context(prefixes=PROMPT))
    counts = Counter(policy.pick([a, b, c, d], context(seed, prefixes=PROMPT)).name for seed in range(200))
    assert set(counts) == {"a", other.name}


def test_a_holder_is_found_in_a_large_pool() -> None:
    """Among 1000 only some are looked at, but a holder always is."""
    candidates = fleet(1000)
    policy = with_prompt_at(candidates[700])
    for seed in range(50):
        assert policy.pick(candidates, context(seed, prefixes=PROMPT)) is candidates[700]


def test_a_system_prompt_does_not_herd() -> None:
    """All begin with the same six of eight blocks, none costs less than another: four backends share them,
    and each conversation then stays where it began.
    """
    candidates, rng, policy = fleet(4), random.Random(1), PrefixAware()
    for view in candidates:
        view.expected = 1.0
    at = context()
    system = tuple(range(6))
    first = {}
    for talk in range(400):
        at.prefixes = (*system, 1000 + talk, 2000 + talk)
        first[talk] = policy.pick(candidates, at).name
    assert all(60 < times < 140 for times in Counter(first.values()).values()), Counter(first.values())
    for talk in rng.sample(range(100, 400), 100):
        at.prefixes = (*system, 1000 + talk, 2000 + talk, 3000 + talk)
        assert policy.pick(candidates, at).name == first[talk]


def reuse(policy: Policy) -> float:
    """The share of prompt blocks that the backend chosen had computed before: 60 conversations of up to ten
    turns, two blocks each, in four backends that have some four requests each in flight.
    """
    candidates, rng, at = fleet(4), random.Random(3), context()
    computed: dict[str, set[int]] = {view.name: set() for view in candidates}
    turns = Counter[int]()
    held: list[View] = []
    known = blocks = 0
    for _ in range(3000):
        talk = rng.randrange(60)
        turns[talk] += 1
        # After its tenth turn somebody else begins a conversation.
        person, turn = divmod(turns[talk], 10)
        at.prefixes = tuple(hash((talk, person, block)) for block in range(2 * turn + 2))
        view = picked(policy.pick(candidates, at))
        known += len(computed[view.name].intersection(at.prefixes))
        blocks += len(at.prefixes)
        computed[view.name].update(at.prefixes)
        view.in_flight += 1
        held.append(view)
        if len(held) > 16:
            held.pop(rng.randrange(16)).in_flight -= 1
    return known / blocks


def test_conversations_meet_what_was_computed_for_them() -> None:
    """Of all prompt blocks 82 % have been sent before. The backend that gets them had nearly all of those; by
    load alone it is hardly more than half.
    """
    assert reuse(PrefixAware(max_penalty_s=2.0)) > 0.8
    assert reuse(LeastRequests()) < 0.5


def test_the_table_is_bounded() -> None:
    """A thousand prompts later there are as many fingerprints as there may be."""
    policy = PrefixAware(fingerprints=100)
    candidates: list[BackendView] = [View("a"), View("b")]
    for number in range(1000):
        policy.pick(candidates, context(prefixes=(number, -number)))
    assert policy.size == 100


def test_scores_show_what_was_expected_and_known() -> None:
    """The score is the expected time less the excuse; the terms say which is which."""
    a, b = View("a", expected=2.5), View("b", expected=1.0)
    policy = with_prompt_at(a)
    rows = policy.scores([a, b], context(prefixes=(*PROMPT, 15, 16, 17, 18)))
    assert [row["score"] for row in rows] == [1.5, 1.0]
    assert [row["expected_s"] for row in rows] == [2.5, 1.0]
    assert [row["match"] for row in rows] == [0.5, 0.0]


def test_the_penalty_is_an_option() -> None:
    """With ten seconds of patience nine are borne."""
    a, b = View("a", expected=9.0), View("b", expected=0.1)
    assert picked(with_prompt_at(a, penalty_s=10.0).pick([a, b], context(prefixes=PROMPT))) is a
