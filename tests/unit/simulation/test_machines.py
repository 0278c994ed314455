"""What a machine does with jobs while something is the matter with it."""

import pytest

from gateway.simulation.engine import Engine
from gateway.simulation.machines import Machine, Mode
from gateway.simulation.schedule import Schedule
from gateway.simulation.slots import SlotMachine
from tests.unit.simulation.jobs import work


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def machine(engine: Engine) -> Machine:
    return SlotMachine(engine, "m", Schedule(1.0), 2)


def test_a_failing_machine_answers_at_once_and_calls_itself_healthy(engine: Engine, machine: Machine) -> None:
    """503 after 2 ms, without a place, and probes succeed: what makes it a black hole."""
    machine.turn(Mode.FAILING)
    job = work(engine, 1.0)
    machine.receive(job)
    engine.run(1.0)
    assert job.story == [(0.002, "503 None")]
    assert machine.probe() == ("success", "")
    assert (machine.held, machine.busy_s) == (0, 0.0)


def test_a_loading_machine_says_so(engine: Engine, machine: Machine) -> None:
    """To probes, and in a 503 to requests."""
    machine.turn(Mode.LOADING)
    machine.receive(job := work(engine, 1.0))
    engine.run(1.0)
    assert job.story == [(0.002, "503 None")]
    assert machine.probe()[0] == "loading"
    machine.turn(Mode.WELL)
    machine.receive(job := work(engine, 1.0))
    engine.run(3.0)
    assert job.story == [(2.0, "ended")]


def test_over_its_limit_it_says_when_to_come_back(engine: Engine, machine: Machine) -> None:
    """429 with Retry-After for what exceeds `most` jobs, those that wait included."""
    machine.most, machine.retry_after_s = 3, 7.0
    jobs = [work(engine, 1.0) for _ in range(4)]
    for job in jobs:
        machine.receive(job)
    engine.run(5.0)
    assert [job.story for job in jobs] == [
        [(1.0, "ended")],
        [(1.0, "ended")],
        [(2.0, "ended")],
        [(0.001, "429 7.0")],
    ]


def test_going_down_breaks_what_is_under_way(engine: Engine, machine: Machine) -> None:
    """In order of arrival, those that wait too; what had been done is wasted; nothing comes later."""
    jobs = [work(engine, 10.0) for _ in range(3)]
    for job in jobs:
        machine.receive(job)
    broken: list[str] = []
    machine.listeners.append(lambda: broken.append("connections"))
    engine.run(4.0)
    machine.turn(Mode.DOWN)
    assert [job.story for job in jobs] == [[(4.0, "broke")]] * 3
    assert broken == ["connections"]
    assert (machine.held, machine.inside, machine.wasted_s) == (0, 0, 8.0)
    assert machine.probe() == ("failure", "connection refused")
    engine.run(30.0)
    assert all(len(job.story) == 1 for job in jobs)


def test_one_told_to_end_finishes_what_it_has(engine: Engine, machine: Machine) -> None:
    """Nothing listens any more, and nobody is cut."""
    machine.receive(job := work(engine, 1.0))
    machine.stop_listening()
    assert machine.mode is Mode.DOWN
    engine.run(2.0)
    assert job.story == [(1.0, "ended")]


def test_a_standing_machine_answers_no_probe_and_has_not_moved(engine: Engine) -> None:
    """From the moment it stopped until it goes on."""
    machine = SlotMachine(engine, "m", Schedule(1.0, [(5.0, 0.0), (9.0, 1.0)]), 1)
    engine.run(4.0)
    assert (machine.probe()[0], machine.moved_at()) == ("success", 4.0)
    engine.run(8.0)
    assert (machine.probe(), machine.moved_at()) == (("failure", "timeout"), 5.0)
    engine.run(9.5)
    assert (machine.probe()[0], machine.moved_at()) == ("success", 9.5)


def test_a_refusal_nobody_waits_for_is_not_told(engine: Engine, machine: Machine) -> None:
    """Its client has left meanwhile."""
    machine.turn(Mode.FAILING)
    machine.receive(job := work(engine, 1.0))
    machine.leave(job)
    engine.run(1.0)
    assert job.story == []
