"""How do settings become pools, lanes and routes? Composition only: nothing runs yet."""

import ipaddress
import ssl
from collections.abc import Callable, Mapping
from functools import lru_cache
from random import Random

from gateway import clock
from gateway.admission.queue import QueueRule
from gateway.attempts.budget import RetryBudget
from gateway.attempts.hedge import HedgeRule
from gateway.attempts.retry import RetryRule
from gateway.balancing.policy import PolicyOptions
from gateway.health.degraded import DegradedRule
from gateway.health.outlier import OutlierRule
from gateway.health.presets import resolve
from gateway.health.probes import Probe
from gateway.health.state import HealthRule
from gateway.http.connections import BackendConnections, Destination, Spawn
from gateway.http.headers import DateField
from gateway.http.outbox import Outbox
from gateway.lanes import Lane
from gateway.pool.backend import Backend, BackendRules, BackendSpec
from gateway.pool.pool import Pool
from gateway.pool.roster import OnChange, PoolRules
from gateway.ports import Observer
from gateway.proxy import Paths
from gateway.registry import POLICIES, PROBES
from gateway.route_cache import RouteCache
from gateway.routing.affinity import AffinityRule
from gateway.routing.routes import Route, Routes, Timeouts
from gateway.settings import schema


def pool_rules(settings: schema.Pool) -> PoolRules:
    outlier, waiting, hedging = settings.outlier, settings.concurrency, settings.hedging
    return PoolRules(
        backend=BackendRules(
            health=health_rule(settings.health),
            outlier=OutlierRule(
                consecutive_failures=outlier.consecutive_failures,
                ejection_s=outlier.ejection,
                max_ejection_s=outlier.max_ejection,
                max_ejected=outlier.max_ejected,
                failure_ratio=outlier.failure_ratio,
                min_requests=outlier.min_requests,
                window_s=outlier.window,
                enforce=outlier.enforce,
            ),
            degraded=DegradedRule(outlier.degraded),
            limit=waiting.limit,
            slow_start_s=settings.slow_start,
        ),
        panic_below=settings.panic_below,
        queue=QueueRule(capacity=waiting.queue, timeout_s=waiting.queue_timeout),
        hedge=None if hedging is None else HedgeRule(hedging.after, hedging.budget),
    )


def health_rule(settings: schema.Health) -> HealthRule | None:
    """How a pool's backends are probed; None when they are not."""
    rule = HealthRule(
        path=settings.path or "",
        interval_s=settings.interval,
        timeout_s=settings.timeout,
        rise=settings.rise,
        fall=settings.fall,
        expect=settings.expect,
        preset=settings.preset,
    )
    return resolve(rule, settings.model_fields_set)


def probe_for(rule: HealthRule) -> Probe:
    """What asks the backends that `rule` is for."""
    return PROBES["http" if rule.path else "tcp"]


def affinity_rule(policy: str, settings: schema.Affinity) -> AffinityRule | None:
    """What of a request the policy wants to know; None when it does not ask."""
    if policy == "prefix_aware":
        return AffinityRule("prefixes")
    if policy != "consistent_hash":
        return None
    header = None if settings.header is None else settings.header.encode()
    return AffinityRule("key", header, settings.field, settings.prefix)


def build_pool(name: str, settings: schema.Pool, rng: Random, on_change: OnChange) -> Pool:
    return Pool(
        name,
        [
            BackendSpec(b.url, name=b.name, weight=b.weight, labels=b.labels, max_in_flight=b.max_in_flight)
            for b in settings.backends
        ],
        settings.policy,
        POLICIES[settings.policy](PolicyOptions(settings.affinity.balance, settings.affinity.max_penalty)),
        rng,
        pool_rules(settings),
        on_change,
    )


def tls_context(settings: schema.BackendTls) -> ssl.SSLContext:
    """How an https backend's certificate is checked; ALPN says HTTP/1.1, the only version spoken."""
    context = ssl.create_default_context(cafile=settings.ca)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


def tls_contexts(pool: Pool, settings: schema.Pool) -> dict[str, ssl.SSLContext]:
    """A TLS context for each https backend of `pool`, by the backend's name."""
    by_url = {(b.name, b.url): b.tls for b in settings.backends}
    return {
        backend.name: tls_context(by_url.get((backend.name, backend.url), schema.BackendTls()))
        for backend in pool.backends
        if backend.scheme == "https"
    }


def connect_backend(
    backend: Backend, settings: schema.Keepalive, tls: ssl.SSLContext | None, spawn: Spawn, outbox: Outbox
) -> BackendConnections:
    return BackendConnections(
        Destination(backend.name, backend.host, backend.port, backend.authority, backend.prefix, tls),
        idle_s=settings.idle,
        max_idle=settings.max_idle,
        spawn=spawn,
        outbox=outbox,
    )


def build_routes(settings: schema.Settings) -> Routes:
    routes = []
    for number, route in enumerate(settings.routes, 1):
        split = route.split or ()
        timeouts = route.timeouts
        routes.append(
            Route(
                name=route.name or f"route-{number}",
                pools=tuple((part.pool, part.weight) for part in split) or ((route.pool or "", 1.0),),
                path=route.match.path,
                methods=frozenset(route.match.methods),
                headers=tuple((k.lower().encode(), v.encode()) for k, v in route.match.headers.items()),
                model=route.match.model,
                fallback=route.fallback,
                rewrite_model=route.rewrite.model,
                rewrite_prefix=route.rewrite.prefix,
                timeouts=Timeouts(timeouts.connect, timeouts.first_byte, timeouts.idle, timeouts.total),
                replayable=route.replayable,
                priority=route.priority,
                priority_header=route.priority_header,
            )
        )
    return Routes(routes, list(settings.pools))


def build_lane(
    route: Route,
    pool: Pool,
    settings: schema.Settings,
    budget: RetryBudget,
    observer: Observer,
    rng: Random,
    date: DateField,
) -> Lane:
    """A route's way to one of its pools."""
    rules, tighter = settings.pools[pool.name], route.timeouts
    own = rules.timeouts
    return Lane(
        pool=pool,
        retry=RetryRule(attempts=rules.retries.attempts, on=frozenset(rules.retries.on)),
        budget=budget,
        connect_s=own.connect if tighter.connect is None else tighter.connect,
        first_byte_s=own.first_byte if tighter.first_byte is None else tighter.first_byte,
        idle_s=own.idle if tighter.idle is None else tighter.idle,
        total_s=own.total if tighter.total is None else tighter.total,
        body_timeout_s=settings.limits.body_timeout,
        replayable=route.replayable,
        priority=("high", "normal", "low").index(route.priority),
        priority_header=route.priority_header,
        affinity=affinity_rule(rules.policy, rules.affinity),
        tokens=settings.metrics.tokens,
        observer=observer,
        rng=rng,
        date=date,
        now=clock.now,
        wall=clock.wall,
    )


def build_paths(
    routes: Routes,
    pools: Mapping[str, Pool],
    settings: schema.Settings,
    observer: Observer,
    rng: Random,
    caches: Mapping[str, RouteCache] | None = None,
) -> dict[str, Paths]:
    """Each route with its lanes. A pool's retry budget is shared by all routes that lead to it."""
    date = DateField()
    budgets = {
        name: RetryBudget(pool.retries.budget, pool.retries.min_per_second)
        for name, pool in settings.pools.items()
    }

    def lane(route: Route, name: str) -> Lane:
        return build_lane(route, pools[name], settings, budgets[name], observer, rng, date)

    return {
        route.name: Paths(
            route,
            tuple(lane(route, name) for name, _ in route.pools),
            tuple(weight for _, weight in route.pools),
            tuple(lane(route, name) for name in route.fallback),
            observer.route(route.name),
            bool(route.fallback) or len(route.pools) > 1,
            caches.get(route.name) if caches else None,
        )
        for route in routes
    }


def trust(networks: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether an address is in one of `networks` (CIDR)."""
    parsed = [ipaddress.ip_network(network, strict=False) for network in networks]
    if not parsed:
        return lambda address: False

    @lru_cache(maxsize=4096)
    def trusted(address: str) -> bool:
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(ip in network for network in parsed)

    return trusted
