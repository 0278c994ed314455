"""What flows between the rooms: how an attempt ended, and a request's facts that deciding code needs."""

import enum


class Outcome(enum.IntEnum):
    """How an attempt ended; the value is an index into a backend's counters, the label is the metric's."""

    OK = 0
    CLIENT_ERROR = 1  # the backend answered 4xx (other than 429): the caller's fault, never held against it
    SERVER_ERROR = 2  # the backend answered 5xx, other than an overloaded 503
    OVERLOADED = 3  # 429, or 503 with Retry-After: cools the backend, never ejects it
    TIMEOUT = 4  # no first body byte in time, or a stall between two pieces of the body
    CONNECT_ERROR = 5  # refused, unreachable, TLS failure or connect timeout: nothing was sent
    RESET = 6  # closed, cut or broken framing before the response was complete
    CANCELLED = 7  # the client left; says nothing about the backend

    @property
    def label(self) -> str:
        return self.name.lower()


#: Outcomes that count against a backend's health (consecutive failures, ejection).
FAILURES = frozenset({Outcome.SERVER_ERROR, Outcome.TIMEOUT, Outcome.CONNECT_ERROR, Outcome.RESET})
