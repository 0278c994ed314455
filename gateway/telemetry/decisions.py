"""Why did the last requests go where they went? A ring of recent decisions, read by people."""

from collections import deque
from collections.abc import Callable
from math import inf

from gateway import clock
from gateway.messages import AttemptTrace, Exchange
from gateway.telemetry.text import tame

Row = dict[str, object]

#: Candidates, and backends left out, in the short form of a decision.
BRIEF = 8


class Decisions:
    """Owns the last `size` recorded decisions.

    Recording one costs several times a pick, so at most `per_second` are recorded in any second: when
    there is little traffic all of them, else a sample.
    """

    def __init__(self, size: int = 256, per_second: int = 50) -> None:
        self._ring: deque[Exchange] = deque(maxlen=size)
        self._granted = [-inf] * max(per_second, 1)  # when the last `per_second` were granted
        self._oldest = 0
        self.recorded = 0  # ever

    def __repr__(self) -> str:
        return f"<Decisions {len(self._ring)} kept>"

    def wants(self, now: float) -> bool:
        """Should the decision made at `now` be recorded in full? A yes counts as one."""
        oldest = self._oldest
        if now - self._granted[oldest] < 1.0:
            return False
        self._granted[oldest] = now
        self._oldest = (oldest + 1) % len(self._granted)
        return True

    def add(self, exchange: Exchange) -> None:
        """Keep a finished request, if its decision was recorded."""
        if exchange.decision or exchange.cache:
            self._ring.append(exchange)
            self.recorded += 1

    def latest(self, limit: int, request_id: str | None = None) -> list[dict[str, object]]:
        """At most `limit` decisions, newest first, as data for JSON; seconds, times in UTC.

        `request_id`: only those of requests with this id.
        """
        newest = list(self._ring)[::-1]
        if request_id is not None:
            newest = [exchange for exchange in newest if tame(exchange.request_id) == request_id]
        offset = clock.wall() - clock.now()
        return [_as_dict(exchange, offset, attempt_row) for exchange in newest[:limit]]

    def brief(self, limit: int) -> list[dict[str, object]]:
        """As `latest`, but each attempt has only the first candidates and the first of those left out, and
        says how many there were: with hundreds of backends one decision alone is tens of kilobytes."""
        newest = list(self._ring)[::-1][:limit]
        offset = clock.wall() - clock.now()
        return [_as_dict(exchange, offset, _brief_row) for exchange in newest]


def _as_dict(exchange: Exchange, offset: float, row: Callable[[AttemptTrace], Row]) -> Row:
    return {
        "time": clock.iso(exchange.wall or exchange.started + offset),
        "request_id": tame(exchange.request_id),
        "route": exchange.route,
        "model": None if exchange.model is None else tame(exchange.model),
        "queued_s": round(exchange.queued_s, 6),
        "status": exchange.status,
        "error": exchange.error,
        "cache": {"result": exchange.cache, "detail": exchange.cache_detail} if exchange.cache else None,
        "duration_s": round(max(0.0, exchange.ended - exchange.started), 6),
        "attempts": [row(trace) for trace in exchange.decision or ()],
    }


def attempt_row(trace: AttemptTrace) -> Row:
    """One attempt's decision as data for JSON."""
    return _row(trace, trace.candidates, trace.excluded)


def _brief_row(trace: AttemptTrace) -> Row:
    """The same, shortened; the chosen backend is among the candidates wherever it stood."""
    candidates = trace.candidates[:BRIEF]
    if all(row["backend"] != trace.backend for row in candidates):
        candidates += [row for row in trace.candidates[BRIEF:] if row["backend"] == trace.backend]
    row = _row(trace, candidates, trace.excluded[:BRIEF])
    row["candidates_total"] = len(trace.candidates)
    row["excluded_total"] = len(trace.excluded)
    return row


def _row(trace: AttemptTrace, candidates: list[Row], excluded: list[Row]) -> Row:
    return {
        "pool": trace.pool,
        "policy": trace.policy,
        "backend": trace.backend,
        "outcome": None if trace.outcome is None else trace.outcome.label,
        "error": trace.error,
        "ended_s": round(trace.ended_s, 6),
        "candidates": [_rounded(row) for row in candidates],
        "excluded": excluded,
    }


def _rounded(row: Row) -> Row:
    """Seconds to the nanosecond: what a sum of floats carries beyond that is noise."""
    return {key: round(value, 9) if isinstance(value, float) else value for key, value in row.items()}
