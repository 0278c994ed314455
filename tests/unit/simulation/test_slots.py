"""Slots and a queue, first come first served."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulation.engine import Engine
from gateway.simulation.schedule import Schedule
from gateway.simulation.slots import SlotMachine
from tests.unit.simulation.jobs import Noted, work


def naive(arrivals: list[tuple[float, float]], places: int) -> list[float]:
    """When each (arrival, work) is done at speed 1: each takes the slot that is free first."""
    free = [0.0] * places
    done = []
    for at, work_s in arrivals:
        free.sort()
        free[0] = max(free[0], at) + work_s
        done.append(free[0])
    return done


def send(engine: Engine, machine: SlotMachine, arrivals: list[tuple[float, float]]) -> list[Noted]:
    jobs = []
    for at, work_s in arrivals:
        engine.run(at)
        jobs.append(work(engine, work_s))
        machine.receive(jobs[-1])
    return jobs


@given(
    st.lists(st.tuples(st.floats(0, 3), st.floats(0.01, 5)), min_size=1, max_size=30),
    st.integers(1, 4),
)
def test_jobs_are_done_first_come_first_served(gaps: list[tuple[float, float]], places: int) -> None:
    """As a recursion over free slots says; and all work is paid for, no second more."""
    engine = Engine()
    machine = SlotMachine(engine, "m", Schedule(1.0), places)
    arrivals, at = [], 0.0
    for gap, work_s in gaps:
        at += gap
        arrivals.append((at, work_s))
    jobs = send(engine, machine, arrivals)
    engine.run(1000.0)
    assert [job.when("ended") for job in jobs] == pytest.approx(naive(arrivals, places))
    machine.occupy(0)
    assert machine.busy_s == pytest.approx(sum(work_s for _, work_s in arrivals))
    assert (machine.held, machine.inside, machine.wasted_s) == (0, 0, 0.0)


@given(st.integers(0, 10_000))
def test_what_would_be_is_what_is(seed: int) -> None:
    """`finish_if_sent` foresees the finish exactly, speeds to come included."""
    dice = Random(seed)
    engine = Engine()
    speed = Schedule(1.0, [(2.0, 0.25), (6.0, 0.0), (7.0, 2.0)])
    machine = SlotMachine(engine, "m", speed, dice.randint(1, 3))
    foreseen, jobs = [], []
    for _ in range(10):
        engine.run(engine.now + dice.random())
        work_s = dice.random() + 0.1
        foreseen.append(machine.finish_if_sent(work_s))
        jobs.append(work(engine, work_s))
        machine.receive(jobs[-1])
    engine.run(1000.0)
    assert [job.when("ended") for job in jobs] == pytest.approx(foreseen)


def test_a_change_of_speed_counts_for_what_is_under_way() -> None:
    """Half the work at full speed, the other half at a third of it."""
    engine = Engine()
    machine = SlotMachine(engine, "m", Schedule(1.0, [(1.0, 1 / 3)]), 1)
    machine.receive(job := work(engine, 2.0))
    engine.run(10.0)
    assert job.story == [(4.0, "ended")]


def test_whoever_leaves_gives_the_slot_to_the_next() -> None:
    """At once; the seconds it had are wasted. One who leaves the queue costs nothing."""
    engine = Engine()
    machine = SlotMachine(engine, "m", Schedule(1.0), 1)
    first, second, third = (work(engine, 10.0) for _ in range(3))
    for job in (first, second, third):
        machine.receive(job)
    machine.leave(second)
    engine.run(4.0)
    machine.leave(first)
    assert machine.finish_if_sent(1.0) == 15.0
    engine.run(100.0)
    assert (first.story, second.story, third.story) == ([], [], [(14.0, "ended")])
    assert (machine.wasted_s, machine.taken, machine.held) == (4.0, 3, 0)


def test_a_machine_may_be_deaf_to_cancellation() -> None:
    """It works to the end for nobody, and the next one waits for it."""
    engine = Engine()
    machine = SlotMachine(engine, "m", Schedule(1.0), 1, honours_cancel=False)
    first, second = work(engine, 10.0), work(engine, 10.0)
    machine.receive(first)
    machine.receive(second)
    engine.run(4.0)
    machine.leave(first)
    engine.run(100.0)
    assert (first.story, second.story) == ([], [(20.0, "ended")])
    assert machine.wasted_s == 10.0


def test_a_streamed_answer_begins_before_it_ends() -> None:
    """Its first byte takes its part of the work; a whole answer has no beginning of its own."""
    engine = Engine()
    machine = SlotMachine(engine, "m", Schedule(0.5), 2)
    machine.receive(streamed := work(engine, 2.0, first_s=0.5))
    machine.receive(whole := work(engine, 2.0))
    engine.run(10.0)
    assert streamed.story == [(1.0, "began"), (4.0, "ended")]
    assert whole.story == [(4.0, "ended")]


def test_a_share_of_jobs_takes_longer_for_no_reason_of_its_own() -> None:
    """One in four eight times as long, drawn from the machine's dice; their first byte likewise."""
    engine = Engine()
    machine = SlotMachine(engine, "m", Schedule(1.0), 1000, hiccups=(0.25, 8.0), dice=Random(1))
    jobs = [work(engine, 1.0, first_s=0.5) for _ in range(1000)]
    for job in jobs:
        machine.receive(job)
    assert machine.finish_if_sent(1.0) == 2.0
    engine.run(100.0)
    stories = [tuple(job.story) for job in jobs]
    assert set(stories) == {((0.5, "began"), (1.0, "ended")), ((4.0, "began"), (8.0, "ended"))}
    assert 200 < stories.count(((4.0, "began"), (8.0, "ended"))) < 300
