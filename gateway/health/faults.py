"""Whose fault is it when an attempt does not succeed, and does it count against the backend?

One closed table. The five sides are those of `errors.Side`. What a caller does wrong is never held against
a backend, since a client's bad requests would take out one backend after the other; nor is overload, since
ejecting those who say that they are busy makes the rest busier: it cools a backend, by a penalty in its
latency. A fault of the gateway's own says nothing about anybody else.
"""

from gateway.errors import Side
from gateway.messages import Outcome

#: Outcome of an attempt → whose fault; None for a success.
FAULTS: dict[Outcome, Side | None] = {
    Outcome.OK: None,
    Outcome.CLIENT_ERROR: "caller",
    Outcome.SERVER_ERROR: "backend",
    Outcome.OVERLOADED: "overload",
    Outcome.TIMEOUT: "backend",
    Outcome.CONNECT_ERROR: "network",
    Outcome.RESET: "network",
    Outcome.CANCELLED: "caller",
}

#: The sides that count against a backend. Seen from here a machine that cannot be reached is as good as down.
COUNTED: frozenset[Side] = frozenset({"backend", "network"})

#: Outcomes that count against a backend's health (consecutive failures, failure ratio).
FAILURES = frozenset(outcome for outcome, side in FAULTS.items() if side in COUNTED)

#: Kind of a `GatewayError` raised during an attempt → how the attempt ended for the backend. Kinds not listed
#: say nothing about it: the attempt counts as cancelled.
OUTCOMES: dict[str, Outcome] = {
    "connect_error": Outcome.CONNECT_ERROR,
    "connect_timeout": Outcome.CONNECT_ERROR,
    "reset": Outcome.RESET,
    "bad_response": Outcome.RESET,
    "first_byte_timeout": Outcome.TIMEOUT,
    "idle_timeout": Outcome.TIMEOUT,
    "total_timeout": Outcome.TIMEOUT,
}
