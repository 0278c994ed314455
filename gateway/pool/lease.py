"""What did this attempt do to its backend? A hold that is opened by the pool and closed exactly once."""

from typing import TYPE_CHECKING

from gateway.health.faults import FAILURES
from gateway.messages import Outcome
from gateway.pool.ewma import PENALTY_S

if TYPE_CHECKING:
    from gateway.pool.backend import Backend
    from gateway.pool.pool import Pool

_UNMEASURED = -1.0
_OK, _CLIENT_ERROR, _CANCELLED, _OVERLOADED = (
    Outcome.OK,
    Outcome.CLIENT_ERROR,
    Outcome.CANCELLED,
    Outcome.OVERLOADED,
)


class Lease:
    """One attempt under way. Closing has no condition: success, failure, timeout and cancel all do it.

    `started` is when the backend was chosen, in the seconds of `now`; `kind` the request's size class.
    """

    __slots__ = (
        "_ahead_s", "_expected_s", "_first_s", "_in_flight", "_kind", "_open", "_resolved", "_streams",
        "backend", "pool", "started",
    )  # fmt: skip

    def __init__(self, pool: "Pool", backend: "Backend", started: float, kind: int, streams: bool) -> None:
        self.pool = pool
        self.backend = backend
        self.started = started
        self._kind = kind
        self._streams = streams  # the answer is asked for as a stream
        self._in_flight = backend.in_flight
        speed = backend.speed
        self._ahead_s = speed.ahead_s
        self._expected_s = speed.model.first_s(kind)
        speed.opened(started, backend.pieces if speed.streaming else 0, self._expected_s)
        self._resolved = backend.selected - speed.waiting  # attempts that wait for no answer any more
        self._first_s = _UNMEASURED
        self._open = True

    def __repr__(self) -> str:
        return f"<Lease {self.pool.name}/{self.backend.name} {'open' if self._open else 'closed'}>"

    def first_body_byte(self, now: float) -> None:
        """The first byte of a good answer's body is here: that time is the backend's latency.

        The first call counts, later ones change nothing. Not to be called for answers of 400 and above: an
        error is quick for reasons of its own.
        """
        if self._first_s >= 0.0:
            return
        seconds = now - self.started if now > self.started else 0.0
        self._first_s = seconds
        backend = self.backend
        backend.answered_at = now
        backend.first_byte.observe(seconds)
        backend.latency.observe(seconds, now)
        expected = self._expected_s
        backend.speed.first_byte(
            now, self._pieces(), self._kind, expected, self._in_flight, self._ahead_s, seconds
        )
        if backend.limiter is not None:
            passed = backend.selected - backend.speed.waiting - self._resolved - 1  # itself left out
            x = seconds / expected if expected > 0.0 else 1.0
            backend.limiter.observe(x, self._in_flight, now, passed)
        self.pool.answered(self._kind, seconds, now)

    def close(self, outcome: Outcome, now: float, retry_after_s: float | None = None) -> None:
        """End the attempt; `retry_after_s` is what the backend asked for, if it did.

        Raises RuntimeError when closed before: counting an attempt out twice would draw the whole pool's
        traffic to one backend.
        """
        if not self._open:
            raise RuntimeError(f"{self!r} was already closed: close a lease once, in one `finally`")
        self._open = False
        backend = self.backend
        backend.in_flight -= 1
        backend.outcomes[outcome] += 1
        if outcome is not _CANCELLED:  # when a client leaves says nothing about the backend
            backend.duration.observe(max(0.0, now - self.started))
        penalty_s = 0.0
        if outcome is _OK:
            if self._first_s < 0.0:
                self.first_body_byte(now)
            backend.succeeded(now)
        elif outcome is _CLIENT_ERROR:
            backend.outlier.succeeded(now)
        elif outcome is not _CANCELLED:
            penalty_s = self._failed(outcome, now, retry_after_s)
        if self._first_s < 0.0:
            backend.speed.gone(now, self._pieces(), self._expected_s, max(0.0, now - self.started), penalty_s)
        elif self._streams:
            backend.speed.stream_ended(now, self._pieces(), penalty_s)
        self.pool.released(backend, now)

    def _pieces(self) -> int:
        """Pieces of streams that came from the backend so far, where that matters."""
        backend = self.backend
        return backend.pieces if self._streams or backend.speed.streaming else 0

    def _failed(self, outcome: Outcome, now: float, retry_after_s: float | None) -> float:
        """What a failed attempt counts as, in seconds."""
        backend, pool = self.backend, self.pool
        # After the first byte, the length of the answer is in the elapsed time and says nothing.
        seconds = self._first_s if self._first_s >= 0.0 else now - self.started
        backend.latency.penalise(seconds, now, retry_after_s)
        pool.sampled(now)
        if backend.limiter is not None and outcome in (_OVERLOADED, Outcome.TIMEOUT):
            backend.limiter.failed(now)
        if outcome is _OVERLOADED:
            backend.cool(now, retry_after_s)
            pool.changed()
        elif outcome in FAILURES:
            backend.answered_at = 0.0
            if reason := backend.outlier.failed(now, outcome):
                pool.eject(backend, now, reason)
        return PENALTY_S
