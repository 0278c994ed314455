"""Which trace shows what a bucket of a histogram is like? The last traced request of each.

Kept only for requests with a sampled trace, the gateway's own or one that their client has begun.
"""

from bisect import bisect_left
from typing import Final

from gateway.messages import Exchange, Outcome
from gateway.pool.stats import LATENCY_BOUNDS_S
from gateway.tracing import sampled_id

DURATION: Final = "gateway_request_duration_seconds"
FIRST_BYTE: Final = "gateway_backend_first_byte_seconds"

Labels = tuple[str, ...]


class Exemplar:
    """One request in a bucket. `at` is when it ended, in the seconds of `clock.now()`."""

    __slots__ = ("at", "seconds", "trace_id")

    def __init__(self, trace_id: str, seconds: float, at: float) -> None:
        self.trace_id = trace_id
        self.seconds = seconds
        self.at = at

    def __repr__(self) -> str:
        return f"<Exemplar {self.trace_id} {self.seconds:.3f} s>"


class Exemplars:
    """Owns one exemplar for each bucket in which there was a trace, of histograms over LATENCY_BOUNDS_S."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[str, dict[Labels, dict[int, Exemplar]]] = {DURATION: {}, FIRST_BYTE: {}}

    def __repr__(self) -> str:
        return f"<Exemplars of {sum(map(len, self._kept.values()))} histograms>"

    def note(self, route: str, exchange: Exchange) -> None:
        """Take a finished request, if its trace is kept by somebody."""
        trace_id = sampled_id(exchange)
        if not trace_id:
            return
        ended = exchange.ended
        self._put(DURATION, (route,), ended - exchange.started, trace_id, ended)
        if exchange.trace is None:
            return
        for attempt in exchange.trace.attempts:
            if attempt.first_byte > 0.0 and attempt.status < 400 and attempt.outcome is not Outcome.CANCELLED:
                seconds = attempt.first_byte - attempt.started
                self._put(FIRST_BYTE, (attempt.pool, attempt.backend), seconds, trace_id, ended)

    def _put(self, series: str, labels: Labels, seconds: float, trace_id: str, at: float) -> None:
        seconds = max(seconds, 0.0)
        kept = self._kept[series]
        buckets = kept.get(labels)
        if buckets is None:
            buckets = kept[labels] = {}
        buckets[bisect_left(LATENCY_BOUNDS_S, seconds)] = Exemplar(trace_id, seconds, at)

    def of(self, series: str) -> dict[Labels, dict[int, Exemplar]]:
        """By labels, then by the bucket's index in LATENCY_BOUNDS_S; empty for other series."""
        return self._kept.get(series, {})


def latest(buckets: dict[int, Exemplar], first: int, last: int) -> Exemplar | None:
    """The newest exemplar of the buckets from `first` to `last`."""
    found: Exemplar | None = None
    for index in range(first, last + 1):
        one = buckets.get(index)
        if one is not None and (found is None or one.at >= found.at):
            found = one
    return found
