"""Machines of a scenario, and what happens to them when."""

from dataclasses import replace
from random import Random

import pytest

from gateway.simulation.batching import BatchMachine
from gateway.simulation.engine import Engine
from gateway.simulation.fleet import build, capacity
from gateway.simulation.machines import Machine, Mode
from gateway.simulation.scenario import Condition, Group, Scenario, Steps, Work
from gateway.simulation.slots import SlotMachine

PLAIN = Scenario(
    "s", "", "slots", (Group(2), Group(1, 0.5, 2, name="slow")), Work(load=0.5), duration_s=100.0
)


def course(condition: Condition, number: int, moments: list[float]) -> list[tuple[Mode, float]]:
    """(mode, speed) of one machine at each moment."""
    engine = Engine()
    machine = build(replace(PLAIN, conditions=(condition,)), engine, Random(1))[number]
    seen = []
    for moment in moments:
        engine.run(moment)
        seen.append((machine.mode, machine.speed_now))
    return seen


def test_groups_become_machines() -> None:
    """In order, with their names, places and limits."""
    limited = replace(
        PLAIN, groups=(*PLAIN.groups, Group(1, most=7, retry_after_s=3.0, honours_cancel=False))
    )
    machines = build(limited, Engine(), Random(1))
    assert [(m.name, m.places, m.speed_now) for m in machines] == [
        ("m00", 4, 1.0),
        ("m01", 4, 1.0),
        ("slow", 2, 0.5),
        ("m03", 4, 1.0),
    ]
    assert all(isinstance(machine, SlotMachine) for machine in machines)
    assert (machines[3].most, machines[3].retry_after_s, machines[3].honours_cancel) == (7, 3.0, False)
    batching = build(replace(PLAIN, machine="batching", steps=Steps(chunk=99)), Engine(), Random(1))
    assert all(isinstance(machine, BatchMachine) and machine.cost.chunk == 99 for machine in batching)


def test_slow_and_stop_change_the_speed_for_a_while() -> None:
    """Of the machines named, and of no other."""
    slow = Condition("slow", (1,), 10.0, 20.0, slow=4.0)
    assert course(slow, 1, [5, 15, 25]) == [(Mode.WELL, 1.0), (Mode.WELL, 0.25), (Mode.WELL, 1.0)]
    assert course(slow, 0, [15]) == [(Mode.WELL, 1.0)]
    assert course(Condition("stop", (), 10.0, 20.0), 2, [15, 25]) == [(Mode.WELL, 0.0), (Mode.WELL, 0.5)]


def test_fail_and_down_change_the_mode_for_a_while() -> None:
    """And failing has its status and its time."""
    assert [mode for mode, _ in course(Condition("down", (0,), 10.0, 20.0), 0, [5, 15, 25])] == [
        Mode.WELL,
        Mode.DOWN,
        Mode.WELL,
    ]
    engine = Engine()
    failing = Condition("fail", (0,), 10.0, 20.0, status=500, after_s=0.5)
    machine: Machine = build(replace(PLAIN, conditions=(failing,)), engine, Random(1))[0]
    engine.run(15.0)
    assert (machine.mode, machine.status, machine.failing_s) == (Mode.FAILING, 500, 0.5)


def test_a_rolling_restart_takes_one_after_the_other() -> None:
    """Down, then loading, then slow, then as before; the next one `every_s` later."""
    rolling = Condition("restart", (), 10.0, every_s=20.0, down_s=4.0, load_s=3.0, slow=2.0, cold_s=5.0)
    stages = [(Mode.WELL, 1.0), (Mode.DOWN, 1.0), (Mode.LOADING, 1.0), (Mode.WELL, 0.5), (Mode.WELL, 1.0)]
    assert course(rolling, 0, [9, 12, 16, 20, 23]) == stages
    assert course(rolling, 1, [29, 32, 36, 40, 43]) == stages


def test_who_joins_is_down_and_then_cold() -> None:
    """Before its time, and for a while after it."""
    join = Condition("join", (0,), 10.0, slow=5.0, cold_s=4.0)
    assert course(join, 0, [5, 12, 15]) == [(Mode.DOWN, 1.0), (Mode.WELL, 0.2), (Mode.WELL, 1.0)]


def test_antagonists_are_the_same_whatever_else_happens() -> None:
    """Dice of their own for each machine: conditions can be compared, and machines differ."""
    neighbours = Condition("antagonist", slow=3.0)
    plain = build(replace(PLAIN, conditions=(neighbours,)), Engine(), Random(5))
    slowed = build(
        replace(PLAIN, conditions=(Condition("slow", (0,), 50.0, slow=2.0), neighbours)), Engine(), Random(5)
    )
    assert plain[1].speed.changes() == slowed[1].speed.changes()
    assert plain[0].speed.changes() != plain[1].speed.changes()


def test_capacity_counts_what_is_always_so() -> None:
    """Places, speeds, antagonists and hiccups; not faults, nor machines that join later."""
    mean_s = 0.5
    plain = replace(PLAIN, work=Work(load=0.5, service="constant", mean_s=mean_s))
    at_rest = (4 + 4 + 2 * 0.5) / mean_s
    assert capacity(plain, Random(1)) == pytest.approx(at_rest)
    faulty = replace(plain, conditions=(Condition("slow", slow=9.0), Condition("down", (0,))))
    assert capacity(faulty, Random(1)) == pytest.approx(at_rest)
    joining = replace(plain, conditions=(Condition("join", (0,), 50.0),))
    assert capacity(joining, Random(1)) == pytest.approx(at_rest - 4 / mean_s)
    hiccups = replace(plain, groups=(Group(1, hiccup_share=0.1, hiccup_slow=11.0),))
    assert capacity(hiccups, Random(1)) == pytest.approx(4 / mean_s / 2)
    noisy = replace(plain, duration_s=20_000.0, conditions=(Condition("antagonist", slow=3.0),))
    assert capacity(noisy, Random(1)) == pytest.approx(at_rest * (0.8 + 0.2 / 3), rel=0.05)
