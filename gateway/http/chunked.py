"""Where does a chunked request body end, and what is in it? A strict reader of RFC 9112 7.1.

Pure. Sizes are 1 to 16 hex digits, lines end with CRLF and nothing else, extensions are tokens or quoted
text without control characters and bounded in sum, trailers are checked and dropped: an intermediary may
(RFC 9110 6.5.1), and no field that arrives after the body can then change what was decided before it.
"""

import re

from gateway.errors import GatewayError

MAX_LINE = 256 + 18  # one size line: 16 digits, an extension of 256 bytes, CRLF
MAX_EXTENSIONS = 16 * 1024
MAX_TRAILER = 8 * 1024
MAX_TRAILER_FIELDS = 32

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_SIZE = re.compile(
    rb"([0-9A-Fa-f]{1,16})((?:[ \t]*;[ \t]*"
    + _TOKEN
    + rb"(?:[ \t]*=[ \t]*(?:"
    + _TOKEN
    + rb"|"
    + _QUOTED
    + rb"))?)*)"
)
_TRAILER = re.compile(_TOKEN + rb":[\t \x21-\x7e\x80-\xff]*")


class ChunkedReader:
    """Reads one chunked body piece by piece.

    `feed` returns the body bytes found; `done` tells that the body has ended, `rest` then holds the bytes
    that follow it (the next request). Raises GatewayError(bad_request) at the first byte out of place.
    """

    __slots__ = (
        "_buffer",
        "_extensions",
        "_left",
        "_state",
        "_trailer_bytes",
        "_trailer_fields",
        "done",
        "rest",
    )

    def __init__(self) -> None:
        self._buffer = b""
        self._left = 0
        self._state = self._size
        self._extensions = 0
        self._trailer_bytes = 0
        self._trailer_fields = 0
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        self._buffer += data
        pieces: list[bytes] = []
        while not self.done and self._state(pieces):
            pass
        if self.done:
            self.rest, self._buffer = self._buffer, b""
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _line(self, limit: int) -> bytes | None:
        """The next CRLF-terminated line without its end, or None until it is whole."""
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > limit:
                raise _bad("a line is too long")
            if b"\r" in self._buffer[:-1]:
                raise _bad("a bare CR")
            return None
        line = self._buffer[: end + 1]
        if len(line) > limit or not line.endswith(b"\r\n") or b"\r" in line[:-2]:
            raise _bad("a line does not end with CRLF, or is too long")
        self._buffer = self._buffer[end + 1 :]
        return line[:-2]

    def _size(self, pieces: list[bytes]) -> bool:
        line = self._line(MAX_LINE)
        if line is None:
            return False
        found = _SIZE.fullmatch(line)
        if found is None:
            raise _bad("a chunk size is malformed")
        self._extensions += len(found[2])
        if self._extensions > MAX_EXTENSIONS:
            raise _bad("the chunk extensions are too long")
        self._left = int(found[1], 16)
        self._state = self._data if self._left else self._trailer
        return True

    def _data(self, pieces: list[bytes]) -> bool:
        if not self._buffer:
            return False
        piece = self._buffer[: self._left]
        self._buffer = self._buffer[self._left :]
        self._left -= len(piece)
        pieces.append(piece)
        if self._left == 0:
            self._state = self._data_end
        return True

    def _data_end(self, pieces: list[bytes]) -> bool:
        if not b"\r\n".startswith(self._buffer[:2]):
            raise _bad("a chunk is longer than its size")
        if len(self._buffer) < 2:
            return False
        self._buffer = self._buffer[2:]
        self._state = self._size
        return True

    def _trailer(self, pieces: list[bytes]) -> bool:
        line = self._line(MAX_TRAILER)
        if line is None:
            return False
        if not line:
            self.done = True
            return True
        self._trailer_bytes += len(line)
        self._trailer_fields += 1
        if self._trailer_bytes > MAX_TRAILER or self._trailer_fields > MAX_TRAILER_FIELDS:
            raise GatewayError("header_too_large", "The trailer section is too large.", close=True)
        if _TRAILER.fullmatch(line) is None:
            raise _bad("a trailer field is malformed")
        return True


def _bad(why: str) -> GatewayError:
    return GatewayError("bad_request", f"The chunked body is malformed: {why}.", close=True)
