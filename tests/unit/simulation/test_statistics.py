"""Figures of samples."""

from math import ceil, inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulation.engine import Engine
from gateway.simulation.scenario import Group, Scenario, Work
from gateway.simulation.schedule import Schedule
from gateway.simulation.slots import SlotMachine
from gateway.simulation.statistics import Quantiles, Sample, summarise
from gateway.simulation.task import Task

SCENARIO = Scenario("s", "", "slots", (Group(),), Work(rate=1.0), duration_s=110.0, warmup_s=10.0)


def sample(at: float, first: float, ended: float, error: str | None = None, **task: object) -> Sample:
    return Sample(Task(0, at, **task), 0, "m", 1, first, ended, error)  # type: ignore[arg-type]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300))
def test_a_quantile_is_the_smallest_value_that_so_many_do_not_exceed(values: list[float]) -> None:
    """Counted out, without interpolation."""
    found = Quantiles.of(values)
    for share, value in ((0.5, found.p50), (0.9, found.p90), (0.99, found.p99), (0.999, found.p999)):
        assert sum(each <= value for each in values) >= ceil(share * len(values))
        assert sum(each < value for each in values) < share * len(values)


def test_no_values_have_no_quantiles() -> None:
    """Zeros, and a count that says so."""
    assert Quantiles.of([]) == Quantiles(0, 0.0, 0.0, 0.0, 0.0, 0.0)


def test_times_are_counted_from_the_arrival() -> None:
    """First byte, end, and from token to token for streams of two tokens and more."""
    streamed = sample(10.0, 11.0, 15.0, output=5, stream=True)
    assert (streamed.ttft_s, streamed.total_s, streamed.per_token_s) == (1.0, 5.0, 1.0)
    assert sample(10.0, 11.0, 15.0, output=5).per_token_s is None
    assert sample(10.0, 11.0, 15.0, output=1, stream=True).per_token_s is None


def test_good_is_whole_and_in_time() -> None:
    """An answer too late is none; one without a deadline is never late."""
    assert sample(0.0, 1.0, 5.0, deadline_s=5.0).good
    assert not sample(0.0, 1.0, 5.1, deadline_s=5.0).good
    assert sample(0.0, 1.0, 1e9, deadline_s=inf).good
    assert not sample(0.0, 1.0, 2.0, "reset").good


def test_a_summary_leaves_the_warm_up_out() -> None:
    """Times of good answers, errors by kind, goodput, classes; machines by share and use of their places."""
    engine = Engine()
    machines = [SlotMachine(engine, name, Schedule(1.0), 4) for name in "ab"]
    machines[0].taken, machines[1].taken = 3, 1
    machines[0].wasted_s, machines[0].busy_s = 2.0, 44.0
    samples = [
        sample(5.0, 99.0, 99.0),
        sample(10.0, 11.0, 11.0, priority="high", deadline_s=3.0),
        sample(20.0, 24.0, 24.0, deadline_s=3.0),
        sample(30.0, 0.0, 31.0, "reset"),
    ]
    result = summarise(SCENARIO, samples, machines, [44.0, 0.0], [], 8.0)
    assert (result.total.count, result.total.p50, result.total.p999) == (2, 1.0, 4.0)
    assert result.errors == {"reset": 1}
    assert (result.offered, result.goodput, result.capacity) == (3, 0.01, 8.0)
    assert result.share == {"a": 0.75, "b": 0.25}
    assert result.utilisation == {"a": pytest.approx(0.1), "b": 0.0}
    assert (result.wasted_s, result.busy_s) == (2.0, 44.0)
    assert {name: (times.count, errors) for name, (times, errors) in result.classes.items()} == {
        "high": (1, 0),
        "normal": (1, 1),
    }
    assert len(result.arrived(0.0, 20.0)) == 2
    assert result.goodput_within(10.0, 30.0) == 1 / 20
