"""What somebody would choose who knows everything."""

from collections.abc import Sequence
from random import Random
from typing import cast

import pytest

from gateway.balancing.context import PickContext
from gateway.balancing.policy import BackendView
from gateway.pool.backend import Backend, BackendSpec
from gateway.simulation.batching import BatchMachine
from gateway.simulation.engine import Engine
from gateway.simulation.machines import Machine
from gateway.simulation.references import Clairvoyant, TrueSed
from gateway.simulation.scenario import Steps
from gateway.simulation.schedule import Schedule
from gateway.simulation.slots import SlotMachine
from gateway.simulation.task import Task
from gateway.simulation.workload import Means
from gateway.simulation.world import Oracle
from tests.unit.simulation.jobs import tokens, work


class Rig:
    def __init__(self, engine: Engine, *machines: Machine) -> None:
        self.oracle = Oracle(
            engine, {machine.name: machine for machine in machines}, Means(1.0, 1000.0, 100.0)
        )
        backends = [
            Backend("p", BackendSpec(f"http://{machine.name}", name=machine.name)) for machine in machines
        ]
        self.backends = cast(Sequence[BackendView], backends)
        self.context = PickContext(0.0, Random(1))

    def sed(self) -> str:
        return TrueSed(self.oracle).pick(self.backends, self.context).name

    def greedy(self, **task: object) -> str:
        self.oracle.task = Task(0, 0.0, **task)  # type: ignore[arg-type]
        return Clairvoyant(self.oracle).pick(self.backends, self.context).name


def test_sed_goes_by_true_speed_and_by_everybody_s_work() -> None:
    """The fast one until waiting there takes longer than working on the slow one; as of now, not later."""
    engine = Engine()
    fast = SlotMachine(engine, "fast", Schedule(3.0, [(5.0, 0.1)]), 1)
    rig = Rig(engine, fast, SlotMachine(engine, "slow", Schedule(1.0), 1))
    assert rig.sed() == "fast"
    fast.receive(work(engine, 100.0))
    fast.receive(work(engine, 100.0))
    assert {rig.sed() for _ in range(20)} == {"fast", "slow"}  # 3 / 3 = 1 / 1
    fast.receive(work(engine, 100.0))
    assert rig.sed() == "slow"
    engine.run(6.0)
    assert rig.sed() == "slow"


def test_the_clairvoyant_knows_sizes_and_speeds_to_come() -> None:
    """A small task fits in before the fast one slows down, a large one does not."""
    engine = Engine()
    soon_slow = SlotMachine(engine, "soon-slow", Schedule(2.0, [(1.0, 0.01)]), 1)
    rig = Rig(engine, soon_slow, SlotMachine(engine, "steady", Schedule(1.0), 1))
    assert rig.greedy(work_s=1.0) == "soon-slow"
    assert rig.greedy(work_s=5.0) == "steady"


def test_both_see_prompts_that_wait_and_batches() -> None:
    """With equal speeds the one with less to read, then the one with fewer streams, is faster."""
    engine = Engine()
    cost = Steps(a=0.01, b=0.01, prefill=1000.0)
    reading = BatchMachine(engine, "reading", Schedule(1.0), 8, cost)
    decoding = BatchMachine(engine, "decoding", Schedule(1.0), 8, cost)
    rig = Rig(engine, decoding, reading)
    reading.receive(tokens(engine, 50_000, 2))
    decoding.receive(tokens(engine, 1, 10_000))
    engine.run(1.0)
    assert rig.sed() == "decoding"
    assert rig.greedy(prompt=10, output=10) == "decoding"
    engine.run(100.0)
    assert reading.held == 0
    assert rig.sed() == "reading"
    assert rig.greedy(prompt=10, output=10) == "reading"


@pytest.mark.parametrize("reference", [TrueSed, Clairvoyant])
def test_scores_say_what_is_picked(reference: type[TrueSed | Clairvoyant]) -> None:
    """The lowest wins."""
    engine = Engine()
    rig = Rig(engine, *(SlotMachine(engine, name, Schedule(s), 1) for name, s in (("a", 0.5), ("b", 2.0))))
    rig.oracle.task = Task(0, 0.0, work_s=1.0)
    policy = reference(rig.oracle)
    scores = [row["score"] for row in policy.scores(rig.backends, rig.context)]
    assert scores[0] is not None
    assert scores[1] is not None
    assert scores[1] < scores[0]
    assert policy.pick(rig.backends, rig.context).name == "b"
