"""Who asks for what, when: distributions against their formulas."""

from itertools import islice
from random import Random
from statistics import fmean, median, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulation.scenario import Group, Scenario, ServiceKind, Work
from gateway.simulation.workload import TRACES, Lognormal, arrivals, gaps, means, service, tasks


def scenario(machine: str = "slots", **work: object) -> Scenario:
    return Scenario("s", "", machine, (Group(),), Work(rate=1.0, **work), duration_s=1000.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["normal", "lognormal", "exponential", "constant"])
def test_service_times_have_the_mean_they_claim(kind: ServiceKind) -> None:
    """Loads are computed from it, so it has to be true; none is below 0."""
    draw, mean = service(Work(service=kind, mean_s=0.2, service_cv=1.0))
    dice = Random(1)
    values = [draw(dice) for _ in range(40_000)]
    assert min(values) > 0
    assert fmean(values) == pytest.approx(mean, rel=0.02)


def test_a_lognormal_goes_through_its_quantiles() -> None:
    """Half of the draws below the median, one in a hundred above the 99th percentile."""
    dice, made = Random(2), Lognormal.through(1020, 4142)
    values = sorted(made.draw(dice) for _ in range(50_000))
    assert values[25_000] == pytest.approx(1020, rel=0.02)
    assert values[49_500] == pytest.approx(4142, rel=0.05)
    assert fmean(values) == pytest.approx(made.mean, rel=0.02)


def test_a_lognormal_has_its_mean_and_variation() -> None:
    """As `of` is given them."""
    dice, made = Random(3), Lognormal.of(0.5, 1.0)
    values = [made.draw(dice) for _ in range(100_000)]
    assert fmean(values) == pytest.approx(0.5, rel=0.02)
    assert pstdev(values) / fmean(values) == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("cv", [0.0, 0.5, 1.0, 4.0])
def test_gaps_have_mean_1_and_their_coefficient_of_variation(cv: float) -> None:
    """Even, more even than Poisson, Poisson, bursty."""
    values = list(islice(gaps(cv, Random(4)), 200_000))
    assert fmean(values) == pytest.approx(1.0, rel=0.05)
    assert pstdev(values) == pytest.approx(cv, rel=0.05)


def test_bursts_multiply_the_rate_while_they_last() -> None:
    """10 times the arrivals within, the usual ones before and after, none past the end."""
    times = list(arrivals(50.0, 1.0, ((10.0, 12.0, 10.0), (15.0, 20.0, 0.1)), 20.0, Random(5)))
    assert times == sorted(times)
    counts = [sum(a <= when < b for when in times) for a, b in ((0, 10), (10, 12), (12, 15), (15, 20))]
    assert counts == pytest.approx([500, 1000, 150, 25], rel=0.3, abs=12)
    assert times[-1] <= 20.0


@given(st.integers(0, 1000), st.floats(0.2, 5))
def test_arrivals_of_even_gaps_follow_the_integral_of_the_rate(seed: int, factor: float) -> None:
    """With even gaps the n-th arrival is where rate x time, bursts included, adds up to n."""
    rate, burst = 7.0, (3.0, 8.0, factor)
    for n, when in enumerate(arrivals(rate, 0.0, (burst,), 20.0, Random(seed)), 1):
        inside = min(max(when - 3.0, 0.0), 5.0)
        assert rate * (when - inside + inside * factor) == pytest.approx(n)


def test_the_same_seed_asks_for_the_same_things_at_another_rate() -> None:
    """So that loads can be compared; another seed asks for others."""
    slow = [task.work_s for task in tasks(scenario(), 1.0, 7)]
    fast = [task.work_s for task in islice(tasks(scenario(), 10.0, 7), len(slow))]
    assert slow == fast
    assert slow[:100] != [task.work_s for task in islice(tasks(scenario(), 1.0, 8), 100)]
    assert 900 < len(slow) < 1100


@pytest.mark.parametrize("trace", list(TRACES))
def test_lengths_have_the_traces_medians_and_the_means_loads_go_by(trace: str) -> None:
    """Prompt and output tokens, long answers mixed in."""
    made = scenario("batching", trace=trace, long_share=0.2)
    drawn = list(islice(tasks(made, 100.0, 1), 20_000))
    prompts, outputs = TRACES[trace]
    mean = means(made.work)
    assert median(task.prompt for task in drawn) == pytest.approx(prompts.median, rel=0.03)
    assert fmean(task.prompt for task in drawn) == pytest.approx(mean.prompt, rel=0.05)
    assert fmean(task.output for task in drawn) == pytest.approx(mean.output, rel=0.05)
    assert mean.output > outputs.mean
    assert all(task.size == 200 + 4 * task.prompt and task.stream for task in drawn)


def test_shares_of_classes_and_streams_are_kept() -> None:
    """A fifth high, the rest normal; three of four streamed; the deadline is everybody's."""
    made = scenario("batching", priorities={"high": 1, "normal": 4}, streamed=0.75, deadline_s=9.0)
    drawn = list(islice(tasks(made, 100.0, 1), 10_000))
    assert sum(task.priority == "high" for task in drawn) == pytest.approx(2000, rel=0.1)
    assert {task.priority for task in drawn} == {"high", "normal"}
    assert sum(task.stream for task in drawn) == pytest.approx(7500, rel=0.05)
    assert {task.deadline_s for task in drawn} == {9.0}
