"""What is said about two bodies: whether they share a key, and where they first differ."""

import json

import pytest
from hypothesis import given, settings

from gateway.cache.canonical import canonical_body
from gateway.cache.explain import Explanation, explain
from tests.unit.cache.reference import pairs_of_bodies

JSON = b"application/json"
IGNORE = frozenset(("user",))


def told(a: bytes, b: bytes, content_type: bytes = JSON) -> Explanation:
    return explain(a, b, content_type, IGNORE)


@settings(max_examples=500)
@given(pairs_of_bodies())
def test_it_says_what_the_key_says(bodies: tuple[bytes, bytes]) -> None:
    """Equal exactly when the digests are; else there is a first difference; all of it is short."""
    found = told(*bodies)
    digests = {canonical_body(body, JSON, IGNORE).digest for body in bodies}
    assert found.equal == (len(digests) == 1) == (found.difference is None)
    assert len(found.text("a", "b")) < 2000
    assert json.loads(json.dumps(found.data()))["equal"] is found.equal
    if found.difference is not None and found.a.form == found.b.form == "json":
        assert found.difference.a != found.difference.b or found.difference.where.startswith("$")


@pytest.mark.parametrize(
    ("a", "b", "where", "shown"),
    [
        (b'{"a":1}', b'{"a":2}', "$.a", ("1", "2")),
        (b'{"a":1}', b'{"a":true}', "$.a", ("1", "true")),
        (b'{"a":0}', b'{"a":false}', "$.a", ("0", "false")),
        (b'{"a":1}', b'{"a":"1"}', "$.a", ("1", '"1"')),
        (b'{"a":1}', b"{}", "$.a", ("1", None)),
        (b"{}", b'{"a":null}', "$.a", (None, "null")),
        (b'{"a":[1,2]}', b'{"a":[1]}', "$.a[1]", ("2", None)),
        (b'{"m":[{"c":"x"},{"c":"y"}]}', b'{"m":[{"c":"x"},{"c":"z"}]}', "$.m[1].c", ('"y"', '"z"')),
        (b'{"a-b":{"":1}}', b'{"a-b":{"":2}}', '$["a-b"][""]', ("1", "2")),
        (b'{"a":{"b":1}}', b'{"a":[1,2,3]}', "$.a", ("an object of 1", "a list of 3")),
        (b"[1]", b'{"a":1}', "$", ("a list of 1", "an object of 1")),
        (b'{"b":1,"a":1}', b'{"a":2,"b":2}', "$.b", ("1", "2")),
        (b'{"user":1,"a":1}', b'{"user":2,"a":2}', "$.a", ("1", "2")),
        (b'{"a":NaN}', b'{"a":NaN }', "byte 8", ('{"a":NaN}', '{"a":NaN }')),
        (b"", b"{}", "byte 0", (None, "{}")),
        (b'{"a":1,"a":2}', b'{"a":2}', "byte 5", ('{"a":1,"a":2}', '{"a":2}')),
    ],
)
def test_the_first_difference(a: bytes, b: bytes, where: str, shown: tuple[str | None, str | None]) -> None:
    """In the order of the first body, with what stands there on both sides."""
    found = told(a, b).difference
    assert found is not None
    assert (found.where, (found.a, found.b)) == (where, shown)


def test_long_texts_are_cut_around_the_difference() -> None:
    """Its surroundings are shown, not the beginning."""
    found = told(b'{"a":"%bX%b"}' % (b"x" * 500, b"y" * 500), b'{"a":"%bZ"}' % (b"x" * 500)).difference
    assert found is not None
    assert found.a == '…"' + "x" * 20 + "X" + "y" * 39 + '"…'
    assert found.b == '…"' + "x" * 20 + 'Z"'


def test_long_bodies_that_are_bytes_are_cut_likewise() -> None:
    """The byte that differs is in what is shown."""
    found = told(b"x" * 500 + b"X" + b"y" * 500, b"x" * 500 + b"Z", b"audio/wav").difference
    assert found is not None
    assert found.where == "byte 500"
    assert (found.a, found.b) == ("…" + "x" * 20 + "X" + "y" * 39 + "…", "…" + "x" * 20 + "Z")


def test_names_as_long_as_a_book_are_cut() -> None:
    """A path fits on a line."""
    found = told(b'{"%b":1}' % (b"n" * 5000), b"{}").difference
    assert found is not None
    assert len(found.where) < 100


def test_it_says_what_did_not_count_and_why() -> None:
    """Ignored members that are there, the reason for bytes, and that an answer is drawn by lot."""
    found = told(b'{"user":1,"temperature":1}', b'{"temperature":1}')
    assert found.equal
    assert found.text("A", "B").splitlines() == [
        "the same key",
        "A: does not count: user",
        "A: its answer is drawn by lot: temperature or n, and no seed",
        "B: its answer is drawn by lot: temperature or n, and no seed",
    ]
    twice = told(b'{"x":{"\\u0061":1,"a":2}}', b'{"x":{"a":2}}')
    assert 'A: is compared byte by byte: the member "a" stands twice' in twice.text("A", "B")
    assert told(b'{"a":"\xff"}', b"{}").a.why == "not UTF-8"


def test_forms_differ_by_part() -> None:
    """Boundaries cannot differ here, the Content-Type being one."""
    content_type = b"multipart/form-data; boundary=x"
    one, two, three = b"--x\r\na\r\n--x--", b"--x\r\nb\r\n--x--", b"--x\r\na\r\n--x\r\n\x01\r\n--x--"
    found = told(one, two, content_type).difference
    assert found is not None
    assert (found.where, found.a, found.b) == ("part 1, byte 2", "\\r\\na", "\\r\\nb")
    more = told(one, three, content_type).difference
    assert more is not None
    assert more.where == "part 2, byte 0"
    assert told(one, one, content_type).equal


def test_bytes_that_are_no_text_can_be_shown() -> None:
    """Whatever the terminal makes of them."""
    found = told(b"RIFF\x00\x1b[0m\xff", b"RIFF\x00\x1b[1m\xff", b"audio/wav").difference
    assert found is not None
    assert found.where == "byte 7"
    assert found.a is not None
    assert found.a.isprintable()
    assert "\\xff" in found.a


def test_the_deepest_bodies_can_be_compared() -> None:
    """As deep as JSON is read."""
    found = told(b"[" * 255 + b"1" + b"]" * 255, b"[" * 255 + b"2" + b"]" * 255).difference
    assert found is not None
    assert found.where == "$" + "[0]" * 255
