"""Figures between two documents: never negative, parts that sum to the whole, restarts noticed."""

import dataclasses
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.top.document import Overview
from gateway.top.rates import Flow, figures, grown, quantile, restarted
from tests.unit.top.documents import BOUNDS, backend, overview, pool, route

COUNTS = st.integers(0, 1000)
SECONDS = st.floats(0, 1000)


@st.composite
def routes(draw: st.DrawFn) -> dict[str, Any]:
    counts = draw(st.lists(COUNTS, min_size=len(BOUNDS) + 1, max_size=len(BOUNDS) + 1))
    requests = draw(COUNTS)
    return route(
        draw(st.sampled_from("abc")),
        requests=requests,
        errors=draw(st.integers(0, requests)),
        duration={"count": sum(counts), "sum_s": draw(SECONDS), "counts": counts},
        cache=draw(st.dictionaries(st.sampled_from(["hit", "miss", "stale", "coalesced", "bypass"]), COUNTS)),
        saved_s=draw(SECONDS),
    )


@st.composite
def backends(draw: st.DrawFn) -> dict[str, Any]:
    outcomes = st.dictionaries(st.sampled_from(["ok", "server_error", "timeout", "cancelled"]), COUNTS)
    return backend(
        draw(st.sampled_from("xyz")),
        selected=draw(COUNTS),
        outcomes=draw(outcomes),
        duration={"count": draw(COUNTS), "sum_s": draw(SECONDS)},
    )


def named(one: dict[str, Any]) -> str:
    return str(one["name"])


@st.composite
def overviews(draw: st.DrawFn, at_s: float) -> Overview:
    """Any counters at all, whatever they were before: backends and routes come, go and begin anew."""
    return overview(
        at_s=at_s,
        routes=draw(st.lists(routes(), max_size=3, unique_by=named)),
        pools=[pool("p", *draw(st.lists(backends(), max_size=3, unique_by=named)))],
    )


@given(overviews(10.0), overviews(12.0))
def test_no_figure_is_ever_negative(before: Overview, after: Overview) -> None:
    """Whatever the counters do; and shares are shares."""
    found = figures(before, after)
    assert found is not None
    for flow in (found.total, *found.routes.values()):
        figured = dataclasses.asdict(flow)
        assert min(figured.pop("counts"), default=0) >= 0
        assert all(value >= 0 for key, value in figured.items() if key != "bounds")
        assert 0 <= (flow.failed_share or 0) <= 1
        assert 0 <= (flow.hit_ratio or 0) <= 1
        assert min(flow.per_s, flow.saved_per_s, flow.per_latency or 0, flow.mean_s or 0) >= 0
    for one in found.backends.values():
        assert min(one.per_s, one.mean_s or 0) >= 0
        assert 0 <= (one.failed_share or 0) <= 1
        assert 0 <= (one.share or 0) <= 1


@given(overviews(10.0), overviews(12.5))
def test_parts_sum_to_the_whole(before: Overview, after: Overview) -> None:
    """Routes to the total, shares of a pool to one."""
    found = figures(before, after)
    assert found is not None
    flows = found.routes.values()
    assert found.total.requests == sum(flow.requests for flow in flows)
    assert found.total.asked == sum(flow.asked for flow in flows)
    assert sum(found.total.counts) == sum(sum(flow.counts) for flow in flows)
    assert found.total.per_s == pytest.approx(sum(flow.per_s for flow in flows))
    shares = [one.share for one in found.backends.values() if one.share is not None]
    assert sum(shares) == pytest.approx(1.0 if shares else 0.0)


@given(overviews(10.0), st.integers(0, 50), st.floats(0.1, 100))
def test_what_grew_is_what_is_told(before: Overview, more: int, seconds: float) -> None:
    """Where counters only grow, a rate times its seconds is the growth."""
    grew = [
        msgspec.structs.replace(one, requests=one.requests + more, saved_s=one.saved_s + more)
        for one in before.routes
    ]
    after = msgspec.structs.replace(before, routes=grew, at_s=10.0 + seconds)
    found = figures(before, after)
    assert found is not None
    assert found.total.per_s * found.seconds == pytest.approx(more * len(grew))
    assert found.total.saved_s == pytest.approx(more * len(grew), abs=1e-6)


def test_figures_of_a_second() -> None:
    """Throughput, errors, latency, their ratio, hits and savings, each worked out by hand."""
    before = overview(at_s=5.0, routes=[route("r", requests=10, duration={"count": 10, "sum_s": 1.0})])
    after = overview(
        at_s=7.0,
        routes=[
            route(
                "r",
                requests=30,
                errors=5,
                duration={"count": 30, "sum_s": 6.0, "counts": [0, 20, 0]},
                cache={"hit": 3, "coalesced": 1, "miss": 12, "bypass": 4},
                saved_s=8.0,
            )
        ],
    )
    found = figures(before, after)
    assert found is not None
    flow = found.routes["r"]
    assert (flow.per_s, flow.failed_share, flow.mean_s) == (10.0, 0.25, 0.25)
    assert flow.per_latency == 40.0
    assert (flow.hit_ratio, flow.saved_per_s) == (0.2, 4.0)
    assert flow.quantile_s(0.5) == pytest.approx(0.55)
    assert found.total == flow


def test_a_client_that_left_is_no_sample_of_its_backend() -> None:
    """Neither in its rate nor in its share of failures."""
    before = overview(at_s=0.0, pools=[pool("p", backend("x"), backend("y"))])
    outcomes = {"ok": 6, "timeout": 2, "cancelled": 40, "overloaded": 2}
    after = overview(
        at_s=2.0, pools=[pool("p", backend("x", selected=30, outcomes=outcomes), backend("y", selected=10))]
    )
    found = figures(before, after)
    assert found is not None
    x, y = found.backends["p", "x"], found.backends["p", "y"]
    assert (x.per_s, x.failed_share, x.share) == (5.0, 0.2, 0.75)
    assert (y.per_s, y.failed_share, y.share) == (0.0, None, 0.25)


@pytest.mark.parametrize(
    ("changes", "is_one"),
    [({}, False), ({"pid": 8}, True), ({"uptime_s": 99.0}, True), ({"at_s": 9.0}, True)],
    ids=lambda value: str(value),
)
def test_a_restart_is_noticed(changes: dict[str, Any], is_one: bool) -> None:
    """By another process, a shorter life, or a clock that went back; then nothing can be told."""
    before = overview(at_s=10.0, pid=7, uptime_s=100.0)
    after = overview(**{"at_s": 11.0, "pid": 7, "uptime_s": 101.0, **changes})
    assert restarted(before, after) is is_one
    assert (figures(before, after) is None) is is_one


def test_no_time_no_figures() -> None:
    """The same document twice is no interval."""
    assert figures(overview(at_s=3.0), overview(at_s=3.0)) is None


def test_a_counter_that_fell_began_anew() -> None:
    """What it shows has happened since."""
    assert (grown(10.0, 12.5), grown(10.0, 4.0), grown(0.0, 0.0)) == (2.5, 4.0, 0.0)


@given(st.lists(COUNTS, min_size=3, max_size=3), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_quantiles_rise(counts: list[int], one: float, other: float) -> None:
    """A larger share is never a shorter time; all lie within the bounds."""
    low, high = (quantile(counts, share, BOUNDS) for share in sorted((one, other)))
    if not sum(counts):
        assert low is high is None
    else:
        assert low is not None
        assert high is not None
        assert 0.0 <= low <= high <= BOUNDS[-1]


def test_quantiles_need_their_bounds() -> None:
    """Counts of other buckets say nothing; past the last bound, that bound is what is known."""
    assert quantile([1, 2], 0.5, BOUNDS) is None
    assert quantile([0, 0, 4], 0.5, BOUNDS) == BOUNDS[-1]
    assert Flow(1.0, counts=(1,)).quantile_s(0.5) is None
