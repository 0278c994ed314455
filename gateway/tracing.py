"""Where does a request stand in a distributed trace? W3C Trace Context: read, judged, continued or begun.

A trace that the client has begun goes on as it says, sampled or not; one that begins here is sampled by its
id. https://www.w3.org/TR/trace-context/
"""

import re
from random import Random
from typing import Final

from gateway.messages import Exchange, Request, Trace

_FORM: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_LINE: Final = re.compile(rb"(?i:traceparent|tracestate): [^\r\n]*\r\n")
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_SAMPLED: Final = 1
_RANDOM: Final = 2  # of level 2: the trace's id is random; to be passed on
MAX_STATE: Final = 512  # characters of a tracestate that a span keeps, as many as must be passed on


def parse(value: bytes) -> tuple[str, str, int] | None:
    """(trace id, span id, flags) of a traceparent's value; None when it is malformed.

    A version to come may have more behind the flags, which are read as those of version 00.
    """
    found = _FORM.fullmatch(value)
    if found is None or found[1] == b"ff" or (found[1] == b"00" and found[5] is not None):
        return None
    trace_id, span_id = found[2].decode("ascii"), found[3].decode("ascii")
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return trace_id, span_id, int(found[4], 16)


def known_id(exchange: Exchange) -> str:
    """The trace id of a finished request, "" for none: its trace's, or what the client has sent."""
    if exchange.trace is not None:
        return exchange.trace.trace_id
    parent = parse(exchange.traceparent.encode("latin-1")) if exchange.traceparent else None
    return "" if parent is None else parent[0]


def sampled_id(exchange: Exchange) -> str:
    """The same, of a trace that somebody keeps."""
    if exchange.trace is not None:
        return exchange.trace.trace_id if exchange.trace.sampled else ""
    parent = parse(exchange.traceparent.encode("latin-1")) if exchange.traceparent else None
    return parent[0] if parent is not None and parent[2] & _SAMPLED else ""


def without_trace(fields: bytes) -> bytes:
    """The lines of a head less those that speak of a trace."""
    kept = [line for line in fields.splitlines(keepends=True) if _LINE.fullmatch(line) is None]
    return b"".join(kept)


class Tracer:
    """Gives requests their place in a trace. `share`: of those begun here, how many are sampled, 0 to 1."""

    __slots__ = ("_below", "_rng")

    def __init__(self, share: float, rng: Random) -> None:
        self._below = round(share * (1 << 64))
        self._rng = rng

    def __repr__(self) -> str:
        return f"<Tracer of {self._below / (1 << 64):.2%}>"

    def samples(self, trace_id: str) -> bool:
        """Whether a trace that begins here is kept: by the id's lower half, as OpenTelemetry does it."""
        return int(trace_id[16:], 16) < self._below

    def begin(self, request: Request, record: Exchange) -> None:
        """Note in `record` where the request stands, and in the request what backends are told of it.

        What is sampled is told by each attempt. A trace that is not goes on as it came, so that whoever
        keeps it nevertheless finds a span that exists above his own.
        """
        head = request.head
        parent = parse(request.traceparent) if request.traceparent else None
        if parent is not None and head.with_trace and head.values(b"traceparent"):
            parent = None  # there are several
        if parent is not None:
            trace = self._trace(parent[0], parent[1], bool(parent[2] & _SAMPLED))
            trace.flags = f"{parent[2] & (_SAMPLED | _RANDOM):02x}"
        else:
            trace_id = f"{self._rng.getrandbits(128) or 1:032x}"
            trace = self._trace(trace_id, "", self.samples(trace_id))
            trace.restarted = head.with_trace
        record.trace = trace
        if trace.sampled:
            request.traceparent_line = b""
            trace.host = head.host
            if parent is not None and head.with_trace:
                trace.state = b",".join(head.values(b"tracestate"))[:MAX_STATE].decode("latin-1")
        elif parent is None:
            line = f"traceparent: 00-{trace.trace_id}-{trace.span_id}-00\r\n"
            request.traceparent_line = line.encode("ascii")

    def _trace(self, trace_id: str, parent_id: str, sampled: bool) -> Trace:
        rng = self._rng
        return Trace(trace_id, parent_id, f"{rng.getrandbits(64) or 1:016x}", sampled, rng)
