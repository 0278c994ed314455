"""The table of backends in any width, and in any order."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.top import text
from gateway.top.columns import COLUMNS, SORTS, Row, layout, ordered, row_line, titles
from gateway.top.history import Course
from gateway.top.lines import BAD, Line, width_of
from gateway.top.rates import BackendFlow
from tests.unit.top.documents import backend, overview, pool


def row(name: str, per_s: float | None = None, failed: float | None = None, **members: Any) -> Row:
    (its,) = overview(pools=[pool("p", backend(name, **members))]).pools
    flow = None if per_s is None else BackendFlow(per_s, failed, 0.2, 0.5)
    return Row(its, its.backends[0], flow, Course())


def words(line: Line) -> str:
    return "".join(piece for piece, _ in line)


@given(st.integers(20, 300), st.integers(1, 60), st.sampled_from(SORTS), st.booleans())
def test_the_table_fits(width: int, longest: int, sort: str, backwards: bool) -> None:
    """Into any width, with names of any length: head and rows take the same columns."""
    shape = layout(width, longest, sort)
    one = row("n" * longest, 12.5, 0.1, latency_s=0.25, slowness=1.5, score=0.3, in_flight=1234, limit=2000)
    for line in (titles(shape, sort, backwards), row_line(one, shape, 20.0)):
        assert width_of(line) <= width
    assert shape.name >= min(7, longest)


def test_wide_terminals_show_all() -> None:
    """At 80 columns every figure is there and both bars; on narrow ones name, state and rate stay."""
    shape = layout(80, 8, "name")
    assert shape.columns == COLUMNS
    assert min(shape.bars) >= 5
    assert [column.key for column in layout(26, 8, "name").columns] == ["state", "rate"]
    assert "wait" in [column.key for column in layout(36, 8, "wait").columns], "what is sorted by stays"


def test_long_names_take_what_is_free() -> None:
    """Up to a length; then the bars of the latency go, then the beginnings of names: their ends differ."""
    assert layout(140, 30, "name").name == 30
    assert layout(80, 12, "name").bars == (5, 5)
    shape = layout(80, 30, "name")
    assert (shape.name, shape.bars) == (18, (5, 0))
    assert words(row_line(row("meta-llama/gpu-node-3-049"), shape, 1.0)).startswith("…ma/gpu-node-3-049 up")


def test_a_row_says_what_is_known() -> None:
    """Rate, share, failures, in flight of how many, latency, slowness, score."""
    one = row("gpu-1", 12.5, 0.042, in_flight=3, limit=8, waiting=2, latency_s=0.25, slowness=1.5, score=0.3)
    assert words(row_line(one, layout(66, 7, "name"), 20.0)).split() == [
        "gpu-1", "up", "12", "50%", "4.2%", "3/8", "2", "250", "ms", "1.5", "0.30",
    ]  # fmt: skip


def test_who_is_not_well_says_why() -> None:
    """In place of the bars; the state is not said twice."""
    down = row("gpu-1", 0.0, state="down", why="connection refused", excluded="down: connection refused")
    line = row_line(down, layout(100, 7, "name"), 20.0)
    assert words(line).rstrip().endswith(" connection refused")
    assert ("down    ", BAD) in [(piece.removeprefix(" "), style) for piece, style in line]
    full = row("gpu-1", 0.0, excluded="full: 8 of 8 in flight")
    assert "full" not in words(row_line(full, layout(100, 7, "name"), 20.0))


def test_names_are_only_shown() -> None:
    """What would steer a terminal does not reach it."""
    line = row_line(row("a\x1b[31m", 1.0), layout(80, 10, "name"), 1.0)
    assert "\x1b" not in words(line)


@pytest.mark.parametrize(
    ("sort", "first", "last"),
    [("rate", "busy", "new"), ("score", "idle", "new"), ("name", "busy", "idle"), ("errors", "idle", "new")],
)
def test_orders(sort: str, first: str, last: str) -> None:
    """The highest first, of scores the lowest; who has no figure is last, whichever way round."""
    rows = [row("busy", 10.0, 0.0, score=3.0), row("new"), row("idle", 1.0, 0.5, score=1.0)]
    assert [one.backend.name for one in ordered(rows, sort, False)][::2] == [first, last]
    turned = [one.backend.name for one in ordered(rows, sort, True)]
    assert turned[0] != first
    assert turned[-1] == "new" or sort == "name"


@given(
    st.lists(st.tuples(st.none() | st.floats(0, 100), st.sampled_from(["up", "down"]))),
    st.sampled_from(SORTS),
)
def test_sorting_loses_nobody(seen: list[tuple[float | None, str]], sort: str) -> None:
    """Each row stands in the order once."""
    rows = [row(f"b{n}", rate, state=state) for n, (rate, state) in enumerate(seen)]
    for backwards in (False, True):
        assert sorted(one.backend.name for one in ordered(rows, sort, backwards)) == sorted(
            one.backend.name for one in rows
        )


def test_an_arrow_marks_the_column() -> None:
    """Down for the highest first, up for the lowest."""
    shape = layout(80, 8, "rate")
    assert "▾REQ/S" in words(titles(shape, "rate", False))
    assert "▴REQ/S" in words(titles(shape, "rate", True))
    assert "▴SCORE" in words(titles(shape, "score", False))
    assert text.cells(words(titles(shape, "rate", False))) <= 80
