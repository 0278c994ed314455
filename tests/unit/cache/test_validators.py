"""A client that holds the answer gets 304; a backend that says 304 makes the entry fresh again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.cache.entry import Entry
from gateway.cache.rules import CacheRule, judge
from gateway.cache.traits import traits_of
from gateway.cache.validators import (
    conditional_lines,
    confirms,
    merged,
    not_modified,
    not_modified_fields,
    refreshed,
    without_conditionals,
)
from gateway.cache.wishes import wishes_of
from tests.heads import NOW, NOW_DATE, parts_from, request_head, response_head

EARLIER = b"Tue, 24 Nov 2026 08:59:30 GMT"
LATER = b"Tue, 24 Nov 2026 09:01:00 GMT"
DATE_LINE = b"Date: " + LATER + b"\r\n"


def kept(etag: bytes = b"", last_modified: bytes = b"", status: int = 200, fields: bytes = b"") -> Entry:
    return Entry(
        status=status, fields=fields, body=b"x", stored_at=NOW, age_s=5.0, fresh_s=60.0, stale_while_s=0.0,
        stale_if_error_s=0.0, cost_s=1.0, route="r", pool="p", model="m", backend="b", etag=etag,
        last_modified=last_modified,
    )  # fmt: skip


def unchanged(entry: Entry, *fields: tuple[bytes, bytes], method: str = "GET") -> bool:
    return not_modified(wishes_of(request_head(*fields, method=method)), entry, NOW)


@pytest.mark.parametrize(
    ("asked", "etag", "expected"),
    [
        (b'"a"', b'"a"', True),
        (b'"b"', b'"a"', False),
        (b'W/"a"', b'"a"', True),  # 8.8.3.2: the weak comparison
        (b'"a"', b'W/"a"', True),
        (b'"A"', b'"a"', False),
        (b'"b", "a"', b'"a"', True),
        (b' ,, W/"b" ,"a",', b'"a"', True),
        (b'"b, "a"', b'"a"', False),  # nobody knows what this means
        (b'"x,y", "a"', b'"a"', True),  # a comma within a tag
        (b'"x,"', b'"x,"', True),
        (b"a", b'"a"', False),
        (b"*", b'"a"', True),
        (b" * ", b"", True),
        (b'*, "b"', b'"a"', False),
        (b'"a"', b"", False),
        (b"", b'"a"', False),
        (b'""', b'""', True),
    ],
)
def test_if_none_match(asked: bytes, etag: bytes, expected: bool) -> None:
    """RFC 9110 13.1.2, RFC 9111 4.3.2."""
    assert unchanged(kept(etag), (b"If-None-Match", asked)) is expected


def test_if_none_match_over_several_lines() -> None:
    """RFC 9110 5.3."""
    assert unchanged(kept(b'"a"'), (b"If-None-Match", b'"b"'), (b"if-none-match", b'"a"'))


@pytest.mark.parametrize(
    ("since", "modified", "expected"),
    [
        (NOW_DATE, NOW_DATE, True),
        (LATER, NOW_DATE, True),
        (EARLIER, NOW_DATE, False),
        (b"Tuesday, 24-Nov-26 09:00:00 GMT", NOW_DATE, True),
        (b"yesterday", NOW_DATE, False),  # RFC 9110 13.1.3: ignored
        (NOW_DATE, b"", True),  # it was here by then
        (EARLIER, b"", False),
    ],
)
def test_if_modified_since(since: bytes, modified: bytes, expected: bool) -> None:
    """RFC 9110 13.1.3, RFC 9111 4.3.2."""
    assert unchanged(kept(last_modified=modified), (b"If-Modified-Since", since)) is expected


def test_if_none_match_decides_where_both_stand() -> None:
    """RFC 9110 13.2.2."""
    entry = kept(b'"a"', NOW_DATE)
    assert not unchanged(entry, (b"If-None-Match", b'"b"'), (b"If-Modified-Since", LATER))


@pytest.mark.parametrize(("method", "status"), [("POST", 200), ("GET", 404)])
def test_conditions_are_for_reads_that_succeed(method: str, status: int) -> None:
    """RFC 9110 13.2.1."""
    entry = kept(b'"a"', NOW_DATE, status=status)
    assert not unchanged(entry, (b"If-Modified-Since", LATER), method=method)
    assert not unchanged(entry, (b"X", b"y"))


def test_a_304_carries_what_guides_caches() -> None:
    """RFC 9110 15.4.5; Last-Modified only in want of an ETag."""
    named = [(b"Content-Location", b"/x"), (b"Date", NOW_DATE), (b"Vary", b"Accept"), (b"Expires", LATER)]
    modified = (b"Last-Modified", EARLIER)
    fields = b"".join(parts_from((b"Content-Type", b"a/b"), *named, modified, (b"X", b"y")))
    assert not_modified_fields(kept(b'"a"', fields=fields)) == b"".join(parts_from(*named))
    assert not_modified_fields(kept(fields=fields)) == b"".join(parts_from(*named, modified))


def test_the_backend_is_asked_by_every_validator_there_is() -> None:
    """RFC 9111 4.3.1."""
    assert conditional_lines(kept()) == b""
    assert conditional_lines(kept(b'W/"a"', NOW_DATE)) == (
        b'If-None-Match: W/"a"\r\nIf-Modified-Since: ' + NOW_DATE + b"\r\n"
    )


def test_what_can_be_asked_about_is_kept_for_that() -> None:
    """`keep_s` counts as the stale windows do: the longest of them."""
    times = {"stored_at": 100.0, "age_s": 5.0, "fresh_s": 60.0}
    for windows in ({"keep_s": 9.0}, {"keep_s": 1.0, "stale_while_s": 9.0}, {"stale_if_error_s": 9.0}):
        assert replace(kept(), **times, **windows).expires_at == 164.0


def test_the_client_s_conditions_do_not_reach_the_backend() -> None:
    """What comes back shall be whole."""
    parts = parts_from(
        (b"A", b"1"), (b"IF-NONE-MATCH", b'"a"'), (b"if-modified-since", NOW_DATE), (b"B", b"2")
    )
    assert without_conditionals(parts) == parts_from((b"A", b"1"), (b"B", b"2"))


@pytest.mark.parametrize(
    ("entry", "fields", "expected"),
    [
        (kept(b'"a"'), [(b"ETag", b'"a"')], True),
        (kept(b'"a"'), [(b"ETag", b'W/"a"')], True),
        (kept(b'"a"'), [(b"ETag", b'"b"')], False),
        (kept(), [(b"ETag", b'"b"')], False),
        (kept(b'"a"'), [(b"ETag", b'"a"'), (b"ETag", b'"b"')], False),
        (kept(b'"a"'), [], True),
        (kept(b"", NOW_DATE), [(b"Last-Modified", NOW_DATE)], True),
        (kept(b"", NOW_DATE), [(b"Last-Modified", LATER)], False),
        (kept(b'"a"'), [(b"Last-Modified", LATER)], True),
    ],
)
def test_a_304_is_about_the_entry_with_its_validator(
    entry: Entry, fields: list[tuple[bytes, bytes]], expected: bool
) -> None:
    """RFC 9111 4.3.4: one that names another validator is about another answer."""
    assert confirms(entry, response_head(*fields, status=304)) is expected


def anew(entry: Entry, *fields: tuple[bytes, bytes]) -> Entry:
    head = merged(entry, response_head(*fields, status=304))
    assert head.status == entry.status and head.fields == b"".join(head.parts)
    request, traits = request_head(), traits_of(head, NOW + 60)
    verdict = judge(CacheRule(100.0), request, wishes_of(request), traits, NOW + 60, 0.0)
    assert verdict.store
    return refreshed(entry, head, traits, verdict, DATE_LINE, NOW + 60)


OLD = kept(
    b'"a"',
    fields=b"".join(
        parts_from(
            (b"Date", NOW_DATE), (b"Content-Type", b"a/b"), (b"Cache-Control", b"max-age=60"), (b"X", b"1"),
            (b"X", b"2"), (b"ETag", b'"a"'),
        )
    ),
)  # fmt: skip


def test_a_304_makes_the_entry_fresh_again() -> None:
    """RFC 9111 3.2 and 4.3.4: what it does not name stays, freshness starts over."""
    entry = anew(OLD, (b"Date", LATER))
    assert (entry.stored_at, entry.age_s, entry.fresh_s) == (NOW + 60, 0.0, 60.0)
    assert entry.body == OLD.body and entry.etag == b'"a"' and entry.cost_s == OLD.cost_s
    assert entry.fields == (
        b'Content-Type: a/b\r\nCache-Control: max-age=60\r\nX: 1\r\nX: 2\r\nETag: "a"\r\n' + DATE_LINE
    )


def test_a_304_without_a_date_came_now() -> None:
    """The old Date would leave it as old as it was."""
    entry = anew(OLD)
    assert entry.age_s == 0.0
    assert entry.fields.endswith(DATE_LINE) and NOW_DATE not in entry.fields


def test_a_304_replaces_the_fields_it_names() -> None:
    """RFC 9111 3.2: all lines of them, and counts them: Age too, which is not kept."""
    entry = anew(OLD, (b"x", b"3"), (b"Cache-Control", b"max-age=9"), (b"Age", b"4"), (b"ETag", b'W/"a"'))
    assert entry.fields == (
        b'Content-Type: a/b\r\nx: 3\r\nCache-Control: max-age=9\r\nETag: W/"a"\r\n' + DATE_LINE
    )
    assert (entry.fresh_s, entry.age_s, entry.etag) == (9.0, 4.0, b'W/"a"')


def test_what_a_304_cannot_change_stays() -> None:
    """RFC 9111 3.2: what describes the body, which is the old one; nor does it bring personal fields."""
    entry = anew(OLD, (b"Content-Type", b"x/y"), (b"Content-Encoding", b"gzip"), (b"X-Request-Id", b"7"))
    assert b"Content-Type: a/b\r\n" in entry.fields
    assert b"gzip" not in entry.fields and b"X-Request-Id" not in entry.fields


@pytest.mark.parametrize("field", [(b"Cache-Control", b"no-store"), (b"Set-Cookie", b"a=b")])
def test_a_304_can_forbid_keeping_it(field: tuple[bytes, bytes]) -> None:
    """Its fields are judged as if they came with the answer."""
    traits = traits_of(merged(OLD, response_head(field, status=304)), NOW)
    assert traits.refusal != ""


@given(st.binary(max_size=40), st.binary(max_size=10), st.binary(max_size=40))
def test_any_condition_is_read(match: bytes, etag: bytes, since: bytes) -> None:
    """Nothing raises, and nothing matches a tag that is not in it."""
    assert not unchanged(
        kept(b'"%b!"' % etag), (b"If-None-Match", match.replace(b"!", b"").replace(b"*", b""))
    )
    unchanged(kept(etag, since), (b"If-Modified-Since", since))
