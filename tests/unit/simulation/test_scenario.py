"""Scenarios as data."""

from dataclasses import replace

import pytest

from gateway.simulation.builtin import SCENARIOS
from gateway.simulation.scenario import Condition, Group, Scenario, Work, number_problem, problems

GOOD = Scenario("s", "", "slots", (Group(2), Group(1, 0.5)), Work(load=0.5))


def test_a_good_scenario_has_no_problems() -> None:
    """Machines are counted in order of their groups."""
    assert list(problems(GOOD)) == []
    assert [group.speed for group in GOOD.machines] == [1.0, 1.0, 0.5]
    assert list(GOOD.struck(Condition("slow"))) == [0, 1, 2]
    assert GOOD.struck(Condition("slow", (2,))) == (2,)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"work": Work()}, ("work",)),
        ({"work": Work(load=0.5, rate=1.0)}, ("work",)),
        ({"groups": ()}, ("groups",)),
        ({"warmup_s": 120.0}, ("warmup_s",)),
        ({"work": Work(load=0.5, priorities={"high": 0.0})}, ("work", "priorities")),
        ({"work": Work(load=0.5, bursts=((5.0, 9.0, 2.0), (8.0, 10.0, 2.0)))}, ("work", "bursts", 1)),
        ({"work": Work(load=0.5, bursts=((9.0, 5.0, 2.0),))}, ("work", "bursts", 0)),
        ({"work": Work(load=0.5, bursts=((5.0, 9.0, 0.0),))}, ("work", "bursts", 0)),
        ({"groups": (Group(2, name="a"),)}, ("groups", 0, "name")),
        ({"conditions": (Condition("slow"), Condition("slow", (3,)))}, ("conditions", 1, "backends")),
        ({"conditions": (Condition("slow", start_s=5.0, end_s=5.0),)}, ("conditions", 0, "end_s")),
    ],
)
def test_what_does_not_fit_together_is_found(changes: dict[str, object], path: tuple[str | int, ...]) -> None:
    """One problem, at the place where it is."""
    assert [where for where, _ in problems(replace(GOOD, **changes))] == [path]  # type: ignore[arg-type]


def test_numbers_have_their_bounds() -> None:
    """Above 0 for what divides, 0 or more for the rest, at most 1 for shares."""
    assert number_problem("speed", 0.0) is not None
    assert number_problem("cv", 0.0) is None
    assert number_problem("cv", -1.0) is not None
    assert number_problem("streamed", 1.5) is not None
    assert number_problem("load", 1.5) is None


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_the_built_in_ones_are_good(name: str) -> None:
    """By the same checks as anybody's, and they say what they are."""
    scenario = SCENARIOS[name]
    assert list(problems(scenario)) == []
    assert scenario.name == name
    assert scenario.about
