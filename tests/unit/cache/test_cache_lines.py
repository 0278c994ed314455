"""What is kept with an answer is what is true of it whoever asks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.lines import is_personal, only, parts_of, stored_fields, values_of, without
from gateway.cache.traits import traits_of
from tests.heads import NOW, NOW_DATE, parts_from, response_head

DATE_LINE = b"Date: " + NOW_DATE + b"\r\n"


def stored(*fields: tuple[bytes, bytes]) -> bytes:
    head = response_head(*fields)
    return stored_fields(head, traits_of(head, NOW), DATE_LINE)


def test_an_answer_is_kept_with_its_fields() -> None:
    """RFC 9111 3.1: unknown ones too, byte for byte and in their order."""
    fields = [(b"date", NOW_DATE), (b"Content-Type", b"a/b"), (b"X-Unknown", b""), (b"Via", b"1.1 x")]
    assert stored(*fields) == b"".join(parts_from(*fields))


@pytest.mark.parametrize(
    "name",
    [
        b"Set-Cookie", b"Retry-After", b"X-RateLimit-Remaining-Tokens", b"x-rate-limit-reset", b"RateLimit",
        b"RateLimit-Policy", b"anthropic-ratelimit-requests-limit", b"X-Request-Id", b"Request-Id",
        b"Server-Timing", b"openai-processing-ms", b"Age", b"Cache-Status", b"X-Gateway-Backend",
    ],
)  # fmt: skip
def test_what_was_said_to_one_client_is_not_kept(name: bytes) -> None:
    """Whatever its case."""
    assert is_personal(name.lower())
    assert stored((name.upper(), b"x"), (b"Content-Type", b"a/b")) == b"Content-Type: a/b\r\n" + DATE_LINE


@pytest.mark.parametrize("name", [b"x-ratelimit", b"x-model-id", b"openai-version", b"etag", b"retry"])
def test_other_fields_are_for_everybody(name: bytes) -> None:
    """Their names only look alike."""
    assert not is_personal(name)


def test_fields_that_are_held_back_are_not_kept() -> None:
    """RFC 9111 5.2.2.4: no-cache="name" lets the rest be kept."""
    assert stored((b"Cache-Control", b'no-cache="x-id"'), (b"X-Id", b"7"), (b"Date", NOW_DATE)) == (
        b'Cache-Control: no-cache="x-id"\r\n' + DATE_LINE
    )


def test_a_date_is_added_where_there_is_none() -> None:
    """RFC 9110 6.6.1: age is counted from it."""
    assert stored() == DATE_LINE
    assert stored((b"DATE", b"x")) == b"DATE: x\r\n"


NAMES = st.text(alphabet="abXY-", min_size=1, max_size=4).map(str.encode)
VALUES = st.text(alphabet="a: ,=\t", max_size=6).map(str.encode)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=6)


@given(FIELDS)
def test_lines_come_apart_as_they_were_joined(fields: list[tuple[bytes, bytes]]) -> None:
    """Colons and spaces in values included."""
    parts = parts_from(*fields)
    assert parts_of(b"".join(parts)) == parts


@given(st.binary(max_size=60))
def test_what_a_store_gives_back_makes_whole_lines(fields: bytes) -> None:
    """Any bytes: parts in fours, no CRLF within a name or value."""
    parts = parts_of(fields)
    assert len(parts) % 4 == 0
    assert all(b"\r\n" not in part for part in parts if part != b"\r\n")


@given(FIELDS, st.sets(NAMES))
def test_fields_are_picked_by_name(fields: list[tuple[bytes, bytes]], named: set[bytes]) -> None:
    """What is picked and what is left are all there is, each in its order."""
    parts, lower = parts_from(*fields), {name.lower() for name in named}
    assert only(parts, lower) == b"".join(parts_from(*[f for f in fields if f[0].lower() in lower]))
    assert without(parts, lower) == parts_from(*[f for f in fields if f[0].lower() not in lower])
    for name in lower:
        assert values_of(parts, name) == [value for n, value in fields if n.lower() == name]
