"""What flows between the rooms: how an attempt ended, and a request's facts that deciding code needs."""

import enum


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


#: Outcomes that count against a backend's health (consecutive failures, ejection).
FAILURES = frozenset({Outcome.SERVER_ERROR, Outcome.TIMEOUT, Outcome.CONNECT_ERROR, Outcome.RESET})


class Exchange:
    """One request and its reply, as metrics, access log and decisions see it; filled in along the way.

    Times are `clock.now()` seconds, 0.0 while the moment has not come; sizes are body bytes.
    """

    __slots__ = (
        "attempts",
        "backend",
        "bytes_in",
        "bytes_out",
        "client",
        "decision",
        "ended",
        "error",
        "first_byte",
        "host",
        "method",
        "model",
        "overhead_s",
        "path",
        "pool",
        "request_id",
        "route",
        "sent",
        "started",
        "status",
        "stream",
        "traceparent",
        "upgraded",
        "wall",
    )

    def __init__(self, method: str, path: str, request_id: str, client: str, started: float) -> None:
        self.method = method
        self.path = path  # no query: it can carry secrets
        self.request_id = request_id
        self.client = client  # address the socket saw, without port
        self.started = started
        self.wall = 0.0
        self.route = ""
        self.pool = ""
        self.backend = ""
        self.model: str | None = None
        self.stream = False
        self.upgraded = False
        self.host = ""
        self.traceparent = ""
        self.status = 0
        self.error: str | None = None
        self.attempts = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.sent = 0.0
        self.first_byte = 0.0
        self.ended = 0.0
        self.overhead_s = 0.0
        self.decision: list[AttemptTrace] | None = None

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


class Request:
    """A client's request as the gateway understood it; its body may still be arriving.

    `parts` are the fields to forward, flat: name, b": ", value, CRLF, name, … `target` is the origin form
    and is forwarded byte for byte; `path` is its part before `?`, as text.
    """

    __slots__ = (
        "body",
        "chunked",
        "claims",
        "complete",
        "content_length",
        "content_type",
        "expects_continue",
        "host",
        "keep_alive",
        "max_forwards",
        "method",
        "minor",
        "parts",
        "path",
        "received",
        "request_id",
        "started",
        "target",
        "traceparent",
        "websocket",
    )

    def __init__(self, started: float) -> None:
        self.started = started  # clock.now() when its head was complete
        self.method = ""
        self.target = b""
        self.path = ""
        self.minor = 1
        self.host = b""
        self.parts: list[bytes] = []
        self.content_type = b""
        self.content_length: int | None = None
        self.chunked = False
        self.keep_alive = True
        self.expects_continue = False
        self.websocket = False
        self.max_forwards: int | None = None
        self.request_id = ""
        self.claims: dict[bytes, bytes] | None = None  # X-Forwarded-* as received, lower-case names
        self.traceparent = b""
        self.body: list[bytes] = []  # pieces held; empty again once they were streamed on
        self.received = 0
        self.complete = False  # the whole body has arrived

    def __repr__(self) -> str:
        return (
            f"<Request {self.method} {self.path} {self.received} bytes{'' if self.complete else ' so far'}>"
        )

    def values(self, name: bytes) -> list[bytes]:
        """Values of the forwarded field `name` (lower case), in order."""
        parts = self.parts
        return [parts[i + 2] for i in range(0, len(parts), 4) if parts[i].lower() == name]


class ResponseHead:
    """A backend's response head; `parts` as in `Request`."""

    __slots__ = ("content_length", "has_body", "has_date", "parts", "retry_after", "status")

    def __init__(self) -> None:
        self.status = 0
        self.parts: list[bytes] = []
        self.content_length: int | None = None
        self.has_body = True
        self.has_date = False
        self.retry_after = b""

    def __repr__(self) -> str:
        return f"<ResponseHead {self.status}>"
