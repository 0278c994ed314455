"""Routes, decisions and help as lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.top.document import Attempt, Candidate, Decision, Excluded, Verdict
from gateway.top.lines import Line, width_of
from gateway.top.panels import decision_lines, help_lines, route_lines
from gateway.top.rates import figures
from tests.unit.top.documents import overview, route

NAMES = st.text(max_size=30)
FIGURES = st.floats(0, 1e6)


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    return Attempt(
        draw(NAMES),
        draw(NAMES),
        draw(st.none() | NAMES),
        draw(st.sampled_from([None, "ok", "timeout"])),
        draw(st.lists(st.builds(Candidate, NAMES, st.none() | FIGURES))),
        draw(st.lists(st.builds(Excluded, NAMES, NAMES))),
        draw(st.integers(0, 300)),
        draw(st.integers(0, 300)),
    )


DECISIONS = st.builds(
    Decision,
    model=st.none() | NAMES,
    status=st.integers(0, 599),
    error=st.none() | NAMES,
    cache=st.none() | st.builds(Verdict, NAMES),
    duration_s=FIGURES,
    queued_s=FIGURES,
    attempts=st.lists(attempts(), max_size=3),
)


def words(lines: list[Line]) -> list[str]:
    return ["".join(piece for piece, _ in line).rstrip() for line in lines]


DECISION = Decision(
    time="2026-03-02T22:40:59.026Z",
    route="chat",
    model="llama",
    status=200,
    cache=Verdict("miss"),
    duration_s=1.4,
    queued_s=0.25,
    attempts=[
        Attempt(
            "chat",
            "least_latency",
            "gpu-1",
            "timeout",
            [Candidate("gpu-1", 0.5), Candidate("gpu-2")],
            [Excluded("gpu-3", "draining: drained by an operator")],
            candidates_total=9,
            excluded_total=3,
        ),
        Attempt("small", "random", "cpu", "ok"),
    ],
)


def test_a_decision_says_why() -> None:
    """What became of the request, then for each attempt the scores, best first, and who was left out."""
    assert words(decision_lines([DECISION], None, 200)) == [
        "22:40:59 200 1.40 s  chat → gpu-1 → cpu  cache: miss  llama  waited 250 ms",
        "         gpu-1: timeout  least_latency: gpu-1 0.50, gpu-2 – and 7 more; "
        "not gpu-3: draining: drained by an operator and 2 more",
        "         random: no candidate",
    ]


@pytest.mark.parametrize(("pool", "count"), [(None, 3), ("small", 3), ("other", 1)])
def test_decisions_of_a_pool(pool: str | None, count: int) -> None:
    """Those with an attempt there; none are a sentence."""
    lines = decision_lines([DECISION], pool, 200)
    assert len(lines) == count
    assert ("no decisions yet" in words(lines)[0]) == (count == 1)


@given(st.lists(DECISIONS, max_size=3), st.integers(1, 100))
def test_any_decision_can_be_shown(decisions: list[Decision], width: int) -> None:
    """In any width, without what a terminal would obey."""
    for line in decision_lines(decisions, None, width):
        assert width_of(line) <= width
        assert all(piece.isprintable() for piece, _ in line)


def test_routes_say_what_goes_through() -> None:
    """Rates over the interval, the requests since the start last; a route without a cache has no savings."""
    before = overview(1.0, [route("chat", cache={"hit": 0}), route("plain")])
    latency = {"count": 20, "sum_s": 5.0, "counts": [0, 20, 0]}
    chat = route(
        "chat",
        requests=20,
        errors=2,
        in_flight=3,
        duration=latency,
        cache={"hit": 5, "miss": 15},
        saved_s=4.0,
    )
    after = overview(3.0, [chat, route("plain", requests=4)])
    head, first, second = words(route_lines(after, figures(before, after), 90))
    assert head.split()[:4] == ["ROUTE", "REQ/S", "ERR", "FLIGHT"]
    assert first.split() == [
        "chat", "10", "10%", "3", "550", "ms", "955", "ms", "250", "ms", "40", "25%", "2", "s/s", "20",
    ]  # fmt: skip
    assert second.split() == ["plain", "2", "0%", "0", "–", "–", "–", "–", "–", "–", "4"]


def test_routes_before_there_are_figures() -> None:
    """Names and totals at once; no routes are a sentence."""
    assert words(route_lines(overview(1.0, [route("chat", requests=7)]), None, 80))[1].split()[::10] == [
        "chat",
        "7",
    ]
    assert words(route_lines(overview(1.0), None, 80))[1] == "no requests yet"


@given(st.integers(20, 200))
def test_help_names_every_key(width: int) -> None:
    """Its notes are wrapped into the width."""
    lines = help_lines(width)
    assert {line[0][0].split()[0] for line in lines[:10]} == set("↑xsfdtbp?q")
    assert all(width_of(line) <= max(width, 14) for line in lines[10:])
