"""What did the backend answer? Reads one response after another, strictly; knows no sockets."""

import re
from collections.abc import Callable

import httptools

from gateway.errors import GatewayError
from gateway.http.headers import RESPONSE_FIELDS, Field, list_tokens, media_of, parse_length, without_named
from gateway.http.memo import HeadMemo
from gateway.messages import OTHER, ResponseHead

MAX_HEAD = 64 * 1024
MAX_FIELDS = 100
MAX_INTERIM = 16

_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class ResponseReader:
    """Turns a backend connection's bytes into one response after another.

    After `begin`: `feed(data)` reads on; `head` is set once the final head is whole, `pieces`
    collects body bytes until somebody takes them, `complete` tells that the message has ended, `reusable`
    whether the connection may carry another one. `interim` holds 1xx heads to pass on. `switched` tells
    that the backend answered 101; `rest` are the bytes behind it. Raises GatewayError("bad_response").
    """

    __slots__ = (
        "_chunked", "_coded", "_fields", "_head_bytes", "_interims", "_memo", "_named", "_parser", "_parts",
        "_problem", "_quiet", "_received", "_tail", "_to_websocket", "_wants_upgrade",
        "_without_body", "_work", "complete", "content_length", "head", "interim", "pieces", "rest",
        "reusable", "switched", "until_close",
    )  # fmt: skip

    def __init__(self, memo: HeadMemo[ResponseHead]) -> None:
        self._memo = memo
        self._parser: httptools.HttpResponseParser | None = None
        self._parts: list[bytes] | None = None
        self.pieces: list[bytes] = []
        self.begin(False, False)

    def begin(self, without_body: bool, wants_upgrade: bool) -> None:
        """Get ready for the next answer; `without_body` for one to HEAD."""
        self._without_body = without_body
        self._wants_upgrade = wants_upgrade
        self._head_bytes = 0
        self.head: ResponseHead | None = None
        self.content_length: int | None = None
        self.interim: list[ResponseHead] | None = None
        self.complete = self.reusable = self.until_close = self.switched = False
        self.rest = b""

    def feed(self, data: bytes) -> None:
        if self._head_bytes == 0 and not self._without_body and not self._wants_upgrade:
            end = data.find(b"\r\n\r\n") + 4
            known, length = self._memo.find(data[:end]) if end >= 4 else (None, None)
            if known is not None and length == len(data) - end:
                self._head_bytes = end
                self.head = known
                self.content_length = length
                self.pieces.append(data[end:])
                self.complete = True
                self.reusable = known.keep_alive
                return
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        first = self._head_bytes == 0
        if first:
            self._begin_head()
            self._interims = self._quiet = self._received = 0
            self._problem = None
            self._tail = b""
        rest = self._read_heads(data) if self.head is None else data
        if rest and not self._wrong():
            self._read_body(rest)
        if not self._wrong() and not (self.pieces or self.complete):
            # Chunk extensions and trailers, which the parser reads without end.
            self._quiet += len(data)
            if self._quiet > 2 * MAX_HEAD:
                self._problem = "it sends framing without content"
        if self._wrong():
            if self.head is None:
                self.pieces = []
            raise GatewayError("bad_response", f"The backend's answer cannot be used: {self._problem}.")
        if first and self.head is not None:
            self._learn(data)

    def _read_heads(self, data: bytes) -> bytes:
        """Read on to the end of the final head; what follows it. The parser itself would not stop there."""
        while data and self.head is None and not self._wrong():
            before = self._tail
            if not before and not data.startswith(b"H"):
                self._problem = "it does not begin with HTTP/"
                break
            found = (before + data).find(b"\r\n\r\n")
            end = found + 4 - len(before) if found >= 0 else len(data)
            piece = data[: min(end, MAX_HEAD - self._head_bytes)]
            self._head_bytes += len(piece)
            self._execute(piece)
            if len(piece) < end and not self._wrong():
                self._problem = "its head is too large"
            self._tail = b"" if found >= 0 else (before + data)[-3:]
            data = data[end:]
        return data

    def _read_body(self, data: bytes) -> None:
        if self.complete:  # bytes behind the answer: whose are they?
            self.reusable = False
            return
        if self.switched or self._parser is None:
            self.rest += data
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._malformed(error)
        if self.content_length is not None:
            self._received += len(data)
            if self._received > self.content_length:
                self.reusable = False
        elif self.complete and (data[-4:] != b"\r\n\r\n" or data[-5:-4] in b"\r\n"):
            # The parser skips empty lines behind the last chunk. An end in crumbs is not looked into.
            self.reusable = False

    def _execute(self, data: bytes) -> None:
        parser = self._parser
        if parser is None:
            parser = self._parser = httptools.HttpResponseParser(self)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if not self.switched and not self._wrong():
                self._problem = "it switches protocols unasked"
        except httptools.HttpParserError as error:
            self._malformed(error)

    def _malformed(self, error: httptools.HttpParserError) -> None:
        self.reusable = False
        if not self.complete and not self._wrong():
            self._problem = f"it is malformed ({error})"

    def _wrong(self) -> bool:
        # A call: the parser's callbacks set the problem behind the type checker's (and the compiler's) back.
        return self._problem is not None

    def _begin_head(self) -> None:
        self._work = ResponseHead()
        self._parts = []
        self._named: list[bytes] | None = None
        self._chunked = self._coded = self._to_websocket = False
        self._fields = 0

    def _learn(self, data: bytes) -> None:
        """Remember a plain answer's head, read in one piece: the next one like it needs no parser."""
        head = self.head
        if (
            head is not None
            and self.content_length is not None
            and head.has_body
            and not (self._interims or self._wants_upgrade or self._without_body)
        ):
            self._memo.learn(data[: data.find(b"\r\n\r\n") + 4], head, True)

    def feed_eof(self) -> bool:
        """The backend closed its side in order; whether that ends the message as it should."""
        self.reusable = False
        self.complete = self.complete or self.until_close
        return self.complete

    # What httptools calls.

    def on_message_begin(self) -> None:
        if self.head is not None:
            self.reusable = False

    def on_status(self, reason: bytes) -> None:
        if self.head is None and _CONTROL.search(reason) is not None:
            self._problem = "its status line holds control characters"

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head is not None or self._parts is None:
            return  # a trailer: dropped, as docs/http.md says
        self._fields += 1
        if value[-1:] in (b" ", b"\t") and name.lower() != b"transfer-encoding":
            value = value.rstrip(b" \t")
        field = RESPONSE_FIELDS.get(name.lower(), Field.FORWARD)
        if field is Field.FORWARD:
            self._parts += (name, b": ", value.rstrip(b" \t"), b"\r\n")
        elif (note := _NOTES.get(field)) is not None:
            note(self, self._parts, name, value)

    def on_headers_complete(self) -> None:
        work, parser = self._work, self._parser
        if parser is None or self.head is not None:
            return
        work.status = status = parser.get_status_code()
        if self._wrong():
            return
        if self._fields > MAX_FIELDS:
            self._problem = "it has too many header fields"
        elif not 100 <= status <= 599 or not parser.get_http_version().startswith("1."):
            self._problem = "its status line is not HTTP/1.x with a status from 100 to 599"
        elif status < 200:
            self._interim(work)
        else:
            self._final(work, parser)

    def on_body(self, body: bytes) -> None:
        if self.complete:
            self.reusable = False
        else:
            self.pieces.append(body)

    def on_message_complete(self) -> None:
        if self.head is not None and not self.switched:
            self.complete = True

    # Fields with a meaning here.

    def _note_type(self, parts: list[bytes], name: bytes, value: bytes) -> None:
        self._work.media = media_of(value)
        parts += (name, b": ", value, b"\r\n")

    def _note_content_coding(self, parts: list[bytes], name: bytes, value: bytes) -> None:
        self._coded = self._coded or value.lower() not in (b"", b"identity")
        parts += (name, b": ", value, b"\r\n")

    def _note_date(self, parts: list[bytes], name: bytes, value: bytes) -> None:
        self._work.has_date = True
        parts += (name, b": ", value, b"\r\n")

    def _note_retry_after(self, parts: list[bytes], name: bytes, value: bytes) -> None:
        self._work.retry_after = value
        parts += (name, b": ", value, b"\r\n")

    def _note_length(self, parts: list[bytes], name: bytes, value: bytes) -> None:
        try:
            self.content_length = parse_length(value)
        except ValueError:
            self._problem = "its Content-Length is malformed"

    def _note_coding(self, parts: list[bytes], name: bytes, value: bytes) -> None:
        if self._chunked or value.rstrip(b" ").lower() != b"chunked":  # the parser minds a tab
            self._problem = "its Transfer-Encoding is not 'chunked'"
        self._chunked = True

    def _note_connection(self, parts: list[bytes], name: bytes, value: bytes) -> None:
        self._named = [*(self._named or ()), value]

    def _note_upgrade(self, parts: list[bytes], name: bytes, value: bytes) -> None:
        self._to_websocket = value.lower() == b"websocket"

    def _interim(self, work: ResponseHead) -> None:
        self._interims += 1
        self._seal(work)
        if work.status == 101:
            if not self._wants_upgrade:
                self._problem = "it switches protocols unasked"
            elif not self._to_websocket or b"upgrade" not in list_tokens(self._named or []):
                self._problem = "it switches to something else than WebSocket"
            else:
                self.switched = True
                self.head = work
            return
        if self._interims > MAX_INTERIM:
            self._problem = "it sends too many interim answers"
        elif work.status != 100:  # a 100 was not asked for: the gateway answers Expect itself
            self.interim = [*(self.interim or ()), work]
        self._begin_head()
        self.content_length = None

    def _final(self, work: ResponseHead, parser: httptools.HttpResponseParser) -> None:
        self._seal(work)
        status = work.status
        if self._coded:
            work.media = OTHER
        self.head = work
        work.keep_alive = self.reusable = (
            not self._wants_upgrade
            and parser.should_keep_alive()
            # Chunks in HTTP/1.0 are faulty framing (RFC 9112 6.1): read, but nothing behind them is believed.
            and not (self._chunked and parser.get_http_version() == "1.0")
        )
        if self._without_body or status in (204, 304):
            work.has_body = False
            if self._without_body:  # llhttp cannot know: it waits for a body that does not come
                self._parser = None
                self.complete = True
        elif not self._chunked and self.content_length is None:
            self.until_close = True
            self.reusable = False

    def _seal(self, work: ResponseHead) -> None:
        parts = self._parts or []
        if self._named is not None:
            parts = without_named(parts, list_tokens(self._named) - {b"close", b"keep-alive", b"upgrade"})
        work.parts = tuple(parts)
        work.fields = b"".join(parts)


_NOTES: dict[Field, Callable[[ResponseReader, list[bytes], bytes, bytes], None]] = {
    Field.CONNECTION: ResponseReader._note_connection,
    Field.UPGRADE: ResponseReader._note_upgrade,
    Field.CONTENT_LENGTH: ResponseReader._note_length,
    Field.TRANSFER_ENCODING: ResponseReader._note_coding,
    Field.CONTENT_TYPE: ResponseReader._note_type,
    Field.CODING: ResponseReader._note_content_coding,
    Field.RETRY_AFTER: ResponseReader._note_retry_after,
    Field.DATE: ResponseReader._note_date,
}
