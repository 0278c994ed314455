"""Which messages are valid? Requests and responses that must be understood, however their bytes arrive."""


def message(*lines: str, body: bytes = b"") -> bytes:
    """A head of `lines`, its empty line, and `body`."""
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def facts(head: object) -> dict[str, object]:
    """All that a head says, by name; of a compiled class as well, which has no `__dict__`."""
    said = {name: getattr(head, name) for name in dir(head) if not name.startswith("_")}
    return {name: value for name, value in said.items() if not callable(value)}


GET = "GET / HTTP/1.1"
POST = "POST /v1/chat/completions HTTP/1.1"
HOST = "Host: a"
CHUNKED = "Transfer-Encoding: chunked"

REQUESTS: list[bytes] = [
    message(GET, HOST),
    b"\r\n" + message(GET, HOST),
    message("GET / HTTP/1.0"),
    message("GET /x HTTP/1.0", HOST, "Connection: keep-alive"),
    message("GET //a/../b;c=d/%0d%0a?q=%00&r=/?:@ HTTP/1.1", "hOsT: [::1]:80", "Connection: close"),
    message("GET http://b.test:80/x?y HTTP/1.1", HOST),
    message("GET http://b.test?y HTTP/1.1", HOST),
    message("OPTIONS * HTTP/1.1", HOST),
    message("OPTIONS /x HTTP/1.1", HOST, "Max-Forwards: 7"),
    message("HEAD / HTTP/1.1", HOST, "X:", "Y: \t z \t", "Z: a, \x80\xff b"),
    message("PUT /x HTTP/1.1", HOST, "Content-Length: 0"),
    message(POST, HOST, "Content-Type: application/json", "Content-Length: 13", body=b'{"model":"m"}'),
    message(POST, "content-length: 3", "host: a", body=b"abc" + message("GET /next HTTP/1.1", HOST)),
    message(POST, HOST, "Content-Length: 0004 ", "Expect: 100-continue", body=b"\r\n\r\n"),
    message(POST, HOST, CHUNKED, body=b"3\r\nabc\r\n0\r\n\r\n"),
    message(POST, HOST, "transfer-encoding: Chunked", "TE: trailers", "Trailer: X", body=b"00A;x;y=z ; q = ")
    + b'"a;\\"b"\r\n0123456789\r\n1\r\n\n\r\n0;last\r\nX: y\r\nContent-Length: 5\r\n\r\nGET /',
    message(POST, HOST, "Connection: x-drop, Keep-Alive", "X-Drop: 1", "Keep-Alive: 3", "X-Keep: 2")[:-2]
    + message("Proxy-Authorization: p", "Content-Length: 1", body=b"z"),
    message(GET, HOST, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: a=="),
    message(GET, HOST, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: x"),
    message("DELETE /x HTTP/1.1", HOST, "X-Request-ID: abc-1", "X-Forwarded-For: 1.2.3.4", "traceparent: 0"),
    message(GET, HOST, "X-Gateway-Timeout: 250ms", "X-Gateway-Priority: low", "X-Gateway-Explain: 1"),
]

OK = "HTTP/1.1 200 OK"

#: (bytes, whether they answer a HEAD)
RESPONSES: list[tuple[bytes, bool]] = [
    (message(OK, "Content-Length: 5", "Date: now", body=b"hello"), False),
    (message(OK, "Content-Length: 0"), False),
    (message("HTTP/1.0 200 OK", "Content-Length: 2", "Connection: keep-alive", body=b"ab"), False),
    (message("HTTP/1.0 200 OK", "Content-Length: 2", body=b"ab"), False),
    (message("HTTP/1.1 404 No \x80", "content-length: 2", "connection: close", body=b"ab"), False),
    (message(OK, CHUNKED, body=b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"), False),
    (message(OK, CHUNKED, body=b"3\r\nabc\r\n0\r\nX: y\r\nHost: z\r\n\r\n"), False),
    (message("HTTP/1.1 503 No", "Retry-After: 3", "Content-Length: 1", "Keep-Alive: x", body=b"!"), False),
    (message(OK, "Connection: X-Drop", "X-Drop: 1", "X-Empty:", "Content-Length: 1", body=b"z"), False),
    (message("HTTP/1.1 103 E", "Link: a") + message(OK, "Content-Length: 2", body=b"ab"), False),
    (message("HTTP/1.1 100 Go") + message(OK, "Content-Length: 2", "Via: 1.1 b", body=b"ab"), False),
    (message("HTTP/1.1 204 No Content", "X: y"), False),
    (message("HTTP/1.1 304 Not Modified", "Content-Length: 77", "ETag: x"), False),
    (message(OK, "Content-Length: 77"), True),
    (message(OK, CHUNKED), True),
]

#: Ended by the backend's close only.
UNTIL_CLOSE: list[bytes] = [
    message(OK, "Content-Type: text/event-stream", body=b"data: 1\n\ndata: 2\n\n"),
    message("HTTP/1.0 200 OK"),
]

#: Pieces that mutations put in: what smugglers use.
SPLINTERS: list[bytes] = [
    *(bytes([byte]) for byte in b'\r\n\0 \t\x0b\x0c\x7f\x85\xa0:;,#@"\\0+-_xX'),
    b"\r\n",
    b"\r\n\r\n",
    b"0x",
    b"chunked",
    b"Content-Length: 5\r\n",
    b"Content-Length:5\r\n",
    b"content-length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Host: b\r\n",
    b"Connection: close\r\n",
    b"Connection: content-length\r\n",
    b" HTTP/1.1",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/1.1 103 x\r\n",
    b"0\r\n\r\n",
    b"GET /smuggled HTTP/1.1\r\nHost: s\r\n\r\n",
]
