"""How do settings become a cache and each route's way through it? Composition only: nothing runs yet."""

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from gateway.cache.audit import AuditRule
from gateway.cache.cache import Cache, Spawn
from gateway.cache.key import KeyMaker
from gateway.cache.memory import MemoryStore
from gateway.cache.rules import CacheRule
from gateway.cache.scope import parse_scope
from gateway.cache.store import SharedStore
from gateway.registry import STORES
from gateway.route_cache import Count, RouteCache
from gateway.routing.routes import Route, Routes
from gateway.settings import schema

#: Of what entries may take, the part that answers under way may take on top.
UNDER_WAY = 0.25


class CacheError(Exception):
    """The store that the settings name cannot be made; the text says what to do."""


def cached_routes(settings: schema.Settings) -> dict[str, schema.RouteCache]:
    """What each route with a cache says of it. Without routes, the block `cache` turns it on for all."""
    if not settings.routes:
        return dict.fromkeys(settings.pools, schema.RouteCache()) if settings.cache is not None else {}
    return {
        route.name or f"route-{number}": route.cache
        for number, route in enumerate(settings.routes, 1)
        if route.cache is not None
    }


def build_cache(settings: schema.Settings, spawn: Spawn, rng: Random) -> Cache | None:
    """The cache, if any route has one."""
    if not cached_routes(settings):
        return None
    own = settings.cache or schema.Cache()
    memory = MemoryStore(own.max_size, own.eviction)
    shared: SharedStore | None = None
    if own.store in STORES:
        try:
            shared = STORES[own.store](own, rng)
        except (ImportError, ValueError) as error:  # an extra that is not installed, a URL that is none
            raise CacheError(f"cache.store: {own.store}: {error}") from None
    return Cache(memory, shared, spawn, max(int(own.max_size * UNDER_WAY), 4 * own.max_entry))


def salt(settings: schema.Cache) -> bytes:
    """What credentials are hashed with. A random one would make a store useless that outlives the process."""
    if settings.salt is not None:
        return settings.salt.encode()
    lasting = settings.store != "memory" or settings.path is not None
    return b"gateway" if lasting else secrets.token_bytes(32)


def build_route_cache(
    route: Route, own: schema.RouteCache, settings: schema.Cache, cache: Cache, salt_: bytes, count: Count
) -> RouteCache:
    """One route's way through `cache`; what it does not say is as in the block `cache`."""

    def of(name: str) -> Any:
        value = getattr(own, name)
        return getattr(settings, name) if value is None else value

    scope = parse_scope(of("scope"))
    rule = CacheRule(
        ttl_s=of("ttl"),
        stale_while_revalidate_s=of("stale_while_revalidate"),
        stale_if_error_s=of("stale_if_error"),
        methods=frozenset(of("methods")),
        sampled=of("sampled"),
        negative_ttl_s=of("negative_ttl"),
        max_entry=of("max_entry"),
        shared_scope=scope.kind != "credential",
        coalesce=of("coalesce"),
        replay=of("replay"),
    )
    # How versions are told apart is part of the key: what was kept while they were not is not found.
    version: str = of("fingerprint") or ""
    field = b""
    if version.startswith("header:"):
        field = version[len("header:") :].strip().lower().encode()
    identity = "\n".join((version, route.rewrite_model or ""))
    keys = KeyMaker(route.name, frozenset(of("ignore")), scope, salt_)
    made = RouteCache(rule, keys, cache, count, identity, field)
    made.asks_models = version == "models"
    return made


def build_route_caches(
    routes: Routes, settings: schema.Settings, cache: Cache | None, count_of: Callable[[str], Count]
) -> dict[str, RouteCache]:
    """The routes with a cache, by name."""
    if cache is None:
        return {}
    wanted = cached_routes(settings)
    own = settings.cache or schema.Cache()
    salted = salt(own)
    return {
        route.name: build_route_cache(route, wanted[route.name], own, cache, salted, count_of(route.name))
        for route in routes
        if route.name in wanted
    }


def asked_pools(routes: Routes, caches: Mapping[str, RouteCache]) -> set[str]:
    """The pools whose backends are asked for the versions of their models: answers of theirs are kept."""
    return {
        name
        for route in routes
        if route.name in caches and caches[route.name].asks_models
        for name, _ in route.pools
    }


def audit_rule(settings: schema.Settings) -> AuditRule | None:
    """How what is kept is audited; None for not at all."""
    own = None if settings.cache is None else settings.cache.audit
    if own is None or own.share <= 0.0:
        return None
    return AuditRule(own.share, own.max_mismatch, own.min_checked)


def snapshot_path(settings: schema.Settings) -> Path | None:
    """Where memory is written at the end and read at the start; None for nowhere."""
    own = settings.cache
    if own is None or own.store != "memory" or own.path is None:
        return None
    return Path(own.path)
