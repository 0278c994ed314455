"""What does a request's head ask of the cache? Read once per head: a function of its bytes alone."""

from typing import Final

from gateway.cache.directives import MOST_S, parse_directives, parse_seconds
from gateway.messages import RequestHead

_TELLING = frozenset(
    (
        b"cache-control", b"pragma", b"range", b"if-match", b"if-none-match", b"if-modified-since",
        b"if-range", b"if-unmodified-since", b"origin",
    )
)  # fmt: skip
# Model servers take an API key under each of these names.
_CREDENTIALS = frozenset((b"authorization", b"x-api-key", b"api-key"))
_READS = frozenset(("GET", "HEAD"))


class Wishes:
    """What one head asks for; shared by all requests with that head, never changed once made.

    Seconds are -1 where nothing is asked. `obstacle` is why the cache has no part in such a request: a
    member of `rules.BYPASS_REASONS`, or "".
    """

    # No slots: what is left at its default costs nothing to make.
    obstacle: str = ""
    authorized: bool = False  # it carries a credential
    # A web page asks. Model servers' frameworks add CORS fields for it alone, and no Vary, so its answers
    # must be told apart whatever they say: by `vary_key(digest, (b"origin",), head)`.
    has_origin: bool = False
    no_store: bool = False
    no_cache: bool = False
    only_if_cached: bool = False
    max_age_s: int = -1
    min_fresh_s: int = -1
    max_stale_s: int = -1  # MOST_S: however stale
    stale_if_error_s: int = -1
    conditional: bool = False  # `if_none_match` or `if_modified_since` is set; for GET and HEAD only
    if_none_match: tuple[bytes, ...] = ()
    if_modified_since: bytes = b""

    def __repr__(self) -> str:
        said = "no-cache " * self.no_cache + "no-store " * self.no_store + "conditional " * self.conditional
        return f"<Wishes {said}{self.obstacle} max-age {self.max_age_s}, max-stale {self.max_stale_s}>"


#: Of a head that says nothing to caches, without and with a credential: nearly all requests.
NONE: Final = Wishes()
AUTHORIZED: Final = Wishes()
AUTHORIZED.authorized = True


def wishes_of(head: RequestHead) -> Wishes:
    """What `head` asks for; never raises."""
    parts = head.parts
    told: dict[bytes, list[bytes]] | None = None
    authorized = False
    for index in range(0, len(parts), 4):
        name = parts[index].lower()
        if name in _TELLING:
            if told is None:
                told = {}
            told.setdefault(name, []).append(parts[index + 2])
        elif name in _CREDENTIALS:
            authorized = True
    if told is None and not head.websocket:
        return AUTHORIZED if authorized else NONE
    wishes = Wishes()
    wishes.authorized = authorized
    if told is None:
        told = {}
    wishes.has_origin = b"origin" in told
    wishes.obstacle = _obstacle(head, told)
    if head.method in _READS:  # RFC 9110 13.1.3: elsewhere If-Modified-Since means nothing
        _read_conditions(wishes, told)
    _read_directives(wishes, told)
    return wishes


def _obstacle(head: RequestHead, told: dict[bytes, list[bytes]]) -> str:
    if head.websocket:
        return "upgrade"
    if b"range" in told:
        return "range"
    # Preconditions on what the backend holds now: only the backend can judge them.
    if b"if-match" in told or b"if-unmodified-since" in told or b"if-range" in told:
        return "conditional"
    if b"if-none-match" in told and head.method not in _READS:
        return "conditional"
    return ""


def _read_conditions(wishes: Wishes, told: dict[bytes, list[bytes]]) -> None:
    wishes.if_none_match = tuple(told.get(b"if-none-match", ()))
    since = told.get(b"if-modified-since", [])
    if len(since) == 1 and not wishes.if_none_match:  # RFC 9110 13.1.3
        wishes.if_modified_since = since[0]
    wishes.conditional = bool(wishes.if_none_match or wishes.if_modified_since)


def _read_directives(wishes: Wishes, told: dict[bytes, list[bytes]]) -> None:
    lines = told.get(b"cache-control")
    if lines is None:
        # RFC 9111 5.4: read only where there is no Cache-Control.
        pragma = parse_directives(told.get(b"pragma", []))
        wishes.no_cache = any(name == b"no-cache" for name, _ in pragma)
        return
    for name, argument in parse_directives(lines):
        seconds = parse_seconds(argument)
        if name == b"no-cache":
            wishes.no_cache = True
        elif name == b"no-store":
            wishes.no_store = True
        elif name == b"only-if-cached":
            wishes.only_if_cached = True
        elif name == b"max-age":  # what cannot be read asks for the newest
            wishes.max_age_s = _least(wishes.max_age_s, max(0, seconds))
        elif name == b"min-fresh":
            wishes.min_fresh_s = max(wishes.min_fresh_s, seconds)
        elif name == b"max-stale" and (seconds >= 0 or argument is None):
            wishes.max_stale_s = _least(wishes.max_stale_s, MOST_S if argument is None else seconds)
        elif name == b"stale-if-error":
            wishes.stale_if_error_s = _least(wishes.stale_if_error_s, max(0, seconds))


def _least(before: int, seconds: int) -> int:
    return seconds if before < 0 else min(before, seconds)
