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
        "_at",
        "_buffer",
        "_extensions",
        "_in_trailer",
        "_left",
        "_owes_end",
        "_trailer_bytes",
        "_trailer_fields",
        "done",
        "rest",
    )

    def __init__(self) -> None:
        self._buffer = b""  # what cannot be read before more has come: part of a line
        self._at = 0  # where in the buffer reading goes on; cutting it off each time would be quadratic
        self._left = 0  # of the current chunk's data
        self._owes_end = False  # the CRLF behind a chunk's data comes next
        self._in_trailer = False
        self._extensions = 0
        self._trailer_bytes = 0
        self._trailer_fields = 0
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        self._buffer = buffer = self._buffer + data if self._buffer else data
        self._at = 0
        pieces: list[bytes] = []
        while not self.done:
            if self._left:
                piece = buffer[self._at : self._at + self._left]
                if not piece:
                    break
                self._at += len(piece)
                self._left -= len(piece)
                self._owes_end = not self._left
                pieces.append(piece)
            elif not (self._read_end() if self._owes_end else self._read_line()):
                break
        if self.done:
            self.rest, self._buffer = buffer[self._at :], b""
        else:
            self._buffer = buffer[self._at :]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_end(self) -> bool:
        """Read the CRLF behind a chunk's data; False when it is not all here."""
        found = self._buffer[self._at : self._at + 2]
        if found != b"\r\n":
            if found in (b"", b"\r"):
                return False
            raise _bad("a chunk is longer than its size")
        self._at += 2
        self._owes_end = False
        return True

    def _read_line(self) -> bool:
        """Read a size line or a trailer line; False when it is not all here."""
        at, limit = self._at, MAX_TRAILER if self._in_trailer else MAX_LINE
        end = self._buffer.find(b"\n", at, at + limit)
        if end < 0:
            line = self._buffer[at : at + limit]
            if len(line) == limit:
                raise _bad("a line is too long")
            if b"\r" in line[:-1]:
                raise _bad("a bare CR")
            return False
        line = self._buffer[at : end + 1]
        if not line.endswith(b"\r\n"):
            raise _bad("a line does not end with CRLF")
        self._at = end + 1
        if self._in_trailer:
            self._take_trailer(line[:-2])
        else:
            self._take_size(line[:-2])
        return True

    def _take_size(self, line: bytes) -> None:
        found = _SIZE.fullmatch(line)
        if found is None:
            raise _bad("a chunk size is malformed")
        self._extensions += len(found[2])
        if self._extensions > MAX_EXTENSIONS:
            raise _bad("the chunk extensions are too long")
        self._left = int(found[1], 16)
        self._in_trailer = not self._left

    def _take_trailer(self, line: bytes) -> None:
        if not line:
            self.done = True
            return
        if _TRAILER.fullmatch(line) is None:
            raise _bad("a trailer field is malformed")
        self._trailer_bytes += len(line)
        self._trailer_fields += 1
        if self._trailer_bytes > MAX_TRAILER or self._trailer_fields > MAX_TRAILER_FIELDS:
            raise GatewayError("header_too_large", "The trailer section is too large.", close=True)


def _bad(why: str) -> GatewayError:
    return GatewayError("bad_request", f"The chunked body is malformed: {why}.", close=True)
