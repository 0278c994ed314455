"""How is each figure of `series.py` read when somebody scrapes?"""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from gateway.balancing.policy import NO_LIMIT
from gateway.messages import Outcome
from gateway.pool.stats import Histogram, TokenStats
from gateway.telemetry.figures import ScrapedBackend, ScrapedCache, ScrapedPool
from gateway.telemetry.metrics import Metrics, RouteStats

PRIORITIES = ("high", "normal", "low")
STATES = ("up", "down", "ejected", "draining", "starting")

Labels = tuple[str, ...]
Values = Iterable[tuple[Labels, float]]
Histograms = Iterable[tuple[Labels, Histogram]]


class Source(Protocol):
    """Where the figures are."""

    metrics: Metrics
    now: Callable[[], float]

    @property
    def pools(self) -> Iterable[ScrapedPool]: ...
    @property
    def cache(self) -> ScrapedCache | None: ...
    def backends(self) -> Iterator[tuple[ScrapedPool, ScrapedBackend]]: ...


def _requests(source: Source) -> Values:
    for route in source.metrics.routes.values():
        for (method, code), count in route.requests.items():
            yield (route.name, method, str(code)), count


def _errors(source: Source) -> Values:
    for route in source.metrics.routes.values():
        for kind, count in route.errors.items():
            yield (route.name, kind), count


def _latencies(source: Source) -> Values:
    now = source.now()
    for pool, backend in source.backends():
        seconds = backend.latency_s(now)
        if seconds is not None:
            yield (pool.name, backend.name), seconds


def _slownesses(source: Source) -> Values:
    now = source.now()
    for pool, backend in source.backends():
        yield (pool.name, backend.name), backend.slowness(now)


def _limits(source: Source) -> Values:
    for pool, backend in source.backends():
        if backend.limit < NO_LIMIT:
            yield (pool.name, backend.name), backend.limit


def _waiting(source: Source) -> Values:
    for pool in source.pools:
        for priority, name in enumerate(PRIORITIES):
            yield (pool.name, name), pool.queue.waiting(priority)


def _prefixes(source: Source) -> Values:
    for pool in source.pools:
        entries = pool.prefix_entries
        if entries is not None:
            yield (pool.name,), entries


def _states(source: Source) -> Values:
    for pool, backend in source.backends():
        for state in STATES:
            yield (pool.name, backend.name, state), int(backend.state == state)


def _connections(source: Source) -> Values:
    for pool, backend in source.backends():
        connections = backend.connections
        if connections is not None:
            idle = connections.idle
            yield (pool.name, backend.name, "busy"), max(0, connections.open - idle)
            yield (pool.name, backend.name, "idle"), idle


def _outcomes(source: Source) -> Values:
    outcomes = [(outcome, outcome.label) for outcome in Outcome]
    for pool, backend in source.backends():
        for outcome, label in outcomes:
            yield (pool.name, backend.name, label), backend.outcomes[outcome]


def _tokens(source: Source) -> Values:
    for pool, backend in source.backends():
        tokens = backend.tokens
        if tokens.prompt or tokens.completion:
            yield (pool.name, backend.name, "prompt"), tokens.prompt
            yield (pool.name, backend.name, "completion"), tokens.completion
            yield (pool.name, backend.name, "cached"), tokens.cached


def _of_streams(read: Callable[[TokenStats], Histogram]) -> Callable[[Source], Histograms]:
    """Of backends that have streamed tokens: others would have two long histograms of nothing."""
    return lambda source: [
        ((pool.name, b.name), read(b.tokens)) for pool, b in source.backends() if b.tokens.first.total
    ]


def _cached(source: Source) -> Values:
    for route in source.metrics.routes.values():
        for result, count in route.cache.items():
            yield (route.name, result), count


def _audits(source: Source) -> Values:
    for route in source.metrics.routes.values():
        for result, count in route.audits.items():
            yield (route.name, result), count


def _mismatches(source: Source) -> Values:
    for route in source.metrics.routes.values():
        if route.mismatch_ratio is not None:
            yield (route.name,), route.mismatch_ratio


def _saved(source: Source, read: Callable[[RouteStats], float]) -> Values:
    return [((route.name,), read(route)) for route in source.metrics.routes.values() if route.cache]


def _of_cache(read: Callable[[ScrapedCache], float]) -> Callable[[Source], Values]:
    return lambda source: [] if source.cache is None else [((), read(source.cache))]


def _cache_by_key(read: Callable[[ScrapedCache], Mapping[str, int]]) -> Callable[[Source], Values]:
    return lambda source: (
        [] if source.cache is None else [((key,), count) for key, count in read(source.cache).items()]
    )


def _of_shared(cache: ScrapedCache) -> dict[str, int]:
    shared = cache.shared
    return {} if shared is None else {"hit": shared.figures.hits, "miss": shared.figures.misses}


def _build(source: Source) -> Values:
    yield (source.metrics.version, platform.python_version()), 1


def _of_route(read: Callable[[RouteStats], float]) -> Callable[[Source], Values]:
    return lambda source: [((route.name,), read(route)) for route in source.metrics.routes.values()]


def _of_backend(read: Callable[[ScrapedPool, ScrapedBackend], float]) -> Callable[[Source], Values]:
    return lambda source: [((pool.name, b.name), read(pool, b)) for pool, b in source.backends()]


def _by_key(read: Callable[[ScrapedBackend], Mapping[str, int]]) -> Callable[[Source], Values]:
    return lambda source: [
        ((pool.name, b.name, key), count) for pool, b in source.backends() for key, count in read(b).items()
    ]


def _of_pool(read: Callable[[ScrapedPool], float]) -> Callable[[Source], Values]:
    return lambda source: [((pool.name,), read(pool)) for pool in source.pools]


def _pool_by_key(read: Callable[[ScrapedPool], Mapping[str, int]]) -> Callable[[Source], Values]:
    return lambda source: [
        ((pool.name, key), count) for pool in source.pools for key, count in read(pool).items()
    ]


#: How the values of each counter and gauge of `SERIES` are read; those of `Metrics.watch` bring their own.
VALUES: dict[str, Callable[[Source], Values]] = {
    "gateway_requests_total": _requests,
    "gateway_requests_in_flight": _of_route(lambda route: route.in_flight),
    "gateway_errors_total": _errors,
    "gateway_request_bytes_total": _of_route(lambda route: route.bytes_in),
    "gateway_response_bytes_total": _of_route(lambda route: route.bytes_out),
    "gateway_backend_requests_total": _outcomes,
    "gateway_tokens_total": _tokens,
    "gateway_backend_in_flight": _of_backend(lambda _, backend: backend.in_flight),
    "gateway_backend_up": _of_backend(lambda _, backend: int(backend.state in ("up", "starting"))),
    "gateway_backend_weight": _of_backend(lambda _, backend: backend.weight),
    "gateway_backend_latency_ewma_seconds": _latencies,
    "gateway_backend_slowness": _slownesses,
    "gateway_backend_limit": _limits,
    "gateway_backend_state": _states,
    "gateway_backend_connections": _connections,
    "gateway_backend_selected_total": lambda source: [
        ((pool.name, b.name, pool.policy_name), b.selected) for pool, b in source.backends()
    ],
    "gateway_health_checks_total": _by_key(lambda backend: backend.health_checks),
    "gateway_ejections_total": _by_key(lambda backend: backend.ejections),
    "gateway_retries_total": _pool_by_key(lambda pool: pool.retries),
    "gateway_hedges_total": _pool_by_key(lambda pool: pool.hedges),
    "gateway_queue_waiting": _waiting,
    "gateway_shed_total": _pool_by_key(lambda pool: pool.shed),
    "gateway_panic": _of_pool(lambda pool: int(pool.panic)),
    "gateway_panics_total": _of_pool(lambda pool: pool.panics),
    "gateway_cache_requests_total": _cached,
    "gateway_cache_bypass_total": lambda source: [
        ((reason,), count) for reason, count in source.metrics.bypasses.items()
    ],
    "gateway_cache_entries": _of_cache(lambda cache: cache.memory.figures.entries),
    "gateway_cache_bytes": _of_cache(lambda cache: cache.memory.figures.bytes),
    "gateway_cache_evictions_total": _cache_by_key(lambda cache: cache.memory.figures.evictions),
    "gateway_cache_saved_seconds_total": lambda source: _saved(source, lambda route: route.saved_s),
    "gateway_cache_saved_bytes_total": lambda source: _saved(source, lambda route: route.saved_bytes),
    "gateway_cache_flights": _of_cache(lambda cache: len(cache.flights)),
    "gateway_cache_flight_bytes": _of_cache(lambda cache: cache.flights.held_bytes),
    "gateway_cache_refreshes_total": _cache_by_key(lambda cache: cache.refreshes),
    "gateway_cache_shared_requests_total": _cache_by_key(_of_shared),
    "gateway_cache_shared_errors_total": _cache_by_key(
        lambda cache: {} if cache.shared is None else cache.shared.figures.errors
    ),
    "gateway_prefix_table_entries": _prefixes,
    "gateway_cache_audits_total": _audits,
    "gateway_cache_mismatch_ratio": _mismatches,
    "gateway_build_info": _build,
}

HISTOGRAMS: dict[str, Callable[[Source], Histograms]] = {
    "gateway_request_duration_seconds": lambda source: [
        ((route.name,), route.duration) for route in source.metrics.routes.values()
    ],
    "gateway_overhead_seconds": lambda source: [((), source.metrics.overhead)],
    "gateway_backend_first_byte_seconds": lambda source: [
        ((pool.name, b.name), b.first_byte) for pool, b in source.backends()
    ],
    "gateway_backend_duration_seconds": lambda source: [
        ((pool.name, b.name), b.duration) for pool, b in source.backends()
    ],
    "gateway_time_to_first_token_seconds": _of_streams(lambda tokens: tokens.first),
    "gateway_inter_token_seconds": _of_streams(lambda tokens: tokens.gaps),
    "gateway_queue_seconds": lambda source: [((pool.name,), pool.queued) for pool in source.pools],
    "gateway_event_loop_lag_seconds": lambda source: [((), source.metrics.loop_lag)],
}
