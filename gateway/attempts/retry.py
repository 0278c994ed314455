"""May a failed attempt be made again, and after what pause?

A generation costs GPU seconds and may be half done when it fails, so the answer is no unless nothing was
sent, or the request may be repeated and nothing of an answer has reached the client. What a retry costs
the pool is the budget's question, asked after this one.
"""

import enum
import random
from dataclasses import dataclass

#: Methods whose repetition means the same as doing it once (RFC 9110, 9.2.2).
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})

#: The gateway's own error kinds → the word used in `retries.on`. Kinds not listed are never retried.
CAUSES: dict[str, str] = {
    "connect_error": "connect",
    "connect_timeout": "connect",
    "reset": "reset",
    "bad_response": "reset",
    "first_byte_timeout": "timeout",
    "idle_timeout": "timeout",
}


@dataclass(frozen=True, slots=True)
class RetryRule:
    """What a pool retries. `attempts` counts sends, the first included; times in seconds.

    `on` holds causes (`connect`, `reset`, `timeout`) and status codes as text. A pause on the same backend
    is drawn below `base_s` x 2^(retries before), at most `cap_s`; a Retry-After above `longest_wait_s` is
    left to the client.
    """

    attempts: int = 2
    on: frozenset[str] = frozenset({"connect", "reset", "429", "502", "503", "504"})
    base_s: float = 0.025
    cap_s: float = 0.25
    longest_wait_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt, as far as retrying goes.

    `cause` is what `cause_of` says. `attempt` is how many sends there have been, this one included.
    `nothing_sent`: no byte of the request left for the backend. `body_held`: the whole body is at hand to
    send again. `replayable`: the route says repeating is harmless. `downstream_started`: the client has got
    a byte.
    """

    cause: str
    attempt: int
    method: str
    nothing_sent: bool = False
    body_held: bool = True
    replayable: bool = False
    downstream_started: bool = False


class Verdict(enum.Enum):
    """Whether to try again; the value is the reason. Only AGAIN is true."""

    AGAIN = "again"
    ANSWER_STARTED = "the client already got part of an answer"
    NO_ATTEMPTS_LEFT = "no attempts left"
    NOT_LISTED = "not among the causes that are retried"
    BODY_GONE = "the body was streamed through and is gone"
    NOT_REPLAYABLE = "the request may have been worked on and must not be repeated"

    def __bool__(self) -> bool:
        return self is Verdict.AGAIN


def cause_of(problem: str | int) -> str:
    """The word for an error kind or a status code in `retries.on`; empty for kinds never retried."""
    return str(problem) if isinstance(problem, int) else CAUSES.get(problem, "")


def decide(rule: RetryRule, failure: Failure) -> Verdict:
    """May this be sent again? The budget still has to pay."""
    if failure.downstream_started:
        return Verdict.ANSWER_STARTED
    if failure.attempt >= rule.attempts:
        return Verdict.NO_ATTEMPTS_LEFT
    if failure.cause not in rule.on:
        return Verdict.NOT_LISTED
    if failure.nothing_sent:
        return Verdict.AGAIN
    if not failure.body_held:
        return Verdict.BODY_GONE
    may_repeat = failure.replayable or failure.method in IDEMPOTENT
    return Verdict.AGAIN if may_repeat else Verdict.NOT_REPLAYABLE


def pause_s(
    rule: RetryRule,
    attempt: int,
    same_backend: bool,
    rng: random.Random,
    retry_after_s: float | None = None,
) -> float | None:
    """Seconds to wait before the send after number `attempt`; None when it should not be made.

    Another backend has not asked for patience and is tried at once. The same one is given a random share
    of an exponentially growing pause ("full jitter", AWS Architecture Blog 2015), and at least the time it
    asked for: when that is too long to wait here, the client is told instead.
    """
    if not same_backend:
        return 0.0
    pause = rng.random() * min(rule.cap_s, rule.base_s * 2.0 ** min(attempt - 1, 30))
    if retry_after_s is None:
        return pause
    return None if retry_after_s > rule.longest_wait_s else max(pause, retry_after_s)
