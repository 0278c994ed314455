"""How does the table of backends look in so many cells, and in which order do they stand?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.top import text
from gateway.top.document import Backend, Pool
from gateway.top.history import Course, highest
from gateway.top.lines import BAD, PLAIN, SOFT, STATES, STRONG, WARNING, Line, cropped
from gateway.top.rates import BackendFlow

NAME_MIN, NAME_SHORT, NAME_MAX = 7, 12, 36
BARS_MIN, BARS_MAX = 5, 30
ERRORS_BAD, SLOW_WARNING = 0.05, 2.0  # shares and slowness from which a figure is marked


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of one backend; `flow` is None until two documents have come."""

    pool: Pool
    backend: Backend
    flow: BackendFlow | None
    course: Course

    @property
    def key(self) -> tuple[str, str]:
        return (self.pool.name, self.backend.name)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: what a cell says and by what it is sorted, the highest first unless `rising`.

    Where there is no room, columns go in the order of `worth`, the least first.
    """

    key: str
    title: str
    width: int
    worth: int
    cell: Callable[[Row], str]
    by: Callable[[Row], float | None]
    style: Callable[[Row], str] = lambda row: PLAIN
    rising: bool = False


def _flight(row: Row) -> str:
    limit = row.backend.limit
    return f"{row.backend.in_flight}" if limit is None else f"{row.backend.in_flight}/{limit}"


def _errors_style(row: Row) -> str:
    share = (row.flow.failed_share if row.flow else None) or 0.0
    return BAD if share >= ERRORS_BAD else WARNING if share else PLAIN


def _slow_style(row: Row) -> str:
    return WARNING if row.backend.degraded or (row.backend.slowness or 0.0) >= SLOW_WARNING else PLAIN


_WORST_FIRST = ("up", "starting", "draining", "ejected", "down")

COLUMNS = (
    Column(
        "state", "STATE", 8, 9, lambda r: r.backend.state,
        lambda r: _WORST_FIRST.index(r.backend.state) if r.backend.state in _WORST_FIRST else 0,
        lambda r: STATES.get(r.backend.state, PLAIN),
    ),
    Column(
        "rate", "REQ/S", 5, 8, lambda r: text.number(r.flow.per_s if r.flow else None),
        lambda r: r.flow.per_s if r.flow else None, lambda r: STRONG,
    ),
    Column(
        "share", "SHARE", 5, 4, lambda r: text.percent(r.flow.share if r.flow else None),
        lambda r: r.flow.share if r.flow else None,
    ),
    Column(
        "errors", "ERR", 4, 7, lambda r: text.percent(r.flow.failed_share if r.flow else None),
        lambda r: r.flow.failed_share if r.flow else None, _errors_style,
    ),
    Column("flight", "FLIGHT", 6, 6, _flight, lambda r: r.backend.in_flight),
    Column("wait", "WAIT", 4, 1, lambda r: str(r.backend.waiting), lambda r: r.backend.waiting),
    Column(
        "latency", "LATNCY", 6, 5, lambda r: text.seconds(r.backend.latency_s), lambda r: r.backend.latency_s
    ),
    Column(
        "slowness", "SLOW", 4, 2, lambda r: text.number(r.backend.slowness), lambda r: r.backend.slowness,
        _slow_style,
    ),
    Column(
        "score", "SCORE", 5, 3, lambda r: text.number(r.backend.score), lambda r: r.backend.score, rising=True
    ),
)  # fmt: skip

#: What `s` goes through: the order of the configuration first.
SORTS = ("name", *(column.key for column in COLUMNS))
_BY_KEY = {column.key: column for column in COLUMNS}


def ordered(rows: Sequence[Row], sort: str, backwards: bool) -> list[Row]:
    """The rows of one pool by a key of `SORTS`; those without the figure last, equals as configured."""
    if sort == "name":
        return list(reversed(rows)) if backwards else list(rows)
    column = _BY_KEY[sort]
    known = [(value, row) for row in rows if (value := column.by(row)) is not None]
    unknown = [row for row in rows if column.by(row) is None]
    known.sort(key=lambda pair: pair[0], reverse=column.rising == backwards)
    return [row for _, row in known] + unknown


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns there is room for, how wide the name is and the bars of rate and latency; 0: none."""

    name: int
    columns: tuple[Column, ...]
    bars: tuple[int, int]


def layout(width: int, longest: int, sort: str) -> Layout:
    """The columns for `width` cells and names of `longest`; what is sorted by stays as long as possible."""
    columns = list(COLUMNS)
    least = NAME_MIN
    while columns and least + _taken(columns) > width:
        columns.remove(min(columns, key=lambda column: (column.key == sort, column.worth)))
    room = width - _taken(columns)
    wanted = max(NAME_MIN, min(longest, NAME_MAX))
    both, one = room - 2 * (BARS_MIN + 1), room - (BARS_MIN + 1)
    name = wanted if wanted <= both else min(room, max(NAME_SHORT, min(wanted, one)))
    left = room - name
    if left >= 2 * (BARS_MIN + 1):
        each = min((left - 2) // 2, BARS_MAX)
        name = min(max(longest, name), name + left - 2 * (each + 1))
        return Layout(name, tuple(columns), (each, each))
    return Layout(name, tuple(columns), (left - 1 if left > BARS_MIN else 0, 0))


def _taken(columns: Sequence[Column]) -> int:
    return sum(column.width + 1 for column in columns)


def titles(shape: Layout, sort: str, backwards: bool) -> Line:
    """The table's head; an arrow marks what it is sorted by."""
    line: Line = [(text.left("BACKEND", shape.name), STRONG if sort == "name" and backwards else SOFT)]
    for column in shape.columns:
        title, style = f" {column.title}", SOFT
        if column.key == sort:  # the arrow stands in the gap before the column
            title, style = ("▴" if column.rising != backwards else "▾") + column.title, STRONG
        place = text.left if column.key == "state" else text.right
        line.append((place(title, column.width + 1), style))
    for title, width in zip(("RATE", "LATENCY"), shape.bars, strict=True):
        if width:
            line.append((" " + text.left(title, width), SOFT))
    return line


def row_line(row: Row, shape: Layout, top: float) -> Line:
    """One backend; rates are drawn against `top`. Who is not well says why where the bars would be."""
    line: Line = [(text.tail(text.clean(row.backend.name), shape.name), PLAIN)]
    for column in shape.columns:
        place = text.left if column.key == "state" else text.right
        cell = place(column.cell(row), column.width)
        line.append((" " + cell, column.style(row)))
    room = sum(width + 1 for width in shape.bars if width)
    if not row.backend.well and room:
        return line + cropped([(" " + row.backend.reason, SOFT)], room)
    for values, width, against in zip(
        (row.course.rate, row.course.latency), shape.bars, (top, None), strict=True
    ):
        if width:
            line.append((" " + text.bars(values, width, against), "cyan"))
    return line


def top_rate(rows: Sequence[Row]) -> float:
    """What the rates of one pool are drawn against: backends can be compared by their bars."""
    return highest([row.course for row in rows])
