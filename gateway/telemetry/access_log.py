"""What was each request, in one line of JSON? Written far from the request's way."""

import logging
from asyncio import sleep, to_thread
from collections.abc import Callable

import msgspec

from gateway import clock
from gateway.messages import Exchange
from gateway.telemetry.decisions import attempt_row
from gateway.telemetry.text import tame
from gateway.telemetry.writer import Writer
from gateway.tracing import known_id

log = logging.getLogger(__name__)

FLUSH_S = 0.1
#: Under load a slice is formatted as soon as so many wait: 0.2 ms of work, on objects still in the CPU's
#: cache. It also bounds what waits.
AT_ONCE = 128
#: A line in so many seconds also tells why its request went where it did.
DECISION_S = 1.0


class Line(msgspec.Struct, gc=False):
    """One line. A struct is encoded twice as fast as a dict: 0.7 µs per line, building included."""

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


class AccessLog:
    """Owns the requests not yet written. `add` appends; `run` formats in slices; a thread writes.

    Formatting stays on the loop: in another thread it would hold the interpreter lock just as long, for up
    to 5 ms at a time.
    """

    def __init__(self, write: Callable[[bytes], object], enabled: bool = True) -> None:
        self.enabled = enabled
        self._waiting: list[Exchange] = []
        self._overflowed = 0
        self._writer = Writer("access-log", write)
        self._encode = msgspec.json.Encoder().encode_lines
        self._decision_due = 0.0
        self._second = -1
        self._second_text = ""

    def __repr__(self) -> str:
        return f"<AccessLog {len(self._waiting)} waiting, {self.dropped} dropped>"

    @property
    def dropped(self) -> int:
        """Lines that were not and will not be written."""
        return self._overflowed + self._writer.lost

    def add(self, exchange: Exchange) -> None:
        """Take a finished request; it must not change afterwards."""
        if not self.enabled:
            return
        waiting = self._waiting
        waiting.append(exchange)
        if len(waiting) >= AT_ONCE:
            self._flush_slice()

    async def run(self) -> None:
        """Write what has been added, every 100 ms, until cancelled."""
        while True:
            await sleep(FLUSH_S)
            while self._waiting:
                self._flush_slice()
                await sleep(0)

    async def close(self, timeout_s: float = 1.0) -> None:
        """Write what is left; wait for the output no longer than `timeout_s`."""
        self.enabled = False
        while self._waiting:
            self._flush_slice()
        await to_thread(self._writer.close, timeout_s)

    def _flush_slice(self) -> None:
        waiting = self._waiting
        if self._writer.full:  # no use in formatting what would be refused
            self._overflowed += len(waiting)
            waiting.clear()
            return
        batch = waiting[:AT_ONCE]
        del waiting[:AT_ONCE]  # first, so that one that cannot be written does not stand in the way for ever
        offset = clock.wall() - clock.now()
        try:
            data = self._encode([self._line(exchange, offset) for exchange in batch])
        except Exception:
            self._overflowed += len(batch)
            log.exception("%d access log lines could not be formatted and are lost", len(batch))
        else:
            self._writer.offer(data, len(batch))

    def _line(self, exchange: Exchange, offset: float) -> Line:
        wall = exchange.wall or exchange.started + offset
        model = exchange.model
        traceparent = exchange.traceparent
        first_byte = exchange.first_byte
        return Line(
            self._stamp(wall),
            tame(exchange.request_id),
            tame(exchange.client),
            tame(exchange.method),
            tame(exchange.path),
            exchange.route,
            exchange.pool,
            exchange.backend,
            None if model is None else tame(model),
            exchange.status,
            exchange.error,
            exchange.attempts,
            exchange.stream,
            exchange.bytes_in,
            exchange.bytes_out,
            _ms(exchange.ended - exchange.started),
            _ms(first_byte - exchange.sent) if first_byte else None,
            _ms(exchange.overhead_s),
            exchange.cache or msgspec.UNSET,
            exchange.cache_detail or msgspec.UNSET,
            tame(traceparent) if traceparent else msgspec.UNSET,
            known_id(exchange) or msgspec.UNSET,
            _ms(exchange.queued_s) if exchange.queued_s else msgspec.UNSET,
            _ms(exchange.connect_s) if exchange.connect_s else msgspec.UNSET,
            _ms(exchange.sent - exchange.started) if exchange.sent else msgspec.UNSET,
            self._decision(exchange) if exchange.decision is not None else msgspec.UNSET,
            _ms(exchange.first_token - exchange.sent) if exchange.first_token else msgspec.UNSET,
            exchange.prompt_tokens if exchange.prompt_tokens >= 0 else msgspec.UNSET,
            exchange.completion_tokens if exchange.completion_tokens >= 0 else msgspec.UNSET,
        )

    def _decision(self, exchange: Exchange) -> list[dict[str, object]] | msgspec.UnsetType:
        """Why it went where it went, for a sample of those whose decision was recorded."""
        if exchange.started < self._decision_due:
            return msgspec.UNSET
        self._decision_due = exchange.started + DECISION_S
        return [attempt_row(trace) for trace in exchange.decision or ()]

    def _stamp(self, wall_s: float) -> str:
        """As `clock.iso`; the part down to the second is the same for many lines."""
        second = int(wall_s)
        if second != self._second:
            self._second = second
            self._second_text = clock.iso(second)[:-4]
        return f"{self._second_text}{int((wall_s - second) * 1000):03d}Z"


def _ms(seconds: float) -> float:
    """Milliseconds to the microsecond; `round` would cost three times as much."""
    return int(seconds * 1_000_000 + 0.5) / 1000 if seconds > 0.0 else 0.0
