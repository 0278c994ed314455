"""The whole screen as lines: what must be on it, in any size."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.top.document import Decision
from gateway.top.frame import frame, scrolled
from gateway.top.history import History
from gateway.top.lines import BAD, CHOSEN, SOFT, Line, width_of
from gateway.top.view import View
from tests.unit.top.documents import backend, overview, pool, route

NOW = 1_700_000_000.0


def shown(view: View, width: int = 80, height: int = 24) -> list[str]:
    return ["".join(piece for piece, _ in line).rstrip() for line in frame(view, width, height, NOW)]


def watched(backends: int = 3, pools: int = 1, **status: Any) -> View:
    """Two documents a second apart: route r answers 20 a second, one of twenty badly."""
    view = View("http://gateway.test:9901", History())
    for at in (0, 1):
        its = [
            pool(
                f"p{n}",
                *(
                    backend(f"gpu-{m}", selected=at * (m + 1), outcomes={"ok": at * (m + 1)}, latency_s=0.2)
                    for m in range(backends)
                ),
            )
            for n in range(pools)
        ]
        its[0]["queue"] = {"high": 0, "normal": 4, "low": 1}
        routes = [
            route(
                "r",
                requests=20 * at,
                errors=at,
                duration={"count": 20 * at, "sum_s": 5.0 * at, "counts": [0, 20 * at, 0]},
                cache={"hit": 5 * at, "miss": 15 * at},
                saved_s=2.0 * at,
                in_flight=3,
            )
        ]
        cache = {"entries": 2, "bytes": 2048, "max_bytes": 4096, "store": "memory"}
        view.heard(overview(float(at + 1), routes, its, cache, connections=6, **status))
    return view


def test_the_four_figures_are_at_the_top() -> None:
    """Throughput, latency, errors, throughput ÷ latency; then the cache; readiness and age above all."""
    lines = shown(watched())
    assert lines[0].startswith("gateway 1.2.3  ready  up 2 s  http://gateway.test:9901")
    assert lines[0].endswith("22:40:59Z")
    assert lines[1].startswith("req/s 20  errors 5.0%  p50 550 ms  p95 955 ms  mean 250 ms  req/s per s 80")
    assert lines[2] == "in flight 3  waiting 5  clients 6  cache hits 25%  saves 2 s/s  kept 2 KiB"


def test_backends_stand_below_their_pool() -> None:
    """With routes and decisions below, where there is room, and more of the selected one at the bottom."""
    view = watched()
    view.decided([Decision("1", "2026-03-02T22:40:59.026Z", "r", status=200)])
    lines = shown(view, height=30)
    assert lines[4].split()[:3] == ["BACKEND", "STATE", "REQ/S"]
    assert lines[5] == "p0  least_latency  3 of 3 well  attempts/s 6  waiting 5"
    assert [line.split()[:5] for line in lines[6:9]] == [
        [f"gpu-{n}", "up", rate, share, "0%"]
        for n, rate, share in ((0, "1", "17%"), (1, "2", "33%"), (2, "3", "50%"))
    ]
    assert lines[10].startswith("ROUTE")
    assert lines[11].split()[:2] == ["r", "20"]
    assert "LAST DECISIONS" in lines
    assert lines[-3].startswith("gpu-0  of p0  http://gpu-0.test:8000")
    assert lines[-1].startswith("q quit  ? help")


def test_not_ready_says_why() -> None:
    """In words, not by colour alone."""
    assert "not ready: draining" in shown(watched(ready=False, reason="draining"))[0]


def test_a_silent_gateway_is_no_living_one() -> None:
    """Since when and why; what was known stays, pale."""
    view = watched()
    view.history.failed("connection refused", NOW - 75)
    lines = shown(view)
    assert "silent" in lines[0]
    assert lines[3] == "unreachable since 22:12:05Z (1 min 15 s), retrying: connection refused"
    row = next(line for line in frame(view, 80, 24, NOW) if line and line[0][0].startswith("gpu-1"))
    assert {style for _, style in row} == {SOFT}


def test_one_that_never_answered_says_what_to_look_for() -> None:
    """Before the first answer, and when there is none."""
    view = View("http://gateway.test:9901", History())
    assert shown(view)[4] == "asking http://gateway.test:9901 …"
    view.history.failed("connection refused", NOW)
    lines = shown(view)
    assert lines[3] == "unreachable since 22:13:20Z (0 s), retrying: connection refused"
    assert lines[4].startswith("Is the gateway running, and is http://gateway.test:9901 its admin address?")


def test_a_question_is_seen() -> None:
    """Before a backend is drained, and what came of it."""
    view = watched()
    view.key("x")
    assert shown(view)[3] == "drain gpu-0 of pool p0? It gets no new work. y: yes, any other key: no"
    view.key("n")
    assert shown(view)[3] == "gpu-0 was left as it is"


def test_a_pool_that_is_not_there_is_said() -> None:
    """Asked for with --pool, or gone with another configuration; f shows the others."""
    view = watched()
    view.pool = "small"
    assert shown(view)[4] == "there is no pool small; f goes on to those there are"
    view.key("f")
    assert shown(view)[5].startswith("p0 ")


def test_paused_is_said() -> None:
    """And how it goes on."""
    view = watched()
    view.key("p")
    assert shown(view)[3] == "paused; p goes on"


@pytest.mark.parametrize("key", ["d", "t", "question_mark"])
def test_panels_scroll_to_their_end(key: str) -> None:
    """However far one goes."""
    view = watched()
    view.key(key)
    before = shown(view, height=12)
    view.key("end")
    assert len(shown(view, height=12)) == len(before) == 12
    if key == "question_mark":
        assert shown(view, height=12) != before
    view.key("home")
    assert shown(view, height=12) == before


def test_two_hundred_backends() -> None:
    """Whoever is selected is in sight, and his pool's name is when he is its first."""
    view = watched(backends=50, pools=4)
    for key, selected, title in (
        ("end", "gpu-49", None),
        ("home", "gpu-0", "p0"),
        ("pagedown", "gpu-15", None),
    ):
        view.key(key)
        lines = frame(view, 80, 24, NOW)
        (row,) = [line for line in lines if any(style == CHOSEN for _, style in line)]
        assert row[0][0].strip() == selected
        if title is not None:
            assert any(line and line[0][0] == title for line in lines)


@settings(max_examples=60)
@given(
    st.integers(1, 250),
    st.integers(1, 80),
    st.integers(0, 12),
    st.lists(
        st.sampled_from(["down", "end", "pageup", "s", "r", "f", "d", "t", "question_mark", "x", "p"]),
        max_size=8,
    ),
)
def test_any_size_is_kept_to(width: int, height: int, backends: int, keys: list[str]) -> None:
    """Exactly so many lines of at most so many cells, whatever is shown."""
    view = watched(backends=backends, pools=2)
    for key in keys:
        view.key(key)
        lines: list[Line] = frame(view, width, height, NOW)
        assert len(lines) == height
        assert max(width_of(line) for line in lines) <= width


def test_scrolling_is_no_more_than_needed() -> None:
    """The line stays in sight; nothing jumps while it is."""
    assert scrolled(0, 5, 100, 10) == 0
    assert scrolled(0, 15, 100, 10) == 6
    assert scrolled(50, 20, 100, 10) == 19
    assert scrolled(90, 99, 100, 10) == 90
    assert scrolled(7, 3, 5, 10) == 0


def test_trouble_is_marked() -> None:
    """Many errors, waiting requests, panic."""
    view = View("http://gateway.test:9901", History())
    for at in (1, 2):
        bad = backend("gpu", outcomes={"ok": at, "timeout": at}, state="ejected", why="5 failures in a row")
        its = pool("p", bad, panic=True, shed={"full": 7}, retries={"tried": 3})
        view.heard(overview(float(at), [route("r", requests=2 * at, errors=at)], [its]))
    lines = frame(view, 100, 24, NOW)
    assert ("50%", BAD) in [(piece.strip(), style) for line in lines for piece, style in line]
    assert any("panic: health is ignored" in line for line in shown(view, 100))
    assert any("retries 3  turned away 7" in line for line in shown(view, 100))
    assert shown(view, 100)[-2] == "ejected: 5 failures in a row"
