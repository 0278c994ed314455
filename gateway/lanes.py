"""By which rules does a route reach a pool, and what does the forwarded head look like?"""

import random
from dataclasses import dataclass
from math import ceil, inf

from gateway.attempts.budget import RetryBudget
from gateway.attempts.retry import RetryRule
from gateway.http.headers import DateField
from gateway.messages import Request
from gateway.pool.pool import Pool
from gateway.ports import Observer

UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})


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
    observer: Observer
    rng: random.Random
    date: DateField


def request_tail(request: Request, forwarding: bytes, request_id: str) -> bytes:
    """The forwarded head behind its Host line: the client's fields, ours, the framing, the empty line."""
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
    return b"%bX-Request-ID: %b\r\n%b%b%bVia: 1.1 gateway\r\n\r\n" % (
        head.fields,
        request_id.encode(),
        forwarding,
        UPGRADE if head.websocket else b"",
        framing,
    )


def retry_after_line(seconds: float) -> bytes:
    return b"Retry-After: %d\r\n" % max(1, ceil(min(seconds, 3600.0) if seconds != inf else 3600.0))
