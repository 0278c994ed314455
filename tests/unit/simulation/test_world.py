"""The world around real gateways: arrivals, probes, joins, errors, several views."""

from dataclasses import replace
from math import inf

import pytest

from gateway.simulate import Gateways, pool_of, run
from gateway.simulation.scenario import Condition, Group, Scenario, Work
from gateway.simulation.statistics import Result
from gateway.simulation.task import Task
from gateway.simulation.world import World

PLAIN = Scenario(
    "s",
    "",
    "slots",
    (Group(4),),
    Work(load=0.5, service="constant", mean_s=0.5),
    duration_s=60.0,
    warmup_s=0.0,
)
MODELS = replace(PLAIN, machine="batching", groups=(Group(2, 1.0, 32),), work=Work(load=0.5), drain_s=200.0)


def world(scenario: Scenario, seed: int = 1, policy: str = "least_requests") -> World:
    return World(scenario, Gateways(pool_of(scenario), policy), seed)


def story(result: Result) -> list[tuple[object, ...]]:
    return [(s.task.number, s.backend, s.first, s.ended, s.error, s.attempts) for s in result.samples]


@pytest.mark.parametrize("scenario", [PLAIN, MODELS, replace(PLAIN, gateways=3)])
def test_the_same_seed_gives_the_same_result(scenario: Scenario) -> None:
    """To the last digit; another seed another one."""
    first = story(run(scenario, "least_latency", 1))
    assert first == story(run(scenario, "least_latency", 1))
    assert first != story(run(scenario, "least_latency", 2))
    assert len(first) > 100


@pytest.mark.parametrize("scenario", [PLAIN, MODELS])
def test_every_task_ends_once_and_nothing_is_left(scenario: Scenario) -> None:
    """All are answered, no lease is open, no machine holds a job, every connection is idle."""
    made = world(scenario)
    result = made.run()
    assert sorted(s.task.number for s in result.samples) == list(range(len(result.samples)))
    assert result.errors == {}
    assert [machine.held for machine in made.machines] == [0] * len(made.machines)
    for backend in made.lanes[0].pool.backends:
        assert backend.in_flight == 0
        assert backend.connections.idle > 0
        assert backend.connections.streams == 0


def test_all_policies_of_a_seed_get_the_same_tasks() -> None:
    """That is what makes comparisons paired, references included."""
    asked = [
        sorted((s.task for s in run(PLAIN, policy, 4).samples), key=lambda task: task.number)
        for policy in ("least_requests", "random", "sed_true", "clairvoyant")
    ]
    assert asked[0] == asked[1] == asked[2] == asked[3]


def test_answers_come_when_machines_give_them() -> None:
    """An idle machine's constant service time is all there is, but for the millisecond of connecting."""
    result = run(replace(PLAIN, work=replace(PLAIN.work, load=0.01)), "least_requests", 1)
    assert result.total.p50 == pytest.approx(0.5, abs=0.0011)
    assert result.total.count > 10


def test_tokens_of_streams_are_seen_by_the_pool() -> None:
    """Each backend's pieces are the tokens of the streams it served."""
    made = world(MODELS)
    result = made.run()
    by_backend: dict[str, int] = {}
    for sample in result.samples:
        by_backend[sample.backend] = by_backend.get(sample.backend, 0) + sample.task.output
    assert {b.name: b.pieces for b in made.lanes[0].pool.backends} == by_backend


def test_probes_find_what_is_down_and_what_is_back() -> None:
    """At the pool's interval, by the pool's rule; the requests meanwhile go elsewhere."""
    down = replace(PLAIN, conditions=(Condition("down", (2,), 20.0, 40.0),))
    made = world(replace(down, pool={"health": {"interval": "1s", "timeout": "500ms"}}))
    result = made.run()
    backend = made.lanes[0].pool.backend("m02")
    assert backend.health_checks["failure"] > 5
    assert backend.health_checks["success"] > 4  # after five that traffic makes needless, one is asked
    assert backend.health_checks["skipped"] > 20
    assert backend.state == "up"
    assert result.errors == {}


def test_a_probe_of_a_machine_that_stands_still_takes_its_timeout() -> None:
    """And fails."""
    stopped = replace(PLAIN, conditions=(Condition("stop", (0,), 20.0, inf),), duration_s=40.0, drain_s=0.0)
    made = world(replace(stopped, pool={"health": {"interval": "4s", "timeout": "3s"}}))
    made.run()
    backend = made.lanes[0].pool.backend("m00")
    assert backend.state == "down"
    assert backend.since > 20.0 + 3 * 3.0 + 2 * 0.9  # three in a row, each of 3 s, with a second between


def test_who_joins_is_given_work_from_then_on() -> None:
    """By every gateway; before, the pool does not know it."""
    joining = replace(PLAIN, conditions=(Condition("join", (3,), 30.0),), gateways=2)
    made = world(joining)
    assert [len(lane.pool.backends) for lane in made.lanes] == [3, 3]
    result = made.run()
    assert [len(lane.pool.backends) for lane in made.lanes] == [4, 4]
    late = [s for s in result.samples if s.backend == "m03"]
    assert late
    assert min(s.task.at for s in late) >= 30.0
    assert result.errors == {}


def test_gateways_share_machines_and_not_what_they_know() -> None:
    """Every task goes through one of them; each pool counts its own."""
    made = world(replace(PLAIN, gateways=4))
    result = made.run()
    taken = [sum(b.selected for b in lane.pool.backends) for lane in made.lanes]
    assert sum(taken) == len(result.samples) == sum(machine.taken for machine in made.machines)
    assert min(taken) > len(result.samples) / 8
    assert {s.gateway for s in result.samples} == {0, 1, 2, 3}


def test_deadlines_are_the_gateway_s_to_keep() -> None:
    """What is late is ended at its deadline, as an error; the machine is told to stop."""
    late = replace(PLAIN, work=replace(PLAIN.work, deadline_s=0.3), duration_s=10.0)
    made = world(late)
    result = made.run()
    assert set(result.errors) == {"deadline_exceeded"}
    assert all(s.total_s == pytest.approx(0.3, abs=0.002) for s in result.samples)
    assert result.goodput == 0.0
    assert result.wasted_s == pytest.approx(0.3 * len(result.samples), rel=0.02)


def test_classes_wait_by_their_priority() -> None:
    """With limits known and twice the load, high ones are served before the others."""
    work = Work(
        load=2.0, service="constant", mean_s=0.5, priorities={"high": 0.2, "normal": 0.8}, deadline_s=5.0
    )
    result = run(replace(PLAIN, work=work, limits_known=True, duration_s=30.0), "least_requests", 1)
    high, normal = result.classes["high"], result.classes["normal"]
    assert high[1] / (high[0].count + high[1]) < 0.5 * normal[1] / (normal[0].count + normal[1])


def test_what_is_not_done_in_the_end_is_an_error() -> None:
    """A machine that stopped for good holds its jobs for ever."""
    stopped = replace(PLAIN, groups=(Group(1),), conditions=(Condition("stop", (0,), 5.0),), drain_s=1.0)
    result = run(replace(stopped, duration_s=10.0), "least_requests", 1)
    assert result.errors["unfinished"] > 0
    assert sum(s.error == "unfinished" for s in result.samples) == result.errors["unfinished"]


def test_given_tasks_take_the_place_of_drawn_ones() -> None:
    """As a replayed log has them."""
    given = [Task(0, 1.0, work_s=2.0), Task(1, 1.5, work_s=1.0, first_s=0.25, stream=True)]
    result = run(PLAIN, "least_requests", 1, tasks=given)
    whole, streamed = sorted(result.samples, key=lambda s: s.task.number)
    assert (whole.ended, streamed.ended) == (pytest.approx(3.0, abs=0.002), pytest.approx(2.5, abs=0.002))
    assert streamed.first == pytest.approx(1.75, abs=0.002)
