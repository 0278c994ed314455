"""How well could it be done by somebody who knows what no gateway can know?

References are policies like any other, and run through the same `Forward` and `Pool`; but they look at the
machines instead of at estimates.
"""

from collections.abc import Sequence
from random import Random

from gateway.balancing.policy import BackendView, PickContext, Row, row
from gateway.simulation.batching import BatchMachine
from gateway.simulation.slots import SlotMachine
from gateway.simulation.world import Oracle


class TrueSed:
    """Shortest expected delay with true speeds: knows how fast each machine is at this moment and all that it
    has, of all gateways; not how much a task wants, nor what will happen to the machine.

        slots     mean service / speed x max(1, (jobs there + 1) / slots)
        batching  (prompt tokens to read + mean prompt) / prefill + mean output x (a + b x (streams + 1)),
                  / speed; and a mean stay in a full batch for each full batch that waits
    """

    __slots__ = ("_oracle",)

    patient = False
    by_slowness = False

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle

    def pick(self, candidates: Sequence[BackendView], context: PickContext) -> BackendView:
        return _least(candidates, [self._delay(backend.name) for backend in candidates], context.rng)

    def scores(self, candidates: Sequence[BackendView], context: PickContext) -> list[Row]:
        return [row(self._delay(backend.name), backend, None) for backend in candidates]

    def _delay(self, name: str) -> float:
        oracle = self._oracle
        machine = oracle.machines[name]
        speed = machine.speed_now or 1e-9
        if isinstance(machine, BatchMachine):
            return _batch_work(machine, oracle.mean.prompt, oracle.mean.output) / speed
        return oracle.mean.work_s / speed * max(1.0, (machine.held + 1) / machine.places)


class Clairvoyant:
    """Greedy earliest finish with known sizes and future speeds.

    Exact for slots. For batching the finish is the work of `TrueSed` with the task's own lengths, done at the
    speeds to come: how the batch will change is not foreseen. No bound either: what is best for one task is
    not for all.
    """

    __slots__ = ("_oracle",)

    patient = False
    by_slowness = False

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle

    def pick(self, candidates: Sequence[BackendView], context: PickContext) -> BackendView:
        return _least(candidates, [self._finish(backend.name) for backend in candidates], context.rng)

    def scores(self, candidates: Sequence[BackendView], context: PickContext) -> list[Row]:
        return [row(self._finish(backend.name), backend, None) for backend in candidates]

    def _finish(self, name: str) -> float:
        oracle = self._oracle
        machine, task = oracle.machines[name], oracle.task
        assert task is not None
        if isinstance(machine, SlotMachine):
            return machine.finish_if_sent(task.work_s)
        assert isinstance(machine, BatchMachine)
        work_s = _batch_work(machine, task.prompt, task.output)
        return machine.speed.finish(oracle.engine.now, work_s)


def _batch_work(machine: BatchMachine, prompt: float, output: float) -> float:
    """Seconds at speed 1 until a task of that many tokens would be done, as the batch is now."""
    cost = machine.cost
    step_s = cost.a + cost.b * min(machine.held + 1, machine.places)
    behind = max(0, machine.held + 1 - machine.places) / machine.places  # full batches before it
    return (machine.pending + prompt) / cost.prefill + (1 + behind) * output * step_s


def _least(candidates: Sequence[BackendView], scores: list[float], rng: Random) -> BackendView:
    lowest = min(scores)
    ties = [backend for backend, score in zip(candidates, scores, strict=True) if score == lowest]
    return ties[int(rng.random() * len(ties))]
