"""What did the client ask? Reads request heads and bodies strictly; knows no sockets.

llhttp (through httptools, no leniency set) checks the fields; what it lets pass is checked here: the
request line's exact form, the version, Host, that Transfer-Encoding is `chunked` and nothing else, and
the bounds. Each doubt is an error that closes the connection (RFC 9112: an intermediary that repairs a
message may repair it differently from the next hop).
"""

import re
from collections.abc import Callable

import httptools

from gateway.errors import GatewayError
from gateway.http.chunked import ChunkedReader
from gateway.http.headers import (
    REQUEST_FIELDS,
    Field,
    FieldTable,
    list_tokens,
    origin_form,
    parse_length,
    valid_host,
    valid_request_id,
    valid_token,
    without_named,
)
from gateway.messages import Request

MAX_FIELDS = 100  # Envoy's bound; haproxy 101, aiohttp 128
MAX_TARGET = 8 * 1024  # RFC 9112 3 asks for at least 8000

_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])\r\n")
_FORWARD = Field.FORWARD
_FIELDS = FieldTable(REQUEST_FIELDS)
_AMBIGUOUS = ("bad_request", "The body's length is ambiguous or malformed.")
_UNKNOWN_CODING = ("transfer_encoding_not_implemented", "The only transfer coding known is 'chunked'.")
_EXPECTATION = ("expectation_failed", "The only expectation known is '100-continue'.")


class RequestReader:
    """Turns one connection's bytes into requests, one at a time.

    `feed_head` until it returns a Request; then, while `request.complete` is false, `feed_body`.
    `rest` holds bytes beyond the current message. All raise GatewayError with `close` set.
    """

    __slots__ = (
        "_chunks",
        "_head",
        "_hosts",
        "_named",
        "_now",
        "_parser",
        "_problem",
        "_request",
        "max_header",
        "rest",
    )

    def __init__(self, max_header: int, now: Callable[[], float]) -> None:
        self.max_header = max_header
        self._now = now
        self._parser: httptools.HttpRequestParser | None = None
        self._request: Request | None = None
        self._chunks: ChunkedReader | None = None
        self._head = b""
        self._hosts: list[bytes] = []
        self._named: list[bytes] | None = None
        self._problem: tuple[str, str] | None = None
        self.rest = b""

    @property
    def started(self) -> bool:
        """Whether part of a head has been read."""
        return self._parser is not None

    def feed_head(self, data: bytes) -> Request | None:
        """Read on in a head; the request once its head is whole, its body as far as it came with it."""
        parser = self._parser
        if parser is None:
            if data.startswith(b"\r\n"):  # RFC 9112 2.2: an empty line before the request line is skipped
                data = data[2:]
            if not data:
                return None
            parser = self._begin()
        tail = self._head[-3:]
        found = (tail + data).find(b"\r\n\r\n") if tail else data.find(b"\r\n\r\n")
        end = found + 4 - len(tail) if found >= 0 else len(data)
        piece = data if end == len(data) else data[:end]
        self._head = self._head + piece if self._head else piece
        if len(self._head) > self.max_header:
            self._too_large()
        try:
            parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            pass  # the head is whole; whether it is an upgrade we allow is decided from its fields
        except httptools.HttpParserError as error:
            raise self._malformed(error) from None
        if found < 0:
            return None
        return self._head_complete(data[end:] if end < len(data) else b"")

    def _begin(self) -> httptools.HttpRequestParser:
        self._request = Request(0.0)
        self._hosts = []
        self._named = None
        self._problem = None
        self._head = b""
        self.rest = b""
        self._parser = httptools.HttpRequestParser(self)
        return self._parser

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser for each field."""
        field = _FIELDS.known.get(name)
        if field is None:
            field = _FIELDS.learn(name)
        request = self._request
        if request is None:
            return
        if field is _FORWARD:
            request.parts += (name, b": ", value, b"\r\n")
        else:
            _READERS[field](self, request, name, value)

    def _on_content_type(self, request: Request, name: bytes, value: bytes) -> None:
        request.parts += (name, b": ", value, b"\r\n")
        request.content_type = value

    def _on_traceparent(self, request: Request, name: bytes, value: bytes) -> None:
        request.parts += (name, b": ", value, b"\r\n")
        request.traceparent = value

    def _on_host(self, request: Request, name: bytes, value: bytes) -> None:
        self._hosts.append(value)
        request.host = value

    def _on_length(self, request: Request, name: bytes, value: bytes) -> None:
        if request.content_length is not None or request.chunked:
            self._problem = _AMBIGUOUS
        try:
            request.content_length = parse_length(value.strip(b" \t"))
        except ValueError:
            self._problem = _AMBIGUOUS

    def _on_transfer_encoding(self, request: Request, name: bytes, value: bytes) -> None:
        coding = value.strip(b" \t").lower()
        if request.chunked or request.content_length is not None or not valid_token(coding):
            self._problem = _AMBIGUOUS
        elif coding != b"chunked":
            self._problem = _UNKNOWN_CODING
        request.chunked = True

    def _on_connection(self, request: Request, name: bytes, value: bytes) -> None:
        self._named = [*(self._named or ()), value]

    def _on_upgrade(self, request: Request, name: bytes, value: bytes) -> None:
        if value.strip(b" \t").lower() == b"websocket":
            request.websocket = True

    def _on_expect(self, request: Request, name: bytes, value: bytes) -> None:
        if value.strip(b" \t").lower() != b"100-continue":
            self._problem = _EXPECTATION
        request.expects_continue = True

    def _on_request_id(self, request: Request, name: bytes, value: bytes) -> None:
        if valid_request_id(value):
            request.request_id = value.decode("ascii")

    def _on_claim(self, request: Request, name: bytes, value: bytes) -> None:
        """About the hop before: kept aside, `X-Forwarded-*` is written anew and may count it in."""
        claims = request.claims = request.claims or {}
        name = name.lower()
        claims[name] = b"%b, %b" % (claims[name], value) if name in claims else value

    def _on_dropped(self, request: Request, name: bytes, value: bytes) -> None:
        """A field for this hop only."""

    def _on_max_forwards(self, request: Request, name: bytes, value: bytes) -> None:
        if request.max_forwards is None and value.isdigit() and len(value) < 9:
            request.max_forwards = int(value)

    def _head_complete(self, rest: bytes) -> Request:
        request, line = self._request, _LINE.match(self._head)
        if request is None or line is None:
            raise GatewayError("bad_request", "The request line is malformed.", close=True)
        if line[3] != b"1" or line[4] not in b"01":
            raise GatewayError("version_not_supported", "Use HTTP/1.1 or HTTP/1.0.", close=True)
        self._parser = None
        self._head = b""
        request.started = self._now()
        request.method = line[1].decode("ascii")
        request.minor = 1 if line[4] == b"1" else 0
        self._check_target(request, line[2])
        self._check_fields(request)
        if request.chunked:
            self._chunks = ChunkedReader()
            self.feed_body(rest)
        elif request.content_length:
            self.feed_body(rest)
        else:
            request.complete = True
            self.rest = rest
        return request

    def _check_target(self, request: Request, target: bytes) -> None:
        if len(target) > MAX_TARGET:
            raise GatewayError(
                "target_too_long", f"The request target is over {MAX_TARGET} bytes.", close=True
            )
        if target == b"*":
            if request.method != "OPTIONS":
                raise GatewayError("bad_request", "The target '*' goes with OPTIONS only.", close=True)
            request.target, request.path = target, "*"
            return
        if request.method == "CONNECT":
            raise GatewayError(
                "method_not_allowed", "This is no forward proxy: CONNECT is refused.", close=True
            )
        request.target, authority = origin_form(target)
        if authority is not None:
            request.host = authority
        path = request.target
        mark = path.find(b"?")
        request.path = (path if mark < 0 else path[:mark]).decode("ascii")

    def _check_fields(self, request: Request) -> None:
        hosts = self._hosts
        if len(request.parts) > 4 * MAX_FIELDS:
            raise GatewayError("header_too_large", f"More than {MAX_FIELDS} header fields.", close=True)
        if len(hosts) != 1 and (request.minor == 1 or hosts):
            raise GatewayError("bad_request", "Exactly one Host field is required.", close=True)
        if hosts and not (valid_host(hosts[0]) and valid_host(request.host)):
            raise GatewayError("bad_request", "The Host field is malformed.", close=True)
        if request.chunked and not request.minor:  # RFC 9112 6.1: faulty framing
            raise GatewayError(*_AMBIGUOUS, close=True)
        if self._problem is not None:
            raise GatewayError(*self._problem, close=True)
        self._check_connection(request)

    def _check_connection(self, request: Request) -> None:
        if self._named is None:
            request.keep_alive = request.minor == 1
            request.websocket = False
            return
        tokens = list_tokens(self._named)
        request.keep_alive = b"close" not in tokens and (request.minor == 1 or b"keep-alive" in tokens)
        request.websocket = (
            request.websocket
            and b"upgrade" in tokens
            and request.method == "GET"
            and request.minor == 1
            and not request.chunked
            and not request.content_length
        )
        named = tokens - {b"close", b"keep-alive", b"upgrade"}
        if named:
            request.parts = without_named(request.parts, named)

    def feed_body(self, data: bytes) -> None:
        """Read on in the current request's body."""
        request = self._request
        if request is None or not data:
            return
        if self._chunks is not None:
            piece = self._chunks.feed(data)
            if self._chunks.done:
                request.complete = True
                self.rest = self._chunks.rest
                self._chunks = None
        else:
            left = (request.content_length or 0) - request.received
            piece = data if len(data) <= left else data[:left]
            if len(data) >= left:
                request.complete = True
                self.rest = data[left:]
        if piece:
            request.received += len(piece)
            request.body.append(piece)

    def _too_large(self) -> None:
        if b"\r\n" not in self._head[: self.max_header]:
            raise GatewayError("target_too_long", "The request line is too long.", close=True)
        raise GatewayError("header_too_large", f"The header is over {self.max_header} bytes.", close=True)

    def _malformed(self, error: httptools.HttpParserError) -> GatewayError:
        line = _LINE.match(self._head)
        if line is not None and isinstance(error, httptools.HttpParserInvalidMethodError):
            return GatewayError("method_not_implemented", "The method is not known here.", close=True)
        if line is not None and line[3] != b"1":
            return GatewayError("version_not_supported", "Use HTTP/1.1 or HTTP/1.0.", close=True)
        if self._problem is not None:
            return GatewayError(*self._problem, close=True)
        return GatewayError("bad_request", f"The request is malformed: {error}.", close=True)


_READERS: dict[Field, Callable[[RequestReader, Request, bytes, bytes], None]] = {
    Field.DROP: RequestReader._on_dropped,
    Field.CONNECTION: RequestReader._on_connection,
    Field.CONTENT_LENGTH: RequestReader._on_length,
    Field.TRANSFER_ENCODING: RequestReader._on_transfer_encoding,
    Field.HOST: RequestReader._on_host,
    Field.EXPECT: RequestReader._on_expect,
    Field.UPGRADE: RequestReader._on_upgrade,
    Field.REQUEST_ID: RequestReader._on_request_id,
    Field.CLAIM: RequestReader._on_claim,
    Field.CONTENT_TYPE: RequestReader._on_content_type,
    Field.TRACEPARENT: RequestReader._on_traceparent,
    Field.MAX_FORWARDS: RequestReader._on_max_forwards,
}
