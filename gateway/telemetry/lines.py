"""What does a finished request come to as a line of the access log? Made for many at a time."""

from collections.abc import Sequence

from msgspec import UNSET, UnsetType

from gateway import clock
from gateway.messages import Exchange
from gateway.telemetry.decisions import attempt_row
from gateway.telemetry.line import Line
from gateway.telemetry.text import tame
from gateway.tracing import known_id

#: A line in so many seconds also tells why its request went where it did.
DECISION_S = 1.0


class Lines:
    """Makes lines. Remembers the second it is, and when the next decision is to be told."""

    __slots__ = ("_decision_due", "_second", "_second_text")

    def __init__(self) -> None:
        self._decision_due = 0.0
        self._second = -1
        self._second_text = ""

    def of(self, exchanges: Sequence[Exchange], offset: float) -> list[Line]:
        """Their lines; `offset`: seconds that the clock on the wall is ahead of `clock.now()`."""
        return [self._made(exchange, offset) for exchange in exchanges]

    def _made(self, exchange: Exchange, offset: float) -> Line:
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
            exchange.cache or UNSET,
            exchange.cache_detail or UNSET,
            tame(traceparent) if traceparent else UNSET,
            known_id(exchange) or UNSET,
            _ms(exchange.queued_s) if exchange.queued_s else UNSET,
            _ms(exchange.connect_s) if exchange.connect_s else UNSET,
            _ms(exchange.sent - exchange.started) if exchange.sent else UNSET,
            self._decision(exchange) if exchange.decision is not None else UNSET,
            _ms(exchange.first_token - exchange.sent) if exchange.first_token else UNSET,
            exchange.prompt_tokens if exchange.prompt_tokens >= 0 else UNSET,
            exchange.completion_tokens if exchange.completion_tokens >= 0 else UNSET,
        )

    def _decision(self, exchange: Exchange) -> list[dict[str, object]] | UnsetType:
        """Why it went where it went, for a sample of those whose decision was recorded."""
        if exchange.started < self._decision_due:
            return UNSET
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
