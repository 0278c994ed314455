"""Scenario files: what they say, and every mistake in them."""

import pytest

from gateway.simulation.reading import ScenarioError, dotted, read
from gateway.simulation.scenario import Condition, Group, Scenario, Steps, Work

GOOD = {
    "name": "mine",
    "about": "two of them",
    "machine": "batching",
    "groups": [{"count": 2, "speed": 0.5, "places": 64, "most": None}],
    "work": {
        "load": 1,
        "bursts": [[1, 2, 3.5]],
        "priorities": {"high": 1, "low": 2},
        "trace": "mooncake",
    },
    "conditions": [{"kind": "slow", "backends": [1], "slow": 3}],
    "steps": {"chunk": 256},
    "pool": {"hedging": {"after": "p95"}},
    "limits_known": True,
}


def test_a_file_becomes_the_scenario_it_describes() -> None:
    """Keys are attributes; what is left out has its default."""
    assert read(GOOD) == Scenario(
        name="mine",
        about="two of them",
        machine="batching",
        groups=(Group(2, 0.5, 64),),
        work=Work(
            load=1.0, bursts=((1.0, 2.0, 3.5),), priorities={"high": 1.0, "low": 2.0}, trace="mooncake"
        ),
        conditions=(Condition("slow", (1,), slow=3.0),),
        steps=Steps(chunk=256),
        pool={"hedging": {"after": "p95"}},
        limits_known=True,
    )


def test_every_mistake_is_told_with_its_place() -> None:
    """Unknown keys, wrong types, values out of bounds, what is missing: all at once."""
    bad = {
        "nmae": "x",
        "about": 7,
        "machine": "slot",
        "groups": [{"count": 1.5, "speed": 0, "places": True}, 3],
        "work": {"load": "much", "bursts": [[1, 2]], "priorities": {"urgent": 1}, "streamed": 2},
        "conditions": {},
        "pool": [],
        "limits_known": 1,
    }
    with pytest.raises(ScenarioError) as caught:
        read(bad)
    told = {dotted(path): text for path, text in caught.value.mistakes}
    assert set(told) == {
        "nmae",
        "about",
        "machine",
        "groups[0].count",
        "groups[0].speed",
        "groups[0].places",
        "groups[1]",
        "work.load",
        "work.bursts[0]",
        "work.priorities.urgent",
        "work.streamed",
        "conditions",
        "pool",
        "limits_known",
        "name",
    }
    assert told["machine"] == "give one of slots, batching"
    assert "known are name, about" in told["nmae"]
    assert told["name"] == "missing"
    assert "groups[0].speed: 0: give a number above 0" in str(caught.value)


def test_what_does_not_fit_together_is_told_too() -> None:
    """Once each value is good for itself."""
    with pytest.raises(ScenarioError, match="work: give either load or rate"):
        read({**GOOD, "work": {}})


@pytest.mark.parametrize("data", [None, [], "slots"])
def test_a_file_that_is_no_mapping_is_refused(data: object) -> None:
    """With the place, which is the whole file."""
    with pytest.raises(ScenarioError, match="the file: give a mapping"):
        read(data)
