"""What does a gateway look like on one screen of plain text, without colour and without change?"""

from collections.abc import Iterable, Sequence

from gateway.top import text
from gateway.top.document import Backend, Cache, Overview, Pool, Route

_BACKENDS = ("backend", "state", "in flight", "limit", "latency", "slowness", "requests", "errors", "why")
_ROUTES = ("route", "requests", "errors", "in flight", "mean", "p50", "p95", "cache hits", "saved")


def screen(overview: Overview, url: str) -> str:
    """All of it, for the gateway whose admin side is at `url`; totals are since it started."""
    parts = [_process(overview, url), *(_pool(pool) for pool in overview.pools)]
    if overview.routes:
        parts.append(table(_ROUTES, [_route(route) for route in overview.routes], left=1))
    if overview.cache is not None:
        parts.append(_cache(overview.cache))
    return "\n\n".join(parts)


def _process(overview: Overview, url: str) -> str:
    status = overview.status
    ready = "ready" if status.ready else f"NOT READY: {status.reason}"
    facts = [f"up {text.age(status.uptime_s)}", f"pid {status.pid}"]
    facts += ["compiled" if status.compiled else "not compiled"]
    facts += [f"listens on {', '.join(status.listeners) or 'nothing'}"]
    facts += [f"{status.connections} client connection{'' if status.connections == 1 else 's'}"]
    return f"gateway {status.version} at {url}: {ready}\n{', '.join(facts)}"


def _pool(pool: Pool) -> str:
    title = f"pool {pool.name}: {pool.policy}, {pool.well} of {len(pool.backends)} backends can take work"
    if pool.queued:
        title += f", {pool.queued} requests wait"
    if pool.panic:
        title += ", PANIC: too few are healthy, health is ignored"
    return title + "\n" + table(_BACKENDS, [_backend(backend) for backend in pool.backends], left=2)


def _backend(backend: Backend) -> list[str]:
    return [
        backend.name,
        backend.state,
        str(backend.in_flight),
        text.NONE if backend.limit is None else str(backend.limit),
        text.seconds(backend.latency_s),
        text.number(backend.slowness) + (" degraded" if backend.degraded else ""),
        str(backend.ended),
        text.percent(backend.failed / backend.ended if backend.ended else None),
        backend.reason,
    ]


def _route(route: Route) -> list[str]:
    duration = route.duration
    return [
        route.name,
        str(route.requests),
        text.percent(route.errors / route.requests if route.requests else None),
        str(route.in_flight),
        text.seconds(duration.sum_s / duration.count if duration.count else None),
        text.seconds(duration.p50_s),
        text.seconds(duration.p95_s),
        text.percent(route.given / route.asked if route.asked else None),
        f"{text.number(route.saved_s)} s" if route.asked else text.NONE,
    ]


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int) -> str:
    """Columns as wide as what is in them: the first `left` and one called why to the left, others right."""
    every = [[name.upper() for name in head], *([text.clean(cell) for cell in row] for row in rows)]
    widths = [max(len(row[n]) for row in every) for n in range(len(head))]
    lines = []
    for row in every:
        cells = [
            cell.ljust(width) if n < left or head[n] == "why" else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def _cache(cache: Cache) -> str:
    kept = f"cache: {cache.entries} entries, {text.size(cache.bytes)}"
    if cache.max_bytes:
        kept += f" of {text.size(cache.max_bytes)}"
    off = f", OFF for {', '.join(cache.off)}: what it kept was found wrong" if cache.off else ""
    return f"{kept} in memory, store {cache.store}{off}"
