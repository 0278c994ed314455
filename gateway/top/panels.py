"""What do the panels beside the backends say? Routes, the last decisions with their why, the keys."""

from collections.abc import Iterable, Sequence

from gateway.top import text
from gateway.top.document import Attempt, Decision, Overview, Route
from gateway.top.lines import ACCENT, BAD, GOOD, PLAIN, SOFT, STRONG, WARNING, Line, cropped, wrapped
from gateway.top.rates import Figures, Flow

_ROUTES = (
    ("REQ/S", 5), ("ERR", 4), ("FLIGHT", 6), ("P50", 6), ("P95", 6), ("MEAN", 6), ("PER S", 5), ("HITS", 4),
    ("SAVES", 8), ("SO FAR", 6),
)  # fmt: skip
_SHOWN = 4  # candidates, and backends left out, of one decision

HELP = (
    ("↑ ↓ j k", "select a backend; Page Up, Page Down, Home, End go further"),
    ("x", "drain the selected backend, or let it take work again; asks first"),
    ("s ← →", "sort by another column; r turns the order round"),
    ("f", "show the next pool alone, then all; Esc shows all"),
    ("d", "the last decisions: where each request went, and why"),
    ("t", "routes"),
    ("b", "backends"),
    ("p", "pause: the figures stand still, the gateway goes on"),
    ("?", "this; again, or Esc, goes back"),
    ("q", "quit"),
)
NOTES = (
    "Rates, shares, percentiles and means are over the last 5 seconds, or the time between two answers if "
    "that is longer; bars are over the time between two answers.",
    "req/s per s: requests per second for each second of mean latency.",
    "SHARE: of what the pool sent out. ERR: failures of what ended (5xx, timeouts, no connection, cut "
    "answers). FLIGHT: under way, and the most it is given. WAIT: of those, without a first byte. LATNCY: "
    "expected time to the first byte. SLOW: 1 is the pool's median. SCORE: what the policy goes by; the "
    "lowest is chosen.",
    "RATE: against the busiest of the pool. LATENCY: from 0 to the highest shown.",
    "saves s/s: seconds of backends' work that the cache saves each second.",
)


def help_lines(width: int) -> list[Line]:
    """Keys and words."""
    lines: list[Line] = [[(text.left(key, 9), STRONG), (does, PLAIN)] for key, does in HELP]
    for note in NOTES:
        lines += [[], *([(line, SOFT)] for line in wrapped(note, width))]
    return lines


def route_lines(overview: Overview, figures: Figures | None, width: int) -> list[Line]:
    """One line for each route, its name as wide as there is room."""
    taken = sum(cells + 1 for _, cells in _ROUTES)
    longest = max((text.cells(route.name) for route in overview.routes), default=0)
    name = max(6, min(max(longest, 6), width - taken))
    head = text.left("ROUTE", name) + "".join(" " + text.right(title, cells) for title, cells in _ROUTES)
    lines: list[Line] = [[(head, SOFT)]]
    flows = figures.routes if figures else {}
    lines += [_route(route, flows.get(route.name), name) for route in overview.routes]
    if not overview.routes:
        lines.append([("no requests yet", SOFT)])
    return [cropped(line, width) for line in lines]


def _route(route: Route, flow: Flow | None, name: int) -> Line:
    shown: Sequence[str] = [text.NONE] * 9
    if flow is not None:
        shown = (
            text.number(flow.per_s),
            text.percent(flow.failed_share),
            str(route.in_flight),
            text.seconds(flow.quantile_s(0.5)),
            text.seconds(flow.quantile_s(0.95)),
            text.seconds(flow.mean_s),
            text.number(flow.per_latency),
            text.percent(flow.hit_ratio),
            f"{text.number(flow.saved_per_s)} s/s" if route.asked else text.NONE,
        )
    figures = [*shown, text.number(route.requests)]
    cells = [" " + text.right(figure, width) for figure, (_, width) in zip(figures, _ROUTES, strict=True)]
    bad = BAD if flow and (flow.failed_share or 0.0) >= 0.05 else PLAIN
    return [
        (text.left(text.clean(route.name), name), PLAIN), (cells[0], STRONG), (cells[1], bad),
        ("".join(cells[2:]), PLAIN),
    ]  # fmt: skip


def decision_lines(decisions: Iterable[Decision], pool: str | None, width: int) -> list[Line]:
    """Two lines or more for each, newest first: what became of it, and why each attempt went where it did."""
    lines: list[Line] = []
    for decision in decisions:
        if pool is None or any(attempt.pool == pool for attempt in decision.attempts):
            lines.append(cropped(_summary(decision), width))
            lines += [cropped(_why(attempt), width) for attempt in decision.attempts]
    return lines or [cropped([("no decisions yet: they are listed when a request has ended", SOFT)], width)]


def _summary(decision: Decision) -> Line:
    style = GOOD if decision.status < 400 else WARNING if decision.status < 500 else BAD
    to = " → ".join(attempt.backend or "nobody" for attempt in decision.attempts)
    line: Line = [
        (f"{decision.time[11:19]} ", SOFT),
        (f"{decision.status} ", style),
        (text.right(text.seconds(decision.duration_s), 6), PLAIN),
        (f"  {decision.route or '-'}", PLAIN),
        (f" → {to}" if to else "", STRONG),
        (f"  cache: {decision.cache.result}" if decision.cache else "", ACCENT),
        (f"  {decision.error}" if decision.error else "", BAD),
        (f"  {decision.model}" if decision.model else "", SOFT),
    ]
    if decision.queued_s:
        line.append((f"  waited {text.seconds(decision.queued_s)}", WARNING))
    return line


def _why(attempt: Attempt) -> Line:
    """The candidates, best first, with their scores, and who was left out."""
    scores = [f"{one.backend} {text.number(one.score)}" for one in attempt.candidates[:_SHOWN]]
    said = ", ".join(scores) + _more(len(attempt.candidates), attempt.candidates_total)
    out = "; ".join(f"not {one.backend}: {one.why}" for one in attempt.excluded[:_SHOWN])
    out += _more(len(attempt.excluded), attempt.excluded_total)
    line: Line = [(" " * 9, PLAIN)]
    if attempt.outcome not in (None, "ok"):
        line.append((f"{attempt.backend}: {attempt.outcome}  ", WARNING))
    return [*line, (f"{attempt.policy}: {said or 'no candidate'}", SOFT), (f"; {out}" if out else "", SOFT)]


def _more(told: int, total: int) -> str:
    hidden = max(told, total) - min(told, _SHOWN)
    return f" and {hidden} more" if hidden else ""
