"""What does one route know of the cache? Its rules, its keys, and how a kept answer is given."""

from collections.abc import Callable
from typing import Protocol

from gateway import clock
from gateway.cache.cache import Cache
from gateway.cache.entry import Entry
from gateway.cache.key import KeyMaker
from gateway.cache.rules import CacheRule
from gateway.cache.serving import Serve, age_of
from gateway.cache.status import hit_lines
from gateway.cache.validators import not_modified, not_modified_fields
from gateway.cache.wishes import Wishes
from gateway.http.headers import DateField
from gateway.messages import Exchange, Request, RequestHead, ResponseHead
from gateway.ports import Client

#: What may be given at once.
GIVEN = (Serve.FRESH, Serve.STALE_ALLOWED, Serve.STALE_REVALIDATE)
HIT, MISS, STALE, COALESCED, BYPASS = "hit", "miss", "stale", "coalesced", "bypass"


class Count(Protocol):
    """One route's share in what the cache saves."""

    saved_s: float
    saved_bytes: int
    cache: dict[str, int]  # requests by result


class RouteCache:
    """One route's way through the cache. `version` is the model's, as configured, or "".

    `version_field` (lower case): the answers' field that names it.
    """

    def __init__(
        self, rule: CacheRule, keys: KeyMaker, cache: Cache, count: Count, version: str, version_field: bytes
    ) -> None:
        self.rule = rule
        self.keys = keys
        self.cache = cache
        self.count = count
        self.version = version
        self.version_field = version_field
        self.date = DateField()
        self.off = False  # by the auditor
        self.asks_models = False  # the version is what backends say at /v1/models
        #: Hears of answers given as they are kept, where asking anew should give the same.
        self.on_hit: Callable[[Request, Exchange, Entry], None] | None = None
        self.wants: Callable[[float], bool] | None = None  # whether a hit is to be among the decisions

    @property
    def ignored(self) -> frozenset[str]:
        """Members of JSON bodies that make no difference."""
        return self.keys.ignored

    def __repr__(self) -> str:
        return f"<RouteCache {self.keys.route} {self.rule}>"

    def paced(self, entry: Entry, head: RequestHead, wishes: Wishes) -> bool:
        """Whether a kept stream is given at the pace at which it came."""
        if self.rule.replay != "recorded" or not entry.pieces:
            return False
        return head.method != "HEAD" and not wishes.conditional

    def give(
        self,
        client: Client,
        request: Request,
        record: Exchange,
        wishes: Wishes,
        entry: Entry,
        now: float,
        detail: str,
    ) -> None:
        """Answer from what is kept; `detail` says why it may be stale, "" when it is not."""
        record.cache, record.cache_detail = STALE if detail else HIT, detail
        if self.wants is not None and self.wants(record.started):
            record.decision = []
        status, body = entry.status, entry.body  # attributes of a struct are looked up by name
        lines = hit_lines(age_of(entry, now), entry.fresh_s, detail)
        self.saved(entry.cost_s, len(body))
        if wishes.conditional and not_modified(wishes, entry, now):
            record.status = 304
            fields = not_modified_fields(entry) + lines + own_lines(client, record)
            client.begin_reply(request, 304, fields, None, False)
            client.end_reply()
            return
        record.status = status
        fields = entry.fields + lines + own_lines(client, record)
        if request.head.method == "HEAD":
            client.begin_reply(request, status, fields, len(body), False)
            client.end_reply()
        elif status == 204:
            client.begin_reply(request, 204, fields, None, False)
            client.end_reply()
        else:
            client.reply_whole(request, status, fields, body)

    def noted(self, pool: str, backend: str, head: ResponseHead) -> str:
        """Note which version of its model a backend has said to be, if its head tells; "" if it does not."""
        parts = head.parts
        for index in range(0, len(parts), 4):
            if parts[index].lower() == self.version_field:
                version = parts[index + 2].decode("latin-1")[:256]
                self.cache.noted(pool, backend, version)
                return version
        return ""

    def saved(self, seconds: float, size: int) -> None:
        self.count.saved_s += seconds
        self.count.saved_bytes += size


def own_lines(client: Client, record: Exchange) -> bytes:
    """The lines that speak of this exchange."""
    own_s = clock.now() - record.started - client.waited_s
    return b"X-Request-ID: %b\r\nServer-Timing: gateway;dur=%.2f\r\nVia: 1.1 gateway\r\n" % (
        record.request_id.encode(),
        own_s * 1e3 if own_s > 0.0 else 0.0,
    )
