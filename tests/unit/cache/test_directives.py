"""Cache-Control is read word by word; what cannot be read is marked, never skipped and never raised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.directives import (
    BROKEN,
    MOST_DIRECTIVES,
    MOST_S,
    names_in,
    parse_age,
    parse_directives,
    parse_seconds,
)


@pytest.mark.parametrize(
    ("value", "directives"),
    [
        (b"no-store", [(b"no-store", None)]),
        (b"Max-Age=60", [(b"max-age", b"60")]),
        (b"public, max-age=60", [(b"public", None), (b"max-age", b"60")]),
        (b" ,, public ,\tmax-age=60 ,", [(b"public", None), (b"max-age", b"60")]),
        (b'max-age="60"', [(b"max-age", b"60")]),
        (b'private="a, b" , no-store', [(b"private", b"a, b"), (b"no-store", None)]),
        (b'ext="max-age=1, no-store", public', [(b"ext", b"max-age=1, no-store"), (b"public", None)]),
        (b'ext="a\\", no-store\\\\", public', [(b"ext", b'a", no-store\\'), (b"public", None)]),
        (b"max-age=", [(b"max-age", b"")]),
        (b'max-age=""', [(b"max-age", b"")]),
        (b"max-age=1=2", [(b"max-age", b"1=2")]),
        (b"max-age='60'", [(b"max-age", b"'60'")]),
        (b"=60", [(b"", b"60")]),
        (b"", []),
        (b" , ", []),
    ],
)
def test_a_field_is_its_directives(value: bytes, directives: list[tuple[bytes, bytes | None]]) -> None:
    """RFC 9111 5.2: names in any case, arguments as tokens or in quotes, empty members skipped."""
    assert parse_directives([value]) == directives


@pytest.mark.parametrize(
    ("value", "directives"),
    [
        (b"max-age =60", [(b"max-age", BROKEN)]),
        (b"max-age= 60", [(b"max-age", BROKEN)]),
        (b'max-age="60"1', [(b"max-age", BROKEN)]),
        (b'max-age="60', [(b"max-age", BROKEN)]),
        (b'ext="a, no-store', [(b"ext", BROKEN), (b"no-store", None)]),
        (b'no-cache="a" b', [(b"no-cache", BROKEN)]),
        (b'ext="\\', [(b"ext", BROKEN)]),
    ],
)
def test_what_cannot_be_read_is_marked(value: bytes, directives: list[tuple[bytes, bytes | None]]) -> None:
    """Behind a quote without its end, directives are still seen: a no-store there must not be lost."""
    assert parse_directives([value]) == directives


def test_lines_add_up() -> None:
    """RFC 9110 5.3: several lines are one list; a quote does not reach from one into the next."""
    assert parse_directives([b"public", b"max-age=1"]) == parse_directives([b"public, max-age=1"])
    assert (b"no-store", None) in parse_directives([b'ext="a', b"no-store"])


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_bytes_are_read(values: list[bytes]) -> None:
    """Nothing raises, and names come in lower case without white space around them."""
    for name, argument in parse_directives(values):
        assert name == name.lower().strip(b" \t,")
        parse_seconds(argument)
        names_in(argument or b"")
    parse_age(values)


def test_endless_fields_are_not_read_to_their_end() -> None:
    """What is not read may be a no-store, so it is taken for one."""
    most = [b"x"] * MOST_DIRECTIVES
    assert (b"no-store", None) not in parse_directives(most)
    assert parse_directives([*most, b"y", b"z"])[MOST_DIRECTIVES:] == [(b"no-store", None)]


TOKENS = st.text(alphabet="abcXYZ-019", min_size=1, max_size=6).map(str.encode)
ARGUMENTS = st.none() | st.binary(max_size=12)


@given(st.lists(st.tuples(TOKENS, ARGUMENTS), max_size=6), st.sampled_from([b",", b" , ", b",,", b"\t,"]))
def test_what_was_written_is_read(directives: list[tuple[bytes, bytes | None]], comma: bytes) -> None:
    """Any argument survives being quoted, whatever commas, quotes and backslashes are in it."""
    written = comma.join(
        name
        if argument is None
        else b'%b="%b"' % (name, argument.replace(b"\\", b"\\\\").replace(b'"', b'\\"'))
        for name, argument in directives
    )
    assert parse_directives([written]) == [(name.lower(), argument) for name, argument in directives]


@given(st.sampled_from([b'="\\,', b'a="x,', b'="', b'\\"', b'a="\\",', b",", b'"']))
def test_long_nonsense_is_read_in_one_go(piece: bytes) -> None:
    """64 KiB of the worst that is known: a time that grew with the square would not end within the limit."""
    parse_directives([piece * (65536 // len(piece))])


@pytest.mark.parametrize(
    ("argument", "seconds"),
    [
        (b"0", 0), (b"60", 60), (b"0000060", 60), (b"2147483647", 2147483647),
        (b"2147483648", MOST_S), (b"99999999999", MOST_S), (b"9" * 50_000, MOST_S), (b"0" * 50_000 + b"7", 7),
        (None, -1), (b"", -1), (b"-1", -1), (b"+1", -1), (b"1.5", -1), (b"1e3", -1), (b"60s", -1),
        (b" 60", -1), (b"'60'", -1), (b"\xb2", -1), (BROKEN, -1),
    ],
)  # fmt: skip
def test_seconds_are_digits(argument: bytes | None, seconds: int) -> None:
    """RFC 9111 1.2.2: non-negative, whole; too large a number is 2^31."""
    assert parse_seconds(argument) == seconds


@pytest.mark.parametrize(
    ("values", "age"),
    [
        ([], 0), ([b"60"], 60), ([b"60, 90"], 60), ([b"60", b"90"], 60), ([b"abc, 90"], 0), ([b"-5"], 0),
        ([b"1.5"], 0), ([b""], 0), ([b"4294967296"], MOST_S), ([b" 60 "], 60),
    ],
)  # fmt: skip
def test_an_age_is_its_first_member(values: list[bytes], age: int) -> None:
    """RFC 9111 5.1: the first of several; what is no number is ignored."""
    assert parse_age(values) == age


def test_a_qualified_directive_names_fields() -> None:
    """RFC 9111 5.2.2.4: a comma-separated list, in any case."""
    assert names_in(b" Set-Cookie ,, X-Id\t") == [b"set-cookie", b"x-id"]
