"""Which figures does the gateway keep about itself, and how is a finished request counted?

`series.py` is the list of what `/metrics` shows; `exposition` reads the figures when it is asked. Counting is
done for every request and is nothing but additions to plain numbers.
"""

from collections.abc import Callable

from gateway.errors import RULES
from gateway.messages import Exchange
from gateway.pool.stats import Histogram
from gateway.telemetry.exemplars import Exemplars
from gateway.telemetry.series import LAG_BUCKETS_S, OVERHEAD_BUCKETS_S, SERIES

#: Route label of requests that no route took. No configured name can begin with a dash.
NO_ROUTE = "-"
OTHER = "OTHER"
#: A client may send any token as a method; only these become a label of their own.
_KNOWN = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
METHODS = {name: name for name in _KNOWN}
#: Kinds of error that are the client's own doing, such as a path that no route takes.
CALLERS = frozenset(kind for kind, rule in RULES.items() if rule.status < 500)

_NAMES = frozenset(series.name for series in SERIES if not series.labels and series.type != "histogram")


class RouteStats:
    """One route's figures; `in_flight` is counted by whoever carries the request."""

    __slots__ = (
        "audits", "bytes_in", "bytes_out", "cache", "duration", "errors", "failed_below_500", "in_flight",
        "mismatch_ratio", "name", "requests", "saved_bytes", "saved_s",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.in_flight = 0
        self.duration = Histogram()
        self.requests: dict[tuple[str, int], int] = {}
        self.errors: dict[str, int] = {}
        self.failed_below_500 = 0  # though the client got another status: an answer that broke off
        self.bytes_in = 0
        self.bytes_out = 0
        self.cache: dict[str, int] = {}  # by result
        self.audits: dict[str, int] = {}  # by result
        self.mismatch_ratio: float | None = None
        self.saved_s = 0.0
        self.saved_bytes = 0

    def __repr__(self) -> str:
        return f"<RouteStats {self.name} {sum(self.requests.values())} requests, {self.in_flight} in flight>"


class Metrics:
    """The figures that no pool owns; `watch` adds those that others count."""

    __slots__ = ("bypasses", "exemplars", "loop_lag", "overhead", "readers", "routes", "version")

    def __init__(self, version: str) -> None:
        self.version = version
        self.routes: dict[str, RouteStats] = {}
        self.bypasses: dict[str, int] = {}  # by reason
        self.exemplars = Exemplars()
        self.overhead = Histogram(OVERHEAD_BUCKETS_S)
        self.loop_lag = Histogram(LAG_BUCKETS_S)
        self.readers: dict[str, Callable[[], float]] = {}

    def __repr__(self) -> str:
        return f"<Metrics of {len(self.routes)} routes, watching {len(self.readers)} others>"

    def route(self, name: str) -> RouteStats:
        """The figures of route `name` (a configured name, or "" for none), made at the first call."""
        name = name or NO_ROUTE
        stats = self.routes.get(name)
        if stats is None:
            stats = self.routes[name] = RouteStats(name)
        return stats

    def watch(self, name: str, read: Callable[[], float]) -> None:
        """Show what `read()` says at each scrape as `name`, a series without labels that others count.

        KeyError when `name` is not declared in `SERIES`; a series nobody watches is not shown.
        """
        if name not in _NAMES:
            raise KeyError(f"{name} is no series without labels: declare it in SERIES first")
        self.readers[name] = read

    def observe(self, exchange: Exchange) -> None:
        """Count a finished request; once for each."""
        name = exchange.route or NO_ROUTE
        stats = self.routes.get(name)
        if stats is None:
            stats = self.route(name)
        key = (METHODS.get(exchange.method, OTHER), exchange.status)
        requests = stats.requests
        requests[key] = requests.get(key, 0) + 1
        stats.bytes_in += exchange.bytes_in
        stats.bytes_out += exchange.bytes_out
        if not exchange.upgraded:  # how long a tunnel stood says nothing about speed
            seconds = exchange.ended - exchange.started
            stats.duration.observe(seconds if seconds > 0.0 else 0.0)
            if exchange.trace is not None or exchange.traceparent:
                self.exemplars.note(name, exchange)
        if exchange.cache:
            stats.cache[exchange.cache] = stats.cache.get(exchange.cache, 0) + 1
            if exchange.cache == "bypass":
                bypasses = self.bypasses
                bypasses[exchange.cache_detail] = bypasses.get(exchange.cache_detail, 0) + 1
        overhead_s = exchange.overhead_s
        self.overhead.observe(overhead_s if overhead_s > 0.0 else 0.0)
        if exchange.error is not None:
            kind = exchange.error if exchange.error in RULES else "other"
            stats.errors[kind] = stats.errors.get(kind, 0) + 1
            if exchange.status < 500 and kind not in CALLERS:
                stats.failed_below_500 += 1
