"""What do Prometheus and its kind get to read? The figures as metric families, and a scrape of them."""

import platform
from asyncio import sleep
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from gateway import clock
from gateway.balancing.policy import NO_LIMIT
from gateway.messages import Outcome
from gateway.pool.stats import Histogram
from gateway.telemetry import metrics as declared
from gateway.telemetry.figures import ScrapedBackend, ScrapedCache, ScrapedPool
from gateway.telemetry.metrics import Metrics, Series
from gateway.telemetry.render import OPENMETRICS, TEXT, render, wants_openmetrics

PRIORITIES = ("high", "normal", "low")
STATES = ("up", "down", "ejected", "draining", "starting")

Labels = tuple[str, ...]
Values = Iterable[tuple[Labels, float]]
Histograms = Iterable[tuple[Labels, Histogram]]


class Exposition(Collector):
    """Reads `metrics` and the pools at each scrape; owns the registry they are shown through."""

    def __init__(
        self,
        metrics: Metrics,
        pools: Callable[[], Iterable[ScrapedPool]],
        now: Callable[[], float] = clock.now,
        cache: Callable[[], ScrapedCache | None] = lambda: None,
    ) -> None:
        self.metrics = metrics
        self.now = now
        self._pools = pools
        self._cache = cache
        self.registry = CollectorRegistry()
        self.registry.register(self)
        PlatformCollector(self.registry)
        ProcessCollector(registry=self.registry)
        GCCollector(self.registry)

    def __repr__(self) -> str:
        return f"<Exposition of {self.metrics!r}>"

    @property
    def pools(self) -> Iterable[ScrapedPool]:
        """The pools as they are now."""
        return self._pools()

    @property
    def cache(self) -> ScrapedCache | None:
        """The cache, where a route has one."""
        return self._cache()

    def backends(self) -> Iterator[tuple[ScrapedPool, ScrapedBackend]]:
        """Every backend with its pool."""
        for pool in self._pools():
            for backend in pool.backends:
                yield pool, backend

    def collect(self) -> Iterator[Metric]:
        """The families of `SERIES`, in that order, without those that nobody counts."""
        now = self.now()
        for pool in self._pools():
            pool.candidates(now)
        for series in declared.SERIES:
            if series.type == "histogram":
                yield _histogram(series, HISTOGRAMS[series.name](self))
            elif series.name in self.metrics.readers:
                yield _family(series, [((), self.metrics.readers[series.name]())])
            elif series.name in VALUES:
                yield _family(series, VALUES[series.name](self))

    async def scrape(self, accept: str = "") -> tuple[bytes, str]:
        """(body, content type) in the format that the request's `Accept` prefers.

        Rendered in slices between which the event loop serves others: many backends make a long text.
        """
        openmetrics = wants_openmetrics(accept)
        parts: list[bytes] = []
        for part in render(self.registry.collect(), openmetrics):
            parts.append(part.encode())
            await sleep(0)
        return b"".join(parts), OPENMETRICS if openmetrics else TEXT


def _family(series: Series, rows: Values) -> Metric:
    kind = CounterMetricFamily if series.type == "counter" else GaugeMetricFamily
    family = kind(series.name, series.help, labels=series.labels, unit=series.unit)
    for labels, value in rows:
        family.add_metric(labels, value)
    return family


def _histogram(series: Series, rows: Histograms) -> Metric:
    """Cumulative buckets of `series.buckets`, which are among the bounds that were counted in."""
    family = HistogramMetricFamily(series.name, series.help, labels=series.labels, unit=series.unit)
    bucket, total, sums = f"{series.name}_bucket", f"{series.name}_count", f"{series.name}_sum"
    uppers = [repr(bound) for bound in series.buckets]
    positions: list[int] = []
    bounds: tuple[float, ...] | None = None
    samples = family.samples
    for values, histogram in rows:
        if histogram.bounds is not bounds:
            bounds = histogram.bounds
            positions = [bisect_right(bounds, upper) - 1 for upper in series.buckets]
        labels = dict(zip(series.labels, values, strict=True))
        counts = list(accumulate(histogram.counts))
        for upper, position in zip(uppers, positions, strict=True):
            samples.append(Sample(bucket, labels | {"le": upper}, counts[position]))
        samples.append(Sample(bucket, labels | {"le": "+Inf"}, counts[-1]))
        samples.append(Sample(total, labels, counts[-1]))
        samples.append(Sample(sums, labels, histogram.sum))
    return family


def _requests(source: Exposition) -> Values:
    for route in source.metrics.routes.values():
        for (method, code), count in route.requests.items():
            yield (route.name, method, str(code)), count


def _latencies(source: Exposition) -> Values:
    now = source.now()
    for pool, backend in source.backends():
        seconds = backend.latency_s(now)
        if seconds is not None:
            yield (pool.name, backend.name), seconds


def _slownesses(source: Exposition) -> Values:
    now = source.now()
    for pool, backend in source.backends():
        yield (pool.name, backend.name), backend.slowness(now)


def _limits(source: Exposition) -> Values:
    for pool, backend in source.backends():
        if backend.limit < NO_LIMIT:
            yield (pool.name, backend.name), backend.limit


def _waiting(source: Exposition) -> Values:
    for pool in source.pools:
        for priority, name in enumerate(PRIORITIES):
            yield (pool.name, name), pool.queue.waiting(priority)


def _states(source: Exposition) -> Values:
    for pool, backend in source.backends():
        for state in STATES:
            yield (pool.name, backend.name, state), int(backend.state == state)


def _connections(source: Exposition) -> Values:
    for pool, backend in source.backends():
        connections = backend.connections
        if connections is not None:
            idle = connections.idle
            yield (pool.name, backend.name, "busy"), max(0, connections.open - idle)
            yield (pool.name, backend.name, "idle"), idle


def _outcomes(source: Exposition) -> Values:
    outcomes = [(outcome, outcome.label) for outcome in Outcome]
    for pool, backend in source.backends():
        for outcome, label in outcomes:
            yield (pool.name, backend.name, label), backend.outcomes[outcome]


def _mismatches(source: Exposition) -> Values:
    found = [((name,), route.mismatch_ratio) for name, route in source.metrics.routes.items()]
    return [(labels, ratio) for labels, ratio in found if ratio is not None]


def _saved(source: Exposition, read: Callable[[declared.RouteStats], float]) -> Values:
    return [((route.name,), read(route)) for route in source.metrics.routes.values() if route.cache]


def _of_cache(read: Callable[[ScrapedCache], float]) -> Callable[[Exposition], Values]:
    return lambda source: [] if source.cache is None else [((), read(source.cache))]


def _cache_by_key(read: Callable[[ScrapedCache], Mapping[str, int]]) -> Callable[[Exposition], Values]:
    return lambda source: (
        [] if source.cache is None else [((key,), count) for key, count in read(source.cache).items()]
    )


def _of_shared(cache: ScrapedCache) -> dict[str, int]:
    shared = cache.shared
    return {} if shared is None else {"hit": shared.figures.hits, "miss": shared.figures.misses}


def _build(source: Exposition) -> Values:
    yield (source.metrics.version, platform.python_version()), 1


def _of_route(read: Callable[[declared.RouteStats], float]) -> Callable[[Exposition], Values]:
    return lambda source: [((route.name,), read(route)) for route in source.metrics.routes.values()]


def _route_by_key(read: Callable[[declared.RouteStats], Mapping[str, int]]) -> Callable[[Exposition], Values]:
    return lambda source: [
        ((name, key), count)
        for name, route in source.metrics.routes.items()
        for key, count in read(route).items()
    ]


def _of_backend(read: Callable[[ScrapedPool, ScrapedBackend], float]) -> Callable[[Exposition], Values]:
    return lambda source: [((pool.name, b.name), read(pool, b)) for pool, b in source.backends()]


def _by_key(read: Callable[[ScrapedBackend], Mapping[str, int]]) -> Callable[[Exposition], Values]:
    return lambda source: [
        ((pool.name, b.name, key), count) for pool, b in source.backends() for key, count in read(b).items()
    ]


def _of_pool(read: Callable[[ScrapedPool], float]) -> Callable[[Exposition], Values]:
    return lambda source: [((pool.name,), read(pool)) for pool in source.pools]


def _pool_by_key(read: Callable[[ScrapedPool], Mapping[str, int]]) -> Callable[[Exposition], Values]:
    return lambda source: [
        ((pool.name, key), count) for pool in source.pools for key, count in read(pool).items()
    ]


#: How the values of each counter and gauge of `SERIES` are read; those of `Metrics.watch` bring their own.
VALUES: dict[str, Callable[[Exposition], Values]] = {
    "gateway_requests_total": _requests,
    "gateway_requests_in_flight": _of_route(lambda route: route.in_flight),
    "gateway_errors_total": _route_by_key(lambda route: route.errors),
    "gateway_request_bytes_total": _of_route(lambda route: route.bytes_in),
    "gateway_response_bytes_total": _of_route(lambda route: route.bytes_out),
    "gateway_backend_requests_total": _outcomes,
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
    "gateway_cache_requests_total": _route_by_key(lambda route: route.cache),
    "gateway_cache_bypass_total": lambda source: [((why,), n) for why, n in source.metrics.bypasses.items()],
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
    "gateway_cache_audits_total": _route_by_key(lambda route: route.audits),
    "gateway_cache_mismatch_ratio": _mismatches,
    "gateway_build_info": _build,
}

HISTOGRAMS: dict[str, Callable[[Exposition], Histograms]] = {
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
    "gateway_queue_seconds": lambda source: [((pool.name,), pool.queued) for pool in source.pools],
    "gateway_event_loop_lag_seconds": lambda source: [((), source.metrics.loop_lag)],
}
