"""Does the default policy keep what docs/routing.md says, on a few short simulations of fixed seeds?

`python -m benchmarks.routing_simulation` measures the same over many seeds.
"""

from dataclasses import replace
from functools import cache

import pytest

from gateway.pool.pool import Pool
from gateway.simulate import Gateways, pool_of, run
from gateway.simulation.builtin import SCENARIOS
from gateway.simulation.scenario import Condition, Group, Scenario, Work
from gateway.simulation.statistics import Result
from gateway.simulation.world import World

OURS = "least_latency"
SEEDS = (1, 2)


@cache
def simulated(scenario: str, policy: str, duration_s: float, gateways: int = 1) -> list[Result]:
    """One result for each seed."""
    made = replace(SCENARIOS[scenario], duration_s=duration_s, gateways=gateways)
    return [run(made, policy, seed) for seed in SEEDS]


def mean(results: list[Result], figure: str, quantile: str) -> float:
    return sum(getattr(getattr(result, figure), quantile) for result in results) / len(results)


@pytest.mark.parametrize(
    ("scenario", "against", "most"),
    [
        ("slot-fifo-0.7", "sed_true", 1.4),
        ("slot-fifo-0.7", "p2c_ewma", 0.7),
        ("slot-fifo-0.7", "least_requests", 0.85),
        ("slot-fifo-0.7-known", "sed_true", 1.25),
        ("slot-fifo-0.9-known", "sed_true", 1.05),
        ("equal", "least_requests", 1.04),
        ("gray-failure", "least_requests", 1.03),
        ("rolling-restart", "least_requests", 1.03),
    ],
)
def test_short_requests_are_answered_soon(scenario: str, against: str, most: float) -> None:
    """The 99th percentile end to end, against a reference or a peer."""
    ours, theirs = (mean(simulated(scenario, policy, 100.0), "total", "p99") for policy in (OURS, against))
    assert ours <= most * theirs


def test_restarts_that_follow_one_another_are_hardly_felt() -> None:
    """As in the shoot-out: eight in turn are gone for 0.85 s and load for 0.4 s, and who is back is needed at
    once. Slow start is left on; against counting requests with it and without, and against no restarts."""
    restarts = Condition("restart", start_s=2.0, every_s=1.7, down_s=0.85, load_s=0.4)
    checks = {"interval": "1s", "timeout": "1s", "rise": 2, "fall": 2}
    pool = {"health": checks, "outlier": {"ejection": "5s"}, "retries": {"attempts": 3}}
    made = Scenario(
        "restarts", "", "slots", (Group(8),), Work(load=0.65, mean_s=0.155), (restarts,), 17.0, 2.0
    )
    ours = [run(replace(made, pool=pool), OURS, seed) for seed in range(1, 9)]
    counting = [run(replace(made, pool=pool), "least_requests", seed) for seed in range(1, 9)]
    at_once = replace(made, pool=pool | {"slow_start": 0})
    theirs = [run(at_once, "least_requests", seed) for seed in range(1, 9)]
    unhurt = [run(replace(made, conditions=()), OURS, seed) for seed in range(1, 9)]
    assert mean(ours, "total", "p99") <= 0.5 * mean(counting, "total", "p99")
    assert mean(ours, "total", "p99") <= 1.1 * mean(theirs, "total", "p99")
    assert mean(ours, "total", "p99") <= 1.15 * mean(unhurt, "total", "p99")


def test_cold_newcomers_get_no_burst() -> None:
    """Two join in full load, three times slower at first: until they are warm neither has more than two of
    four places taken, though answers alone could end its slow start."""
    scenario = replace(SCENARIOS["scale-out"], duration_s=70.0)
    for seed in SEEDS:
        world = World(scenario, Gateways(pool_of(scenario), OURS), seed)
        pool = world.lanes[0].pool
        most: list[int] = []

        def look(pool: Pool = pool, most: list[int] = most) -> None:
            most.append(max(pool.backend(name).in_flight for name in ("m06", "m07")))

        for tenth in range(1, 60):
            world.engine.at(60.0 + tenth / 10, look)
        world.run()
        assert 0 < max(most) <= 2, most


@pytest.mark.parametrize(("figure", "most"), [("ttft", 0.7), ("per_token", 0.75)])
def test_streams_begin_soon_and_run_fast(figure: str, most: float) -> None:
    """Both at once, against counting requests."""
    ours, theirs = (
        mean(simulated("llm-0.85", policy, 300.0), figure, "p99") for policy in (OURS, "least_requests")
    )
    assert ours <= most * theirs


@pytest.mark.parametrize("gateways", [4, 16])
def test_gateways_that_do_not_know_each_other_do_not_herd(gateways: int) -> None:
    """Better than counting, which herds the more the more there are."""
    ours, theirs = (
        mean(simulated("slot-fifo-0.7", policy, 80.0, gateways), "total", "p99")
        for policy in (OURS, "least_requests")
    )
    assert ours <= 0.85 * theirs


def test_a_backend_that_becomes_three_times_slower_loses_its_share_within_two_seconds() -> None:
    """Of the requests from two to ten seconds after, it gets less than a third of what it got before."""
    scenario = replace(SCENARIOS["slowdown"], duration_s=75.0)
    world = World(scenario, Gateways(pool_of(scenario), OURS), 1)
    pool = world.lanes[0].pool
    at: dict[float, tuple[int, int]] = {}

    def look(now: float) -> None:
        at[now] = (pool.backend("m02").selected, sum(backend.selected for backend in pool.backends))

    for now in (50.0, 60.0, 62.0, 70.0):
        world.engine.at(now, lambda now=now: look(now))
    world.run()

    def share(since: float, until: float) -> float:
        return (at[until][0] - at[since][0]) / (at[until][1] - at[since][1])

    assert share(62.0, 70.0) < share(50.0, 60.0) / 3


def test_hedging_halves_the_tail_and_costs_nothing() -> None:
    """2 % of answers are eight times slower: p99.9, and the time of all backends together."""
    plain, hedged = (simulated(name, OURS, 120.0) for name in ("hiccups-0.8", "hiccups-0.8-hedged"))
    assert mean(hedged, "total", "p999") <= 0.55 * mean(plain, "total", "p999")
    assert sum(result.busy_s for result in hedged) <= 1.05 * sum(result.busy_s for result in plain)


@pytest.mark.parametrize("times", [2, 10])
def test_overload_wastes_nothing_and_spares_the_most_urgent(times: int) -> None:
    """While more comes than can be served, what is served is in time; the high class hardly notices."""
    overload = run(SCENARIOS[f"overload-{times}x"], OURS, 1)
    calm = run(
        replace(SCENARIOS[f"overload-{times}x"], work=replace(SCENARIOS["overload-2x"].work, bursts=())),
        OURS,
        1,
    )
    assert overload.goodput_within(40.0, 60.0) >= 0.95 * overload.capacity
    assert overload.goodput_within(65.0, 80.0) >= 0.95 * calm.goodput_within(65.0, 80.0)
    assert overload.classes["high"][0].p99 <= 1.5 * calm.classes["high"][0].p99
