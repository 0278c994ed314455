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
    PRIORITIES,
    REQUEST_FIELDS,
    Field,
    list_tokens,
    origin_form,
    parse_length,
    parse_timeout,
    valid_host,
    valid_request_id,
    valid_token,
    without_named,
)
from gateway.http.memo import HeadMemo
from gateway.messages import Request, RequestHead

MAX_FIELDS = 100  # Envoy's bound; haproxy 101, aiohttp 128
MAX_TARGET = 8 * 1024  # RFC 9112 3 asks for at least 8000

_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])\r\n")
_LINE_SO_FAR = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}(?: [\x21-\x7e]*(?: [HTP/0-9.]{0,8}\r?)?)?")
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context
_OF_TRACE = len(b"\r\ntraceparent: ")
_AMBIGUOUS = ("bad_request", "The body's length is ambiguous or malformed.")
_UNKNOWN_CODING = ("transfer_encoding_not_implemented", "The only transfer coding known is 'chunked'.")
_VERSION = ("version_not_supported", "Use HTTP/1.1 or HTTP/1.0.")
_BAD_TIMEOUT = ("bad_request", "X-Gateway-Timeout: write 250ms, 5s, 2m or a number of seconds, above 0.")
_BAD_PRIORITY = ("bad_request", "X-Gateway-Priority: write high, normal or low.")
_EXPECTATION = ("expectation_failed", "The only expectation known is '100-continue'.")


class RequestReader:
    """Turns one connection's bytes into requests, one at a time.

    `feed_head` until it returns a Request; then, while `request.complete` is false, `feed_body`.
    `rest` holds bytes beyond the current message. All raise GatewayError with `close` set.
    """

    __slots__ = (
        "_asks_websocket",
        "_blank",
        "_bytes",
        "_chunks",
        "_error",
        "_head",
        "_hosts",
        "_length",
        "_memo",
        "_named",
        "_own",
        "_parser",
        "_parts",
        "_problem",
        "_request",
        "_request_id",
        "_spellings",
        "_trace",
        "_trace_line",
        "max_header",
        "rest",
    )

    def __init__(self, max_header: int, memo: HeadMemo[RequestHead]) -> None:
        self.max_header = max_header
        self._memo = memo
        self._parser: httptools.HttpRequestParser | None = None
        self._request: Request | None = None
        self._chunks: ChunkedReader | None = None
        self._error: httptools.HttpParserError | None = None
        self._bytes = b""
        # How this client writes the fields that are each request's own, and what they said in this one.
        self._spellings: tuple[bytes, ...] = ()
        self._request_id, self._trace, self._trace_line = "", b"", b""
        self._blank = b""  # of the empty line that may stand before a request line (RFC 9112 2.2)
        self.rest = b""

    @property
    def started(self) -> bool:
        """Whether part of a head has been read."""
        return self._parser is not None

    def feed_head(self, data: bytes, now: float) -> Request | None:
        """Read on in a head; the request once its head is whole, its body as far as it came with it."""
        if self._parser is None and self._blank != b"\r":
            end = data.find(b"\r\n\r\n") + 4
            if 4 <= end <= self.max_header:
                whole = end == len(data)
                head = data if whole else data[:end]
                if self._spellings:
                    head = self._cut(head)
                known, length = self._memo.find(head)
                if known is not None:
                    return self._begin_body(known, length, b"" if whole else data[end:], now)
        return self._parse(data, now)

    def _cut(self, head: bytes) -> bytes:
        """`head` less the id and the trace that are this request's own, which are noted."""
        for spelling in self._spellings:
            at = head.find(spelling)
            if at >= 0:
                begin = at + len(spelling)
                end = head.find(b"\r\n", begin)
                value = head[begin:end]
                if len(spelling) == _OF_TRACE:
                    if _TRACEPARENT.fullmatch(value) is None:
                        return b""  # to be read in full
                    self._trace, self._trace_line = value, head[at + 2 : end + 2]
                elif valid_request_id(value):
                    self._request_id = value.decode("ascii")
                else:
                    return b""
                head = head[:at] + head[end:]
        return head

    def _parse(self, data: bytes, now: float) -> Request | None:
        parser = self._parser
        if parser is None:
            data = self._skip_blank(data)
            if not data:
                return None
            parser = self._begin()
        before = self._bytes
        found = (before[-3:] + data).find(b"\r\n\r\n")
        end = found + 4 - len(before[-3:]) if found >= 0 else len(data)
        # What is over the bound is not looked at, so that it makes no difference how the bytes were cut.
        piece = data[: min(end, self.max_header - len(before))]
        self._bytes = before + piece
        if self._error is None:
            try:
                parser.feed_data(piece)
            except httptools.HttpParserUpgrade:
                pass  # the head is whole; whether it is an upgrade we allow is decided from its fields
            except httptools.HttpParserError as error:
                self._error = error
        if self._error is not None and _LINE_SO_FAR.fullmatch(self._bytes) is None:
            raise self._malformed(self._error)
        if len(piece) < end:
            self._too_large()
        if found < 0:
            return None
        return self._head_complete(data[end:], now)

    def _skip_blank(self, data: bytes) -> bytes:
        """`data` without the one empty line that may come before a request; b"" when there is no more."""
        if self._blank == b"\r\n":
            return data
        data = self._blank + data
        self._blank = data[:2] if b"\r\n".startswith(data[:2]) else b""
        return data[len(self._blank) :]

    def _begin(self) -> httptools.HttpRequestParser:
        self._head = RequestHead()
        self._asks_websocket = False
        self._length: int | None = None
        self._parts: list[bytes] = []
        self._hosts: list[bytes] = []
        self._named: list[bytes] | None = None
        self._own: list[bytes] = []
        self._request_id, self._trace, self._trace_line = "", b"", b""
        self._problem: tuple[str, str] | None = None
        self._error = None
        self._bytes = b""
        self._parser = httptools.HttpRequestParser(self)
        return self._parser

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser for each field."""
        value = value.rstrip(b" \t")
        field = REQUEST_FIELDS.get(name.lower(), Field.FORWARD)
        if field is Field.FORWARD:
            self._parts += (name, b": ", value, b"\r\n")
        else:
            _READERS[field](self, name, value)

    def _on_content_type(self, name: bytes, value: bytes) -> None:
        self._parts += (name, b": ", value, b"\r\n")
        self._head.content_type = value

    def _on_traceparent(self, name: bytes, value: bytes) -> None:
        self._own.append(name)
        if self._trace_line:  # one too many; the first is taken
            self._on_tracestate(name, value)
            return
        self._trace, self._trace_line = value, b"%b: %b\r\n" % (name, value)

    def _on_tracestate(self, name: bytes, value: bytes) -> None:
        self._parts += (name, b": ", value, b"\r\n")
        self._head.with_trace = True

    def _on_host(self, name: bytes, value: bytes) -> None:
        self._hosts.append(value)
        self._head.host = value

    def _on_length(self, name: bytes, value: bytes) -> None:
        if self._length is not None or self._head.chunked:
            self._problem = _AMBIGUOUS
        try:
            self._length = parse_length(value)
        except ValueError:
            self._problem = _AMBIGUOUS

    def _on_transfer_encoding(self, name: bytes, value: bytes) -> None:
        coding = value.lower()
        if self._head.chunked or self._length is not None or not valid_token(coding):
            self._problem = _AMBIGUOUS
        elif coding != b"chunked":
            self._problem = _UNKNOWN_CODING
        self._head.chunked = True

    def _on_connection(self, name: bytes, value: bytes) -> None:
        self._named = [*(self._named or ()), value]

    def _on_upgrade(self, name: bytes, value: bytes) -> None:
        if value.lower() == b"websocket":
            self._asks_websocket = True

    def _on_expect(self, name: bytes, value: bytes) -> None:
        if value.lower() != b"100-continue":
            self._problem = _EXPECTATION
        self._head.expects_continue = True

    def _on_request_id(self, name: bytes, value: bytes) -> None:
        self._own.append(name)
        if valid_request_id(value):
            self._request_id = value.decode("ascii")

    def _on_claim(self, name: bytes, value: bytes) -> None:
        """About the hop before: kept aside, `X-Forwarded-*` is written anew and may count it in."""
        claims = self._head.claims = self._head.claims or {}
        name = name.lower()
        claims[name] = b"%b, %b" % (claims[name], value) if name in claims else value

    def _on_dropped(self, name: bytes, value: bytes) -> None:
        """A field for this hop only."""

    def _on_max_forwards(self, name: bytes, value: bytes) -> None:
        if value.isdigit() and len(value) < 9:
            hops = int(value)
            if self._head.max_forwards is None:
                self._head.max_forwards = hops
            if hops and self._bytes.startswith(b"OPTIONS "):  # RFC 9110 7.6.2: for TRACE too, which ends here
                value = b"%d" % (hops - 1)
        self._parts += (name, b": ", value, b"\r\n")

    def _on_timeout(self, name: bytes, value: bytes) -> None:
        try:
            self._head.timeout_s = parse_timeout(value)
        except ValueError:
            self._problem = _BAD_TIMEOUT

    def _on_priority(self, name: bytes, value: bytes) -> None:
        self._head.priority = PRIORITIES.get(value.lower())
        if self._head.priority is None:
            self._problem = _BAD_PRIORITY

    def _on_explain(self, name: bytes, value: bytes) -> None:
        self._head.explain = value.lower() in (b"1", b"true", b"yes", b"on")

    def _head_complete(self, rest: bytes, now: float) -> Request:
        head, line = self._head, _LINE.match(self._bytes)
        if line is None:
            raise GatewayError("bad_request", "The request line is malformed.", close=True)
        if line[3] != b"1" or line[4] not in b"01":
            raise GatewayError(*_VERSION, close=True)
        head.method = line[1].decode("ascii")
        head.minor = 1 if line[4] == b"1" else 0
        self._check_target(head, line[2])
        self._check_fields(head)
        self._check_connection(head)
        head.parts = tuple(self._parts)
        head.fields = b"".join(self._parts)
        self._parser = None
        if not self._asks_websocket:  # a wish for it is void when there is a body
            self._remember(head)
        self._bytes = b""
        return self._begin_body(head, self._length, rest, now)

    def _remember(self, head: RequestHead) -> None:
        """Remember what the head means, less the fields that are each request's own, if they can be cut."""
        whole = self._bytes
        if self._own:
            if len({name.lower() for name in self._own}) < len(self._own) or self._named is not None:
                return
            self._spellings = tuple([b"\r\n%b: " % name for name in self._own])
            noted = self._request_id, self._trace, self._trace_line
            whole = self._cut(whole)
            self._request_id, self._trace, self._trace_line = noted
            if not whole or any(spelling in whole for spelling in self._spellings):
                return
        self._memo.learn(whole, head, self._length is not None)

    def _begin_body(self, head: RequestHead, length: int | None, rest: bytes, now: float) -> Request:
        self._blank = b""
        request = self._request = Request(head, length, now)
        if self._request_id:
            request.request_id, self._request_id = self._request_id, ""
        if self._trace_line:
            request.traceparent, request.traceparent_line = self._trace, self._trace_line
            self._trace = self._trace_line = b""
        if length:
            if len(rest) == length:
                request.complete = True
                request.received = length
                request.body.append(rest)
                self.rest = b""
            else:
                self.feed_body(rest)
        elif head.chunked:
            self._chunks = ChunkedReader()
            self.feed_body(rest)
        else:
            request.complete = True
            self.rest = rest
        return request

    def _check_target(self, head: RequestHead, target: bytes) -> None:
        if len(target) > MAX_TARGET:
            raise GatewayError(
                "target_too_long", f"The request target is over {MAX_TARGET} bytes.", close=True
            )
        if target == b"*":
            if head.method != "OPTIONS":
                raise GatewayError("bad_request", "The target '*' goes with OPTIONS only.", close=True)
            head.target, head.path = target, "*"
            return
        if head.method == "CONNECT":
            raise GatewayError(
                "method_not_allowed", "This is no forward proxy: CONNECT is refused.", close=True
            )
        head.target, authority = origin_form(target)
        if authority is not None:
            head.host = authority
        head.path = head.target.partition(b"?")[0].decode("ascii")

    def _check_fields(self, head: RequestHead) -> None:
        hosts = self._hosts
        if self._bytes.count(b"\r\n") - 2 > MAX_FIELDS:  # all of them: those dropped are work, too
            raise GatewayError("header_too_large", f"More than {MAX_FIELDS} header fields.", close=True)
        if len(hosts) != 1 and (head.minor == 1 or hosts):
            raise GatewayError("bad_request", "Exactly one Host field is required.", close=True)
        if hosts and not (valid_host(hosts[0]) and valid_host(head.host)):
            raise GatewayError("bad_request", "The Host field is malformed.", close=True)
        if head.chunked and not head.minor:  # RFC 9112 6.1: faulty framing
            raise GatewayError(*_AMBIGUOUS, close=True)
        if self._problem is not None:
            raise GatewayError(*self._problem, close=True)

    def _check_connection(self, head: RequestHead) -> None:
        tokens = list_tokens(self._named or [])
        head.keep_alive = b"close" not in tokens and (head.minor == 1 or b"keep-alive" in tokens)
        head.websocket = (
            self._asks_websocket
            and b"upgrade" in tokens
            and head.method == "GET"
            and head.minor == 1
            and not head.chunked
            and not self._length
        )
        named = tokens - {b"close", b"keep-alive", b"upgrade"}
        if named:
            self._parts = without_named(self._parts, named)
            if b"traceparent" in named:
                self._trace = self._trace_line = b""

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
        if b"\r\n" not in self._bytes[: self.max_header]:
            raise GatewayError("target_too_long", "The request line is too long.", close=True)
        raise GatewayError("header_too_large", f"The header is over {self.max_header} bytes.", close=True)

    def _malformed(self, error: httptools.HttpParserError) -> GatewayError:
        line = _LINE.match(self._bytes)
        if line is not None and isinstance(error, httptools.HttpParserInvalidMethodError):
            return GatewayError("method_not_implemented", "The method is not known here.", close=True)
        if line is not None and (line[3] != b"1" or line[4] not in b"01"):
            return GatewayError(*_VERSION, close=True)
        # Raised behind the last field; at any other error the cuts decide which fields have been given here.
        if self._problem is not None and str(error).startswith("Request has invalid"):
            return GatewayError(*self._problem, close=True)
        return GatewayError("bad_request", f"The request is malformed: {error}.", close=True)


_READERS: dict[Field, Callable[[RequestReader, bytes, bytes], None]] = {
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
    Field.TRACESTATE: RequestReader._on_tracestate,
    Field.MAX_FORWARDS: RequestReader._on_max_forwards,
    Field.TIMEOUT: RequestReader._on_timeout,
    Field.PRIORITY: RequestReader._on_priority,
    Field.EXPLAIN: RequestReader._on_explain,
}
