"""Continuous batching, against a model that takes every step one by one."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulation.batching import BatchMachine
from gateway.simulation.engine import Engine
from gateway.simulation.machines import Mode
from gateway.simulation.scenario import Steps
from gateway.simulation.schedule import Schedule
from tests.unit.simulation.jobs import Noted, tokens

COST = Steps(a=0.01, b=0.001, prefill=10_000.0, chunk=500)


def naive(jobs: list[tuple[float, int, int]], places: int) -> list[tuple[float, float]]:
    """(first token, last token) of each (arrival, prompt, output), by taking every step."""
    first, last = [0.0] * len(jobs), [0.0] * len(jobs)
    waiting = list(range(len(jobs)))
    left = [prompt for _, prompt, _ in jobs]
    made = [0] * len(jobs)
    reading: list[int] = []
    decoding: list[int] = []
    now = 0.0
    while waiting or reading or decoding:
        while waiting and jobs[waiting[0]][0] <= now and len(reading) + len(decoding) < places:
            reading.append(waiting.pop(0))
        if not reading and not decoding:
            now = jobs[waiting[0]][0]
            continue
        room, read = COST.chunk, {}
        for job in reading:
            read[job] = min(left[job], room)
            room -= read[job]
        now += COST.a + COST.b * len(decoding) + sum(read.values()) / COST.prefill
        for job in list(decoding):
            made[job] += 1
            if made[job] == jobs[job][2]:
                last[job] = now
                decoding.remove(job)
        for job, done in read.items():
            left[job] -= done
            if not left[job]:
                reading.remove(job)
                first[job] = now
                made[job] = 1
                if jobs[job][2] > 1:
                    decoding.append(job)
                else:
                    last[job] = now
    return list(zip(first, last, strict=True))


@given(st.integers(0, 1_000_000), st.integers(1, 6), st.sampled_from([0.02, 0.2, 1.0]))
def test_tokens_come_when_a_model_of_every_step_says(seed: int, places: int, gap: float) -> None:
    """First and last token of every stream, whatever arrives when, full batches and long prompts included."""
    dice = Random(seed)
    engine = Engine()
    machine = BatchMachine(engine, "m", Schedule(1.0), places, COST)
    planned, sent, at = [], [], 0.0
    for _ in range(25):
        at += dice.expovariate(1 / gap)
        prompt = dice.choice((1, 30, 400, 500, 501, 1000, 2600))
        planned.append((at, prompt, dice.choice((1, 2, 7, 60))))
    for at, prompt, output in planned:
        engine.run(at)
        sent.append(tokens(engine, prompt, output))
        machine.receive(sent[-1])
    engine.run(10_000.0)
    expected = naive(planned, places)
    assert [job.when("ended") for job in sent] == pytest.approx([last for _, last in expected])
    began = [job.when("began") if job.task.output > 1 else job.when("ended") for job in sent]
    assert began == pytest.approx([first for first, _ in expected])
    assert (machine.held, machine.inside, machine.decoding, machine.pending) == (0, 0, 0, 0)


def test_one_stream_alone_takes_what_the_formula_says() -> None:
    """Two steps for the prompt, the second with the first token, then one for each other token."""
    engine = Engine()
    machine = BatchMachine(engine, "m", Schedule(0.5), 4, COST)
    machine.receive(job := tokens(engine, 600, 11))
    engine.run(10.0)
    prompt_s = 2 * (2 * 0.01 + 600 / 10_000)
    assert job.when("began") == pytest.approx(prompt_s)
    assert job.when("ended") == pytest.approx(prompt_s + 2 * 10 * 0.011)
    assert machine.steps() == 12


def test_steps_are_counted_while_they_are_taken() -> None:
    """Whoever looks in the middle of a run sees the tokens made by then."""
    engine = Engine()
    machine = BatchMachine(engine, "m", Schedule(1.0), 4, Steps(a=0.1, b=0.0, prefill=1e9, chunk=500))
    machine.receive(tokens(engine, 1, 1000))
    seen = []
    for moment in (0.05, 0.11, 0.149, 0.31, 10.05):
        engine.run(moment)
        seen.append(machine.steps())
    assert seen == [0, 1, 1, 3, 100]


def test_a_step_s_end_counts_as_one_however_it_is_rounded() -> None:
    """Whoever looks at the very moment sees the token."""
    engine = Engine()
    machine = BatchMachine(engine, "m", Schedule(1.0), 4, Steps(a=0.1, b=0.0, prefill=1e18, chunk=500))
    machine.receive(tokens(engine, 1, 1000))
    seen = []
    for number in range(1, 60):
        engine.run(0.1 * number)
        seen.append(machine.steps())
    assert seen == list(range(1, 60))


def test_whoever_leaves_makes_room_from_the_next_step_on() -> None:
    """The one who waited for a place gets it; the others' steps become shorter."""
    engine = Engine()
    machine = BatchMachine(engine, "m", Schedule(1.0), 2, COST)
    stays, leaves, waits = (tokens(engine, 100, 1000) for _ in range(3))
    for job in (stays, leaves, waits):
        machine.receive(job)
    engine.run(1.0)
    assert waits.story == []
    machine.leave(leaves)
    engine.run(1.1)
    assert [what for _, what in waits.story] == ["began"]
    assert machine.wasted_s == pytest.approx(0.98)  # half of the machine, but for two steps that read
    machine.leave(waits)
    before, at = machine.steps(), engine.now
    engine.run(at + 1.1)
    assert machine.steps() - before == pytest.approx(1.1 / 0.011, abs=1)  # alone again
    engine.run(100.0)
    assert leaves.story[1:] == []
    assert stays.story[-1][1] == "ended"


def test_a_machine_deaf_to_cancellation_goes_on() -> None:
    """The stream keeps its place to its end, and all of it is wasted."""
    engine = Engine()
    machine = BatchMachine(engine, "m", Schedule(1.0), 1, COST, honours_cancel=False)
    left, waits = tokens(engine, 100, 100), tokens(engine, 100, 2)
    machine.receive(left)
    machine.receive(waits)
    engine.run(0.5)
    machine.leave(left)
    engine.run(10.0)
    assert waits.when("began") > 0.02 + 99 * 0.011
    assert machine.wasted_s == pytest.approx(0.02 + 99 * 0.011)


def test_waiting_and_reading_ones_can_leave_too() -> None:
    """Nothing is read for them, and nothing is left of them."""
    engine = Engine()
    machine = BatchMachine(engine, "m", Schedule(1.0), 2, COST)
    reads, follows, waits = tokens(engine, 5000, 5), tokens(engine, 5000, 5), tokens(engine, 100, 2)
    for job in (reads, follows, waits):
        machine.receive(job)
    assert machine.pending == 10_100
    engine.run(0.03)
    machine.leave(reads)
    machine.leave(waits)
    machine.leave(follows)
    assert machine.pending == 0
    engine.run(10.0)
    assert [job.story for job in (reads, follows, waits)] == [[], [], []]
    assert (machine.held, machine.inside) == (0, 0)
    machine.receive(after := tokens(engine, 100, 2))
    engine.run(11.0)
    assert after.when("ended") == pytest.approx(10.0 + 0.01 + 100 / 10_000 + 0.011)


def test_a_change_of_speed_counts_from_its_moment() -> None:
    """Ten times slower in the middle of a step: the rest of it takes ten times longer."""
    engine = Engine()
    cost = Steps(a=0.1, b=0.0, prefill=1e9, chunk=500)
    speed = Schedule(1.0, [(1.05, 0.1), (2.05, 0.0), (5.05, 1.0)])
    machine = BatchMachine(engine, "m", speed, 4, cost)
    machine.receive(job := tokens(engine, 1, 30))
    engine.run(100.0)
    assert job.when("ended") == pytest.approx(1.05 + 1.0 + 3.0 + (3.0 - 1.05 - 0.1))


def test_going_down_ends_everything_and_coming_back_starts_anew() -> None:
    """Streams break; what comes after is served as on a fresh machine."""
    engine = Engine()
    machine = BatchMachine(engine, "m", Schedule(1.0), 2, COST)
    jobs: list[Noted] = [tokens(engine, 400, 400) for _ in range(3)]
    for job in jobs:
        machine.receive(job)
    engine.run(1.0)
    steps = machine.steps()
    machine.turn(Mode.DOWN)
    assert [job.story[-1] for job in jobs] == [(1.0, "broke")] * 3
    assert machine.wasted_s == pytest.approx(2.0)
    engine.run(5.0)
    assert machine.steps() == steps
    machine.turn(Mode.WELL)
    machine.receive(after := tokens(engine, 100, 2))
    engine.run(10.0)
    assert after.when("ended") == pytest.approx(5.0 + 0.02 + 0.011)


@pytest.mark.parametrize(("prompt", "output"), [(1000, 200), (2000, 20)])
def test_capacity_is_what_a_full_machine_does(prompt: int, output: int) -> None:
    """A machine that never runs empty finishes as many tasks a second as `Steps.capacity` says, whether
    answers or prompts are what there is too much of."""
    engine = Engine()
    machine = BatchMachine(engine, "m", Schedule(1.0), 64, COST)
    for _ in range(2000):
        machine.receive(tokens(engine, prompt, output))
    engine.run(20.0)
    before = machine.held
    engine.run(100.0)
    assert machine.held > 64
    assert (before - machine.held) / 80.0 == pytest.approx(COST.capacity(prompt, output, 64), rel=0.05)
