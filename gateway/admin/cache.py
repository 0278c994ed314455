"""What does the cache keep, what does it save, and how is something of it thrown away?"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
from aiohttp import web

from gateway.cache.explain import explain
from gateway.cache.figures import CacheFigures, StoreView
from gateway.cache.store import Purge

log = logging.getLogger(__name__)

MAX_EXPLAINED = 16 * 1024 * 1024  # bytes of the two bodies together
RESULTS = ("hit", "miss", "stale", "coalesced", "bypass")
DEFAULT_IGNORED = ("user", "stream_options")


class RouteCount(Protocol):
    """What one route's requests had of the cache."""

    @property
    def cache(self) -> Mapping[str, int]: ...
    @property
    def saved_s(self) -> float: ...
    @property
    def saved_bytes(self) -> int: ...


class CachedRoute(Protocol):
    """One route with a cache; `off`: turned off because what it kept was found to be wrong."""

    off: bool

    @property
    def count(self) -> RouteCount: ...
    @property
    def ignored(self) -> frozenset[str]: ...


class MemoryView(StoreView, Protocol):
    """The store in memory, and how much it may take."""

    @property
    def max_bytes(self) -> int: ...


class CacheView(CacheFigures, Protocol):
    """The cache, and how something of it is thrown away."""

    @property
    def memory(self) -> MemoryView: ...
    async def purge(self, what: Purge) -> int: ...


class CacheHolder(Protocol):
    """The application; `cache` is None where no route has one."""

    @property
    def cache(self) -> CacheView | None: ...
    @property
    def cached_routes(self) -> Mapping[str, CachedRoute]: ...


class CacheEndpoints:
    """The answers about the cache. `json` makes a response of data."""

    def __init__(self, view: CacheHolder, json: Callable[[object], web.Response]) -> None:
        self._view = view
        self._json = json

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/api/cache", self.figures)
        app.router.add_delete("/api/cache", self.purge)
        app.router.add_post("/api/cache/explain", self.explain)

    async def figures(self, request: web.Request) -> web.Response:
        cache = self._view.cache
        if cache is None:
            return self._json({"enabled": False})
        return self._json(
            {
                "enabled": True,
                "memory": _store(cache.memory),
                "shared": None if cache.shared is None else _store(cache.shared),
                "flights": {
                    "under_way": len(cache.flights),
                    "bytes": cache.flights.held_bytes,
                    "joined": cache.flights.joined,
                },
                "refreshes": dict(cache.refreshes),
                "routes": [_route(name, route) for name, route in self._view.cached_routes.items()],
            }
        )

    async def purge(self, request: web.Request) -> web.Response:
        cache = self._view.cache
        if cache is None:
            return self._json({"purged": 0})
        unknown = set(request.query) - {"route", "model", "key"}
        if unknown:  # a slip here would purge everything
            raise web.HTTPBadRequest(
                reason=f"unknown {', '.join(sorted(unknown))}; there are route, model, key"
            )
        route, key = request.query.get("route"), request.query.get("key")
        if route is not None and route not in self._view.cached_routes:
            names = ", ".join(self._view.cached_routes) or "none"
            raise web.HTTPNotFound(reason=f"no route of that name has a cache; those that have: {names}")
        try:
            digest = None if key is None else bytes.fromhex(key)
        except ValueError:
            raise web.HTTPBadRequest(reason="key: 64 hexadecimal digits") from None
        purged = await cache.purge(Purge(route, request.query.get("model"), digest))
        for name, cached in self._view.cached_routes.items():
            if route in (None, name):
                cached.off = False
        log.info("%d cache entries purged through the admin side by %s", purged, request.remote)
        return self._json({"purged": purged})

    async def explain(self, request: web.Request) -> web.Response:
        """Whether two bodies share a key: {"a", "b"}, each text or a JSON value; "content_type", "route"."""
        asked = await _asked(request)
        route = self._view.cached_routes.get(str(asked.get("route", "")))
        ignored = frozenset(DEFAULT_IGNORED) if route is None else route.ignored
        content_type = str(asked.get("content_type", "application/json")).encode("latin-1", "replace")
        explained = explain(_body(asked["a"]), _body(asked["b"]), content_type, ignored)
        return self._json({**explained.data(), "ignored_members": sorted(ignored)})


async def _asked(request: web.Request) -> dict[str, Any]:
    body = await request.content.read(MAX_EXPLAINED + 1)
    try:
        asked = msgspec.json.decode(body)
    except msgspec.DecodeError:
        asked = None
    if not isinstance(asked, dict) or not {"a", "b"} <= set(asked) or len(body) > MAX_EXPLAINED:
        raise web.HTTPBadRequest(reason='send {"a": BODY, "b": BODY}, each as text or as JSON, up to 16 MiB')
    return asked


def _body(value: object) -> bytes:
    return value.encode() if isinstance(value, str) else msgspec.json.encode(value)


def _store(store: StoreView) -> dict[str, object]:
    figures = store.figures
    return {
        "entries": figures.entries,
        "bytes": figures.bytes,
        "hits": figures.hits,
        "misses": figures.misses,
        "evictions": {reason: count for reason, count in figures.evictions.items() if count},
        "errors": {kind: count for kind, count in figures.errors.items() if count},
    }


def _route(name: str, route: CachedRoute) -> dict[str, object]:
    count = route.count
    results = {result: count.cache.get(result, 0) for result in RESULTS}
    asked = sum(results.values())
    given = results["hit"] + results["stale"] + results["coalesced"]
    return {
        "route": name,
        "off": route.off,
        **results,
        "hit_ratio": round(given / asked, 4) if asked else None,
        "saved_seconds": round(count.saved_s, 3),
        "saved_bytes": count.saved_bytes,
    }
