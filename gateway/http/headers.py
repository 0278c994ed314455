"""Which header fields travel, which end here, and which does the gateway write itself?

Pure. Field names are bytes as received; names are compared in lower case, values are never decoded.
Nothing received is forwarded as raw bytes: heads are serialised anew from parsed fields, so the next
hop cannot read them differently (request smuggling needs two readings).
"""

import re
from collections.abc import Sequence
from email.utils import formatdate
from enum import IntEnum
from http import HTTPStatus

from gateway.errors import GatewayError
from gateway.messages import EVENTS, JSON, OTHER


class Field(IntEnum):
    """What a field means to the gateway; everything else is FORWARD."""

    FORWARD = 0
    DROP = 1
    CONNECTION = 2
    CONTENT_LENGTH = 3
    TRANSFER_ENCODING = 4
    HOST = 5
    EXPECT = 6
    UPGRADE = 7
    REQUEST_ID = 8
    CLAIM = 9
    CONTENT_TYPE = 11
    RETRY_AFTER = 12
    DATE = 13
    TRACEPARENT = 14
    MAX_FORWARDS = 15
    TIMEOUT = 16
    PRIORITY = 17
    EXPLAIN = 18
    TRACESTATE = 19
    CODING = 20


# RFC 9110 7.6.1, plus Proxy-* which speak to this hop only.
_HOP_BY_HOP = dict.fromkeys(
    (b"keep-alive", b"proxy-connection", b"te", b"trailer", b"proxy-authorization", b"proxy-authenticate"),
    Field.DROP,
)
_SHARED = {
    **_HOP_BY_HOP,
    b"connection": Field.CONNECTION,
    b"content-length": Field.CONTENT_LENGTH,
    b"transfer-encoding": Field.TRANSFER_ENCODING,
    b"upgrade": Field.UPGRADE,
    b"content-type": Field.CONTENT_TYPE,
    b"x-request-id": Field.REQUEST_ID,
}
REQUEST_FIELDS: dict[bytes, Field] = {
    **_SHARED,
    b"host": Field.HOST,
    b"expect": Field.EXPECT,
    b"x-forwarded-for": Field.CLAIM,
    b"x-forwarded-proto": Field.CLAIM,
    b"x-forwarded-host": Field.CLAIM,
    b"forwarded": Field.CLAIM,
    b"x-real-ip": Field.CLAIM,
    b"traceparent": Field.TRACEPARENT,
    b"tracestate": Field.TRACESTATE,
    b"max-forwards": Field.MAX_FORWARDS,
    b"x-gateway-timeout": Field.TIMEOUT,
    b"x-gateway-priority": Field.PRIORITY,
    b"x-gateway-explain": Field.EXPLAIN,
}
RESPONSE_FIELDS: dict[bytes, Field] = {
    **_SHARED,
    b"retry-after": Field.RETRY_AFTER,
    b"content-encoding": Field.CODING,
    b"date": Field.DATE,
    b"x-gateway-backend": Field.DROP,
    b"x-gateway-error": Field.DROP,
    b"x-gateway-decision": Field.DROP,
}

# RFC 3986 authority without userinfo: reg-name, IPv4 or [IPv6], optional port.
_HOST = re.compile(rb"(?:(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_DIGITS = re.compile(rb"[0-9]{1,18}")
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(/[^?#]*)?(\?[^#]*)?", re.IGNORECASE)


def valid_host(value: bytes) -> bool:
    """Whether `value` is a Host field value (RFC 9112 3.2); an empty one is refused too."""
    return _HOST.fullmatch(value) is not None


def valid_request_id(value: bytes) -> bool:
    return _REQUEST_ID.fullmatch(value) is not None


def valid_token(value: bytes) -> bool:
    return _TOKEN.fullmatch(value) is not None


def parse_length(value: bytes) -> int:
    """A Content-Length value as an int; ValueError for anything but 1 to 18 ASCII digits."""
    if _DIGITS.fullmatch(value) is None:
        raise ValueError("not a length")
    return int(value)


_TIMEOUT = re.compile(rb"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)?")
_UNITS = {b"ms": 0.001, b"s": 1.0, b"m": 60.0, b"h": 3600.0, None: 1.0}
PRIORITIES: dict[bytes, int] = {b"high": 0, b"normal": 1, b"low": 2}


def parse_timeout(value: bytes) -> float:
    """`250ms`, `5s`, `2m`, `1h` or a number of seconds, as seconds above 0; ValueError for anything else."""
    found = _TIMEOUT.fullmatch(value)
    seconds = float(found[1]) * _UNITS[found[2]] if found is not None else 0.0
    if not seconds > 0.0:
        raise ValueError("not a timeout")
    return seconds


def media_of(content_type: bytes) -> int:
    """Where tokens would be found in a body with this Content-Type: OTHER, JSON or EVENTS."""
    kind = content_type.partition(b";")[0].rstrip().lower()
    return EVENTS if kind == b"text/event-stream" else JSON if kind == b"application/json" else OTHER


def list_tokens(values: list[bytes]) -> set[bytes]:
    """The lower-case members of a comma-separated list field given on one or several lines."""
    return {token.strip().lower() for value in values for token in value.split(b",") if token.strip()}


def origin_form(target: bytes) -> tuple[bytes, bytes | None]:
    """A request target as (origin-form target, authority or None); authority wins over Host.

    Raises GatewayError(bad_request) for a fragment, or a form that is neither origin nor absolute.
    """
    if target.startswith(b"/"):
        if b"#" in target:
            raise GatewayError("bad_request", "The request target holds a fragment ('#').", close=True)
        return target, None
    found = _ABSOLUTE.fullmatch(target)
    if found is None or not valid_host(found[1]):
        raise GatewayError("bad_request", "The request target is neither a path nor an http URL.", close=True)
    return (found[2] or b"/") + (found[3] or b""), found[1]


def without_named(parts: Sequence[bytes], named: set[bytes]) -> list[bytes]:
    """`parts` (name, b': ', value, CRLF, name, …) less the fields that Connection names."""
    kept: list[bytes] = []
    for index in range(0, len(parts), 4):
        if parts[index].lower() not in named:
            kept += parts[index : index + 4]
    return kept


STATUS_LINES: dict[int, bytes] = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus
}


def status_line(status: int) -> bytes:
    """The status line; an unknown code goes out without a phrase, which RFC 9112 4 allows."""
    return STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


class DateField:
    """The `Date` field line, made once a second."""

    __slots__ = ("_line", "_second")

    def __init__(self) -> None:
        self._second = -1
        self._line = b""

    def line(self, wall_s: float) -> bytes:
        second = int(wall_s)
        if second != self._second:
            self._second = second
            self._line = b"Date: %b\r\n" % formatdate(second, usegmt=True).encode()
        return self._line
