"""How does the cache take part in a request? A hit is given here, at once; all else is a visit.

Plain calls from the key to the reply: nothing is waited for.
"""

from collections.abc import Callable

from gateway import clock
from gateway.cache.entry import Entry, Key
from gateway.cache.rules import bypass_reason
from gateway.cache.serving import Serve, serve
from gateway.cache.vary import vary_key
from gateway.cache.wishes import Wishes
from gateway.errors import GatewayError
from gateway.messages import Exchange, Request, RequestHead
from gateway.passing import Passing
from gateway.ports import Client
from gateway.route_cache import BYPASS, GIVEN, MISS, RouteCache
from gateway.visit import Visit

_NOBODY = Wishes()
_ORIGIN = (b"origin",)
_OF_BODIES = frozenset((b"content-type", b"content-encoding"))

wall = clock.wall


def look(
    route: RouteCache, client: Client, request: Request, record: Exchange, pool: str, wait_s: float
) -> Visit | None:
    """Look for a kept answer, and give it; None when the client has its answer.

    `pool`: where the request would go; `wait_s`: how long it may take in all.
    Raises GatewayError, not_cached.
    """
    cache, rule, head = route.cache, route.rule, request.head
    wishes = cache.wishes(head)
    reason = bypass_reason(rule, head, wishes, request.streamed, False)
    if reason is None and route.off:
        reason = "audit"
    if reason is not None:
        return _past(route, request, record, wishes, reason, pool)
    keyed = route.keys.key(head, request.body[0] if request.body else b"", pool, route.version)
    if keyed.sampled and rule.sampled != "store":
        return _past(route, request, record, wishes, "sampled", pool)
    # A page's request may be answered with CORS fields, whether or not the answer says that it varies.
    primary = vary_key(keyed.digest, _ORIGIN, head) if wishes.has_origin else keyed.digest
    now = wall()
    digest, entry = primary, cache.get(primary, now)
    if entry is not None and entry.status == 0:
        digest = vary_key(primary, entry.vary, head)
        entry = cache.variant(entry, digest, now)
    what = serve(entry, wishes, now)
    if what is Serve.FRESH and entry is not None and route.on_hit is not None and not keyed.sampled:
        _tell(route.on_hit, request, record, wishes, entry)
    if what is Serve.FRESH and entry is not None and not route.paced(entry, head, wishes):
        route.give(client, request, record, wishes, entry, now, "")
        return None
    visit = Visit(route, client, request, record, wishes, Key(primary, route.keys.route, record.model or ""))
    visit.pool, visit.digest, visit.entry, visit.what = pool, digest, entry, what
    visit.until = request.started + wait_s
    if entry is not None and what in GIVEN:
        if what is not Serve.FRESH:
            route.give(client, request, record, wishes, entry, now, "stale")
            visit.given = True
        return visit
    return _missed(visit, now)


def _tell(
    hear: Callable[[Request, Exchange, Entry], None],
    request: Request,
    record: Exchange,
    wishes: Wishes,
    entry: Entry,
) -> None:
    """Let the auditor know of a hit, if the answer to the same request can be compared with it."""
    if request.head.method != "HEAD" and not wishes.conditional:
        hear(request, record, entry)


def _missed(visit: Visit, now: float) -> Visit:
    """There is nothing to be given at once."""
    cache, request, record = visit.route.cache, visit.request, visit.record
    if visit.wishes.only_if_cached:
        record.cache = MISS
        raise _not_cached()
    if cache.held.holds(visit.key.digest, now):
        return _past(visit.route, request, record, visit.wishes, "uncacheable", visit.pool)
    if cache.flights.held_bytes > cache.bound:
        return _past(visit.route, request, record, visit.wishes, "flights", visit.pool)
    return visit


def _not_cached() -> GatewayError:
    return GatewayError("not_cached", "Only an answer from the cache was asked for, and there is none.")


def _past(
    route: RouteCache, request: Request, record: Exchange, wishes: Wishes, reason: str, pool: str
) -> Visit:
    """The cache has no part in it, but hears whether what it keeps for GET has become invalid."""
    record.cache, record.cache_detail = BYPASS, reason
    if wishes.only_if_cached:
        raise _not_cached()
    own = route.keys.route
    keys: list[Key] = []
    if reason == "method" and "GET" in route.rule.methods:
        asked = _as_get(request.head)
        digest = route.keys.key(asked, b"", pool, route.version).digest
        keys.append(Key(digest, own, ""))
        if wishes.has_origin:  # what a page changes is kept for itself, and for those without an origin
            keys.append(Key(vary_key(digest, _ORIGIN, asked), own, ""))
    visit = Visit(route, None, request, record, _NOBODY, Key(b"", own, ""))
    visit.capture = Passing(route, reason, request, record, keys)
    return visit


def _as_get(head: RequestHead) -> RequestHead:
    """The head of a GET with the same target and fields."""
    asked = RequestHead()
    asked.method, asked.target, asked.path, asked.host = "GET", head.target, head.path, head.host
    asked.claims = head.claims
    parts: list[bytes] = []
    for index in range(0, len(head.parts), 4):
        if head.parts[index].lower() not in _OF_BODIES:
            parts += head.parts[index : index + 4]
    asked.parts = tuple(parts)
    asked.fields = b"".join(parts)
    return asked
