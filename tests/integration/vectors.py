"""What is said to each request, good or bad? A table of raw bytes and the answers they must get.

`/@` in the bytes stands for a path of the vector's own, by which it is found again at the backend.
"""

from collections.abc import Iterator
from dataclasses import dataclass

Codes = int | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Vector:
    """Bytes and what must come of them.

    `writes` are sent one after the other. `answers` are the statuses of the answers in order, each one code
    or several that will do. `closed`: the gateway then ends the connection; otherwise the next request on it
    is answered. `seen` is how many requests the backend gets, whole. `crumbs`: each byte is a write of
    its own. `announced`: the last answer says that the connection will be closed.
    """

    name: str
    writes: tuple[bytes, ...]
    answers: tuple[Codes, ...]
    closed: bool = True
    seen: int = 0
    crumbs: bool = False
    announced: bool = True


GET = "GET /@ HTTP/1.1"
POST = "POST /@ HTTP/1.1"
HOST = "Host: gateway.test"
CHUNKED = "Transfer-Encoding: chunked"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
LAST = b"0\r\n\r\n"


def head(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def bad(name: str, *lines: str, body: bytes = b"", code: Codes = 400) -> Vector:
    """Refused, nothing forwarded, closed, and a request behind it is not seen as one."""
    return Vector(name, (head(*lines) + body + SMUGGLED,), (code,))


def good(name: str, *lines: str, body: bytes = b"", closed: bool = False) -> Vector:
    return Vector(name, (head(*lines) + body,), (200,), closed, 1)


def codings() -> Iterator[Vector]:
    """Transfer-Encoding is `chunked` and nothing else, once, in HTTP/1.1, without Content-Length."""
    yield bad("length then chunks", POST, HOST, "Content-Length: 5", CHUNKED, body=LAST)
    yield bad("chunks then length", POST, HOST, CHUNKED, "Content-Length: 5", body=LAST)
    yield bad("chunks and length 0", POST, HOST, CHUNKED, "Content-Length: 0", body=LAST)
    yield bad("chunks then odd length", POST, HOST, CHUNKED, "Content-Length: x", body=LAST)
    yield bad("length then gzip", POST, HOST, "Content-Length: 5", "Transfer-Encoding: gzip", body=LAST)
    for value in [
        "xchunked",
        "chunkedx",
        "gzip",
        "identity",
        "deflate",
        "chunked-x",
        "chunked\xa0",
        "\xa0chunked",
    ]:
        yield bad(f"coding {value!r}", POST, HOST, f"Transfer-Encoding: {value}", body=LAST, code=(400, 501))
    for value in [
        "chunked, chunked",
        "gzip, chunked",
        "chunked, gzip",
        ",chunked",
        "chunked,",
        "chunked;q=1",
        "'chunked'",
    ]:
        yield bad(f"coding {value!r}", POST, HOST, f"Transfer-Encoding: {value}", body=LAST, code=(400, 501))
    for value in [
        "",
        " ",
        '"chunked"',
        "\x0bchunked",
        "chunked\x0b",
        "chunked\x00",
        "chun ked",
        "\x0cchunked",
    ]:
        yield bad(f"coding {value!r}", POST, HOST, f"Transfer-Encoding: {value}", body=LAST)
    yield bad("coding behind tabs", POST, HOST, "Transfer-Encoding:\tchunked\t", body=LAST)
    yield bad("chunked twice", POST, HOST, CHUNKED, CHUNKED, body=LAST)
    yield bad("chunked and identity", POST, HOST, CHUNKED, "Transfer-Encoding: identity", body=LAST)
    yield bad("gzip and chunked", POST, HOST, "Transfer-Encoding: gzip", CHUNKED, body=LAST, code=(400, 501))
    yield bad("chunked in 1.0", "POST /@ HTTP/1.0", HOST, CHUNKED, body=LAST)
    yield bad("chunked in 1.0, kept", "POST /@ HTTP/1.0", HOST, "Connection: keep-alive", CHUNKED, body=LAST)
    yield bad("coding, space before colon", POST, HOST, "Transfer-Encoding : chunked", body=LAST)
    yield bad("coding, tab before colon", POST, HOST, "Transfer-Encoding\t: chunked", body=LAST)
    yield bad("coding folded", POST, HOST, "Transfer-Encoding:\r\n chunked", body=LAST)
    yield bad("coding with NUL", POST, HOST, "Transfer-Encoding\x00: chunked", body=LAST)
    yield bad("coding behind a space", POST, HOST, "X: y", " Transfer-Encoding: chunked", body=LAST)
    yield bad("coding behind a bare LF", POST, HOST, "X: y\nTransfer-Encoding: chunked", body=LAST)
    yield bad("coding behind a bare CR", POST, HOST, "X: y\rTransfer-Encoding: chunked", body=LAST)
    yield good("chunked in capitals", POST, HOST, "TRANSFER-ENCODING: CHUNKED", body=b"3\r\nabc\r\n" + LAST)
    yield good("chunked empty", POST, HOST, CHUNKED, body=LAST)
    yield good("chunked GET", GET, HOST, CHUNKED, body=b"3\r\nabc\r\n" + LAST)
    odd = head(POST, HOST, "Transfer_Encoding: chunked") + LAST
    yield Vector("underscore is another field", (odd,), (200, 400), True, 1)


def lengths() -> Iterator[Vector]:
    """Content-Length is one run of ASCII digits, once."""
    values = [
        "+5",
        "-5",
        "0x5",
        "5, 5",
        "5,6",
        "",
        "  ",
        "5 5",
        "5_0",
        "5.0",
        "5e0",
        "five",
        "5\x0b",
        "\x0b5",
        "5\x00",
    ]
    values += [
        "\xb2",
        "\xd9\xa5",
        "5;x",
        '"5"',
        "9" * 19,
        "9" * 20,
        str(2**63),
        str(2**64 + 5),
        "0" * 40 + "5",
        "5\r\n\tx",
    ]
    for value in values:
        yield bad(f"length {value!r}", POST, HOST, f"Content-Length: {value}", body=b"hello")
    yield bad("length twice, equal", POST, HOST, "Content-Length: 5", "Content-Length: 5", body=b"hello")
    yield bad("length twice, different", POST, HOST, "Content-Length: 5", "content-length: 0", body=b"hello")
    yield bad("length, space before colon", POST, HOST, "Content-Length : 5", body=b"hello")
    yield bad("length behind a bare LF", POST, HOST, "X: y\nContent-Length: 5", body=b"hello")
    yield good("length with zeros", POST, HOST, "Content-Length: 0005", body=b"hello")
    yield good("length with spaces", POST, HOST, "Content-Length: \t 5 ", body=b"hello")
    yield good("length 0", POST, HOST, "Content-Length: 0")
    yield good("no length", POST, HOST)
    yield good("GET with a body", GET, HOST, "Content-Length: 5", body=b"hello")
    yield good("length in 1.0", "POST /@ HTTP/1.0", HOST, "Content-Length: 5", body=b"hello", closed=True)
    yield good("body of line ends", POST, HOST, "Content-Length: 8", body=b"\r\n\r\n\r\n\r\n")
    body = head(POST, HOST, "Content-Length: 5") + b"hello" + SMUGGLED.replace(b"smuggled", b"@/next")
    yield Vector("what follows the length is the next request", (body,), (200, 200), False, 2)


def fields() -> Iterator[Vector]:
    """Lines end with CRLF; names are tokens; values hold no control characters; nothing is folded."""
    yield Vector("LF behind the request line", (GET.encode() + b"\nHost: a\r\n\r\n" + SMUGGLED,), (400,))
    yield Vector("LF behind a field", (GET.encode() + b"\r\nHost: a\n\r\n" + SMUGGLED,), (400,))
    yield Vector("LF everywhere", (GET.encode() + b"\nHost: a\n\n" + SMUGGLED,), (400,))
    yield Vector("LF ends the head", (GET.encode() + b"\r\nHost: a\r\n\n" + SMUGGLED,), (400,))
    yield Vector("CR ends the head", (GET.encode() + b"\r\nHost: a\r\n\r" + SMUGGLED,), (400,))
    yield Vector("CR as line end", (GET.encode() + b"\rHost: a\r\r" + SMUGGLED,), (400,))
    for name, line in {
        "CR in a value": "X: a\rb",
        "LF in a value": "X: a\nb",
        "LF smuggles a field": "X: a\nY: b",
        "NUL in a value": "X: a\x00b",
        "NUL in a name": "X\x00: a",
        "control in a value": "X: a\x01b",
        "VT in a value": "X: a\x0bb",
        "escape in a value": "X: \x1b[31m",
        "DEL in a value": "X: a\x7fb",
        "folded": "X: a\r\n b",
        "folded with tab": "X: a\r\n\tb",
        "folded empty": "X: a\r\n \r\nY: b",
        "space before colon": "X : a",
        "tab before colon": "X\t: a",
        "empty name": ": a",
        "no colon": "X",
        "space in a name": "X y: a",
        "space before a name": " X: a",
    }.items():
        yield bad(name, GET, HOST, line)
    for char in '()<>@,;\\"/[]?={}\x7f\x80\xe9':
        yield bad(f"{char!r} in a name", GET, HOST, f"X{char}y: a")
    yield bad("space before the first field", GET, " X: y", HOST)
    yield bad("tab before the first field", GET, "\tX: y", HOST)
    yield bad("space alone before the fields", GET, " ", HOST)
    yield good("odd but good names", GET, HOST, "!#$%&'*+-.^_`|~0aZ: y")
    yield good("high bytes and tabs in a value", GET, HOST, "X: \x80\xff\ta\t\xa0")
    yield good("empty values", GET, HOST, "X:", "Y: ", "Z:\t")
    yield good("no space behind the colon", GET, "Host:gateway.test", "X:y")


def hosts() -> Iterator[Vector]:
    """Exactly one Host, by its grammar; of two authorities the target's counts."""
    yield bad("no Host", GET)
    yield bad("no Host, absolute", "GET http://gateway.test/@ HTTP/1.1")
    yield bad("Host twice", GET, HOST, HOST)
    yield bad("two Hosts", GET, HOST, "host: b.test")
    yield bad("two Hosts in 1.0", "GET /@ HTTP/1.0", HOST, "Host: b.test")
    values = [
        "",
        " ",
        "a b",
        "a/b",
        "a?b",
        "a#b",
        "u@a",
        "u:p@a",
        "a:b",
        "a:80:80",
        "a:-1",
        "a:+1",
        "a:999999",
    ]
    values += [
        "::1",
        "[::1",
        "[::1]x",
        "[x]",
        "a\\b",
        "a%",
        "a%zz",
        "a\x80",
        "<a>",
        '"a"',
        "http://a",
        "a, b",
        "{a}",
    ]
    for value in values:
        yield bad(f"Host {value!r}", GET, f"Host: {value}")
    for value in ["a", "a:", "a:80", "A.b-c_d", "127.0.0.1:1", "[::1]:80", "  a\t", "xn--e1a.test"]:
        yield good(f"Host {value!r}", GET, f"Host: {value}")
    yield good("1.0 without Host", "GET /@ HTTP/1.0", closed=True)


def targets() -> Iterator[Vector]:
    """Origin form, absolute form of http, `*` for OPTIONS; no fragments, no other forms."""
    for name, target in {
        "fragment": "/@#x",
        "fragment in the query": "/@?q#x",
        "fragment, absolute": "http://a/@#x",
        "no path, fragment": "http://a#x",
        "user": "http://u@a/@",
        "user and password": "http://u:p@a/@",
        "no authority": "http:///@",
        "bad authority": "http://a b/@",
        "bad port": "http://a:x/@",
        "one slash": "http:/a/@",
        "other scheme": "ftp://a/@",
        "file": "file:///@",
        "authority form": "a.test:80",
        "relative": "@",
        "query alone": "?@",
        "dot": "./@",
        "asterisk": "*",
        "asterisk and more": "*/@",
        "NUL": "/@\x00",
        "tab": "/@\tx",
        "CR": "/@\rx",
        "high byte": "/@\xe9",
        "DEL": "/@\x7f",
        "space": "/@ x",
    }.items():
        yield bad(f"target, {name}", f"GET {target} HTTP/1.1", HOST)
    yield bad("CONNECT", "CONNECT a.test:80 HTTP/1.1", HOST, code=405)
    yield bad("CONNECT with a path", "CONNECT /@ HTTP/1.1", HOST, code=405)
    yield bad("OPTIONS * and more", "OPTIONS *@ HTTP/1.1", HOST)
    yield Vector("OPTIONS *", (head("OPTIONS * HTTP/1.1", HOST),), (204,), False)
    yield good("absolute", "GET http://other.test:81/@ HTTP/1.1", HOST)
    yield good("absolute https", "GET HTTPS://other.test/@ HTTP/1.1", HOST)
    for target in [
        "/@//x/../y/./z",
        "/@;a=b",
        "/@?q=%0d%0aX:%20y&&=",
        "/@%2e%2e%2f%00%zz%",
        '/@/"<>^`{}|\\',
        "/@??//",
    ]:
        yield good(f"target {target!r}", f"GET {target} HTTP/1.1", HOST)


def lines() -> Iterator[Vector]:
    """Method, one space, target, one space, HTTP/1.0 or HTTP/1.1."""
    for version in ["HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/9.9", "HTTP/1.2", "HTTP/1.9"]:
        yield bad(f"version {version}", f"GET /@ {version}", HOST, code=505)
    versions = [
        "http/1.1",
        "Http/1.1",
        "HTTP/1",
        "HTTP/11",
        "HTTP/1.10",
        "HTTP/01.1",
        "HTTP/+1.1",
        "HTTP/1.1x",
        "HTTP/1,1",
    ]
    for version in [
        *versions,
        "HTTPS/1.1",
        "HTTP 1.1",
        "HTTP/ 1.1",
        "HTTP/",
        "HTTP",
        "ICE/1.0",
        "RTSP/1.0",
        "HTTP/\xb9.1",
    ]:
        yield bad(f"version {version!r}", f"GET /@ {version}", HOST)
    for name, line in {
        "two spaces behind the method": "GET  /@ HTTP/1.1",
        "two spaces behind the target": "GET /@  HTTP/1.1",
        "space behind the version": "GET /@ HTTP/1.1 ",
        "tab behind the method": "GET\t/@ HTTP/1.1",
        "tab behind the target": "GET /@\tHTTP/1.1",
        "VT between": "GET\x0b/@ HTTP/1.1",
        "space before the method": " GET /@ HTTP/1.1",
        "tab before the method": "\tGET /@ HTTP/1.1",
        "no target": "GET HTTP/1.1",
        "no target, two spaces": "GET  HTTP/1.1",
        "method alone": "GET",
        "HTTP/0.9": "GET /@",
        "four words": "GET /@ HTTP/1.1 x",
        "method with a slash": "GE/T /@ HTTP/1.1",
        "method with NUL": "G\x00ET /@ HTTP/1.1",
        "method with a high byte": "G\xc9T /@ HTTP/1.1",
        "quoted method": '"GET" /@ HTTP/1.1',
        "CR behind the line": "GET /@ HTTP/1.1\r",
    }.items():
        yield bad(name, line, HOST)
    for method in ["BREW", "get", "GeT", "GETS", "GE", "X" * 32, "FOO-BAR", "!"]:
        yield bad(f"method {method}", f"{method} /@ HTTP/1.1", HOST, code=501)
    yield bad("method without end", "X" * 33 + " /@ HTTP/1.1", HOST, code=(400, 501))
    yield Vector("TRACE", (head("TRACE /@ HTTP/1.1", HOST),), (405,), False)
    yield good("empty line first", "\r\n" + GET, HOST)
    yield bad("two empty lines first", "\r\n\r\n" + GET, HOST)
    for method in ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"]:
        yield good(method, f"{method} /@ HTTP/1.1", HOST)
    yield good("1.0 kept", "GET /@ HTTP/1.0", "Connection: keep-alive")
    yield good("1.1 closed", GET, HOST, "Connection: close", closed=True)
    yield Vector("LF first", (b"\n" + head(GET, HOST),), (400,))
    yield Vector("NULs", (b"\0" * 40,), (400,))
    yield Vector("TLS", (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),), (400,))
    yield Vector("preface of HTTP/2", (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",), ((400, 505),))
    yield Vector("SSH", (b"SSH-2.0-OpenSSH_9.6\r\n\r\n",), (400,))
    yield Vector("PROXY", (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + head(GET, HOST),), (400,))


CHUNKS: dict[str, bytes] = {
    "no digits": b"\r\nhello\r\n0\r\n\r\n",
    "not hex": b"g\r\nhello\r\n0\r\n\r\n",
    "plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "space before": b" 5\r\nhello\r\n0\r\n\r\n",
    "space behind": b"5 \r\nhello\r\n0\r\n\r\n",
    "17 digits": b"00000000000000005\r\nhello\r\n0\r\n\r\n",
    "overflow": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "LF behind the size": b"5\nhello\r\n0\r\n\r\n",
    "CR behind the size": b"5\rhello\r\n0\r\n\r\n",
    "LF behind the data": b"5\r\nhello\n0\r\n\r\n",
    "nothing behind the data": b"5\r\nhello0\r\n\r\n",
    "data too long": b"5\r\nhello!\r\n0\r\n\r\n",
    "data too short": b"6\r\nhello\r\n0\r\n\r\n",
    "LF ends the body": b"5\r\nhello\r\n0\n\n",
    "LF behind the last chunk": b"5\r\nhello\r\n0\n\r\n",
    "bare LF in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "bare CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "NUL in an extension": b"5;a\0b\r\nhello\r\n0\r\n\r\n",
    "escape in an extension": b"5;a=\x1b\r\nhello\r\n0\r\n\r\n",
    "line end in a quoted extension": b'5;a="b\r\n"\r\nhello\r\n0\r\n\r\n',
    "unended quoted extension": b'5;a="b\r\nhello\r\n0\r\n\r\n',
    "empty extension": b"5;\r\nhello\r\n0\r\n\r\n",
    "oversized extension": b"5;" + b"a" * 300 + b"\r\nhello\r\n0\r\n\r\n",
    "many extensions": (b"1;" + b"a" * 200 + b"\r\nx\r\n") * 100 + LAST,
    "trailer without colon": b"0\r\nX\r\n\r\n",
    "trailer with bad name": b"0\r\nX y: z\r\n\r\n",
    "trailer with space before colon": b"0\r\nX : y\r\n\r\n",
    "trailer folded": b"0\r\nX: y\r\n z\r\n\r\n",
    "trailer with NUL": b"0\r\nX: \0\r\n\r\n",
    "trailer ends with LF": b"0\r\nX: y\n\r\n",
    "trailer behind a space": b"0\r\n X: y\r\n\r\n",
}


def chunks() -> Iterator[Vector]:
    """Sizes of hex digits, lines that end with CRLF, extensions and trailers that are checked and bounded."""
    for name, body in CHUNKS.items():
        yield bad(f"chunks, {name}", POST, HOST, CHUNKED, body=body)
        whole = head(POST, HOST, CHUNKED)
        yield Vector(f"chunks, {name}, later", (whole, body + SMUGGLED), (400,))
    many = b"0\r\n" + b"X: y\r\n" * 33 + b"\r\n"
    yield bad("chunks, too many trailers", POST, HOST, CHUNKED, body=many, code=431)
    long = b"0\r\n" + (b"X: " + b"y" * 4200 + b"\r\n") * 2 + b"\r\n"
    yield bad("chunks, trailers too long", POST, HOST, CHUNKED, body=long, code=431)
    body = b'5;a;b=c;d="e;\\"f" ; g\r\nhello\r\n00\r\nX: y\r\nHost: evil\r\n\r\n'
    yield good("chunks, extensions and trailers", POST, HOST, CHUNKED, body=body)
    follows = head(POST, HOST, CHUNKED) + LAST + SMUGGLED.replace(b"smuggled", b"@/next")
    yield Vector("chunks, then the next request", (follows,), (200, 200), False, 2)


def expectations() -> Iterator[Vector]:
    """100-continue is answered at once; other expectations are refused; other upgrades are not looked at."""
    for value in ["200-ok", "100-continue, x", "", "100-continue;x", "100"]:
        yield bad(
            f"Expect {value!r}", POST, HOST, f"Expect: {value}", "Content-Length: 5", body=b"hello", code=417
        )
    waits = head(POST, HOST, "Expect: 100-Continue", "Content-Length: 5")
    yield Vector("Expect", (waits, b"hello"), (100, 200), False, 1)
    yield Vector(
        "Expect, chunked", (head(POST, HOST, "Expect: 100-continue", CHUNKED), LAST), (100, 200), False, 1
    )
    yield Vector("Expect, body at once", (waits + b"hello",), (200,), False, 1)
    old = head("POST /@ HTTP/1.0", "Expect: 100-continue", "Content-Length: 5")
    yield Vector("Expect in 1.0", (old, b"hello"), (200,), True, 1)
    yield good(
        "h2c", GET, HOST, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMA"
    )
    yield good("websocket by POST", POST, HOST, "Connection: Upgrade", "Upgrade: websocket")
    yield good("TLS upgrade", GET, HOST, "Connection: Upgrade", "Upgrade: TLS/1.3, HTTP/1.1")


def pipelines() -> Iterator[Vector]:
    """Requests behind each other are answered in order; a bad one ends the connection after the good ones."""
    get, post = head(GET, HOST), head(POST, HOST, "Content-Length: 2") + b"ok"
    yield Vector("three at once", (get + post + get,), (200, 200, 200), False, 3)
    yield Vector("in crumbs", (post + get,), (200, 200), False, 2, crumbs=True)
    for name, second in {
        "no Host": head(GET),
        "length and chunks": head(POST, HOST, "Content-Length: 5", CHUNKED) + LAST,
        "bare LF": b"GET /@ HTTP/1.1\nHost: a\n\n",
        "garbage": b"\x00\x01\x02\r\n\r\n",
        "folding": head(GET, HOST, "X: a\r\n b"),
    }.items():
        yield Vector(f"good, then {name}", (get + second + SMUGGLED,), (200, 400), True, 1)
        yield Vector(f"good, then {name}, later", (get, second + SMUGGLED), (200, 400), True, 1)
    yield Vector(
        "good, then a version", (get + head("GET /@ HTTP/2.0", HOST) + SMUGGLED,), (200, 505), True, 1
    )
    closes = head(GET, HOST, "Connection: close")
    yield Vector("nothing behind close", (closes + SMUGGLED,), (200,), True, 1)
    old = head("GET /@ HTTP/1.0", HOST)
    yield Vector("nothing behind 1.0", (old + SMUGGLED,), (200,), True, 1)
    longer = head(POST, HOST, "Content-Length: 3") + b"ok"
    yield Vector(
        "a byte short, then a request", (longer + b"G", b"ET / HTTP/1.1\r\n\r\n"), (200, (400, 501)), True, 1
    )


def sizes() -> Iterator[Vector]:
    """The bounds of heads."""
    yield bad("head too large", GET, HOST, *["X: " + "y" * 1000] * 33, code=431)
    yield bad("field too large", GET, HOST, "X: " + "y" * 40_000, code=431)
    yield bad("field name too large", GET, HOST, "X" * 40_000 + ": y", code=431)
    yield Vector("head without end", (GET.encode() + b"\r\nX: " + b"y" * 40_000,), (431,))
    yield bad("101 fields", GET, HOST, *["X: y"] * 100, code=431)
    yield bad("101 fields for this hop", GET, HOST, *["Keep-Alive: y"] * 100, code=431)
    yield good("100 fields", GET, HOST, *["X: y"] * 99)
    yield bad("target too long", f"GET /@{'x' * 9000} HTTP/1.1", HOST, code=414)
    yield bad("query too long", f"GET /@?{'x' * 9000} HTTP/1.1", HOST, code=414)
    yield Vector("line without end", (b"GET /" + b"x" * 40_000,), (414,))
    yield Vector("method without line", (b"GET" * 20_000,), ((400, 414),))
    yield good("long target", f"GET /@{'x' * 8000} HTTP/1.1", HOST)


PLAIN = [
    *codings(),
    *lengths(),
    *fields(),
    *hosts(),
    *targets(),
    *lines(),
    *chunks(),
    *expectations(),
    *pipelines(),
    *sizes(),
]


def _small() -> Iterator[Vector]:
    body = b"x" * 1025
    whole = head(POST, HOST, "Content-Length: 1025")
    in_chunks = head(POST, HOST, CHUNKED)
    yield Vector("length too large", (whole + body + SMUGGLED,), (413,))
    yield Vector("length too large, body later", (whole, body + SMUGGLED), (413,))
    yield Vector("length far too large", (head(POST, HOST, "Content-Length: 999999999999"),), (413,))
    expects = head(POST, HOST, "Expect: 100-continue", "Content-Length: 1025")
    yield Vector("no 100 for a length too large", (expects,), (413,))
    yield Vector("chunk too large", (in_chunks + b"401\r\n" + body + b"\r\n" + LAST + SMUGGLED,), (413,))
    yield Vector("chunk too large, later", (in_chunks, b"401\r\n" + body + b"\r\n" + LAST + SMUGGLED), (413,))
    yield Vector("chunks too large", (in_chunks, *[b"100\r\n" + b"x" * 256 + b"\r\n"] * 5), (413,))
    yield Vector("chunk announced too large", (in_chunks, b"ffffffff\r\n" + body), (413,))
    yield good("length just right", POST, HOST, "Content-Length: 1024", body=body[:-1])
    yield good("chunk just right", POST, HOST, CHUNKED, body=b"400\r\n" + body[:-1] + b"\r\n" + LAST)
    yield bad("smaller head too large", GET, HOST, "X: " + "y" * 2010, code=431)


#: For a gateway with max_body 1KiB and max_header 2KiB.
SMALL = list(_small())


def _slow() -> Iterator[Vector]:
    yield Vector("nothing is said", (), ())
    yield Vector("nothing more is said", (head(GET, HOST),), (200,), True, 1, announced=False)
    yield Vector("empty lines only", (b"\r\n",), ())
    yield Vector("half a line", (b"GET /",), (408,))
    yield Vector("half a method", (b"G",), (408,))
    yield Vector("half a head", (b"GET / HTTP/1.1\r\nHost: a\r\nX: ",), (408,))
    yield Vector("all but the last byte", (head(GET, HOST)[:-1],), (408,))
    yield Vector("no body", (head(POST, HOST, "Content-Length: 5"),), (408,))
    yield Vector("half a body", (head(POST, HOST, "Content-Length: 5") + b"hel",), (408,))
    yield Vector("half a chunk", (head(POST, HOST, CHUNKED) + b"5\r\nhel",), (408,))
    yield Vector("no last chunk", (head(POST, HOST, CHUNKED) + b"5\r\nhello\r\n",), (408,))
    yield Vector("half a trailer", (head(POST, HOST, CHUNKED) + b"5\r\nhello\r\n0\r\nX",), (408,))
    yield Vector(
        "no body after 100", (head(POST, HOST, "Content-Length: 5", "Expect: 100-continue"),), (100, 408)
    )
    yield Vector("good, then half a head", (head(GET, HOST) + b"GET /",), (200, 408), True, 1)


#: For a gateway whose timeouts for clients are a fraction of a second.
SLOW = list(_slow())


def _streamed() -> Iterator[Vector]:
    for name, body in CHUNKS.items():
        yield Vector(
            f"streamed, {name}", (head(POST, HOST, CHUNKED) + b"2\r\nok\r\n", body + SMUGGLED), (400,)
        )
    yield Vector("streamed length", (head(POST, HOST, "Content-Length: 5") + b"he", b"llo"), (200,), False, 1)
    in_chunks = head(POST, HOST, CHUNKED) + b"2\r\nok\r\n"
    yield Vector("streamed chunks", (in_chunks, b"5\r\nhello\r\n", LAST), (200,), False, 1)
    crumbs = in_chunks + b"5\r\nhello\r\n" + LAST
    yield Vector("streamed in crumbs", (crumbs,), (200,), False, 1, crumbs=True)
    follows = LAST + SMUGGLED.replace(b"smuggled", b"@/next")
    writes = (in_chunks, b"5\r\nhello\r\n", follows)
    yield Vector("streamed, then the next request", writes, (200, 200), False, 2)
    yield Vector("streamed, too large", (in_chunks, b"401\r\n" + b"x" * 1025 + b"\r\n", LAST), (413,))


#: For a gateway that holds no bodies, with max_body 1KiB.
STREAMED = list(_streamed())
