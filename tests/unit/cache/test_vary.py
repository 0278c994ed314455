"""Answers under one key are told apart by the request's values of the fields that Vary names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.vary import field_value, vary_key
from tests.heads import request_head

DIGEST = bytes(32)


def key(*fields: tuple[bytes, bytes], names: tuple[bytes, ...] = (b"accept-encoding", b"origin")) -> bytes:
    return vary_key(DIGEST, names, request_head(*fields))


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        (b"Origin", [b"https://a"], [b" https://a\t"]),
        (b"Origin", [b"a, b"], [b"a,b"]),
        (b"Origin", [b"a,b"], [b"a", b"b"]),  # RFC 9111 4.1: lines are joined
        (b"Accept-Encoding", [b"gzip, deflate"], [b"deflate,gzip"]),
        (b"Accept-Encoding", [b"gzip", b"br"], [b"BR;q=1.0, gzip"]),
        (b"Accept-Encoding", [b"gzip; q=0.5"], [b"GZIP;q=0.5,"]),
    ],
)
def test_what_means_the_same_has_one_key(name: bytes, one: list[bytes], other: list[bytes]) -> None:
    """RFC 9111 4.1: normalised in ways that change nothing."""
    assert key(*[(name, value) for value in one]) == key(*[(name.lower(), value) for value in other])


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        (b"Origin", [b"https://a"], [b"https://b"]),
        (b"Origin", [b"https://a"], [b"HTTPS://a"]),
        (b"Origin", [], [b""]),
        (b"Origin", [b"a, b"], [b"b, a"]),
        (b"Origin", [b'"a, b"'], [b'"a,b"']),  # within quotes a space counts
        (b"Accept-Encoding", [b"gzip"], [b"gzip;q=0"]),
        (b"Accept-Encoding", [b"gzip"], []),
        (b"Accept-Encoding", [b""], []),
        (b"Accept-Encoding", [b"gzip"], [b"gzip, br"]),
    ],
)
def test_what_differs_has_another_key(name: bytes, one: list[bytes], other: list[bytes]) -> None:
    """No value in one, and an empty one, are two things."""
    assert key(*[(name, value) for value in one]) != key(*[(name, value) for value in other])


def test_fields_that_are_not_named_do_not_count() -> None:
    """And the key is one of its own, for each key it stands under."""
    assert key((b"X", b"1")) == key((b"X", b"2"))
    assert key() != DIGEST and len(key()) == 32
    assert vary_key(b"\1" * 32, (b"origin",), request_head()) != key(names=(b"origin",))
    assert key(names=(b"origin",)) != key(names=(b"accept",))


def test_the_host_counts_where_it_is_named() -> None:
    """It is read apart from the other fields."""
    assert field_value(request_head(), b"host") == b"gateway.example"


def test_no_value_can_pass_for_another_field() -> None:
    """Every part has its length, so the end of one value cannot be moved into the next."""
    inner = b"\0\0\0\6origin"
    one = key((b"Accept", b"x" + inner + b"y"), (b"Origin", b"z"), names=(b"accept", b"origin"))
    assert one != key((b"Accept", b"x"), (b"Origin", b"y" + inner + b"z"), names=(b"accept", b"origin"))


VALUES = st.lists(st.text(alphabet="ab, ", max_size=4).map(str.encode), max_size=2)


@given(VALUES, VALUES, VALUES, VALUES)
def test_two_fields_do_not_run_together(
    a: list[bytes], b: list[bytes], c: list[bytes], d: list[bytes]
) -> None:
    """Equal keys if and only if both values are equal."""

    def fields(accepts: list[bytes], origins: list[bytes]) -> list[tuple[bytes, bytes]]:
        return [(b"Accept", value) for value in accepts] + [(b"Origin", value) for value in origins]

    def values(accepts: list[bytes], origins: list[bytes]) -> list[bytes | None]:
        head = request_head(*fields(accepts, origins))
        return [field_value(head, b"accept"), field_value(head, b"origin")]

    names = (b"accept", b"origin")
    same = key(*fields(a, b), names=names) == key(*fields(c, d), names=names)
    assert same is (values(a, b) == values(c, d))


@given(st.sampled_from([b"Accept-Encoding", b"Origin"]), st.binary(max_size=30))
def test_any_value_has_a_key(name: bytes, value: bytes) -> None:
    """Nothing raises."""
    assert len(key((name, value))) == 32
