"""What does the cache hear of an answer it has no part in? Which version gave it, and what it changed."""

from gateway.cache.entry import Key
from gateway.cache.rules import invalidates
from gateway.cache.status import bypass_line
from gateway.messages import Exchange, Request, ResponseHead
from gateway.ports import Upstream
from gateway.route_cache import RouteCache


class Passing:
    """The capture of an answer that the cache has no part in: it is only told why.

    `gone`: the keys of what is kept for GET on the very target that the request may change.
    """

    active = False
    conditional: bytes | None = None

    def __init__(
        self, route: RouteCache, reason: str, request: Request, record: Exchange, gone: list[Key]
    ) -> None:
        self._route = route
        self._reason = reason
        self._request = request
        self._record = record
        self._gone = gone

    def __repr__(self) -> str:
        return f"<Passing {self._reason}>"

    def head(self, head: ResponseHead, length: int | None, until_close: bool, sent: float) -> bytes:
        route, record = self._route, self._record
        if route.version_field:  # an answer that is not kept tells it as well
            route.noted(record.pool, record.backend, head)
        if self._gone and invalidates(self._request.head.method, head.status):
            for key in self._gone:
                route.cache.delete(key, "purged")
        return bypass_line(self._reason)

    def declines(self, head: ResponseHead) -> bool:
        return False

    def whole(self, body: bytes, took_s: float) -> None: ...
    def begin(self, upstream: Upstream) -> None: ...
    def relay(self, data: bytes) -> None: ...
    def finish(self, took_s: float) -> None: ...
    def broke(self) -> None: ...
    def paused(self) -> bool:
        return False

    def stalled(self, at: float) -> bool:
        return False
