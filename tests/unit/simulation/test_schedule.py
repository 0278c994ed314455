"""Speeds over time, and when work is done at them."""

from itertools import pairwise
from math import inf, isclose
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulation.schedule import Schedule, antagonist, product, window

speeds = st.one_of(st.just(0.0), st.floats(0.1, 10))


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    gaps = draw(st.lists(st.floats(0.1, 5), max_size=6))
    changes, when = [], 0.0
    for gap in gaps:
        when += gap
        changes.append((when, draw(speeds)))
    return Schedule(draw(speeds), changes)


def work_between(schedule: Schedule, start: float, end: float) -> float:
    """Sum over the stretches: another way than the one tested."""
    edges = sorted({start, end, *(when for when in schedule.times if start < when < end)})
    return sum((b - a) * schedule.at(a) for a, b in pairwise(edges))


@given(schedules(), st.floats(0, 20), st.floats(0.001, 50))
def test_work_is_done_when_the_speed_has_added_up_to_it(
    schedule: Schedule, start: float, work: float
) -> None:
    """The work between start and finish is what was asked for, and there is none left over before it."""
    finish = schedule.finish(start, work)
    if finish == inf:
        assert schedule.values[-1] == 0
        assert work_between(schedule, start, 1000.0) < work + 1e-9
    else:
        assert isclose(work_between(schedule, start, finish), work, rel_tol=1e-9, abs_tol=1e-9)
        assert schedule.at(finish) > 0 or finish in schedule.times


def test_work_waits_while_the_machine_stands_still() -> None:
    """A stop of 10 s makes what runs 10 s later."""
    stopped = Schedule(1.0, [(5.0, 0.0), (15.0, 1.0)])
    assert stopped.finish(4.0, 2.0) == 16.0
    assert stopped.finish(7.0, 1.0) == 16.0
    assert stopped.finish(4.0, 1.0) == 5.0
    assert Schedule(1.0, [(5.0, 0.0)]).finish(4.0, 2.0) == inf
    assert Schedule(0.0).finish(1.0, 1.0) == inf
    assert Schedule(1.0, [(1.0, 2.0), (2.0, 0.0)]).finish(0.0, 3.0) == 2.0


def test_a_change_holds_from_its_moment_on() -> None:
    """The last value of several for one moment counts."""
    schedule = Schedule(1.0, [(2.0, 3.0), (2.0, 4.0)])
    assert [schedule.at(when) for when in (0.0, 1.999, 2.0, 9.0)] == [1.0, 1.0, 4.0, 4.0]
    assert schedule.changes() == [(2.0, 4.0)]


def test_a_negative_speed_is_refused() -> None:
    """Nothing is undone."""
    with pytest.raises(ValueError, match="below 0"):
        Schedule(1.0, [(1.0, -0.5)])


@given(st.lists(schedules(), min_size=1, max_size=3), st.floats(0, 40))
def test_a_product_is_the_product_at_every_moment(parts: list[Schedule], when: float) -> None:
    """Several things that slow a machine down do so together."""
    expected = 1.0
    for part in parts:
        expected *= part.at(when)
    assert product(parts).at(when) == pytest.approx(expected)


def test_a_window_is_between_its_ends() -> None:
    """And for ever when it has no end."""
    assert [window(0.5, 2.0, 4.0).at(when) for when in (1.0, 2.0, 3.9, 4.0)] == [1.0, 0.5, 0.5, 1.0]
    assert window(0.5, 2.0, inf).at(1e9) == 0.5


def test_an_antagonist_is_there_for_its_share_of_the_time() -> None:
    """10 s on and 40 s off at a third of the speed: 0.867 on average; gone for good at the end."""
    schedule = antagonist(1 / 3, 10.0, 40.0, 200_000.0, Random(1))
    assert schedule.mean(200_000.0) == pytest.approx(0.8 + 0.2 / 3, rel=0.02)
    assert schedule.at(200_000.0) == 1.0
    first = [antagonist(0.5, 10.0, 40.0, 1.0, Random(seed)).at(0.0) for seed in range(1000)]
    assert 150 < first.count(0.5) < 250


def test_the_mean_is_by_time() -> None:
    """Not by the number of changes."""
    assert Schedule(1.0, [(1.0, 3.0), (3.0, 0.0)]).mean(4.0) == pytest.approx(7.0 / 4.0)
