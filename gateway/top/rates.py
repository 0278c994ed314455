"""What happened between two documents? Rates, shares and quantiles from counters that only grow.

A counter that fell began anew in between (the gateway was started again, a backend came back): what it shows
has happened since. So no figure is ever negative. Throughput ÷ latency is requests per second for each second
of mean latency.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.top.document import GIVEN, Backend, Duration, Overview, Route


@dataclass(frozen=True, slots=True)
class Flow:
    """What went through in `seconds`: `timed` took `sum_s` together, `counts` by the buckets of `bounds`; the
    cache was `asked`, and had `given` what would have taken `saved_s`."""

    seconds: float
    requests: int = 0
    failed: int = 0
    timed: int = 0
    sum_s: float = 0.0
    counts: tuple[int, ...] = ()
    bounds: tuple[float, ...] = ()
    asked: int = 0
    given: int = 0
    saved_s: float = 0.0

    @property
    def per_s(self) -> float:
        return self.requests / self.seconds

    @property
    def failed_share(self) -> float | None:
        return min(1.0, self.failed / self.requests) if self.requests else None

    @property
    def mean_s(self) -> float | None:
        """Mean seconds from head to end of those that ended."""
        return self.sum_s / self.timed if self.timed else None

    @property
    def per_latency(self) -> float | None:
        """Throughput ÷ latency; None where either cannot be told."""
        mean_s = self.mean_s
        return self.per_s / mean_s if mean_s else None

    @property
    def hit_ratio(self) -> float | None:
        """Share given by the cache, of all that were asked of routes with one."""
        return min(1.0, self.given / self.asked) if self.asked else None

    @property
    def saved_per_s(self) -> float:
        """Backend seconds saved by the cache, each second."""
        return self.saved_s / self.seconds

    def quantile_s(self, share: float) -> float | None:
        """The latency that `share` of those that ended stayed within; None where buckets are not told."""
        return quantile(self.counts, share, self.bounds)


@dataclass(frozen=True, slots=True)
class BackendFlow:
    """What one backend did in between; `share` is its part of what its pool sent out, None where nothing."""

    per_s: float
    failed_share: float | None
    mean_s: float | None
    share: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What happened between two documents that are `seconds` apart; backends by (pool, name)."""

    seconds: float
    total: Flow
    routes: Mapping[str, Flow]
    backends: Mapping[tuple[str, str], BackendFlow] = field(default_factory=dict)


def restarted(before: Overview, after: Overview) -> bool:
    """Whether the two are of different lives of the gateway, so that their clocks cannot be compared."""
    old, new = before.status, after.status
    return old.pid != new.pid or new.uptime_s < old.uptime_s or after.at_s < before.at_s


def figures(before: Overview, after: Overview) -> Figures | None:
    """What happened between the two; None when nothing can be told: no time passed, or a restart between."""
    seconds = after.at_s - before.at_s
    if seconds <= 0.0 or restarted(before, after):
        return None
    known = {route.name: route for route in before.routes}
    bounds = after.latency_bounds_s
    routes = {route.name: _flow(known.get(route.name), route, seconds, bounds) for route in after.routes}
    total = _total(routes.values(), seconds, bounds)
    return Figures(seconds, total, routes, _backends(before, after, seconds))


def grown(before: float, after: float) -> float:
    """By how much a counter grew; one that fell began anew."""
    return after if after < before else after - before


def _whole(before: int, after: int) -> int:
    return after if after < before else after - before


def _flow(before: Route | None, after: Route, seconds: float, bounds: tuple[float, ...]) -> Flow:
    old = before or Route(after.name)
    new = {result: _whole(old.cache.get(result, 0), count) for result, count in after.cache.items()}
    return Flow(
        seconds,
        _whole(old.requests, after.requests),
        _whole(old.errors, after.errors),
        _whole(old.duration.count, after.duration.count),
        grown(old.duration.sum_s, after.duration.sum_s),
        _counts(old.duration, after.duration),
        bounds,
        sum(new.values()),
        sum(new.get(result, 0) for result in GIVEN),
        grown(old.saved_s, after.saved_s),
    )


def _counts(before: Duration, after: Duration) -> tuple[int, ...]:
    if len(before.counts) != len(after.counts):
        return after.counts
    return tuple(map(_whole, before.counts, after.counts))


def _total(flows: Iterable[Flow], seconds: float, bounds: tuple[float, ...]) -> Flow:
    every = list(flows)
    told = [flow.counts for flow in every if len(flow.counts) == len(bounds) + 1]
    return Flow(
        seconds,
        sum(flow.requests for flow in every),
        sum(flow.failed for flow in every),
        sum(flow.timed for flow in every),
        sum(flow.sum_s for flow in every),
        tuple(map(sum, zip(*told, strict=True))),
        bounds,
        sum(flow.asked for flow in every),
        sum(flow.given for flow in every),
        sum(flow.saved_s for flow in every),
    )


def _backends(before: Overview, after: Overview, seconds: float) -> dict[tuple[str, str], BackendFlow]:
    old = {(pool.name, backend.name): backend for pool in before.pools for backend in pool.backends}
    found: dict[tuple[str, str], BackendFlow] = {}
    for pool in after.pools:
        keys = [(pool.name, backend.name) for backend in pool.backends]
        chosen = [_chosen(old.get(key), new) for key, new in zip(keys, pool.backends, strict=True)]
        everything = sum(chosen)
        for key, new, part in zip(keys, pool.backends, chosen, strict=True):
            share = part / everything if everything else None
            found[key] = _backend_flow(old.get(key), new, seconds, share)
    return found


def _chosen(before: Backend | None, after: Backend) -> int:
    return _whole(before.selected if before else 0, after.selected)


def _backend_flow(before: Backend | None, after: Backend, seconds: float, share: float | None) -> BackendFlow:
    ended = _whole(before.ended if before else 0, after.ended)
    failed = _whole(before.failed if before else 0, after.failed)
    timed = _whole(before.duration.count if before else 0, after.duration.count)
    sum_s = grown(before.duration.sum_s if before else 0.0, after.duration.sum_s)
    return BackendFlow(
        ended / seconds,
        min(1.0, failed / ended) if ended else None,
        sum_s / timed if timed else None,
        share,
    )


def quantile(counts: Sequence[int], share: float, bounds: Sequence[float]) -> float | None:
    """The value that `share` (0 to 1) of the values stay within, by straight lines within a bucket.

    `counts[i]` holds values <= `bounds[i]` and above the bound before, the last one the rest, of which only
    the last bound is known. None for no values, or when `counts` do not belong to `bounds`.
    """
    everything = sum(counts)
    if not everything or not bounds or len(counts) != len(bounds) + 1:
        return None
    wanted, passed, low = share * everything, 0, 0.0
    for count, high in zip(counts, bounds, strict=False):
        if count and passed + count >= wanted:
            return low + (high - low) * (wanted - passed) / count
        passed, low = passed + count, high
    return low
