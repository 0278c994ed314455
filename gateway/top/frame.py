"""What stands on the screen? All its lines, for a view and a size: head, panel, detail, keys."""

from gateway.top import text
from gateway.top.columns import Row, layout, row_line, titles, top_rate
from gateway.top.document import Overview, Pool
from gateway.top.lines import (
    ACCENT,
    BAD,
    CHOSEN,
    GOOD,
    PLAIN,
    SOFT,
    STRONG,
    WARNING,
    Line,
    cropped,
    ends,
    named,
    restyled,
    spaced,
    width_of,
    wrapped,
)
from gateway.top.panels import decision_lines, help_lines, route_lines
from gateway.top.rates import Figures
from gateway.top.view import View

HEAD, DETAIL, FOOT = 4, 2, 1


def frame(view: View, width: int, height: int, wall: float) -> list[Line]:
    """Exactly `height` lines of at most `width` cells, at `wall` (seconds since the epoch)."""
    lines = [*_head(view, width, wall)]
    room = height - HEAD - FOOT
    if view.overview is None:
        panel = _nothing_yet(view, width)
    elif view.panel == "backends":
        detail = DETAIL if room >= 8 else 0
        panel = _backends(view, width, room - detail)
        panel += _spare(view, width, room - detail - len(panel))
        if detail:
            panel = _filled(panel, room - detail) + _detail(view, width)
    else:
        panel = _scrolled(view, _panel(view, width), room)
    if view.history.silence is not None and view.overview is not None:  # what is shown is of before
        panel = [restyled(line, SOFT) for line in panel]
    lines += _filled(panel, max(0, room))
    lines.append(_foot(view, width))
    return _filled([cropped(line, width) for line in lines], height)


def _filled(lines: list[Line], height: int) -> list[Line]:
    return (lines + [[] for _ in range(height - len(lines))])[: max(height, 0)]


# -- the head ------------------------------------------------------------------------------------------


def _head(view: View, width: int, wall: float) -> list[Line]:
    overview, figures = view.overview, view.figures
    if overview is None:
        return [[("gateway top", STRONG), (f"  {view.url}", SOFT)], [], [], _notice(view, wall)]
    return [
        _identity(view, overview, width),
        _throughput(view, figures, width),
        _insides(overview, figures, width),
        _notice(view, wall),
    ]


def _identity(view: View, overview: Overview, width: int) -> Line:
    status = overview.status
    if view.history.silence is not None:
        state = [("silent", BAD)]
    elif status.ready:
        state = [("ready", GOOD)]
    else:
        state = [(f"not ready: {status.reason}", BAD)]
    first: Line = [("gateway ", STRONG), (status.version, STRONG)]
    parts: list[Line] = [first, state, [(f"up {text.age(status.uptime_s)}", PLAIN)], [(view.url, SOFT)]]
    clock = overview.time[11:19]
    return ends(spaced(parts, width), [(f"{clock}Z", SOFT)] if clock else [], width)


def _throughput(view: View, figures: Figures | None, width: int) -> Line:
    if figures is None:
        return [("figures come with the next answer", SOFT)]
    total = figures.total
    failed = total.failed_share
    parts = [
        named("req/s", text.number(total.per_s)),
        named(
            "errors",
            text.percent(failed),
            BAD if failed and failed >= 0.05 else WARNING if failed else STRONG,
        ),
        named("p50", text.seconds(total.quantile_s(0.5))),
        named("p95", text.seconds(total.quantile_s(0.95))),
        named("mean", text.seconds(total.mean_s)),
        named("req/s per s", text.number(total.per_latency)),
    ]
    line = spaced(parts, width)
    room = width - width_of(line) - 2
    if room >= 8:
        line = ends(line, [(text.bars(view.history.total.rate, min(room, 60)), ACCENT)], width)
    return line


def _insides(overview: Overview, figures: Figures | None, width: int) -> Line:
    queued = sum(pool.queued for pool in overview.pools)
    parts = [
        named("in flight", str(overview.in_flight)),
        named("waiting", str(queued), WARNING if queued else STRONG),
        named("clients", str(overview.status.connections)),
    ]
    if overview.cache is not None and figures is not None:
        parts.append(named("cache hits", text.percent(figures.total.hit_ratio)))
        parts.append(named("saves", f"{text.number(figures.total.saved_per_s)} s/s"))
        parts.append(named("kept", f"{text.size(overview.cache.bytes)}"))
    return spaced(parts, width)


def _notice(view: View, wall: float) -> Line:
    """What matters most right now, on one line."""
    silence = view.history.silence
    if view.asking is not None:
        change = view.asking
        does = "gets no new work" if change.what == "drain" else "takes work again"
        name = f"{change.what} {change.backend} of pool {change.pool}"
        return [(f"{name}? It {does}. ", WARNING), ("y: yes, any other key: no", STRONG)]
    if silence is not None:
        clock, ago = text.clock(silence.since), text.age(max(0.0, wall - silence.since))
        return [(f"unreachable since {clock}Z ({ago}), retrying: ", BAD), (silence.why, PLAIN)]
    if view.said:
        return [(view.said, WARNING)]
    if view.paused:
        return [("paused; p goes on", WARNING)]
    if view.history.restarts and view.figures is None:
        return [("the gateway was started anew: counting begins again", WARNING)]
    return []


def _nothing_yet(view: View, width: int) -> list[Line]:
    if view.history.silence is None:
        return [[(f"asking {view.url} …", SOFT)]]
    advice = f"Is the gateway running, and is {view.url} its admin address? It is asked again every second."
    return [[(line, PLAIN)] for line in wrapped(advice, width)]


# -- backends ------------------------------------------------------------------------------------------


def _backends(view: View, width: int, room: int) -> list[Line]:
    """The table, scrolled so that the selected backend is seen."""
    groups = view.groups()
    if not groups:
        return [[(f"there is no pool {view.pool}; f goes on to those there are", WARNING)]]
    names = [text.cells(row.backend.name) for group in groups for row in group]
    shape = layout(width, max(names, default=0), view.sort)
    chosen = view.chosen()
    lines: list[Line] = []
    at = 0
    for group in groups:
        if not group:
            continue
        lines.append(_pool_line(group[0].pool, view.figures, width))
        top = top_rate(group)
        for row in group:
            line = row_line(row, shape, top)
            if chosen is not None and row.key == chosen.key:
                at = len(lines)
                line = restyled(line, CHOSEN)
            lines.append(line)
    view.page = max(1, room - 1)
    view.offset = scrolled(view.offset, at, len(lines), view.page)
    return [titles(shape, view.sort, view.backwards), *lines[view.offset : view.offset + view.page]]


def _spare(view: View, width: int, room: int) -> list[Line]:
    """What fits below a table that leaves `room` lines: routes, and decisions below them."""
    assert view.overview is not None
    lines: list[Line] = [[], *route_lines(view.overview, view.figures, width)]
    if len(lines) > room:
        return []
    if room - len(lines) >= 4:
        lines += [[], [("LAST DECISIONS", SOFT)], *decision_lines(view.decisions, view.pool, width)]
    return lines[:room]


def scrolled(offset: int, at: int, length: int, page: int) -> int:
    """The offset nearest to `offset` from which `page` of `length` lines show line `at`, and the one before:
    the pool's name is in sight of its first backend."""
    least, most = at - page + 1, max(0, at - 1)
    return max(0, min(max(least, min(offset, most)), length - page))


def _pool_line(pool: Pool, figures: Figures | None, width: int) -> Line:
    well = f"{pool.well} of {len(pool.backends)} well"
    parts: list[Line] = [
        [(pool.name, f"{STRONG} {ACCENT}")],
        [(pool.policy, SOFT)],
        [(well, GOOD if pool.well == len(pool.backends) else WARNING if pool.well else BAD)],
    ]
    if pool.panic:
        parts.append([("panic: health is ignored", BAD)])
    if figures is not None:
        rates = [flow.per_s for (name, _), flow in figures.backends.items() if name == pool.name]
        parts.append(named("attempts/s", text.number(sum(rates)), PLAIN))
    if pool.queued:
        parts.append(named("waiting", str(pool.queued), WARNING))
    for name, counts in (("retries", pool.retries.get("tried", 0)), ("turned away", sum(pool.shed.values()))):
        if counts:
            parts.append(named(name, text.number(counts), PLAIN))
    return spaced(parts, width)


def _detail(view: View, width: int) -> list[Line]:
    row = view.chosen()
    if row is None:
        return [[("no backends", SOFT)], []]
    return [
        _about(row, width),
        spaced([[(row.backend.excluded or f"{row.backend.state}: {row.backend.why}", PLAIN)]], width),
    ]


def _about(row: Row, width: int) -> Line:
    backend, duration = row.backend, row.backend.duration
    mean = row.flow.mean_s if row.flow else None
    parts: list[Line] = [
        [(backend.name, STRONG)],
        [(f"of {row.pool.name}", PLAIN)],
        [(backend.url, SOFT)],
        named("ended", text.number(backend.ended), PLAIN),
        named("failed", text.number(backend.failed), PLAIN),
        named(
            "takes", text.seconds(mean if mean is not None else _mean(duration.sum_s, duration.count)), PLAIN
        ),
    ]
    return spaced(parts, width)


def _mean(sum_s: float, count: int) -> float | None:
    return sum_s / count if count else None


# -- other panels, and the keys ------------------------------------------------------------------------


def _panel(view: View, width: int) -> list[Line]:
    if view.panel == "help":
        return help_lines(width)
    if view.panel == "decisions":
        return decision_lines(view.decisions, view.pool, width)
    assert view.overview is not None  # nothing is shown before
    return route_lines(view.overview, view.figures, width)


def _scrolled(view: View, lines: list[Line], room: int) -> list[Line]:
    view.page = max(1, room)
    view.offset = max(0, min(view.offset, len(lines) - view.page))
    return lines[view.offset : view.offset + view.page]


def _foot(view: View, width: int) -> Line:
    keys = [("q", "quit"), ("?", "help"), ("p", "go on" if view.paused else "pause")]
    if view.panel == "backends":
        row = view.chosen()
        undrain = row is not None and row.backend.state == "draining"
        keys += [("x", "undrain" if undrain else "drain"), ("s", "sort")]
        if view.pool is not None or (view.overview is not None and len(view.overview.pools) > 1):
            keys.append(("f", f"pool: {view.pool}" if view.pool else "pool"))
        keys += [("d", "decisions"), ("t", "routes")]
    else:
        keys += [("b", "backends"), ("d", "decisions"), ("t", "routes"), ("↑↓", "scroll")]
    return spaced([[(key, STRONG), (f" {does}", SOFT)] for key, does in keys], width)
