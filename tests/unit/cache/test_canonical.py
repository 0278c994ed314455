"""Bodies that ask for the same have the same digest, and no others have."""

import json
from hashlib import sha256

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.cache.canonical import MAX_DEPTH, Canonicaliser, canonical_body
from gateway.cache.media import read_media
from tests.unit.cache.reference import meaning, pairs_of_bodies

NONE: frozenset[str] = frozenset()
IGNORE = frozenset(("user", "stream_options"))
JSON = b"application/json"


def digest(body: bytes, ignore: frozenset[str] = NONE, content_type: bytes = JSON) -> bytes:
    return canonical_body(body, content_type, ignore).digest


@settings(max_examples=1500)
@given(pairs_of_bodies(), st.sampled_from([NONE, IGNORE, frozenset(("a", "é", ":"))]))
@example((b'{"a":1,"a":2}', b'{"a":2}'), NONE)
@example(
    (b'{"a":1e7,"":1,"":1}', b'{"a":10000000,"":1}'), NONE
)  # what the number gains the lost member loses
@example((b'{"a":[%b1e7],"":1,"":1}' % (b"0.5," * 8), b'{"a":[%b1e7],"":1}' % (b"0.5," * 8)), NONE)
@example((b"[1e20,9223372036854774784.0]", b"[100000000000000000000,9223372036854774784]"), NONE)
@example((b"[9223372036854774784.0]", b"[9223372036854774784]"), NONE)
@example((b"[9223372036854775808.0]", b"[9223372036854775808]"), NONE)
@example((b'{"a":0.0,"":1,"":1}', b'{"a":0,"":1}'), NONE)
@example((b'{"a":0.5e1,"a":5}', b'{"a":5}'), NONE)
@example((b'{"a":[' + b"0.10," * 9 + b'1],"b":1,"b":1}', b'{"a":[' + b"0.1," * 9 + b'1],"b":1}'), NONE)
@example((b'{"a":1,"a":":"}', b'{"a":"\\u003a"}'), NONE)
@example((b'{"\\u003a":"\\u003A"}', b'{":":":"}'), NONE)
@example((b'{"a":"\\\\u003a"}', b'{"a":"\\\\:"}'), NONE)
@example((b'{"a":"\\\\\\u003a","a":1}', b'{"a":1}'), NONE)
@example((b'{"user":1,"user":2,"a":1}', b'{"a":1}'), IGNORE)
@example((b'{"user":1}', b"{}"), IGNORE)
@example((b"{}", b"[]"), NONE)
@example((b"[" * 256 + b"]" * 256, b" " + b"[" * 256 + b"]" * 256), NONE)
@example((b"[" * 257 + b"]" * 257, b" " + b"[" * 257 + b"]" * 257), NONE)
@example((b"9" * 4300, b" " + b"9" * 4300), NONE)
@example((b"9" * 4301, b" " + b"9" * 4301), NONE)
def test_equal_digests_if_and_only_if_the_reference_says_equal(
    bodies: tuple[bytes, bytes], ignore: frozenset[str]
) -> None:
    """In whatever spelling, and whatever differs; both are read by one canonicaliser, so nothing stays."""
    reader = Canonicaliser(ignore)
    digests = [reader.read(body, read_media(JSON)).digest for body in bodies]
    assert (digests[0] == digests[1]) == (meaning(bodies[0], ignore) == meaning(bodies[1], ignore))


@settings(max_examples=300)
@given(pairs_of_bodies())
@example((b'{"a":1.0000}', b'{"":1,"":1}'))  # nothing of one body is left when the next is read
def test_the_form_is_json_exactly_where_the_reference_has_no_doubt(bodies: tuple[bytes, bytes]) -> None:
    """And only bodies that are compared byte by byte say why."""
    reader = Canonicaliser(NONE)
    for body in filter(None, bodies):
        read = reader.read(body, read_media(JSON))
        assert (read.form == "json") == isinstance(meaning(body, NONE), tuple)
        assert (read.form == "raw") == bool(read.why)


def test_the_same_in_other_spellings() -> None:
    """Order, white space, escapes and numbers make no difference, at any depth."""
    one = b'{"model":"m","messages":[{"role":"user","content":"h\xc3\xa9\\n"}],"max_tokens":16,"t":0}'
    two = b""" { "t": -0.0, "max_tokens": 1.6e1, "messages": [ {"content": "h\\u00e9\\u000a",
        "role": "user"} ], "model": "m" }"""
    assert digest(one) == digest(two)


@pytest.mark.parametrize(
    "other", [b'{"a":true}', b'{"a":"1"}', b'{"a":[1]}', b'{"a":1,"b":null}', b'{"A":1}', b'[{"a":1}]', b"{}"]
)
def test_what_is_not_the_same(other: bytes) -> None:
    """1 is neither true nor "1"; a member that is null is not an absent one."""
    assert digest(b'{"a":1}') != digest(other)


def test_only_members_of_the_top_are_ignored() -> None:
    """What is ignored makes no difference there, and counts further down; all others count."""
    bare, told = b'{"a":{"user":1}}', b'{"stream_options":{"x":[":"]},"a":{"user":1},"user":"me"}'
    assert digest(bare, IGNORE) == digest(told, IGNORE)
    assert digest(bare) != digest(told)
    assert digest(bare, IGNORE) != digest(b'{"a":{"user":2}}', IGNORE)
    assert digest(b'{"user":1}', IGNORE) == digest(b"{}", IGNORE)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":1}',
        b'{"x":{"a":1,"\\u0061":1}}',
        b'{"a":NaN}',
        b'{"a":1e400}',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b"\xef\xbb\xbf{}",
        b"{",
        b'{"a":1}}',
        b"[" * 257 + b"]" * 257,
        b"[" * 100_000,
        b"9" * 5000,
    ],
)
def test_doubtful_json_is_compared_byte_by_byte(body: bytes) -> None:
    """It says why without quoting the body, and a space more is another body."""
    read = canonical_body(body, JSON, IGNORE)
    assert read.form == "raw"
    assert read.why
    assert len(read.why) < 100
    assert digest(body, IGNORE) == read.digest != digest(body + b" ", IGNORE)


def test_a_deep_body_is_json_up_to_the_bound() -> None:
    """Levels are counted in objects and lists alike, and not in strings."""
    at = b'{"a":[' * (MAX_DEPTH // 2) + b"]}" * (MAX_DEPTH // 2)
    assert canonical_body(at, JSON, NONE).form == "json"
    assert canonical_body(b"[" + at + b"]", JSON, NONE).form == "raw"
    assert canonical_body(b'{"a":"' + b"[" * 1000 + b'"}', JSON, NONE).form == "json"
    assert canonical_body(b"[" + b"[]," * 1000 + b"[]]", JSON, NONE).form == "json"


def test_a_body_without_a_type_is_json_when_it_begins_so() -> None:
    """Of any other type, bodies count byte by byte however they look."""
    spaced = b'{"a": 1}'
    assert canonical_body(spaced, b"", NONE).digest == digest(b'{"a":1}', NONE, b"")
    assert canonical_body(b" " + spaced, b"", NONE).form == "raw"
    for other in (b"text/plain", b"application/x-www-form-urlencoded", b"audio/wav", b"application/jsonl"):
        assert canonical_body(spaced, other, NONE).form == "raw"
        assert digest(spaced, NONE, other) != digest(b'{"a":1}', NONE, other)
    assert canonical_body(spaced, b"application/vnd.api+json; charset=UTF-8", NONE).form == "json"
    assert canonical_body(spaced, b"application/json; charset=latin-1", NONE).form == "raw"


def test_forms_never_share_a_digest() -> None:
    """Not even where the bytes that are digested would be the same."""
    body = b'{"a":1}'
    assert digest(body) != digest(body, NONE, b"text/plain")
    assert canonical_body(b"", JSON, NONE).form == "empty"
    assert len({digest(b""), digest(b"null"), digest(b"{}"), digest(b"[]"), digest(b'""')}) == 5
    assert digest(b'{"a":1}') != digest(b"j" + b'{"a":1}', NONE, b"text/plain")


def test_large_bodies_are_read_too() -> None:
    """There is no size from which on spelling counts."""
    large = {
        "messages": [{"role": "user", "content": "word: " * 50}] * 1000,
        "data": "A" * 2_000_000,
        "x": 0.5,
    }
    compact = json.dumps(large, separators=(",", ":")).encode()
    assert digest(compact) == digest(json.dumps(large, indent=1, sort_keys=True).encode())
    assert digest(compact) != digest(compact.replace(b"0.5", b"0.6"))


def test_a_digest_is_made_for_good() -> None:
    """Stores outlive the process: what this digest is must not change without a new version in the key."""
    assert digest(b'{"b":[1.0,true],"a":"\xc3\xa9"}').hex() == (
        sha256(b'j{"a":"\xc3\xa9","b":[1,true]}').hexdigest()
    )


def test_a_repr_shows_no_body() -> None:
    """It is for log lines."""
    assert "secret" not in repr(canonical_body(b'{"a":"secret"}', JSON, NONE))
