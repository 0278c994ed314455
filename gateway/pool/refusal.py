"""What is a client told whom no backend can take?"""

import random
from collections.abc import Sequence

from gateway.errors import GatewayError
from gateway.pool.backend import Backend

#: A request in flight may end at any moment.
FULL_RETRY_S = 1.0
#: All are draining: nothing says when one will be back.
UNKNOWN_RETRY_S = 5.0


def retry_after_s(backends: Sequence[Backend], now: float, rng: random.Random) -> float:
    """Seconds until the soonest event that can free a backend: an ejection's end, a probe, an answer.

    At least 1, and up to a fifth more at random so that the refused do not return together.
    """
    waits = [_wait_s(backend, now) for backend in backends if not backend.draining]
    return max(1.0, min(waits, default=UNKNOWN_RETRY_S)) * (1.0 + 0.2 * rng.random())


def _wait_s(backend: Backend, now: float) -> float:
    if backend.state == "ejected":
        return backend.outlier.until - now
    if backend.state == "down":
        probe_s = backend.health.next_probe_s(now)
        return UNKNOWN_RETRY_S if probe_s is None else probe_s
    return FULL_RETRY_S


def reason(backends: Sequence[Backend]) -> str:
    """`full` when a limit on requests in flight is what keeps one of them from helping, else `no_backend`."""
    full = any(backend.full and backend.state in ("up", "starting") for backend in backends)
    return "full" if full else "no_backend"


_MESSAGES = {
    "tried": "no other backend can take this request again; try again later",
    "full": "every backend for this request is at its limit; try again later",
    "no_backend": "no backend for this request is available; try again later",
}


def refusal(why: str, wait_s: float) -> GatewayError:
    """The error for `why`: `full`, `no_backend`, or `tried` when only backends tried before are left."""
    return GatewayError("no_backend", _MESSAGES[why], retry_after_s=wait_s)
