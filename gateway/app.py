"""How does it all start, drain and end? The object graph of one gateway, and the process around it."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import cast

import uvloop

from gateway import __version__, clock, forward
from gateway.admin import server as admin
from gateway.assembly import (
    build_paths,
    build_pool,
    build_routes,
    connect_backend,
    probe_for,
    tls_contexts,
    trust,
)
from gateway.auditor import Auditor
from gateway.cache_assembly import (
    CacheError,
    asked_pools,
    audit_rule,
    build_cache,
    build_route_caches,
    snapshot_path,
)
from gateway.cache_life import CacheLife
from gateway.cache_versions import Source, VersionAsker
from gateway.health.checker import HealthChecker, Target
from gateway.health.probes import Probed
from gateway.health.state import Result
from gateway.http.detached import DetachedClient
from gateway.http.listener import Listener
from gateway.http.outbox import Outbox
from gateway.http.server import ClientConnection
from gateway.machine import cannot_listen, raise_file_limit, request_ids
from gateway.pool.backend import Backend, State
from gateway.pool.pool import Pool
from gateway.proxy import Proxy
from gateway.route_cache import RouteCache
from gateway.settings.load import config_hash
from gateway.settings.redacted import without_secrets
from gateway.settings.schema import Settings, split_address
from gateway.tasks import Tasks
from gateway.telemetry import logs
from gateway.telemetry.access_log import AccessLog
from gateway.telemetry.decisions import Decisions
from gateway.telemetry.exposition import Exposition
from gateway.telemetry.lag import measure_lag
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.observer import Telemetry
from gateway.telemetry.otlp import OtlpExporter
from gateway.telemetry.traces import Traces
from gateway.telemetry.writer import to_fd
from gateway.tracing import Tracer

log = logging.getLogger(__name__)

#: Whether the modules on a request's way run as C (see setup.py) or as they stand.
COMPILED = not forward.__file__.endswith(".py")

EXPIRE_S = 5.0  # how often idle upstream connections are looked through
BACKLOG = 4096


class StartError(Exception):
    """The gateway cannot start; the text says what to do."""


class App:
    """Owns everything one gateway is made of, from its listeners to its background tasks."""

    def __init__(self, settings: Settings, config_path: Path | None = None) -> None:
        self.settings = settings
        self.config_path = config_path
        self.version = __version__
        self.started = clock.now()
        self.config_hash = config_hash(settings)
        self.configuration: dict[str, object] = without_secrets(settings)
        self.compiled = COMPILED
        self.tasks = Tasks()
        self.metrics = Metrics(__version__)
        self.decisions = Decisions()
        self.exposition = Exposition(self.metrics, lambda: self._pools.values(), cache=lambda: self.cache)
        self.access_log = AccessLog(to_fd(1), settings.log.access == "json")
        self.draining = False
        self.listen_addresses: list[tuple[str, int]] = []
        self.admin_address: tuple[str, int] | None = None
        self._rng = Random()
        self._servers: list[asyncio.Server] = []
        self._listener: Listener | None = None
        self._proxy: Proxy | None = None
        self._admin: admin.AdminServer | None = None
        self._checker = HealthChecker(self.tasks, self._probed, self._rng)
        try:
            self.cache = build_cache(settings, self.tasks.spawn, self._rng)
        except CacheError as error:
            raise StartError(str(error)) from None
        self.traces = _build_traces(settings)
        self._cache_life = CacheLife(self.cache, snapshot_path(settings)) if self.cache else None
        self.cached_routes: dict[str, RouteCache] = {}
        self._asker: VersionAsker | None = None  # of routes that tell versions of models apart by asking
        self._pools = {
            name: build_pool(name, pool, self._rng, self._changed) for name, pool in settings.pools.items()
        }

    def __repr__(self) -> str:
        return f"<App {self.config_hash} {len(self._pools)} pools, listening on {self.listen_addresses}>"

    # What the admin side reads.

    @property
    def connections(self) -> int:
        return len(self._listener.connections) if self._listener is not None else 0

    @property
    def pools(self) -> Mapping[str, Pool]:
        return self._pools

    @property
    def listeners(self) -> list[str]:
        return [f"{host}:{port}" for host, port in self.listen_addresses]

    def ready(self) -> tuple[bool, str]:
        """Whether new requests can be served, and why not."""
        if self.draining:
            return False, "draining"
        if not self.listen_addresses:
            return False, "not listening yet"
        now = clock.now()
        if not any(pool.able(now) for pool in self._pools.values()):
            return False, "no backend of any pool can take work"
        return True, "ready"

    # Life.

    async def start(self) -> None:
        """Listen and serve. Raises StartError when an address cannot be had."""
        loop = asyncio.get_running_loop()
        self._outbox = Outbox(loop.call_soon)
        settings = self.settings
        telemetry = Telemetry(self.metrics, self.access_log, self.decisions, self.traces)
        routes = build_routes(settings)
        self.cached_routes = build_route_caches(routes, settings, self.cache, self.metrics.route)
        proxy = self._proxy = Proxy(
            routes,
            build_paths(routes, self._pools, settings, telemetry, self._rng, self.cached_routes),
            telemetry,
            settings.limits,
            trusted=trust(tuple(str(network) for network in settings.trusted_proxies)),
            make_id=request_ids(),
            rng=self._rng,
        )
        proxy.refresher.detach = partial(DetachedClient, loop)
        self._trace(proxy)
        listener = self._listener = Listener(settings.limits, proxy.serve, _log_crash, loop, self._outbox)
        self.metrics.watch("gateway_connections", lambda: len(listener.connections))
        self.metrics.watch("gateway_held_body_bytes", lambda: listener.held_bytes)
        self.metrics.watch("gateway_access_log_dropped_total", lambda: self.access_log.dropped)
        targets = self._connect_backends()  # before the first client can come
        try:
            if self._cache_life is not None:
                await self._cache_life.begin(self.tasks.start)
            await self._listen(listener)
            await self._start_admin()
            await self._checker.start(targets)
            await self._ask_versions(asked_pools(routes, self.cached_routes))
        except BaseException:
            await self.close()
            raise
        self._start_services()
        self._start_audits(proxy)

    def _trace(self, proxy: Proxy) -> None:
        """Give requests their place in traces, if that is wanted."""
        traces, rule = self.traces, self.settings.tracing
        if traces is None or rule is None:
            return
        proxy.tracer = Tracer(rule.sample, self._rng)
        self.metrics.watch("gateway_trace_spans_exported_total", lambda: traces.exported)
        self.metrics.watch("gateway_trace_spans_dropped_total", lambda: traces.dropped)

    def _start_services(self) -> None:
        for name, work in (
            ("access log", self.access_log.run),
            ("event loop lag", lambda: measure_lag(self.metrics.loop_lag)),
            ("idle connections", self._expire),
        ):
            self.tasks.start(name, work)

    async def _listen(self, listener: Listener) -> None:
        raise_file_limit(self.settings.limits.max_connections)
        for address in self.settings.listen:
            host, port = split_address(address.address)
            try:
                server = await asyncio.get_running_loop().create_server(
                    # uvloop and asyncio ask for the methods of a Protocol, not for the class
                    cast(Callable[[], asyncio.Protocol], partial(ClientConnection, listener)),
                    host,
                    port,
                    backlog=BACKLOG,
                    reuse_address=True,
                )
            except OSError as error:
                raise StartError(cannot_listen("listen", address.address, error)) from None
            self._servers.append(server)
            self.listen_addresses.append(server.sockets[0].getsockname()[:2])

    async def _start_admin(self) -> None:
        host, port = split_address(self.settings.admin)
        try:
            self._admin = await admin.start(self, host, port)
        except OSError as error:
            raise StartError(cannot_listen("admin", self.settings.admin, error)) from None
        self.admin_address = self._admin.address

    def _start_audits(self, proxy: Proxy) -> None:
        """Check what is kept against the backends, if that is wanted."""
        rule = audit_rule(self.settings)
        if rule is None or self.cache is None:
            return
        detach = partial(DetachedClient, asyncio.get_running_loop())
        auditor = Auditor(rule, self.cache, self.tasks.spawn, detach, request_ids(), self._is_idle, self._rng)
        for name, paths in proxy.paths.items():
            if paths.cache is not None:
                auditor.watch(paths.cache, self.metrics.route(name), partial(proxy.ask_again, paths))
        self.tasks.start("cache audits", auditor.run)

    def _is_idle(self, pool: str) -> bool:
        """Whether a pool has nothing to do."""
        pool_ = self._pools[pool]
        return not self.draining and pool_.in_flight_total == 0 and len(pool_.queue) == 0

    async def _ask_versions(self, pools: set[str]) -> None:
        """Ask the backends of these pools which versions of their models they are."""
        if self.cache is None or not pools:
            return
        self._asker = VersionAsker(self.tasks, self.cache.versions, self._rng)
        sources: list[Source] = []
        for name in pools:
            pool = self._pools[name]
            tls = tls_contexts(pool, self.settings.pools[name])
            sources += [Source(backend, tls.get(backend.name)) for backend in pool.backends]
        await self._asker.start(sources)

    def _changed(self, pool: str, backend: Backend, old: State, new: State, why: str) -> None:
        """A backend's state has changed."""
        _log_change(pool, backend, old, new, why)
        if self._asker is not None:
            self._asker.changed(pool, backend.name, new)

    def _connect_backends(self) -> list[Target]:
        """Give each backend its connections; those to be probed, and how."""
        targets: list[Target] = []
        for name, pool in self._pools.items():
            settings = self.settings.pools[name]
            tls = tls_contexts(pool, settings)
            for backend in pool.backends:
                context = tls.get(backend.name)
                backend.connections = connect_backend(
                    backend, settings.keepalive, context, self.tasks.spawn, self._outbox
                )
                rule = pool.rules.backend.health
                if rule is not None:
                    targets.append(Target(backend, rule, context, probe_for(rule)))
        return targets

    def _probed(self, probed: Probed, result: Result, detail: str) -> None:
        pool = self._pools[probed.pool]
        with suppress(KeyError):  # a backend that has just been removed
            pool.probed(pool.backend(probed.name), result, detail, clock.now())

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(EXPIRE_S)
            for pool in self._pools.values():
                for backend in pool.backends:
                    backend.connections.expire()

    async def drain(self) -> None:
        """Accept nothing new, let what is in flight finish, cut what is left after `shutdown.drain`."""
        self.draining = True
        for server in self._servers:
            server.close()
        if self._listener is None:
            return
        self._listener.drain()
        until = clock.now() + self.settings.shutdown.drain
        while self._listener.connections and clock.now() < until:  # noqa: ASYNC110  no event on the hot path
            await asyncio.sleep(0.02)
        if self._listener.connections:
            log.warning(
                "cutting %d connections after %g s",
                len(self._listener.connections),
                self.settings.shutdown.drain,
            )

    async def close(self) -> None:
        """End everything at once."""
        self.draining = True
        for server in self._servers:
            server.close()
        for pool in self._pools.values():
            pool.close()
        if self._listener is not None:
            self._listener.abort()
        if self._proxy is not None:
            self._proxy.refresher.abort()
        await self._checker.close()
        if self._asker is not None:
            await self._asker.close()
        for pool in self._pools.values():
            for backend in pool.backends:
                if backend.connections is not None:
                    backend.connections.close()
        if self._admin is not None:
            await self._admin.close()
        await asyncio.sleep(0)  # connections that were aborted report their end
        if self._cache_life is not None:
            await self._cache_life.end()
        await self.tasks.close()
        await self.access_log.close()
        if self.traces is not None:
            await asyncio.to_thread(self.traces.close)


async def serve(app: App, lines: logs.Logs) -> None:
    """Run `app` until SIGTERM or SIGINT; a second one ends it at once."""
    app.tasks.start("log summaries", lines.run)
    app.metrics.watch("gateway_log_dropped_total", lambda: lines.dropped)
    app.metrics.watch("gateway_log_suppressed_total", lambda: lines.suppressed)
    loop = asyncio.get_running_loop()
    stop, stop_now = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            stop_now.set()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    loop.add_signal_handler(
        signal.SIGHUP, lambda: log.warning("SIGHUP ignored: restart to read the file again")
    )
    await app.start()
    for address in app.listeners:
        log.info("listening on %s", address)
    if not COMPILED:
        log.info(
            "running interpreted, at about twice the CPU per request; docs/development.md says how to compile"
        )
    log.info("admin on %s:%d", *(app.admin_address or ("", 0)))
    # What exists now lives as long as the process, and requests make no cycles: the collector need look
    # neither at the former nor every 700 objects, as is the default.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    await stop.wait()
    log.info("draining, at most %g s", app.settings.shutdown.drain)
    drained = app.tasks.spawn("drain", app.drain())
    second = app.tasks.spawn("second signal", _wait(stop_now))
    await asyncio.wait({drained, second}, return_when=asyncio.FIRST_COMPLETED)
    await app.close()
    log.info("ended")


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


def run(settings: Settings, config_path: Path | None = None) -> int:
    """The process of `gateway run`: 0 when it ended as asked, 1 when it could not start."""
    lines = logs.set_up(settings.log.level, "json", to_fd(2))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(App(settings, config_path), lines))
    except StartError as error:
        lines.close()
        print(f"gateway: {error}", file=sys.stderr)  # noqa: T201  for whoever typed the command
        return 1
    finally:
        lines.close()
    return 0


def _build_traces(settings: Settings) -> Traces | None:
    """Where spans go, if they are wanted. Raises StartError without the extra."""
    rule = settings.tracing
    if rule is None:
        return None
    patterns = {route.name: route.path for route in build_routes(settings)}
    try:
        exporter = OtlpExporter(rule.otlp, rule.headers, rule.timeout, rule.service_name, __version__)
    except ImportError as error:
        raise StartError(f"tracing: {error}") from None
    return Traces(exporter, patterns)


def _log_change(pool: str, backend: Backend, old: State, new: State, why: str) -> None:
    level = logging.WARNING if new in ("down", "ejected") else logging.INFO
    log.log(level, "backend %s/%s: %s, was %s (%s)", pool, backend.name, new, old, why)


def _log_crash(error: BaseException) -> None:
    log.error("a connection's script failed; the connection is closed", exc_info=error)
