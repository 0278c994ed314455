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
