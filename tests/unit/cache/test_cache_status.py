"""The client is told what the cache did, in the words of RFC 9211."""

import pytest

from gateway.cache.rules import BYPASS_REASONS
from gateway.cache.status import FATES, FORWARDS, bypass_line, forward_line, hit_lines


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (forward_line("miss"), b"gateway; fwd=miss"),
        (forward_line("miss", "stored"), b"gateway; fwd=miss; stored"),
        (forward_line("miss", "collapsed"), b"gateway; fwd=miss; collapsed"),
        (forward_line("vary-miss", "stored"), b"gateway; fwd=vary-miss; stored"),
        (forward_line("request", "stored"), b"gateway; fwd=request; stored"),
        (forward_line("stale", "stored", 304), b"gateway; fwd=stale; stored; fwd-status=304"),
        (forward_line("stale", "", 503, "error"), b"gateway; fwd=stale; fwd-status=503; detail=error"),
        (forward_line("miss", detail="private"), b"gateway; fwd=miss; detail=private"),
        (bypass_line("sampled"), b"gateway; fwd=bypass; detail=sampled"),
    ],
)
def test_a_forwarded_request_says_why_and_what_became_of_it(line: bytes, expected: bytes) -> None:
    """RFC 9211 2.2 to 2.5 and 2.7."""
    assert line == b"Cache-Status: " + expected + b"\r\n"


@pytest.mark.parametrize(
    ("age_s", "fresh_s", "detail", "expected"),
    [
        (1.0, 60.0, "", b"gateway; hit; ttl=59\r\nAge: 1"),
        (0.2, 60.0, "", b"gateway; hit; ttl=59\r\nAge: 0"),
        (0.0, 60.0, "", b"gateway; hit; ttl=60\r\nAge: 0"),
        (65.0, 60.0, "stale", b"gateway; hit; ttl=-5; detail=stale\r\nAge: 65"),
        (60.5, 60.0, "stale", b"gateway; hit; ttl=-1; detail=stale\r\nAge: 60"),
        (2.0**31, 2.0**31, "", b"gateway; hit; ttl=0\r\nAge: 2147483648"),
    ],
)
def test_a_hit_says_how_long_it_is_good(age_s: float, fresh_s: float, detail: str, expected: bytes) -> None:
    """RFC 9211 2.1 and 2.4: below 0 when stale; RFC 9111 5.1: always with its Age."""
    assert hit_lines(age_s, fresh_s, detail) == b"Cache-Status: " + expected + b"\r\n"


def test_every_reason_has_a_line() -> None:
    """All combinations, so none is found missing by a request."""
    for reason in BYPASS_REASONS:
        assert bypass_line(reason).endswith(b"; detail=" + reason.encode() + b"\r\n")
    for forward in FORWARDS:
        for fate in FATES:
            assert forward_line(forward, fate).startswith(b"Cache-Status: gateway; fwd=" + forward.encode())
