"""Is the simulator right? Whole simulations against what theory says; policies are judged elsewhere."""

from math import factorial, fsum
from statistics import fmean

import pytest

from gateway.simulate import run
from gateway.simulation.scenario import Condition, Group, Scenario, Work

ONE_MACHINE = Scenario(
    "s", "", "slots", (Group(1),), Work(), duration_s=4000.0, warmup_s=100.0, drain_s=500.0
)


def erlang_c(servers: int, load: float) -> float:
    """The share of arrivals that have to wait in M/M/c; `load` is per server. Erlang, 1917."""
    offered = servers * load
    waiting = offered**servers / factorial(servers) / (1 - load)
    return waiting / (fsum(offered**k / factorial(k) for k in range(servers)) + waiting)


@pytest.mark.parametrize(("slots", "load"), [(1, 0.5), (4, 0.7), (4, 0.9)])
def test_waiting_is_as_erlang_says(slots: int, load: float) -> None:
    """Poisson arrivals, exponential service, one machine of c slots: the mean wait is C / (c mu - lambda)."""
    mean_s = 0.2
    work = Work(load=load, service="exponential", mean_s=mean_s)
    scenario = Scenario("s", "", "slots", (Group(1, 1.0, slots),), work, duration_s=2000.0, drain_s=500.0)
    waits = [
        sample.total_s - sample.task.work_s
        for seed in (1, 2, 3)
        for sample in run(scenario, "least_requests", seed).samples
    ]
    expected = erlang_c(slots, load) * mean_s / (slots * (1 - load))
    assert fmean(waits) == pytest.approx(expected, rel=0.1)


def test_even_arrivals_of_equal_tasks_never_wait() -> None:
    """D/D/c below capacity, over several machines and gateways with least requests."""
    work = Work(load=0.9, cv=0.0, service="constant", mean_s=0.5)
    scenario = Scenario("s", "", "slots", (Group(4),), work, duration_s=100.0)
    result = run(scenario, "least_requests", 1)
    assert result.total.p999 == pytest.approx(0.5, abs=0.0021)


@pytest.mark.parametrize("policy", ["least_latency", "random", "clairvoyant"])
def test_work_is_conserved(policy: str) -> None:
    """Machines of speed 1 are busy for exactly the work that was asked for, whoever distributes it."""
    scenario = Scenario("s", "", "slots", (Group(4),), Work(load=0.8), duration_s=60.0, warmup_s=0.0)
    result = run(scenario, policy, 1)
    assert result.errors == {}
    assert result.wasted_s == 0.0
    assert result.busy_s == pytest.approx(fsum(sample.task.work_s for sample in result.samples))


def test_a_load_is_the_share_of_the_machines_that_is_busy() -> None:
    """With unequal machines and neighbours that slow them down; least requests keeps all of them at work."""
    groups = (Group(4, 0.5), Group(4, 1.0), Group(4, 2.0))
    neighbours = Condition("antagonist", slow=3.0, on_s=5.0, off_s=20.0)
    scenario = Scenario("s", "", "slots", groups, Work(load=0.8), (neighbours,), duration_s=200.0)
    result = run(scenario, "least_requests", 1)
    assert fmean(result.utilisation.values()) == pytest.approx(0.8, abs=0.06)


def test_batching_at_full_load_does_what_its_capacity_says() -> None:
    """Twice the load, no deadline: answers leave at the rate that loads are measured by."""
    work = Work(load=2.0, long_share=0.1)
    scenario = Scenario(
        "s", "", "batching", (Group(2, 1.0, 64),), work, duration_s=400.0, warmup_s=0.0, drain_s=0.0
    )
    result = run(scenario, "least_requests", 1)
    assert result.goodput_within(150.0, 400.0) == pytest.approx(result.capacity, rel=0.1)


def test_one_stream_at_a_time_has_the_steps_of_the_formula() -> None:
    """Next to no load: a token takes a + b, and a prompt its tokens and the steps they take."""
    work = Work(rate=0.05)
    scenario = Scenario("s", "", "batching", (Group(1, 0.5, 64),), work, duration_s=2000.0, drain_s=100.0)
    result = run(scenario, "least_requests", 1)
    assert result.per_token.p50 == pytest.approx(2 * 0.0156)
    alone = [sample for sample in result.samples if sample.per_token_s == pytest.approx(2 * 0.0156)]
    assert len(alone) > 50
    expected = [2 * (0.015 * -(-sample.task.prompt // 512) + sample.task.prompt / 16_000) for sample in alone]
    early = sum(
        sample.ttft_s == pytest.approx(formula, abs=0.0021)
        for sample, formula in zip(alone, expected, strict=True)
    )
    assert early > 0.9 * len(alone)


def test_clients_that_leave_give_their_slots_back() -> None:
    """At three times the load, with deadlines: machines that honour cancelling waste less than deaf ones, and
    answer more in time."""
    work = Work(load=3.0, deadline_s=0.5)
    answered = {}
    for honours in (True, False):
        groups = (Group(2, honours_cancel=honours),)
        scenario = Scenario("s", "", "slots", groups, work, duration_s=30.0, warmup_s=5.0)
        result = run(scenario, "least_requests", 1)
        answered[honours] = result.goodput
        assert result.wasted_s > 0
    assert answered[True] > 3 * answered[False]


def test_several_gateways_see_the_same_machines() -> None:
    """What one gateway sends makes the others' requests wait: the same work over the same machines is as busy
    however many gateways there are, and blind ones do not do better than one that sees all."""
    scenario = Scenario("s", "", "slots", (Group(4),), Work(load=0.85), duration_s=100.0)
    p99 = {}
    for gateways in (1, 4, 16):
        many = Scenario("s", "", "slots", (Group(4),), Work(load=0.85), duration_s=100.0, gateways=gateways)
        result = run(many, "least_requests", 1)
        assert result.busy_s == pytest.approx(run(scenario, "least_requests", 1).busy_s)
        p99[gateways] = result.total.p99
    assert p99[1] < p99[4] < p99[16]


def test_references_are_hard_to_beat() -> None:
    """On unequal machines that change: knowing sizes and future speeds beats knowing speeds, which beats
    counting, which beats chance."""
    groups = (Group(4, 0.5), Group(4, 1.0), Group(4, 2.0))
    neighbours = Condition("antagonist", slow=3.0)
    scenario = Scenario("s", "", "slots", groups, Work(load=0.7), (neighbours,), duration_s=150.0)
    p99 = [
        run(scenario, policy, 1).total.p99
        for policy in ("clairvoyant", "sed_true", "least_requests", "random")
    ]
    assert p99 == sorted(p99)


def test_a_failing_machine_that_looks_healthy_is_hidden_by_retries() -> None:
    """The real retry rule, budget and ejection: no client sees the 503s, and the machine gets little."""
    failing = Condition("fail", (2,), 20.0, 50.0)
    scenario = Scenario("s", "", "slots", (Group(8),), Work(load=0.5), (failing,), duration_s=60.0)
    result = run(scenario, "least_latency", 1)
    assert result.errors == {}
    assert 0 < result.retries < 100
