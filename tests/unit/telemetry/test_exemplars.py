"""Does each bucket remember its last trace, and only one that somebody keeps?"""

from bisect import bisect_left
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.messages import Exchange, Outcome, Trace
from gateway.pool.stats import LATENCY_BOUNDS_S
from gateway.telemetry.exemplars import DURATION, FIRST_BYTE, Exemplar, Exemplars, latest

SPAN = "00f067aa0ba902b7"


def exchange(number: int, seconds: float, sampled: bool = True) -> Exchange:
    made = Exchange("GET", "/", "id", "10.0.0.9", 100.0)
    made.ended = 100.0 + seconds
    made.trace = Trace(f"{number:032x}", "", SPAN, sampled, Random(1))
    return made


@given(st.lists(st.floats(0.0, 1000.0), max_size=60))
def test_each_bucket_has_its_last(seconds):
    """One for each bucket in which there was a trace, and it lies in it."""
    exemplars = Exemplars()
    last: dict[int, int] = {}
    for number, value in enumerate(seconds, 1):
        exemplars.note("chat", exchange(number, value))
        last[bisect_left(LATENCY_BOUNDS_S, 100.0 + value - 100.0)] = number
    kept = exemplars.of(DURATION).get(("chat",), {})
    assert {bucket: int(one.trace_id, 16) for bucket, one in kept.items()} == last


def test_only_what_somebody_keeps():
    """Not a trace that is not sampled, here or by the client; a client's own is, where nothing is traced."""
    exemplars = Exemplars()
    exemplars.note("chat", exchange(1, 0.5, sampled=False))
    plain = exchange(2, 0.5)
    plain.trace = None
    exemplars.note("chat", plain)
    plain.traceparent = f"00-{'c' * 32}-{SPAN}-00"
    exemplars.note("chat", plain)
    assert exemplars.of(DURATION) == {}
    plain.traceparent = f"00-{'c' * 32}-{SPAN}-01"
    exemplars.note("chat", plain)
    ((bucket, one),) = exemplars.of(DURATION)[("chat",)].items()
    assert one.trace_id == "c" * 32 and LATENCY_BOUNDS_S[bucket - 1] < 0.5 <= LATENCY_BOUNDS_S[bucket]


@pytest.mark.parametrize(
    ("outcome", "status", "first_byte", "kept"),
    [
        (Outcome.OK, 200, 100.5, True),
        (Outcome.RESET, 200, 100.5, True),
        (Outcome.OK, 200, 0.0, False),
        (Outcome.SERVER_ERROR, 500, 100.5, False),
        (Outcome.CANCELLED, 200, 100.5, False),
    ],
)
def test_first_bytes_of_backends(outcome, status, first_byte, kept):
    """Good answers alone, from choosing the backend on, as the histogram has them."""
    exemplars, one = Exemplars(), exchange(7, 2.0)
    assert one.trace is not None
    attempt = one.trace.attempt("gpus", "gpu-1", "http://x/", 100.25)
    assert attempt is not None
    attempt.outcome, attempt.status, attempt.first_byte = outcome, status, first_byte
    exemplars.note("chat", one)
    found = exemplars.of(FIRST_BYTE).get(("gpus", "gpu-1"), {})
    assert [exemplar.seconds for exemplar in found.values()] == ([0.25] if kept else [])


def test_the_latest_of_several_buckets():
    """By when it ended; none of buckets that have none."""
    kept = {3: Exemplar("a", 0.1, 5.0), 4: Exemplar("b", 0.2, 4.0), 9: Exemplar("c", 1.0, 9.0)}
    assert latest(kept, 3, 4) is kept[3]
    assert latest(kept, 4, 8) is kept[4]
    assert latest(kept, 5, 8) is None


def test_other_series_have_none():
    """Only the two are kept."""
    assert Exemplars().of("gateway_queue_seconds") == {}
