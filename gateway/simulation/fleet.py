"""Which machines are there, how fast is each when, and what happens to them?"""

from functools import partial
from random import Random

from gateway.simulation.batching import BatchMachine
from gateway.simulation.engine import Engine
from gateway.simulation.machines import Machine, Mode
from gateway.simulation.scenario import Condition, Group, Scenario
from gateway.simulation.schedule import Schedule, antagonist, product, window
from gateway.simulation.slots import SlotMachine
from gateway.simulation.workload import means


def build(scenario: Scenario, engine: Engine, dice: Random) -> list[Machine]:
    """The machines of `scenario`, with everything that will happen to them on the engine's agenda."""
    speeds = _speeds(scenario, dice)
    machines = [
        _machine(scenario, group, group.name or f"m{number:02d}", speed, engine, Random(dice.random()))
        for number, (group, speed) in enumerate(zip(scenario.machines, speeds, strict=True))
    ]
    for condition in scenario.conditions:
        for turn, number in enumerate(scenario.struck(condition)):
            _set_up(condition, turn, machines[number], engine)
    return machines


def capacity(scenario: Scenario, dice: Random) -> float:
    """Tasks a second that the machines can do, all of them busy, at their average speed.

    Antagonists count, since they are always about; slow-downs, failures and restarts do not: they are what
    a scenario wants to see the effect of.
    """
    speeds = [speed.mean(scenario.duration_s) for speed in _speeds(scenario, dice, ("antagonist",))]
    here = [
        number
        for number in range(len(speeds))
        if not any(c.kind == "join" and number in scenario.struck(c) for c in scenario.conditions)
    ]
    groups = scenario.machines
    mean = means(scenario.work)
    if scenario.machine == "slots":
        slower = [1.0 + group.hiccup_share * (group.hiccup_slow - 1.0) for group in groups]
        return sum(speeds[n] * groups[n].places / slower[n] for n in here) / mean.work_s
    steps = scenario.steps
    return sum(speeds[n] * steps.capacity(mean.prompt, mean.output, groups[n].places) for n in here)


def _speeds(scenario: Scenario, dice: Random, kinds: tuple[str, ...] = ()) -> list[Schedule]:
    """Each machine's speed over time; the same dice give the same antagonists whatever else there is."""
    seeds = [dice.getrandbits(64) for _ in scenario.machines]
    found = []
    for number, group in enumerate(scenario.machines):
        own = Random(seeds[number])
        parts = [Schedule(group.speed)]
        for condition in scenario.conditions:
            struck = scenario.struck(condition)
            if number in struck and (not kinds or condition.kind in kinds):
                parts += _factors(condition, struck.index(number), scenario.duration_s, own)
        found.append(product(parts))
    return found


def _factors(condition: Condition, turn: int, duration_s: float, dice: Random) -> list[Schedule]:
    slower, start = 1.0 / condition.slow, condition.start_s
    match condition.kind:
        case "antagonist":
            return [antagonist(slower, condition.on_s, condition.off_s, duration_s, dice)]
        case "slow":
            return [window(slower, start, condition.end_s)]
        case "stop":
            return [window(0.0, start, condition.end_s)]
        case "join":
            return [window(slower, start, start + condition.cold_s)]
        case "restart":
            back = start + turn * condition.every_s + condition.down_s + condition.load_s
            return [window(slower, back, back + condition.cold_s)]
    return []


def _machine(
    scenario: Scenario, group: Group, name: str, speed: Schedule, engine: Engine, dice: Random
) -> Machine:
    machine: Machine
    if scenario.machine == "slots":
        hiccups = (group.hiccup_share, group.hiccup_slow)
        machine = SlotMachine(engine, name, speed, group.places, group.honours_cancel, hiccups, dice)
    else:
        machine = BatchMachine(engine, name, speed, group.places, scenario.steps, group.honours_cancel)
    if group.most is not None:
        machine.most = group.most
        machine.retry_after_s = group.retry_after_s
    return machine


def _set_up(condition: Condition, turn: int, machine: Machine, engine: Engine) -> None:
    """Put on the agenda what a condition changes beside the speed."""
    start, end = condition.start_s, condition.end_s
    match condition.kind:
        case "fail":
            machine.status, machine.failing_s = condition.status, condition.after_s
            engine.at(start, partial(machine.turn, Mode.FAILING))
            engine.at(end, partial(machine.turn, Mode.WELL))
        case "down":
            engine.at(start, partial(machine.turn, Mode.DOWN))
            engine.at(end, partial(machine.turn, Mode.WELL))
        case "restart":
            start += turn * condition.every_s
            ends = machine.stop_listening if condition.graceful else partial(machine.turn, Mode.DOWN)
            engine.at(start, ends)
            engine.at(start + condition.down_s, partial(machine.turn, Mode.LOADING))
            engine.at(start + condition.down_s + condition.load_s, partial(machine.turn, Mode.WELL))
        case "join":
            machine.turn(Mode.DOWN)
            engine.at(start, partial(machine.turn, Mode.WELL))
