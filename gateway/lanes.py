"""By which rules does a route reach a pool, and what does the forwarded head look like?"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, inf
from typing import Literal

import msgspec

from gateway.attempts.budget import RetryBudget
from gateway.attempts.retry import RetryRule
from gateway.balancing.context import PickContext
from gateway.http.headers import DateField
from gateway.messages import Exchange, Request, RequestHead
from gateway.pool.pool import Pool
from gateway.ports import Client, Observer
from gateway.routing.affinity import AffinityRule, prefix_hashes, request_key

UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_CREDENTIALS = (b"authorization", b"x-api-key", b"api-key")
_SHOWN = 16  # candidates in a header, best first: it has to stay below what clients take


@dataclass(frozen=True, slots=True)
class Lane:
    """One route's way to one of its pools: the rules an exchange goes by, worked out once. Seconds."""

    pool: Pool
    retry: RetryRule
    budget: RetryBudget
    connect_s: float
    first_byte_s: float
    idle_s: float
    total_s: float
    body_timeout_s: float  # between two pieces of a request body, and for a client that takes no answer
    replayable: bool
    priority: int  # 0 high, 1 normal, 2 low
    priority_header: Literal["any", "lower", "off"]  # what a request's own wish may do
    affinity: AffinityRule | None  # what ties requests to backends; None where the policy does not ask
    tokens: bool  # those of its answers are counted
    observer: Observer
    rng: random.Random
    date: DateField
    now: Callable[[], float]  # monotonic seconds
    wall: Callable[[], float]  # seconds since the epoch

    def wait_s(self, head: RequestHead) -> float:
        """How long the answer may take in all: the route's bound, or the request's own wish below it."""
        wish = head.timeout_s
        return self.total_s if wish is None or wish > self.total_s else wish

    def class_of(self, head: RequestHead) -> int:
        """The class in which a request waits, 0 first."""
        wish = head.priority
        if wish is None or self.priority_header == "off":
            return self.priority
        return wish if self.priority_header == "any" else max(wish, self.priority)

    def tie(self, context: PickContext, request: Request) -> None:
        """Tell the policy what ties the request to a backend."""
        rule = self.affinity
        if rule is None:
            return
        body = request.body[0] if request.body and not request.streamed else b""
        if rule.wants == "prefixes":
            context.prefixes = prefix_hashes(body)
        else:
            values = request.head.values(rule.header) if rule.header is not None else []
            context.key = request_key(rule, values[0] if values else None, body)


def flow_of(head: RequestHead) -> int:
    """Whose request it is, as far as waiting goes: a hash of its credential, one for all without."""
    for name in _CREDENTIALS:
        if values := head.values(name):
            return hash((name, *values))
    return 0


def decision_line(record: Exchange) -> bytes:
    """The X-Gateway-Decision line: each attempt's candidates with their scores, who was left out and why."""
    attempts = [
        {
            "pool": trace.pool,
            "policy": trace.policy,
            "backend": trace.backend,
            "candidates": [_brief(row) for row in trace.candidates[:_SHOWN]],
            "excluded": trace.excluded[:_SHOWN],
        }
        for trace in record.decision or ()
    ]
    text = msgspec.json.encode(attempts).decode().encode("ascii", "backslashreplace")
    return b"X-Gateway-Decision: %b\r\n" % text


def _brief(row: dict[str, object]) -> dict[str, object]:
    """To the microsecond: what a float carries beyond that is noise."""
    return {key: round(value, 6) if isinstance(value, float) else value for key, value in row.items()}


def forwarding(client: Client, head: RequestHead, trusted: Callable[[str], bool]) -> bytes:
    """The X-Forwarded-* lines; what the client claims counts only from a trusted address."""
    claims = head.claims
    if claims is None or not trusted(client.peer):
        if client.forwarding[1] is not head:
            host = b"X-Forwarded-Host: %b\r\n" % head.host if head.host else b""
            lines = b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: http\r\n%b" % (client.peer.encode(), host)
            client.forwarding = (lines, head)
        return client.forwarding[0]
    before = claims.get(b"x-forwarded-for")
    addresses = b"%b, %b" % (before, client.peer.encode()) if before else client.peer.encode()
    return b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\n" % (
        addresses,
        claims.get(b"x-forwarded-proto", b"http"),
        claims.get(b"x-forwarded-host", head.host),
    )


def request_tail(request: Request, fields: bytes, forwarding: bytes, request_id: str) -> bytes:
    """The forwarded head behind its Host line: the client's `fields`, ours, the framing, the empty line."""
    head = request.head
    if not request.streamed:
        size = sum(map(len, request.body))
        if size or request.content_length is not None or head.method in _BODY_METHODS:
            framing = b"Content-Length: %d\r\n" % size
        else:
            framing = b""
    elif request.content_length is not None:
        framing = b"Content-Length: %d\r\n" % request.content_length
    else:
        framing = b"Transfer-Encoding: chunked\r\n"
    return b"%b%bX-Request-ID: %b\r\n%b%b%bVia: 1.1 gateway\r\n\r\n" % (
        fields,
        request.traceparent_line,
        request_id.encode(),
        forwarding,
        UPGRADE if head.websocket else b"",
        framing,
    )


def retry_after_line(seconds: float) -> bytes:
    return b"Retry-After: %d\r\n" % max(1, ceil(min(seconds, 3600.0) if seconds != inf else 3600.0))
