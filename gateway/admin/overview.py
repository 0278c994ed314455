"""How is the gateway right now, all of it? One JSON document, for consoles that show the whole.

Making it takes some ten microseconds a backend, in which the event loop serves nobody; so it is made in
slices, and requests are served in between.
"""

import asyncio
import os
from collections.abc import Mapping

import msgspec

from gateway import clock
from gateway.admin.cache import RESULTS
from gateway.admin.figures import Why, backend_figures, pool_totals
from gateway.admin.view import AdminView, PoolView, RouteView
from gateway.pool.stats import LATENCY_BOUNDS_S, Histogram

#: Backends whose figures are put together at a time: about a millisecond.
SLICE = 25


async def overview(view: AdminView) -> bytes:
    """Status, routes, pools and cache as JSON, compact; the event loop runs between the slices."""
    now = clock.now()
    pools = [await _pool(pool, now) for pool in view.pools.values()]
    document = {
        "time": clock.iso(clock.wall()),
        "at_s": round(clock.now(), 6),
        "status": status_figures(view, clock.now()),
        "latency_bounds_s": LATENCY_BOUNDS_S,
        "routes": [route_figures(route) for route in view.metrics.routes.values()],
        "pools": pools,
        "cache": cache_figures(view),
    }
    return msgspec.json.encode(document)


async def _pool(pool: PoolView, now: float) -> dict[str, object]:
    why = Why(pool, now)
    backends = list(pool.backends)
    made: list[msgspec.Raw] = []
    for start in range(0, len(backends), SLICE):
        await asyncio.sleep(0)
        made += [
            msgspec.Raw(msgspec.json.encode(backend_figures(backend, why, now)))
            for backend in backends[start : start + SLICE]
        ]
    return {**pool_totals(pool), "backends": made}


def status_figures(view: AdminView, now: float) -> dict[str, object]:
    """The process: what runs, since when, and whether it can serve."""
    ready, why = view.ready()
    return {
        "version": view.version,
        "pid": os.getpid(),
        "uptime_s": round(now - view.started, 3),
        "ready": ready,
        "reason": why,
        "draining": view.draining,
        "compiled": view.compiled,
        "config_hash": view.config_hash,
        "listeners": list(view.listeners),
        "connections": view.connections,
    }


def route_figures(route: RouteView) -> dict[str, object]:
    """One route since the process began. `errors`: answers of 500 and above, and those that broke off after
    another status; what is a client's own doing, such as leaving or asking for what is not there, is none."""
    by_class: dict[str, int] = {}
    for (_, status), count in route.requests.items():
        kind = f"{status // 100}xx"
        by_class[kind] = by_class.get(kind, 0) + count
    return {
        "name": route.name,
        "requests": sum(by_class.values()),
        "errors": by_class.get("5xx", 0) + route.failed_below_500,
        "by_class": by_class,
        "in_flight": route.in_flight,
        "duration": duration_figures(route.duration),
        "bytes_in": route.bytes_in,
        "bytes_out": route.bytes_out,
        "cache": {result: route.cache.get(result, 0) for result in RESULTS} if route.cache else {},
        "saved_s": round(route.saved_s, 3),
        "saved_bytes": route.saved_bytes,
    }


def duration_figures(histogram: Histogram) -> dict[str, object]:
    """Count, sum, percentiles (null without any) and the counts themselves, by `latency_bounds_s`."""
    return {
        "count": histogram.total,
        "sum_s": round(histogram.sum, 6),
        "p50_s": quantile(histogram, 0.5),
        "p95_s": quantile(histogram, 0.95),
        "p99_s": quantile(histogram, 0.99),
        "counts": histogram.counts,
    }


def quantile(histogram: Histogram, share: float) -> float | None:
    """The value that `share` of all values do not exceed, in between two bounds where it lies by the counts;
    None without values. Beyond the last bound it is that bound: more is not known."""
    total = histogram.total
    if not total:
        return None
    rank, below, bounds = share * total, 0, histogram.bounds
    for index, count in enumerate(histogram.counts):
        if count and below + count >= rank:
            if index == len(bounds):
                break
            lower = bounds[index - 1] if index else 0.0
            return round(lower + (bounds[index] - lower) * (rank - below) / count, 6)
        below += count
    return bounds[-1]


def cache_figures(view: AdminView) -> dict[str, object] | None:
    """What is kept in memory, and which store stands behind it; None where no route has a cache."""
    cache = view.cache
    if cache is None:
        return None
    figures, shared = cache.memory.figures, cache.shared
    return {
        "store": _store(view.configuration),
        "entries": figures.entries,
        "bytes": figures.bytes,
        "max_bytes": cache.memory.max_bytes,
        "flights": len(cache.flights),
        "shared_entries": None if shared is None else shared.figures.entries,
        "shared_errors": None if shared is None else sum(shared.figures.errors.values()),
        "off": [name for name, route in view.cached_routes.items() if route.off],
    }


def _store(configuration: Mapping[str, object]) -> object:
    cache = configuration.get("cache")
    return cache.get("store", "memory") if isinstance(cache, Mapping) else "memory"
