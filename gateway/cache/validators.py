"""Is what the client, or the cache, holds still what the backend would give? Conditional requests, both ways.

Towards the client: a kept answer may be told with 304. Towards the backend: an expired entry is asked about
by its validator, and a 304 makes it fresh again.
"""

import re

import msgspec

from gateway.cache.dates import parse_date
from gateway.cache.entry import Entry
from gateway.cache.lines import only, parts_of, stored_fields, values_of, without
from gateway.cache.rules import Verdict
from gateway.cache.traits import Traits
from gateway.cache.wishes import Wishes
from gateway.messages import ResponseHead

#: What a 304 carries of the answer it stands for (RFC 9110 15.4.5).
_OF_304 = frozenset((b"cache-control", b"content-location", b"date", b"etag", b"expires", b"vary"))
_OF_304_WITHOUT_ETAG = _OF_304 | {b"last-modified"}
_CONDITIONS = frozenset((b"if-none-match", b"if-modified-since"))
# What of a 304 says nothing about the answer that is kept (RFC 9111 3.2).
_NOT_UPDATED = frozenset((b"content-encoding", b"content-length", b"content-range", b"content-type"))
# One member of If-None-Match. White space and commas around members, empty ones too, mean nothing.
_MEMBER = re.compile(rb'[ \t,]*((?:W/)?"[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?=,|\Z)')


def not_modified(wishes: Wishes, entry: Entry, now: float) -> bool:
    """Whether a client with these conditions gets 304 in place of `entry` (RFC 9111 4.3.2)."""
    if not wishes.conditional or not 200 <= entry.status < 300:
        return False
    if wishes.if_none_match:
        return _matches(wishes.if_none_match, entry.etag)
    since = parse_date(wishes.if_modified_since, now)
    if since is None:
        return False
    modified = parse_date(entry.last_modified, now) if entry.last_modified else None
    # Without a date of its own it is as old as the cache knows it to be, at least.
    return (modified if modified is not None else entry.stored_at) <= since


def not_modified_fields(entry: Entry) -> bytes:
    """The lines of the 304 that stands for `entry`; Age and what the gateway adds come on top."""
    return only(parts_of(entry.fields), _OF_304 if entry.etag else _OF_304_WITHOUT_ETAG)


def conditional_lines(entry: Entry) -> bytes:
    """The lines that ask the backend whether `entry` still holds; empty when it has no validator."""
    lines = b""
    if entry.etag:
        lines += b"If-None-Match: %b\r\n" % entry.etag
    if entry.last_modified:
        lines += b"If-Modified-Since: %b\r\n" % entry.last_modified
    return lines


def without_conditionals(parts: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """A request's `parts` less the client's own conditions: what comes back shall be whole, to be kept.

    The client's conditions are then judged here, by `not_modified`.
    """
    return without(parts, _CONDITIONS)


def confirms(entry: Entry, response: ResponseHead) -> bool:
    """Whether a 304 means `entry` (RFC 9111 4.3.4): it names the same validator, or none.

    If not, the entry is to be deleted, and the request sent again without a condition.
    """
    etags = values_of(response.parts, b"etag")
    if etags:
        return len(etags) == 1 and _opaque(etags[0]) == _opaque(entry.etag)
    dates = values_of(response.parts, b"last-modified")
    return not dates or not entry.last_modified or dates == [entry.last_modified]


def merged(entry: Entry, response: ResponseHead) -> ResponseHead:
    """The head that `entry` has after the 304 `response` (RFC 9111 3.2), to be judged as if just received."""
    news: list[bytes] = []
    named: set[bytes] = set()
    for index in range(0, len(response.parts), 4):
        name = response.parts[index].lower()
        # Personal fields too: Age and Set-Cookie count for the judging, and none of them is stored.
        if name not in _NOT_UPDATED:
            named.add(name)
            news += response.parts[index : index + 4]
    if b"date" not in named:
        named.add(b"date")  # the old one would make the answer as old as it was
    head = ResponseHead()
    head.status = entry.status
    head.parts = without(parts_of(entry.fields), named) + tuple(news)
    head.fields = b"".join(head.parts)
    head.has_date = bool(values_of(head.parts, b"date"))
    return head


def refreshed(
    entry: Entry, head: ResponseHead, traits: Traits, verdict: Verdict, date_line: bytes, now: float
) -> Entry:
    """`entry` as it is kept after a 304, for the head that `merged` made of it, its traits and verdict.

    Only for a verdict that says `store`; with another one the entry is deleted, having answered once more.
    """
    return msgspec.structs.replace(
        entry,
        fields=stored_fields(head, traits, date_line),
        stored_at=now,
        age_s=verdict.age_s,
        fresh_s=verdict.fresh_s,
        stale_while_s=verdict.stale_while_s,
        stale_if_error_s=verdict.stale_if_error_s,
        keep_s=verdict.keep_s,
        etag=traits.etag,
        last_modified=traits.last_modified,
    )


def _matches(lines: tuple[bytes, ...], etag: bytes) -> bool:
    """Whether an If-None-Match names `etag`, by weak comparison (RFC 9110 8.8.3.2), or is `*`."""
    if len(lines) == 1 and lines[0].strip(b" \t") == b"*":
        return True
    if not etag:
        return False
    wanted = _opaque(etag)
    for line in lines:
        at = 0
        while (member := _MEMBER.match(line, at)) is not None:
            if _opaque(member[1]) == wanted:
                return True
            at = member.end()
    return False


def _opaque(etag: bytes) -> bytes:
    return etag.removeprefix(b"W/")
