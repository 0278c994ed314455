"""How do settings become pools, lanes and routes? Composition only: nothing runs yet."""

import ipaddress
import ssl
from collections.abc import Callable, Mapping
from functools import lru_cache
from random import Random

from gateway.attempts.budget import RetryBudget
from gateway.attempts.retry import RetryRule
from gateway.health.outlier import OutlierRule
from gateway.health.state import HealthRule
from gateway.http.connections import BackendConnections, Destination, Spawn
from gateway.http.headers import DateField
from gateway.http.outbox import Outbox
from gateway.lanes import Lane
from gateway.pool.backend import Backend, BackendSpec
from gateway.pool.pool import OnChange, Pool, PoolRules
from gateway.ports import Observer
from gateway.proxy import Paths
from gateway.registry import POLICIES
from gateway.routing.routes import Route, Routes, Timeouts
from gateway.settings import schema


def pool_rules(settings: schema.Pool) -> PoolRules:
    health, outlier = settings.health, settings.outlier
    return PoolRules(
        health=None
        if health.path is None
        else HealthRule(
            path=health.path,
            interval_s=health.interval,
            timeout_s=health.timeout,
            rise=health.rise,
            fall=health.fall,
            expect=health.expect,
        ),
        outlier=OutlierRule(
            consecutive_failures=outlier.consecutive_failures,
            ejection_s=outlier.ejection,
            max_ejection_s=outlier.max_ejection,
            max_ejected=outlier.max_ejected,
        ),
        panic_below=settings.panic_below,
    )


def build_pool(name: str, settings: schema.Pool, rng: Random, on_change: OnChange) -> Pool:
    return Pool(
        name,
        [
            BackendSpec(b.url, name=b.name, weight=b.weight, labels=b.labels, max_in_flight=b.max_in_flight)
            for b in settings.backends
        ],
        settings.policy,
        POLICIES[settings.policy](),
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
            )
        )
    return Routes(routes, list(settings.pools))


def build_paths(
    routes: Routes, pools: Mapping[str, Pool], settings: schema.Settings, observer: Observer, rng: Random
) -> dict[str, Paths]:
    """Each route with its lanes. A pool's retry budget is shared by all routes that lead to it."""
    date = DateField()
    budgets = {
        name: RetryBudget(pool.retries.budget, pool.retries.min_per_second)
        for name, pool in settings.pools.items()
    }

    def lane(route: Route, name: str) -> Lane:
        pool, tighter = settings.pools[name], route.timeouts
        own = pool.timeouts
        return Lane(
            pool=pools[name],
            retry=RetryRule(attempts=pool.retries.attempts, on=frozenset(pool.retries.on)),
            budget=budgets[name],
            connect_s=own.connect if tighter.connect is None else tighter.connect,
            first_byte_s=own.first_byte if tighter.first_byte is None else tighter.first_byte,
            idle_s=own.idle if tighter.idle is None else tighter.idle,
            total_s=own.total if tighter.total is None else tighter.total,
            body_timeout_s=settings.limits.body_timeout,
            replayable=route.replayable,
            observer=observer,
            rng=rng,
            date=date,
        )

    return {
        route.name: Paths(
            route,
            tuple(lane(route, name) for name, _ in route.pools),
            tuple(weight for _, weight in route.pools),
            tuple(lane(route, name) for name in route.fallback),
            observer.route(route.name),
            bool(route.fallback) or len(route.pools) > 1,
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
