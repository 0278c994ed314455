"""How do operators and their tools ask the gateway how it is? HTTP on an address of its own.

Whoever reaches this address may read everything here and drain backends: it belongs on loopback or a
private network. Browsers are the exception, because a page from anywhere can make them send requests.
"""

import ipaddress
import logging
import os
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from gateway import clock
from gateway.admin.cache import CacheEndpoints
from gateway.admin.figures import pool_figures
from gateway.admin.page import page
from gateway.admin.view import AdminView, PoolView

log = logging.getLogger(__name__)

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000
#: Bytes beyond which compression moves to a thread: the event loop serves requests meanwhile.
_COMPRESS_ELSEWHERE = 32768

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Server": "gateway",
    "X-Content-Type-Options": "nosniff",
}

_CODES = {400: "bad_request", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}


class AdminServer:
    """The running admin side; `address` is the (host, port) it got."""

    def __init__(self, runner: web.AppRunner, address: tuple[str, int]) -> None:
        self._runner = runner
        self.address = address

    def __repr__(self) -> str:
        return f"<AdminServer {self.address[0]} port {self.address[1]}>"

    async def close(self) -> None:
        """Stop listening and end what is under way."""
        await self._runner.cleanup()


async def start(view: AdminView, host: str, port: int) -> AdminServer:
    """Serve `view` at host:port (port 0: any free one). Raises OSError when the address cannot be had."""
    loopback = _is_loopback(host)

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD") and (why := _foreign(request, loopback)):
            return _error(403, why)
        return await handler(request)

    app = web.Application(middlewares=[_errors_as_json, guard])
    Endpoints(view).add_to(app)
    app.on_response_prepare.append(_add_headers)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    host, port = runner.addresses[0][:2]
    return AdminServer(runner, (host, port))


class Endpoints:
    """The answers, all made from one view."""

    def __init__(self, view: AdminView) -> None:
        self._view = view

    def add_to(self, app: web.Application) -> None:
        """Every path of the admin side. Names of pools and backends may contain slashes."""
        backend = "/api/pools/{pool:.+}/backends/{backend:.+}"
        app.router.add_get("/", self.index)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/api/status", self.status)
        app.router.add_get("/api/decisions", self.decisions)
        app.router.add_get("/api/pools", self.pools)
        app.router.add_post(backend + "/drain", self.drain)
        app.router.add_post(backend + "/undrain", self.undrain)
        CacheEndpoints(self._view, _json).add_to(app)
        # Not those above: a GET of them is to find a POST there (405), not a pool missing (404).
        app.router.add_get("/api/pools/{pool:(?!.+/backends/.+/(?:un)?drain$).+}", self.pool)

    async def index(self, request: web.Request) -> web.Response:
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
        return _json({"status": "ok"})

    async def readyz(self, request: web.Request) -> web.Response:
        ready, why = self._view.ready()
        return _json({"ready": ready, "reason": why}, 200 if ready else 503)

    async def status(self, request: web.Request) -> web.Response:
        view = self._view
        ready, why = view.ready()
        return _json(
            {
                "version": view.version,
                "pid": os.getpid(),
                "uptime_s": round(clock.now() - view.started, 3),
                "ready": ready,
                "reason": why,
                "draining": view.draining,
                "compiled": view.compiled,
                "config_hash": view.config_hash,
                "listeners": list(view.listeners),
                "connections": view.connections,
            }
        )

    async def pools(self, request: web.Request) -> web.Response:
        now = clock.now()
        return _json({"pools": [pool_figures(pool, now) for pool in self._view.pools.values()]})

    async def pool(self, request: web.Request) -> web.Response:
        return _json(pool_figures(self._find(request), clock.now()))

    async def drain(self, request: web.Request) -> web.Response:
        return self._change(request, "drained", lambda pool, name: pool.drain(name))

    async def undrain(self, request: web.Request) -> web.Response:
        return self._change(request, "undrained", lambda pool, name: pool.undrain(name))

    async def decisions(self, request: web.Request) -> web.Response:
        text = request.query.get("limit", str(DEFAULT_LIMIT))
        limit = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
        if not 1 <= limit <= MAX_LIMIT:
            raise web.HTTPBadRequest(reason=f"limit: a whole number from 1 to {MAX_LIMIT}")
        return _json({"decisions": self._view.decisions.latest(limit)})

    def _find(self, request: web.Request) -> PoolView:
        pools = self._view.pools
        name = request.match_info["pool"]
        if name not in pools:
            raise _NotFound(f"there is no pool of that name; there are: {', '.join(pools) or 'none'}")
        return pools[name]

    def _change(self, request: web.Request, done: str, act: Callable[[PoolView, str], None]) -> web.Response:
        pool = self._find(request)
        name = request.match_info["backend"]
        try:
            act(pool, name)
        except KeyError:
            names = ", ".join(backend.name for backend in pool.backends)
            raise _NotFound(
                f"pool {pool.name} has no backend of that name; it has: {names or 'none'}"
            ) from None
        log.info(
            "backend %s of pool %s %s through the admin side by %s", name, pool.name, done, request.remote
        )
        state = next(backend.state for backend in pool.backends if backend.name == name)
        return _json({"pool": pool.name, "backend": name, "state": state})


_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _NotFound(Exception):
    """A name in the path that nothing has; the message is for the caller."""


@web.middleware
async def _errors_as_json(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except _NotFound as error:
        return _error(404, str(error))
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return _error(405, f"this path takes {allowed}", {"Allow": allowed})
    except web.HTTPNotFound as error:
        ours = error.reason != "Not Found"
        return _error(404, error.reason if ours else "nothing is at this path; / lists what there is")
    except web.HTTPException as error:
        return _error(error.status, error.reason)
    except Exception:
        log.exception("admin request %s failed", request.path)
        return _error(500, "the answer could not be made; the log says why")


def _json(data: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    body = msgspec.json.format(msgspec.json.encode(data), indent=2) + b"\n"  # people read these with curl
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    kind = "invalid_request_error" if status < 500 else "server_error"
    code = _CODES.get(status, "internal" if status >= 500 else "bad_request")
    error = {"message": message, "type": kind, "code": code, "param": None}
    return _json({"error": error}, status, headers)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


def _foreign(request: web.Request, loopback: bool) -> str:
    """Why this looks like a request that some page made a browser send; "" when it does not.

    Browsers name the page's origin in every POST; other clients send no Origin. The second rule is for
    pages whose own name has been made to point to this machine (DNS rebinding): for them origin and host
    agree, but no such name is ever that of a loopback address.
    """
    origin = request.headers.get("Origin")
    if origin is None:
        return ""
    if _authority(origin) != request.host.lower():
        return "this request comes from a page of another origin; send it without an Origin header"
    if loopback and not _is_loopback(urlsplit(origin).hostname or ""):
        return "this address is local; call it by a local name such as 127.0.0.1 or localhost"
    return ""


def _authority(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # such as http://[::1
        return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
