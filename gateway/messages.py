"""What flows between the rooms: how an attempt ended, and a request's facts that deciding code needs."""

import enum
from random import Random
from typing import Final

#: What an answer's body is to who looks for tokens in it: nothing, JSON, or an event stream; uncompressed.
OTHER: Final = 0
JSON: Final = 1
EVENTS: Final = 2


class Outcome(enum.IntEnum):
    """How an attempt ended; the value is an index into a backend's counters, the label is the metric's."""

    OK = 0
    CLIENT_ERROR = 1  # the backend answered 4xx (other than 429): the caller's fault, never held against it
    SERVER_ERROR = 2  # the backend answered 5xx, other than an overloaded 503
    OVERLOADED = 3  # 429, or 503 with Retry-After: cools the backend, never ejects it
    TIMEOUT = 4  # no first body byte in time, or a stall between two pieces of the body
    CONNECT_ERROR = 5  # refused, unreachable, TLS failure or connect timeout: nothing was sent
    RESET = 6  # closed, cut or broken framing before the response was complete
    CANCELLED = 7  # the client left; says nothing about the backend

    @property
    def label(self) -> str:
        return self.name.lower()


class Exchange:
    """One request and its reply, as metrics, access log and decisions see it; filled in along the way.

    Times are `clock.now()` seconds, 0.0 while the moment has not come; sizes are body bytes.
    """

    # No slots: what is left at its default costs nothing to make, and most is.
    wall: float = 0.0
    route: str = ""
    pool: str = ""
    backend: str = ""
    model: str | None = None
    stream: bool = False
    upgraded: bool = False
    traceparent: str = ""
    status: int = 0
    error: str | None = None
    attempts: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    sent: float = 0.0
    first_byte: float = 0.0
    ended: float = 0.0
    overhead_s: float = 0.0
    queued_s: float = 0.0  # waited for a backend below its limit
    connect_s: float = 0.0  # waited for new connections to backends
    cache: str = ""  # hit, miss, stale, coalesced, bypass; "" where the route has no cache
    cache_detail: str = ""  # why it went past the cache, or what is stale
    first_token: float = 0.0  # when the first event with content came
    prompt_tokens: int = -1  # of the backend's answer to this request; -1: not known
    completion_tokens: int = -1
    decision: "list[AttemptTrace] | None" = None
    trace: "Trace | None" = None  # always None where tracing is off

    def __init__(self, method: str, path: str, request_id: str, client: str, started: float) -> None:
        self.method = method
        self.path = path  # no query: it can carry secrets
        self.request_id = request_id
        self.client = client  # address the socket saw, without port
        self.started = started

    def __repr__(self) -> str:
        return f"<Exchange {self.method} {self.path} {self.status} {self.route}→{self.backend or '-'}>"


class AttemptTrace:
    """Why one attempt went where it went: candidates with their scores, who was left out, how it ended."""

    __slots__ = ("backend", "candidates", "ended_s", "error", "excluded", "outcome", "policy", "pool")

    def __init__(
        self,
        pool: str,
        policy: str,
        backend: str,
        candidates: list[dict[str, object]],
        excluded: list[dict[str, object]],
    ) -> None:
        self.pool = pool
        self.policy = policy
        self.backend = backend
        self.candidates = candidates  # [{"backend", "score", <terms>}], lowest score first
        self.excluded = excluded  # [{"backend", "why"}]
        self.outcome: Outcome | None = None
        self.error: str | None = None
        self.ended_s = 0.0  # seconds from the attempt's start to its end


class Trace:
    """A request's place in a distributed trace, and what spans are made of once it has ended.

    Ids are lower-case hex; `parent_id` is the client's span, "" where the trace begins here. `restarted`:
    what the client says of a trace is void, and must not be passed on. Times as in `Exchange`.
    """

    __slots__ = (
        "_rng", "attempts", "flags", "host", "parent_id", "restarted", "sampled", "span_id", "state",
        "trace_id", "waits",
    )  # fmt: skip

    def __init__(self, trace_id: str, parent_id: str, span_id: str, sampled: bool, rng: Random) -> None:
        self.trace_id = trace_id
        self.parent_id = parent_id
        self.span_id = span_id
        self.sampled = sampled
        self.restarted = False
        self.flags = "01" if sampled else "00"
        self.state = ""  # the client's tracestate
        self.host = b""  # the request's Host
        self.attempts: list[TracedAttempt] = []
        self.waits: list[tuple[str, str, float, float]] = []  # span id, pool, from, until
        self._rng = rng

    def __repr__(self) -> str:
        return f"<Trace {self.trace_id}{' sampled' if self.sampled else ''} {len(self.attempts)} attempts>"

    @property
    def size(self) -> int:
        """How many spans it makes."""
        return 1 + len(self.attempts) + len(self.waits)

    def attempt(self, pool: str, backend: str, url: str, started: float) -> "TracedAttempt | None":
        """Note the begin of an attempt; None where the trace is not sampled."""
        if not self.sampled:
            return None
        span_id = self._span_id()
        header = f"00-{self.trace_id}-{span_id}-{self.flags}".encode()
        attempt = TracedAttempt(span_id, header, pool, backend, url, started)
        self.attempts.append(attempt)
        return attempt

    def waited(self, pool: str, since: float, until: float) -> None:
        """Note a wait in the pool's queue."""
        if self.sampled:
            self.waits.append((self._span_id(), pool, since, until))

    def _span_id(self) -> str:
        return f"{self._rng.getrandbits(64) or 1:016x}"


class TracedAttempt:
    """One attempt of a traced request; 0.0, 0 and "": it has not come. `header`: the value of traceparent."""

    __slots__ = (
        "backend", "ended", "error", "first_byte", "header", "hedge", "lost", "outcome", "pool", "sent",
        "span_id", "started", "status", "url",
    )  # fmt: skip

    def __init__(
        self, span_id: str, header: bytes, pool: str, backend: str, url: str, started: float
    ) -> None:
        self.span_id = span_id
        self.header = header
        self.pool = pool
        self.backend = backend
        self.url = url  # without query
        self.started = started
        self.sent = 0.0
        self.first_byte = 0.0
        self.ended = 0.0
        self.status = 0
        self.outcome = Outcome.CANCELLED
        self.error = ""
        self.hedge = False  # made before the one before it had failed
        self.lost = False  # another one answered first

    def __repr__(self) -> str:
        return f"<TracedAttempt at {self.backend} {self.outcome.label}>"


class RequestHead:
    """A request head as understood: shared by all requests with the same bytes, never changed once made.

    `parts` are the fields to forward, flat: name, b": ", value, CRLF, name, … and `fields` the same, joined.
    `target` is the origin form, forwarded byte for byte; `path` is its part before `?`, as text.
    """

    # No slots: what is left at its default costs nothing to make.
    method: str = ""
    target: bytes = b""
    path: str = ""
    minor: int = 1  # HTTP/1.minor
    host: bytes = b""
    parts: tuple[bytes, ...] = ()
    fields: bytes = b""
    content_type: bytes = b""
    chunked: bool = False
    keep_alive: bool = True
    expects_continue: bool = False
    websocket: bool = False
    max_forwards: int | None = None
    timeout_s: float | None = None  # X-Gateway-Timeout: all there is to wait
    priority: int | None = None  # X-Gateway-Priority: 0 high, 1 normal, 2 low
    explain: bool = False  # X-Gateway-Explain: the decision is asked for
    with_trace: bool = False  # among the fields to forward is a tracestate, or one traceparent too many
    claims: dict[bytes, bytes] | None = None  # X-Forwarded-* as received, lower-case names

    def __repr__(self) -> str:
        return f"<RequestHead {self.method} {self.path}>"

    def values(self, name: bytes) -> list[bytes]:
        """Values of the forwarded field `name` (lower case), in order."""
        parts = self.parts
        return [parts[i + 2] for i in range(0, len(parts), 4) if parts[i].lower() == name]


class Request:
    """A client's request; its body may still be arriving. Its head is shared, its id and trace are not."""

    __slots__ = (
        "body",
        "complete",
        "content_length",
        "continued",
        "head",
        "keep_alive",
        "received",
        "request_id",
        "started",
        "streamed",
        "traceparent",
        "traceparent_line",
    )

    def __init__(self, head: RequestHead, content_length: int | None, started: float) -> None:
        self.head = head
        self.content_length = content_length
        self.started = started  # clock.now() when its head was complete
        self.keep_alive = head.keep_alive
        self.body: list[bytes] = []  # pieces held; empty again once they were streamed on
        self.received = 0
        self.request_id = ""  # as the client gives it, if it is well formed
        self.traceparent = b""
        self.traceparent_line = b""  # to be forwarded, with its CRLF
        self.complete = False  # the whole body has arrived
        self.continued = False  # "100 Continue" has been said
        self.streamed = False  # the body is not held: its pieces go on as they arrive

    def __repr__(self) -> str:
        head = self.head
        return (
            f"<Request {head.method} {head.path} {self.received} bytes{'' if self.complete else ' so far'}>"
        )


class ResponseHead:
    """A backend's response head; `parts` and `fields` as in `RequestHead`, shared likewise."""

    status: int = 0
    parts: tuple[bytes, ...] = ()
    fields: bytes = b""
    has_body: bool = True
    has_date: bool = False
    retry_after: bytes = b""
    keep_alive: bool = True
    media: int = OTHER

    def __repr__(self) -> str:
        return f"<ResponseHead {self.status}>"
