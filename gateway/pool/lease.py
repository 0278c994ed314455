"""What did this attempt do to its backend? A hold that is opened by the pool and closed exactly once."""

from typing import TYPE_CHECKING

from gateway.messages import FAILURES, Outcome

if TYPE_CHECKING:
    from gateway.pool.backend import Backend
    from gateway.pool.pool import Pool

_UNMEASURED = -1.0
_OK, _CLIENT_ERROR, _CANCELLED = Outcome.OK, Outcome.CLIENT_ERROR, Outcome.CANCELLED


class Lease:
    """One attempt under way. Closing has no condition: success, failure, timeout and cancel all do it.

    `started` is when the backend was chosen, in the seconds of `now`.
    """

    __slots__ = ("_first_s", "_open", "backend", "pool", "started")

    def __init__(self, pool: "Pool", backend: "Backend", started: float) -> None:
        self.pool = pool
        self.backend = backend
        self.started = started
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
        backend.first_byte.observe(seconds)
        backend.latency.observe(seconds, now)
        self.pool.sampled(now)

    def close(self, outcome: Outcome, now: float, retry_after_s: float | None = None) -> None:
        """End the attempt; `retry_after_s` is what the backend asked for, if it did.

        Raises RuntimeError when closed before: counting an attempt out twice would draw the whole pool's
        traffic to one backend.
        """
        if not self._open:
            raise RuntimeError(f"{self!r} was already closed: close a lease once, in one `finally`")
        self._open = False
        backend = self.backend
        if backend.in_flight == backend.max_in_flight:
            self.pool.changed()
        backend.in_flight -= 1
        backend.outcomes[outcome] += 1
        if outcome is _CANCELLED:
            return  # when a client leaves says nothing about the backend
        backend.duration.observe(max(0.0, now - self.started))
        if outcome is _OK:
            if self._first_s < 0.0:
                self.first_body_byte(now)
            backend.outlier.succeeded()
        elif outcome is _CLIENT_ERROR:
            backend.outlier.succeeded()
        else:
            self._failed(outcome, now, retry_after_s)

    def _failed(self, outcome: Outcome, now: float, retry_after_s: float | None) -> None:
        # After the first byte, the length of the answer is in the elapsed time and says nothing.
        seconds = self._first_s if self._first_s >= 0.0 else now - self.started
        self.backend.latency.penalise(seconds, now, retry_after_s)
        self.pool.sampled(now)
        if outcome in FAILURES and self.backend.outlier.failed():
            self.pool.eject(self.backend, now)
