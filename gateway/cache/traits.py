"""What does an answer's head say about keeping the answer? Read once per head: a function of its bytes alone.

The rules are those for a shared cache (RFC 9111). Where a head contradicts itself or cannot be read, the
reading counts that stores and serves less.
"""

import re
from typing import Final

from gateway.cache.dates import parse_date
from gateway.cache.directives import BROKEN, Directives, names_in, parse_age, parse_directives, parse_seconds
from gateway.http.headers import list_tokens, valid_token
from gateway.messages import ResponseHead

#: Statuses whose meaning for a cache is known: whole answers, and errors that the request itself explains.
POSITIVE: Final = frozenset((200, 203, 204))
NEGATIVE: Final = frozenset((400, 404, 405, 410, 413, 414, 415, 422, 501))
UNDERSTOOD: Final = POSITIVE | NEGATIVE
#: Most request fields by which answers may differ; beyond that they differ by everything.
MOST_VARY = 16

_TELLING = frozenset(
    (
        b"age", b"cache-control", b"content-encoding", b"content-range", b"etag", b"expires",
        b"last-modified", b"set-cookie", b"set-cookie2", b"vary",
    )
)  # fmt: skip
# What the backend reads in these fields is written by the gateway, anew for each request: nobody could tell
# by the client's request which answer is meant.
_WRITTEN_HERE = frozenset(
    (
        b"*", b"connection", b"content-length", b"expect", b"forwarded", b"keep-alive",
        b"proxy-authorization", b"te", b"trailer", b"traceparent", b"tracestate",
        b"transfer-encoding", b"upgrade", b"via", b"x-forwarded-for", b"x-forwarded-host",
        b"x-forwarded-proto", b"x-gateway-timeout", b"x-real-ip", b"x-request-id",
    )
)  # fmt: skip
_ETAG = re.compile(rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_FORBID_STALE = frozenset((b"must-revalidate", b"proxy-revalidate", b"s-maxage"))


class Traits:
    """What one head says; shared by all answers with that head, never changed once made.

    `refusal` is why it may not be stored whatever the rule says, "" when nothing forbids it. Seconds are -1,
    and moments None, where the head says nothing.
    """

    # No slots: what is left at its default costs nothing to make.
    status: int = 200
    refusal: str = ""
    no_cache: bool = False  # may be stored, but not given without asking the backend
    unbuffered: bool = False  # and that is said of an event stream, and nothing else: see `_is_idiom`
    lifetime_s: int = -1  # by s-maxage or max-age; 0 also where they cannot be read
    expires_at: float | None = None
    date_at: float | None = None
    age_s: int = 0
    authorized: bool = False  # may answer others than whose credential it was asked with (RFC 9111 3.5)
    no_stale: bool = False
    stale_while_s: int = -1
    stale_if_error_s: int = -1
    vary: tuple[bytes, ...] = ()  # lower-case names of request fields, sorted
    etag: bytes = b""
    last_modified: bytes = b""
    held_back: frozenset[bytes] = frozenset()  # lower-case names of its own fields, not to be kept

    def __repr__(self) -> str:
        return f"<Traits {self.status} {self.refusal or 'storable'}, lifetime {self.lifetime_s} s>"

    @property
    def has_validator(self) -> bool:
        return bool(self.etag or self.last_modified)


#: Of a 200 that says nothing about caching, as most do.
PLAIN: Final = Traits()


def traits_of(response: ResponseHead, now: float) -> Traits:
    """What `response` says; `now` (wall clock, s) only tells the century of a date with a two-digit year."""
    parts = response.parts
    date = b""
    told: dict[bytes, list[bytes]] | None = None
    for index in range(0, len(parts), 4):
        name = parts[index].lower()
        if name in _TELLING:
            if told is None:
                told = {}
            told.setdefault(name, []).append(parts[index + 2])
        elif name == b"date" and not date:
            date = parts[index + 2]
    if told is None and response.status == 200:
        return PLAIN
    traits = Traits()
    traits.status = response.status
    if told is not None:
        traits.date_at = parse_date(date, now) if date else None
        _read(traits, told, now)
        if traits.no_cache:
            traits.unbuffered = _is_idiom(parts, told)
    return traits


def _is_idiom(parts: tuple[bytes, ...], told: dict[bytes, list[bytes]]) -> bool:
    """Whether it is what servers write to every event stream, that proxies may not hold it back.

    `Cache-Control: no-cache` (and `no-transform`) stands in every tutorial on event streams, and model
    servers send it with each; it says nothing of the answer. Beside any other word it means what it says.
    """
    names = {name for name, _ in parse_directives(told.get(b"cache-control", []))}
    if not names <= {b"no-cache", b"no-transform"}:
        return False
    types = [parts[i + 2] for i in range(0, len(parts), 4) if parts[i].lower() == b"content-type"]
    return len(types) == 1 and types[0].lower().startswith(b"text/event-stream")


def forbids_stale(cache_control: list[bytes]) -> bool:
    """Whether an answer with these Cache-Control values is never given stale (RFC 9111 4.2.4)."""
    return _forbids_stale(parse_directives(cache_control))


def _forbids_stale(directives: Directives) -> bool:
    for name, argument in directives:
        if name in _FORBID_STALE or (name == b"no-cache" and not _listed(argument)):
            return True
    return False


def _listed(argument: bytes | None) -> list[bytes]:
    """The fields that a qualified no-cache is about; none where it is about the whole answer."""
    return names_in(argument) if argument is not None and argument != BROKEN else []


def _read(traits: Traits, told: dict[bytes, list[bytes]], now: float) -> None:
    if b"content-range" in told:
        traits.refusal = "partial"
    elif b"set-cookie" in told or b"set-cookie2" in told:
        traits.refusal = "set_cookie"
    traits.age_s = parse_age(told.get(b"age", []))
    _read_expires(traits, told.get(b"expires", []), now)
    _read_vary(traits, told)
    _read_validators(traits, told, now)
    lines = told.get(b"cache-control")
    if lines is not None:
        _read_directives(traits, parse_directives(lines))


def _read_expires(traits: Traits, lines: list[bytes], now: float) -> None:
    if lines:
        # RFC 9111 5.3 and 4.2.1: what is no date, or said twice, has expired.
        at = parse_date(lines[0], now) if len(lines) == 1 else None
        traits.expires_at = at if at is not None else 0.0


def _read_vary(traits: Traits, told: dict[bytes, list[bytes]]) -> None:
    names = list_tokens(told.get(b"vary", []))
    if b"content-encoding" in told and list_tokens(told[b"content-encoding"]) - {b"identity"}:
        names.add(b"accept-encoding")  # a backend that forgot to say so
    if len(names) > MOST_VARY or names & _WRITTEN_HERE or not all(valid_token(name) for name in names):
        traits.refusal = traits.refusal or "vary"
    traits.vary = tuple(sorted(names))


def _read_validators(traits: Traits, told: dict[bytes, list[bytes]], now: float) -> None:
    etags = told.get(b"etag", [])
    if len(etags) == 1 and _ETAG.fullmatch(etags[0]) is not None:
        traits.etag = etags[0]
    dates = told.get(b"last-modified", [])
    if len(dates) == 1 and parse_date(dates[0], now) is not None:
        traits.last_modified = dates[0]


def _read_directives(traits: Traits, directives: Directives) -> None:
    names = {name for name, _ in directives}
    refusal = traits.refusal
    # RFC 9111 5.2.2.3: who understands the status may overlook the no-store beside must-understand.
    if b"no-store" in names and not (b"must-understand" in names and traits.status in UNDERSTOOD):
        refusal = refusal or "no_store"
    # Its qualified form too: that the rest of the answer is for everybody is nothing to rely on.
    if b"private" in names:
        refusal = refusal or "private"
    if b"must-understand" in names and traits.status not in UNDERSTOOD:
        refusal = refusal or "status"
    traits.refusal = refusal
    traits.no_stale = _forbids_stale(directives)
    traits.authorized = bool(names & {b"public", b"s-maxage", b"must-revalidate"})
    traits.lifetime_s = _lifetime_s(directives, names)
    traits.stale_while_s = _window_s(directives, b"stale-while-revalidate")
    traits.stale_if_error_s = _window_s(directives, b"stale-if-error")
    held_back: list[bytes] = []
    for name, argument in directives:
        if name == b"no-cache":
            listed = _listed(argument)
            held_back += listed
            traits.no_cache = traits.no_cache or not listed
    traits.held_back = frozenset(held_back)


def _lifetime_s(directives: Directives, names: set[bytes]) -> int:
    """By s-maxage, else max-age; the shortest of several, 0 where one, or any directive, cannot be read."""
    decisive = b"s-maxage" if b"s-maxage" in names else b"max-age"
    if any(argument == BROKEN for _, argument in directives):
        return 0
    found = [parse_seconds(argument) for name, argument in directives if name == decisive]
    return max(0, min(found)) if found else -1


def _window_s(directives: Directives, wanted: bytes) -> int:
    """Seconds of a stale-… directive: the shortest of several, 0 where one cannot be read, -1 for none."""
    found = [parse_seconds(argument) for name, argument in directives if name == wanted]
    return max(0, min(found)) if found else -1
