"""What stands in a line of the access log? Its fields, in their order; docs/logs.md explains them.

Not compiled: msgspec makes the class.
"""

import msgspec


class Line(msgspec.Struct, gc=False):
    """One line. A struct is encoded twice as fast as a dict."""

    time: str  # when the request's head was complete
    request_id: str
    client: str
    method: str
    path: str  # without query
    route: str
    pool: str
    backend: str
    model: str | None
    status: int
    error: str | None
    attempts: int
    stream: bool
    bytes_in: int
    bytes_out: int
    duration_ms: float
    first_byte_ms: float | None  # from sending to the backend until its first body byte
    overhead_ms: float
    cache: str | msgspec.UnsetType = msgspec.UNSET  # hit, miss, stale, coalesced, bypass
    cache_detail: str | msgspec.UnsetType = msgspec.UNSET
    traceparent: str | msgspec.UnsetType = msgspec.UNSET  # as the client sent it
    trace_id: str | msgspec.UnsetType = msgspec.UNSET
    queued_ms: float | msgspec.UnsetType = msgspec.UNSET  # waited for a backend below its limit
    connect_ms: float | msgspec.UnsetType = msgspec.UNSET  # waited for new connections to backends
    sent_ms: float | msgspec.UnsetType = msgspec.UNSET  # from the head until it was sent to `backend`
    decision: list[dict[str, object]] | msgspec.UnsetType = msgspec.UNSET  # of about one request a second
    ttft_ms: float | msgspec.UnsetType = msgspec.UNSET  # from sending until the first event with content
    prompt_tokens: int | msgspec.UnsetType = msgspec.UNSET
    completion_tokens: int | msgspec.UnsetType = msgspec.UNSET
