"""How do operators and their tools ask the gateway how it is? HTTP on an address of its own.

Whoever reaches this address may read everything here and drain backends: it belongs on loopback or a
private network. Browsers are the exception, see `guard`.
"""

import logging
from collections.abc import Callable

import msgspec
from aiohttp import web

from gateway import clock
from gateway.admin.answers import Handler, NotFound, add_headers, as_json, errors_as_json, refusal
from gateway.admin.cache import CacheEndpoints
from gateway.admin.figures import pool_figures
from gateway.admin.files import Console
from gateway.admin.guard import foreign, is_loopback
from gateway.admin.live import Live
from gateway.admin.overview import overview, status_figures
from gateway.admin.page import page
from gateway.admin.view import AdminView, PoolView

log = logging.getLogger(__name__)

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000
#: Bytes beyond which compression moves to a thread: the event loop serves requests meanwhile.
_COMPRESS_ELSEWHERE = 32768


class AdminServer:
    """The running admin side; `address` is the (host, port) it got."""

    def __init__(self, runner: web.AppRunner, address: tuple[str, int], live: Live) -> None:
        self._runner = runner
        self._live = live
        self.address = address

    def __repr__(self) -> str:
        return f"<AdminServer {self.address[0]} port {self.address[1]}>"

    @property
    def live_listeners(self) -> int:
        """How many listen to `/api/live`."""
        return self._live.listeners

    async def close(self) -> None:
        """Stop listening and end what is under way."""
        await self._runner.cleanup()


async def start(view: AdminView, host: str, port: int) -> AdminServer:
    """Serve `view` at host:port (port 0: any free one). Raises OSError when the address cannot be had."""
    loopback = is_loopback(host)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        why = foreign(request, loopback)
        return refusal(403, why) if why else await handler(request)

    app = web.Application(middlewares=[errors_as_json, guard])
    endpoints = Endpoints(view)
    endpoints.add_to(app)
    app.on_response_prepare.append(add_headers)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    host, port = runner.addresses[0][:2]
    return AdminServer(runner, (host, port), endpoints.live)


class Endpoints:
    """The answers, all made from one view."""

    def __init__(self, view: AdminView) -> None:
        self._view = view
        self.live = Live(view)

    def add_to(self, app: web.Application) -> None:
        """Every path of the admin side. Names of pools and backends may contain slashes."""
        backend = "/api/pools/{pool:.+}/backends/{backend:.+}"
        Console().add_to(app)
        app.router.add_get("/api", self.listing)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/api/status", self.status)
        app.router.add_get("/api/overview", self.overview)
        app.router.add_get("/api/config", self.config)
        app.router.add_get("/api/decisions", self.decisions)
        app.router.add_get("/api/pools", self.pools)
        app.router.add_post(backend + "/drain", self.drain)
        app.router.add_post(backend + "/undrain", self.undrain)
        CacheEndpoints(self._view, as_json).add_to(app)
        self.live.add_to(app)
        # Not those above: a GET of them is to find a POST there (405), not a pool missing (404).
        app.router.add_get("/api/pools/{pool:(?!.+/backends/.+/(?:un)?drain$).+}", self.pool)

    async def listing(self, request: web.Request) -> web.Response:
        text = page(self._view.version, *self._view.ready())
        return web.Response(text=text, content_type="text/html")

    async def metrics(self, request: web.Request) -> web.Response:
        accept = ",".join(request.headers.getall("Accept", []))
        body, content_type = await self._view.exposition.scrape(accept)
        headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
        response = web.Response(body=body, headers=headers, zlib_executor_size=_COMPRESS_ELSEWHERE)
        response.enable_compression()
        return response

    async def healthz(self, request: web.Request) -> web.Response:
        return as_json({"status": "ok"})

    async def readyz(self, request: web.Request) -> web.Response:
        ready, why = self._view.ready()
        return as_json({"ready": ready, "reason": why}, 200 if ready else 503)

    async def status(self, request: web.Request) -> web.Response:
        return as_json(status_figures(self._view, clock.now()))

    async def config(self, request: web.Request) -> web.Response:
        return as_json(self._view.configuration)

    async def overview(self, request: web.Request) -> web.Response:
        return as_json(msgspec.Raw(await overview(self._view)))

    async def pools(self, request: web.Request) -> web.Response:
        now = clock.now()
        return as_json({"pools": [pool_figures(pool, now) for pool in self._view.pools.values()]})

    async def pool(self, request: web.Request) -> web.Response:
        return as_json(pool_figures(self._find(request), clock.now()))

    async def drain(self, request: web.Request) -> web.Response:
        return self._change(request, "drained", lambda pool, name: pool.drain(name))

    async def undrain(self, request: web.Request) -> web.Response:
        return self._change(request, "undrained", lambda pool, name: pool.undrain(name))

    async def decisions(self, request: web.Request) -> web.Response:
        text = request.query.get("limit", str(DEFAULT_LIMIT))
        limit = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
        if not 1 <= limit <= MAX_LIMIT:
            raise web.HTTPBadRequest(reason=f"limit: a whole number from 1 to {MAX_LIMIT}")
        return as_json({"decisions": self._view.decisions.latest(limit, request.query.get("request_id"))})

    def _find(self, request: web.Request) -> PoolView:
        pools = self._view.pools
        name = request.match_info["pool"]
        if name not in pools:
            raise NotFound(f"there is no pool of that name; there are: {', '.join(pools) or 'none'}")
        return pools[name]

    def _change(self, request: web.Request, done: str, act: Callable[[PoolView, str], None]) -> web.Response:
        pool = self._find(request)
        name = request.match_info["backend"]
        try:
            act(pool, name)
        except KeyError:
            names = ", ".join(backend.name for backend in pool.backends)
            raise NotFound(
                f"pool {pool.name} has no backend of that name; it has: {names or 'none'}"
            ) from None
        log.info(
            "backend %s of pool %s %s through the admin side by %s", name, pool.name, done, request.remote
        )
        state = next(backend.state for backend in pool.backends if backend.name == name)
        return as_json({"pool": pool.name, "backend": name, "state": state})
