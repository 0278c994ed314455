"""Audits: how a new answer is judged against the kept one, and when that is too much."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.audit import WINDOW, AuditRule, Said, Tally, compare


def said(body: bytes, kind: bytes = b"application/json", status: int = 200, coding: bytes = b"") -> Said:
    parts = (b"Content-Type", b": ", kind, b"\r\n")
    if coding:
        parts += (b"Content-Encoding", b": ", coding, b"\r\n")
    return Said(status, parts, body)


ONE = b'{"id": "1", "choices": [{"text": "a"}]}'
SAME = b'{"choices": [{"text": "a"}], "id": "2"}'
OTHER = b'{"id": "1", "choices": [{"text": "b"}]}'


def test_what_says_the_same_is_a_match() -> None:
    assert compare(said(ONE), said(SAME)) == "match"
    assert compare(said(ONE), said(OTHER)) == "mismatch"
    assert compare(said(ONE), said(SAME, b"application/json; charset=utf-8")) == "match"
    assert compare(said(ONE, b"application/problem+json"), said(SAME, b"Application/Problem+JSON")) == "match"


def test_another_type_is_another_answer() -> None:
    """Whatever its bytes."""
    assert compare(said(ONE), said(ONE, b"text/plain")) == "mismatch"


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 425, 429])
def test_an_error_of_the_moment_says_nothing(status: int) -> None:
    """It is counted as failed: there is nothing to compare."""
    assert compare(said(ONE), said(ONE, status=status)) == "failed"


@pytest.mark.parametrize("status", [201, 204, 304, 400, 401, 404, 422])
def test_another_status_is_another_answer(status: int) -> None:
    """A 401 too: the kept answer went to somebody who would not be given it now."""
    assert compare(said(ONE), said(ONE, status=status)) == "mismatch"


def test_errors_that_are_kept_are_compared_like_answers() -> None:
    assert compare(said(b"no", b"text/plain", 404), said(b"no", b"text/plain", 404)) == "match"
    assert compare(said(b"no", b"text/plain", 404), said(ONE)) == "mismatch"


def test_streams_are_compared_by_what_they_bring() -> None:
    kind = b"text/event-stream"
    assert (
        compare(
            said(b'data: {"text": "ab"}\n\n', kind),
            said(b'data: {"text": "a"}\n\ndata: {"text": "b"}\n\n', kind),
        )
        == "match"
    )
    kind = b"application/x-ndjson"
    assert compare(said(b'{"text": "ab"}\n', kind), said(b'{"text": "a"}\n{"text": "b"}\n', kind)) == "match"
    assert compare(said(b'{"text": "ab"}\n', kind), said(b'{"text": "a"}\n', kind)) == "mismatch"


def test_all_else_is_compared_byte_by_byte() -> None:
    """Sound, pictures, pages, and JSON that is none."""
    assert compare(said(b"\x00\x01", b"audio/wav"), said(b"\x00\x01", b"audio/wav")) == "match"
    assert compare(said(b"\x00\x01", b"audio/wav"), said(b"\x00\x02", b"audio/wav")) == "mismatch"
    assert compare(said(ONE, b"text/plain"), said(SAME, b"text/plain")) == "mismatch"
    assert compare(said(b"{"), said(b"{}")) == "mismatch"
    assert compare(said(b"[" * 100_000), said(b"[" * 99_999)) == "mismatch"


def test_compressed_answers_are_unpacked_first() -> None:
    """The same text is packed into other bytes, if only because the time is in them."""
    one, same, other = gzip.compress(ONE, mtime=1), gzip.compress(SAME, mtime=2), gzip.compress(OTHER)
    assert compare(said(one, coding=b"gzip"), said(same, coding=b"gzip")) == "match"
    assert compare(said(one, coding=b"gzip"), said(other, coding=b"gzip")) == "mismatch"
    assert compare(said(one, coding=b"GZIP"), said(SAME)) == "match"
    assert compare(said(zlib.compress(ONE), coding=b"deflate"), said(SAME)) == "match"


def test_what_cannot_be_unpacked_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it is the same byte by byte."""
    assert compare(said(ONE, coding=b"br"), said(SAME, coding=b"br")) == "failed"
    assert compare(said(ONE, coding=b"br"), said(ONE, coding=b"br")) == "match"
    assert compare(said(ONE, coding=b"gzip"), said(SAME)) == "failed"
    assert compare(said(gzip.compress(ONE)[:-3], coding=b"gzip"), said(SAME)) == "failed"
    monkeypatch.setattr("gateway.cache.audit.MAX_UNPACKED", 10)
    assert compare(said(gzip.compress(ONE), coding=b"gzip"), said(SAME)) == "failed"


RULE = AuditRule(share=1.0, max_mismatch=0.05, min_checked=20)


def test_nothing_is_concluded_from_few() -> None:
    """Not before `min_checked`, however many differ."""
    tally = Tally()
    for _ in range(19):
        tally.add("mismatch")
    assert not tally.exceeds(RULE)
    tally.add("mismatch")
    assert tally.exceeds(RULE)


def test_the_limit_itself_is_allowed() -> None:
    """5 % of 20 is 1."""
    tally = Tally()
    for _ in range(19):
        tally.add("match")
    tally.add("mismatch")
    assert tally.ratio == 0.05
    assert not tally.exceeds(RULE)
    tally.add("mismatch")
    assert tally.exceeds(RULE)


def test_failed_ones_are_counted_and_do_not_count() -> None:
    tally = Tally()
    for _ in range(100):
        tally.add("failed")
    assert (tally.checked, tally.ratio) == (0, 0.0)
    assert tally.counts == {"match": 0, "mismatch": 0, "failed": 100}
    assert not tally.exceeds(AuditRule(1.0, 0.0, 1))


def test_a_tally_that_is_cleared_begins_anew() -> None:
    """Its counts, which are a metric, go on."""
    tally = Tally()
    for _ in range(30):
        tally.add("mismatch")
    tally.clear()
    assert not tally.exceeds(RULE)
    assert tally.counts["mismatch"] == 30


@given(st.lists(st.sampled_from(["match", "mismatch", "failed"]), max_size=300))
def test_the_ratio_is_of_the_last_that_could_compare(results: list[str]) -> None:
    """Whatever came before."""
    tally = Tally()
    for result in results:
        tally.add(result)  # type: ignore[arg-type]
    last = [result for result in results if result != "failed"][-WINDOW:]
    assert tally.checked == len(last)
    assert tally.ratio == (last.count("mismatch") / len(last) if last else 0.0)
    assert tally.counts == {name: results.count(name) for name in ("match", "mismatch", "failed")}


@given(
    st.binary(), st.binary(), st.sampled_from([b"application/json", b"text/event-stream", b"text/plain", b""])
)
def test_any_two_bodies_can_be_compared(one: bytes, other: bytes, kind: bytes) -> None:
    """Nothing raises, each matches itself, and the order makes no difference."""
    assert compare(said(one, kind), said(one, kind)) == "match"
    assert compare(said(one, kind), said(other, kind)) == compare(said(other, kind), said(one, kind))
