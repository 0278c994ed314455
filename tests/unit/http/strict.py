"""What does a message say, read by the letter of RFC 9112 and nothing else? The tests' own reader.

Written apart from the gateway's readers and without their parts: no regular expressions, no parser of
others, whole messages only. What both understand alike is no ambiguity.
"""

from dataclasses import dataclass

TCHAR = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
DIGITS = frozenset(b"0123456789")
HEX = frozenset(b"0123456789abcdefABCDEF")
VCHAR = frozenset(range(0x21, 0x7F))
TEXT = VCHAR | {0x09, 0x20} | set(range(0x80, 0x100))


class Refused(Exception):
    """No valid message."""


class Incomplete(Exception):
    """Valid so far, but the end is missing."""


@dataclass(frozen=True, slots=True)
class Message:
    """`start` is the first line in parts, `fields` have names in lower case, `rest` is what stands behind."""

    start: tuple[bytes, ...]
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    rest: bytes

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.fields if key == name]

    def value(self, name: bytes) -> bytes:
        """The only value of `name`; fails when there are none or several."""
        (value,) = self.values(name)
        return value


def parse_request(data: bytes) -> Message:
    """The request `data` begins with; an empty line before it is skipped."""
    if data.startswith(b"\r\n"):
        data = data[2:]
    line, fields, rest = _head(data)
    parts = line.split(b" ")
    if len(parts) != 3:
        raise Refused("request line")
    method, target, version = parts
    if not method or not TCHAR.issuperset(method) or not target or not VCHAR.issuperset(target):
        raise Refused("request line")
    if version not in (b"HTTP/1.0", b"HTTP/1.1"):
        raise Refused("version")
    hosts = [value for name, value in fields if name == b"host"]
    if len(hosts) > 1 or (version == b"HTTP/1.1" and not hosts):
        raise Refused("Host")
    length, chunked = _framing(fields)
    if chunked and version == b"HTTP/1.0":
        raise Refused("chunked in HTTP/1.0")
    if chunked:
        body, rest = parse_chunked(rest)
    else:
        body, rest = _counted(rest, length or 0)
    return Message((method, target, version), fields, body, rest)


def parse_response(data: bytes, to_head: bool = False, closed: bool = False) -> Message:
    """The response `data` begins with; `closed`: nothing will follow, which may end a body without length."""
    line, fields, rest = _head(data)
    if line[:9] not in (b"HTTP/1.0 ", b"HTTP/1.1 ") or line[12:13] not in (b" ", b""):  # as everybody does
        raise Refused("status line")
    status = line[9:12]
    if not TEXT.issuperset(line[13:]):
        raise Refused("reason")
    if len(status) != 3 or not DIGITS.issuperset(status) or not b"100" <= status <= b"599":
        raise Refused("status")
    start = (status, line[:8])
    length, chunked = _framing(fields)
    if to_head or status[:1] == b"1" or status in (b"204", b"304"):
        return Message(start, fields, b"", rest)
    if chunked:
        body, rest = parse_chunked(rest, any_extension=True)
    elif length is not None:
        body, rest = _counted(rest, length)
    elif closed:
        body, rest = rest, b""
    else:
        raise Incomplete
    return Message(start, fields, body, rest)


def parse_chunked(data: bytes, any_extension: bool = False) -> tuple[bytes, bytes]:
    """The body in chunks that `data` begins with, without its trailers, and what follows.

    `any_extension`: what stands behind a size must be text, but need not make sense.
    """
    body = b""
    while True:
        line, data = _line(data)
        size, _, extension = line.partition(b";")
        if extension or line.endswith(b";"):
            size = size.rstrip(b" \t")
            if not any_extension:
                _extensions(extension)
            elif not TEXT.issuperset(extension):
                raise Refused("chunk extension")
        if not size or not HEX.issuperset(size) or len(size) > 16:
            raise Refused("chunk size")
        left = int(size, 16)
        if left == 0:
            break
        if len(data) < left + 2:
            raise Incomplete
        if data[left : left + 2] != b"\r\n":
            raise Refused("chunk end")
        body += data[:left]
        data = data[left + 2 :]
    while True:
        line, data = _line(data)
        if not line:
            return body, data
        _field(line)


def _extensions(text: bytes) -> None:
    """Check `name`, `name=token` and `name="quoted"`, with `;` between them."""
    at = 0

    def skip() -> None:
        nonlocal at
        while text[at : at + 1] in (b" ", b"\t"):
            at += 1

    def token() -> None:
        nonlocal at
        begin = at
        while at < len(text) and text[at] in TCHAR:
            at += 1
        if at == begin:
            raise Refused("chunk extension")

    while True:
        skip()
        token()
        before = at
        skip()
        if text[at : at + 1] == b"=":
            at += 1
            skip()
            if text[at : at + 1] == b'"':
                at = _quoted(text, at + 1)
            else:
                token()
            before = at
            skip()
        if at == len(text):
            if before != at:
                raise Refused("space behind a chunk extension")
            return
        if text[at : at + 1] != b";":
            raise Refused("chunk extension")
        at += 1


def _quoted(text: bytes, at: int) -> int:
    while at < len(text):
        char = text[at : at + 1]
        if char == b'"':
            return at + 1
        if char == b"\\":
            at += 1
        if at >= len(text) or text[at] not in TEXT:
            break
        at += 1
    raise Refused("quoted text")


def _line(data: bytes) -> tuple[bytes, bytes]:
    end = data.find(b"\r\n")
    line = data[:end] if end >= 0 else data.removesuffix(b"\r")
    if b"\r" in line or b"\n" in line:
        raise Refused("line end")
    if end < 0:
        raise Incomplete
    return line, data[end + 2 :]


def _head(data: bytes) -> tuple[bytes, tuple[tuple[bytes, bytes], ...], bytes]:
    line, data = _line(data)
    fields: list[tuple[bytes, bytes]] = []
    while True:
        text, data = _line(data)
        if not text:
            return line, tuple(fields), data
        fields.append(_field(text))


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or not name or not TCHAR.issuperset(name) or not TEXT.issuperset(value):
        raise Refused("field")
    return name.lower(), value.strip(b" \t")


def _framing(fields: tuple[tuple[bytes, bytes], ...]) -> tuple[int | None, bool]:
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise Refused("framing given twice")
    if codings and codings[0].lower() != b"chunked":
        raise Refused("coding")
    if lengths and (not lengths[0] or not DIGITS.issuperset(lengths[0]) or len(lengths[0]) > 18):
        raise Refused("length")
    return (int(lengths[0]) if lengths else None), bool(codings)


def _counted(data: bytes, length: int) -> tuple[bytes, bytes]:
    if len(data) < length:
        raise Incomplete
    return data[:length], data[length:]
