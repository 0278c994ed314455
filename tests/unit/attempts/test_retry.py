"""When a failed attempt may be made again."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.attempts.retry import CAUSES, IDEMPOTENT, Failure, RetryRule, Verdict, cause_of, decide, pause_s
from gateway.errors import RULES

RULE = RetryRule()
failures = st.builds(
    Failure,
    cause=st.sampled_from(["connect", "reset", "timeout", "429", "500", "502", "503", "504", ""]),
    attempt=st.integers(1, 4),
    method=st.sampled_from(["GET", "POST", "PATCH", "PUT"]),
    nothing_sent=st.booleans(),
    body_held=st.booleans(),
    replayable=st.booleans(),
    downstream_started=st.booleans(),
)


@given(failures)
def test_what_is_never_repeated(failure: Failure) -> None:
    """Not after the client got a byte, not beyond the attempts, not for causes nobody listed."""
    verdict = decide(RULE, failure)
    if failure.downstream_started or failure.attempt >= RULE.attempts or failure.cause not in RULE.on:
        assert not verdict
    elif not failure.nothing_sent and not failure.body_held:
        assert verdict is Verdict.BODY_GONE


@given(failures)
def test_sent_work_is_repeated_only_when_harmless(failure: Failure) -> None:
    """Once bytes left, it takes a replayable route or an idempotent method."""
    if decide(RULE, failure) and not failure.nothing_sent:
        assert failure.replayable or failure.method in IDEMPOTENT


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("held", [True, False])
def test_a_failed_connect_is_always_tried_elsewhere(method: str, held: bool) -> None:
    """Nothing was sent: neither the method nor the body matters."""
    assert decide(RULE, Failure("connect", 1, method, nothing_sent=True, body_held=held)) is Verdict.AGAIN


@pytest.mark.parametrize("cause", ["reset", "429", "502", "503", "504"])
def test_the_listed_causes(cause: str) -> None:
    """A POST only on a replayable route, a GET anyway."""
    assert decide(RULE, Failure(cause, 1, "POST")) is Verdict.NOT_REPLAYABLE
    assert decide(RULE, Failure(cause, 1, "POST", replayable=True)) is Verdict.AGAIN
    assert decide(RULE, Failure(cause, 1, "GET")) is Verdict.AGAIN


def test_the_list_and_the_number_are_the_users() -> None:
    """Another list and more attempts change the answer; attempts count sends, the first included."""
    rule = RetryRule(attempts=3, on=frozenset({"500"}))
    assert decide(rule, Failure("500", 2, "GET")) is Verdict.AGAIN
    assert decide(rule, Failure("500", 3, "GET")) is Verdict.NO_ATTEMPTS_LEFT
    assert decide(rule, Failure("connect", 1, "GET", nothing_sent=True)) is Verdict.NOT_LISTED


def test_error_kinds_and_statuses_become_causes() -> None:
    """The gateway's kinds map to the words of the configuration; what is unknown is never retried."""
    assert [cause_of(kind) for kind in ("connect_timeout", "bad_response", "idle_timeout")] == [
        "connect",
        "reset",
        "timeout",
    ]
    assert cause_of(503) == "503"
    assert cause_of("total_timeout") == ""
    assert set(CAUSES) <= set(RULES)


@given(st.integers(1, 2000), st.integers())
def test_pauses_grow_and_stay_below_the_cap(attempt: int, seed: int) -> None:
    """Full jitter: between zero and min(cap, base 2^(n-1)); elsewhere there is no pause at all."""
    rng = random.Random(seed)
    pause = pause_s(RULE, attempt, True, rng)
    assert pause is not None
    assert 0.0 <= pause <= min(0.25, 0.025 * 2.0 ** min(attempt - 1, 30))
    assert pause_s(RULE, attempt, False, rng, retry_after_s=60.0) == 0.0


def test_pauses_are_spread_over_their_range() -> None:
    """Retries of many clients do not come back together."""
    rng = random.Random(1)
    pauses = [pause_s(RULE, 9, True, rng) or 0.0 for _ in range(500)]
    assert min(pauses) < 0.02
    assert max(pauses) > 0.23


def test_retry_after_is_honoured_or_left_to_the_client() -> None:
    """The same backend is not asked earlier than it said; too long a wait is no retry."""
    rng = random.Random(1)
    assert pause_s(RULE, 1, True, rng, retry_after_s=0.8) == 0.8
    assert pause_s(RULE, 1, True, rng, retry_after_s=30.0) is None
