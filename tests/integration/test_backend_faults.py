"""Whatever a backend does wrong, its client gets an error or a visible cut, and nobody else gets hurt."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from gateway.app import App
from tests.harness import Backend, Conversation, gateway, left_over, ok, settled
from tests.unit.http.corpus import CHUNKED, OK, message
from tests.unit.http.strict import Incomplete, Message, Refused, parse_request, parse_response

#: What a backend does: bytes are sent; "close" ends in order, "reset" breaks, "wait" stays silent until the
#: gateway gives up, "drip" sends one byte of a head after the other, "pause" lets the gateway read.
Step = bytes | Literal["close", "reset", "wait", "drip", "pause"]

QUICK = {"timeouts": {"first_byte": "300ms", "idle": "300ms"}}


@dataclass(frozen=True, slots=True)
class Fault:
    """`steps` answer the first request. `result`: the error's kind, "cut", or status and body of an answer.

    `connections` is how many the gateway opens for this request and the next one.
    """

    name: str
    steps: tuple[Step, ...]
    result: str | tuple[int, bytes]
    method: str = "GET"
    connections: int = 2
    interim: tuple[int, ...] = ()
    slow: bool = False


def broken(name: str, *steps: Step, slow: bool = False) -> Fault:
    return Fault(name, steps, "reset", slow=slow)


def bad(name: str, *lines: str, body: bytes = b"") -> Fault:
    """An answer that cannot be used; the backend would keep the connection."""
    return Fault(name, (message(*lines, body=body), "wait"), "bad_response")


def cut(name: str, *steps: Step, slow: bool = False) -> Fault:
    return Fault(name, steps, "cut", slow=slow)


COUNTED = message(OK, "Content-Length: 10")
IN_CHUNKS = message(OK, CHUNKED)
OPEN = message(OK, "Content-Type: text/plain")
EMPTY = "Content-Length: 0"
KEEP = "Connection: keep-alive"
HELLO = (200, b"hello")
SWITCH = ("HTTP/1.1 101 Switching", "Connection: Upgrade", "Upgrade: websocket")

ENDS = [
    *(broken(f"{how} before a byte", how) for how in ("close", "reset")),
    *(broken(f"{how} in the status line", b"HTTP/1.1 20", "pause", how) for how in ("close", "reset")),
    *(broken(f"{how} in the head", COUNTED[:-4], "pause", how) for how in ("close", "reset")),
    *(broken(f"{how} behind a counted head", COUNTED, "pause", how) for how in ("close", "reset")),
    *(broken(f"{how} behind a chunked head", IN_CHUNKS, "pause", how) for how in ("close", "reset")),
    *(broken(f"{how} in a chunk's size", IN_CHUNKS + b"5", "pause", how) for how in ("close", "reset")),
    *(
        broken(f"{how} behind an interim", message("HTTP/1.1 100 Go"), "pause", how)
        for how in ("close", "reset")
    ),
    *(cut(f"{how} in a counted body", COUNTED + b"hello", "pause", how) for how in ("close", "reset")),
    *(cut(f"{how} in a chunk", IN_CHUNKS + b"a\r\nhello", "pause", how) for how in ("close", "reset")),
    *(
        cut(f"{how} behind a chunk", IN_CHUNKS + b"5\r\nhello\r\n", "pause", how)
        for how in ("close", "reset")
    ),
    *(
        cut(f"{how} in the last chunk", IN_CHUNKS + b"5\r\nhello\r\n0\r\n", "pause", how)
        for how in ("close", "reset")
    ),
    *(
        cut(f"{how} in a trailer", IN_CHUNKS + b"5\r\nhello\r\n0\r\nX: y", "pause", how)
        for how in ("close", "reset")
    ),
    Fault("close ends an open body", (OPEN + b"hello", "pause", "close"), HELLO),
    Fault("close ends an empty open body", (OPEN, "pause", "close"), (200, b"")),
    Fault("close ends a body of 1.0", (message("HTTP/1.0 200 OK", body=b"hello"), "close"), HELLO),
    cut("reset in an open body", OPEN + b"hello", "pause", "reset"),
    broken("reset behind an open head", OPEN, "pause", "reset"),
]

ANSWERS = [
    *(
        bad(f"status {code!r}", f"HTTP/1.1 {code} X", EMPTY)
        for code in ("000", "099", "99", "600", "700", "2xx", "20")
    ),
    *(
        bad(f"status {code!r}", f"HTTP/1.1 {code} X", EMPTY)
        for code in ("2000", "+20", "-20", " 200", "\xb200", "")
    ),
    *(
        bad(f"version {v!r}", f"{v} 200 OK", EMPTY)
        for v in ("HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "http/1.1", "ICY")
    ),
    *(
        bad(f"version {v!r}", f"{v} 200 OK", EMPTY)
        for v in ("HTTP/1", "HTTP/1.10", "HTTP/11", "RTSP/1.0", "HTTPS/1.1")
    ),
    bad("garbage", "\x00\x01\x02 garbage"),
    bad("another protocol", "SSH-2.0-OpenSSH_9.6"),
    Fault("HTTP/0.9", (b"<html>hello</html>", "close"), "bad_response"),
    Fault("empty lines first", (b"\r\n\r\n" + ok(), "wait"), "bad_response"),
    bad("NUL in the status line", "HTTP/1.1 200 O\x00K", EMPTY),
    bad("CR in the status line", "HTTP/1.1 200 O\rK", EMPTY),
    *(
        bad(f"length {v!r}", OK, f"Content-Length: {v}", body=b"hello")
        for v in ("+5", "-5", "0x5", "5, 5", "", "5 5")
    ),
    *(
        bad(f"length {v!r}", OK, f"Content-Length: {v}", body=b"hello")
        for v in ("9" * 19, "9" * 20, "five", "5\x0b")
    ),
    bad("length twice", OK, "Content-Length: 5", "Content-Length: 5", body=b"hello"),
    bad("two lengths", OK, "Content-Length: 5", "Content-Length: 3", body=b"hello"),
    bad("length and chunks", OK, "Content-Length: 5", CHUNKED, body=b"0\r\n\r\n"),
    bad("chunks and length", OK, CHUNKED, "Content-Length: 5", body=b"0\r\n\r\n"),
    bad("chunked twice", OK, CHUNKED, CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n"),
    *(
        bad(f"coding {v!r}", OK, f"Transfer-Encoding: {v}", body=b"5\r\nhello\r\n")
        for v in ("gzip", "identity", "x", "")
    ),
    *(
        bad(f"coding {v!r}", OK, f"Transfer-Encoding: {v}", body=b"0\r\n\r\n")
        for v in ("gzip, chunked", "chunked\t")
    ),
    *(
        bad(f"coding {v!r}", OK, f"Transfer-Encoding: {v}", body=b"0\r\n\r\n")
        for v in ("chunked, gzip", ",chunked")
    ),
    bad("NUL in a value", OK, "X: a\x00b", EMPTY),
    bad("control in a value", OK, "X: a\x1bb", EMPTY),
    bad("CR in a value", OK, "X: a\rb", EMPTY),
    bad("bare LF", OK + "\nX: y", EMPTY),
    bad("folding", OK, "X: a", " b", EMPTY),
    bad("space before the first field", OK, " X: a", EMPTY),
    bad("space before a colon", OK, "X : a", EMPTY),
    bad("empty name", OK, ": a", EMPTY),
    bad("no colon", OK, "X", EMPTY),
    bad("head too large", OK, *["X: " + "y" * 1000] * 66, EMPTY),
    bad("field too large", OK, "X: " + "y" * 70_000, EMPTY),
    Fault("head without end", (OK.encode() + b"\r\nX: " + b"y" * 70_000, "wait"), "bad_response"),
    bad("101 fields", OK, *["X: y"] * 100, EMPTY),
    bad("17 interims", *["HTTP/1.1 103 Early\r\n"] * 17, OK, EMPTY),
    bad("101 unasked", *SWITCH),
    bad("101 unasked, h2c", SWITCH[0], SWITCH[1], "Upgrade: h2c"),
    bad("101 alone", SWITCH[0]),
    *(
        bad(f"chunk {b!r}", OK, CHUNKED, body=b)
        for b in (b"g\r\n", b"-1\r\n", b"5 \r\nhello\r\n", b"\r\n", b"f" * 17 + b"\r\n")
    ),
    *(
        bad(f"chunk {b!r}", OK, CHUNKED, body=b)
        for b in (b"5\nhello", b"0\r\nX\r\n\r\n", b"5;\n\r\nhello\r\n", b"0x5\r\nhello")
    ),
    cut("bad chunk behind a good one", IN_CHUNKS + b"5\r\nhello\r\n", "pause", b"g\r\n", "wait"),
    cut("chunk longer than its size", IN_CHUNKS + b"5\r\nhello", "pause", b"!\r\n0\r\n\r\n", "wait"),
    cut("LF behind a chunk", IN_CHUNKS + b"5\r\nhello", "pause", b"\n0\r\n\r\n", "wait"),
    cut("another answer in a chunk's place", IN_CHUNKS + b"5\r\nhello\r\n", "pause", ok(), "wait"),
]

GOOD = [
    Fault("kept", (ok(b"hello"),), HELLO, connections=1),
    Fault("kept, in chunks", (IN_CHUNKS + b"5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\n",), HELLO, connections=1),
    Fault("closes", (message(OK, EMPTY, "Connection: close"),), (200, b"")),
    Fault("closes, in a list", (message(OK, EMPTY, "Connection: x, Close"),), (200, b"")),
    Fault("1.0", (message("HTTP/1.0 200 OK", EMPTY),), (200, b"")),
    Fault("1.0 kept", (message("HTTP/1.0 200 OK", EMPTY, KEEP),), (200, b""), connections=1),
    Fault("1.0 in chunks", (message("HTTP/1.0 200 OK", CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n"),), HELLO),
    Fault("no phrase", (message("HTTP/1.1 200", EMPTY),), (200, b""), connections=1),
    Fault("unknown status", (message("HTTP/1.1 299 Odd", EMPTY),), (299, b""), connections=1),
    Fault("500", (message("HTTP/1.1 500 No", "Content-Length: 2", body=b"no"),), (500, b"no"), connections=1),
    Fault("204", (message("HTTP/1.1 204 None"),), (204, b""), connections=1),
    Fault("204 with length", (message("HTTP/1.1 204 None", "Content-Length: 5"),), (204, b""), connections=1),
    Fault("204 with a body", (message("HTTP/1.1 204 None", "Content-Length: 5", body=b"hello"),), (204, b"")),
    Fault("304 with length", (message("HTTP/1.1 304 Same", "Content-Length: 5"),), (304, b""), connections=1),
    Fault("304 with a body", (message("HTTP/1.1 304 Same", "Content-Length: 5", body=b"hello"),), (304, b"")),
    Fault("HEAD", (COUNTED,), (200, b""), "HEAD", connections=1),
    Fault("HEAD, chunked", (IN_CHUNKS,), (200, b""), "HEAD", connections=1),
    Fault("HEAD with a body", (ok(b"hello"),), (200, b""), "HEAD"),
    Fault("HEAD with a chunked body", (IN_CHUNKS + b"0\r\n\r\n",), (200, b""), "HEAD"),
    Fault("HEAD with a body, later", (COUNTED, "pause", b"hellohello"), (200, b""), "HEAD"),
    Fault("100 unasked", (message("HTTP/1.1 100 Go") + ok(b"hello"),), HELLO, connections=1),
    Fault("103", (message("HTTP/1.1 103 E", "Link: x"), "pause", ok(b"hello")), HELLO, "GET", 1, (103,)),
    Fault("bytes behind the answer", (ok(b"hello") + b"x",), HELLO),
    Fault("empty line behind the answer", (ok(b"hello") + b"\r\n",), HELLO),
    Fault("an answer behind the answer", (ok(b"hello") + ok(b"evil"),), HELLO),
    Fault("an answer behind the chunks", (IN_CHUNKS + b"5\r\nhello\r\n0\r\n\r\n" + ok(b"evil"),), HELLO),
    Fault("an answer, later", (ok(b"hello"), "pause", ok(b"evil")), HELLO),
    Fault("408 while idle", (ok(b"hello"), "pause", message("HTTP/1.1 408 X", EMPTY), "close"), HELLO),
    Fault("closed while idle", (ok(b"hello"), "pause", "close"), HELLO),
    Fault("reset while idle", (ok(b"hello"), "pause", "reset"), HELLO),
]  # fmt: skip

#: Interim heads that arrive together with the answer.
BESIDE = [
    Fault("103", (message("HTTP/1.1 103 E", "Link: x") + ok(b"hello"),), HELLO, "GET", 1, (103,)),
    Fault("16 of them", (message("HTTP/1.1 102 Wait") * 16 + ok(b"hello"),), HELLO, "GET", 1, (102,) * 16),
    Fault("length", (message("HTTP/1.1 103 E", "Content-Length: 5") + ok(),), (200, b"{}"), "GET", 1, (103,)),
    Fault("chunks", (message("HTTP/1.1 103 E") + IN_CHUNKS + b"0\r\n\r\n",), (200, b""), "GET", 1, (103,)),
]  # fmt: skip

SILENT = [
    Fault("never answers", ("wait",), "first_byte_timeout", slow=True),
    Fault("never ends its head", (COUNTED[:-2], "wait"), "first_byte_timeout", slow=True),
    Fault("never begins its body", (COUNTED, "wait"), "first_byte_timeout", slow=True),
    Fault("never begins its chunks", (IN_CHUNKS, "wait"), "first_byte_timeout", slow=True),
    Fault("nothing but an interim", (message("HTTP/1.1 100 Go"), "wait"), "first_byte_timeout", slow=True),
    Fault("drips its head", ("drip",), "first_byte_timeout", slow=True),
    cut("stalls in a counted body", COUNTED + b"hello", "wait", slow=True),
    cut("stalls in a chunk", IN_CHUNKS + b"a\r\nhello", "wait", slow=True),
    cut("stalls behind a chunk", IN_CHUNKS + b"5\r\nhello\r\n", "wait", slow=True),
    cut("stalls in the last chunk", IN_CHUNKS + b"5\r\nhello\r\n0\r\n", "wait", slow=True),
    cut("stalls in an open body", OPEN + b"hello", "wait", slow=True),
]


def reset(conversation: Conversation) -> None:
    """Break the connection: the other side sees ECONNRESET and no end."""
    sock = conversation.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    conversation.abort()


class Culprit:
    """A backend that does the fault's steps once, and answers every other request with `after`."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.done = asyncio.Event()  # the steps have been made
        self.connections = 0
        self.targets: list[bytes] = []

    async def __call__(self, conversation: Conversation) -> None:
        self.connections += 1
        while data := await conversation.request():
            self.targets.append(parse_request(data).start[1])
            if self.done.is_set():
                await conversation.send(ok(b"after"))
                continue
            try:
                for step in self.fault.steps:
                    await self.step(conversation, step)
            finally:
                self.done.set()

    async def step(self, conversation: Conversation, step: Step) -> None:
        match step:
            case "close":
                conversation.writer.close()
            case "reset":
                reset(conversation)
            case "pause":
                await asyncio.sleep(0.03)
            case "wait":
                await conversation.reader.read(-1)
            case "drip":
                with contextlib.suppress(ConnectionError):
                    for byte in message(OK, "X: " + "y" * 500):
                        await conversation.send(bytes([byte]))
                        await asyncio.sleep(0.01)
            case bytes():
                await conversation.send(step)


async def answer_to(
    app: App, path: str, method: str = "GET", version: str = "1.1"
) -> tuple[list[Message], bytes]:
    """The answers to one request on a connection of its own, and what is no whole answer behind them."""
    reader, writer = await asyncio.open_connection(*app.listen_addresses[0])
    data, found = b"", []
    try:
        writer.write(f"{method} {path} HTTP/{version}\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(8):
            with contextlib.suppress(ConnectionError):
                while piece := await reader.read(65536):
                    data += piece
    finally:
        writer.transport.abort()
    with contextlib.suppress(Incomplete, Refused):
        while data:
            found.append(parse_response(data, method == "HEAD", closed=version == "1.0"))
            data = found[-1].rest
    return found, data


def verdict(fault: Fault, found: list[Message], rest: bytes) -> str:
    """What is wrong with what the client got; empty when nothing is."""
    statuses = [int(answer.start[0]) for answer in found]
    if statuses[: len(fault.interim)] != list(fault.interim):
        return f"interims {statuses}"
    final = found[len(fault.interim) :]
    if fault.result == "cut":
        with contextlib.suppress(Incomplete):
            parse_response(rest)
            return "no cut"
        return "" if not final and rest.count(b"HTTP/1.") == 1 else f"no visible cut: {statuses} {rest!r}"
    if rest or len(final) != 1:
        return f"{statuses} and {rest!r}"
    (answer,) = final
    if isinstance(fault.result, tuple):
        return "" if (statuses[-1], answer.body) == fault.result else f"{statuses[-1]} {answer.body!r}"
    expected = 504 if fault.result == "first_byte_timeout" else 502
    kinds = answer.values(b"x-gateway-error")
    return "" if (statuses[-1], kinds) == (expected, [fault.result.encode()]) else f"{statuses[-1]} {kinds}"


async def judge(app: App, culprit: Culprit, path: str) -> list[str]:
    """Everything that is wrong with how a fault was taken."""
    fault = culprit.fault
    problem = verdict(fault, *await answer_to(app, path + "first", fault.method))
    wrong = [problem] if problem else []
    if fault.result == "cut":
        await asyncio.sleep(0)
    else:
        await culprit.done.wait()
    await settled(lambda: not busy(app, path))
    found, rest = await answer_to(app, path + "next")
    if [(a.start[0], a.body) for a in found] != [(b"200", b"after")] or rest:
        wrong.append(f"the next request got {found} {rest!r}")
    if culprit.connections != fault.connections:
        wrong.append(f"{culprit.connections} connections, not {fault.connections}")
    if culprit.targets != [f"{path}first".encode(), f"{path}next".encode()]:
        wrong.append(f"the backend saw {culprit.targets}")
    return [f"{fault.name}: {text}" for text in wrong]


def busy(app: App, path: str) -> bool:
    """Whether the gateway still has something under way with this path's backend, or has not seen its end."""
    (backend,) = app.pools["pool" + path.strip("/")].backends
    return bool(backend.in_flight or backend.connections.open != backend.connections.idle)


@contextlib.asynccontextmanager
async def culprits(faults: list[Fault], **pool: Any) -> AsyncIterator[tuple[App, list[Culprit]]]:
    """One gateway, and for each fault a pool with its backend, at the path `/<number>/`."""
    found = [Culprit(fault) for fault in faults]
    async with contextlib.AsyncExitStack() as stack:
        pools, routes = {}, []
        for number, culprit in enumerate(found):
            backend = await stack.enter_async_context(Backend(culprit))
            own = {**pool, **(QUICK if culprit.fault.slow else {})}
            pools[f"pool{number}"] = {"backends": [backend.url], "health": {"path": None}, **own}
            routes.append({"name": f"r{number}", "match": {"path": f"/{number}/*"}, "pool": f"pool{number}"})
        app = await stack.enter_async_context(gateway(pools=pools, routes=routes))
        yield app, found


TABLES = {"ends": ENDS, "answers": ANSWERS, "good": GOOD, "interims": BESIDE, "silent": SILENT}


@pytest.mark.parametrize("faults", TABLES.values(), ids=TABLES)
async def test_faults_stay_with_the_request_they_belong_to(faults: list[Fault]) -> None:
    """Error, cut or answer as the table says; the next request gets its own answer, on another connection
    wherever anything was left in doubt."""
    assert len({fault.name for fault in faults}) == len(faults)
    async with culprits(faults, retries={"attempts": 1}) as (app, found):
        wrong = await asyncio.gather(*(judge(app, c, f"/{number}/") for number, c in enumerate(found)))
        problems = [problem for problems in wrong for problem in problems]
        assert not problems, "\n".join(problems)
        await settled(lambda: not left_over(app))


async def test_a_1_0_client_gets_no_chunks_and_no_interims() -> None:
    """HTTP/1.0: the body ends with the connection, 1xx are dropped; a cut cannot be told there."""
    faults = [
        Fault("chunks", (IN_CHUNKS + b"5\r\nhello\r\n0\r\n\r\n",), ""),
        Fault("interims", (message("HTTP/1.1 103 Early") + ok(b"hello"),), ""),
        Fault("open", (OPEN + b"hello", "close"), ""),
    ]
    async with culprits(faults) as (app, _):
        for number in range(len(faults)):
            found, rest = await answer_to(app, f"/{number}/", version="1.0")
            assert [(a.start[0], a.body) for a in found] == [(b"200", b"hello")]
            assert rest == b""
            assert found[0].values(b"transfer-encoding") == []


async def test_what_a_client_gets_beside_the_backend_s_fields() -> None:
    """Hop-by-hop fields and those that Connection names end here, and nobody forges the gateway's own; Via,
    Date and the rest stay."""
    lines = ["Connection: X-Drop, keep-alive,VIA2", "X-Drop: 1", "Via2: x", "Keep-Alive: timeout=5", "TE: x"]
    lines += [
        "Trailer: X",
        "Proxy-Authenticate: x",
        "Proxy-Connection: x",
        "Upgrade: h2c",
        "X-Request-ID: forged",
    ]
    lines += [
        "X-Gateway-Backend: forged",
        "X-Gateway-Error: forged",
        "Via: 1.0 inner",
        "Date: then",
        "Set-Cookie: a",
    ]
    lines += ["Set-Cookie: b", "Server: x", "Content-Type: text/plain", "Retry-After: 3"]
    async with culprits([Fault("fields", (message(OK, *lines, "Content-Length: 2", body=b"hi"),), "")]) as (
        app,
        _,
    ):
        (answer,), _ = await answer_to(app, "/0/")
        assert {name for name, _ in answer.fields} == {
            *(b"via", b"date", b"set-cookie", b"server", b"content-type", b"retry-after", b"content-length"),
            *(b"connection", b"x-request-id", b"x-gateway-backend", b"server-timing"),
        }
        assert answer.values(b"via") == [b"1.0 inner", b"1.1 gateway"]
        assert answer.values(b"set-cookie") == [b"a", b"b"]
        assert answer.value(b"date") == b"then"
        assert answer.value(b"connection") == b"close"
        assert b"forged" not in (answer.value(b"x-request-id"), answer.value(b"x-gateway-backend"))


async def test_connections_are_kept_and_counted() -> None:
    """Twenty requests in turn use one connection; what closes is replaced, one for one."""
    async with culprits([Fault("kept", (ok(),), "")]) as (app, (culprit,)):
        for _ in range(20):
            ((answer,), _) = await answer_to(app, "/0/")
            assert answer.start[0] == b"200"
        assert (culprit.connections, len(culprit.targets)) == (1, 20)
        (backend,) = app.pools["pool0"].backends
        assert (backend.connections.open, backend.connections.idle) == (1, 1)


async def test_a_stale_connection_costs_no_request() -> None:
    """Closed or broken at the moment the next request arrives on it: that goes out again on a new one."""

    async def stale(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(ok())
        await conversation.reader.readexactly(1)
        if conversation.requests[0].startswith(b"GET /reset"):
            reset(conversation)

    for path in ("/close", "/reset"):
        async with Backend(stale) as backend, gateway(backend.url, pool={"retries": {"attempts": 1}}) as app:
            for _ in range(3):
                ((answer,), rest) = await answer_to(app, path)
                assert (answer.start[0], answer.body, rest) == (b"200", b"{}", b"")
            assert len(backend.conversations) == 3


async def test_an_upload_that_was_answered_early_ends_its_connection() -> None:
    """The backend has not read the body: the next request must not be taken for the rest of it."""

    async def early(conversation: Conversation) -> None:
        await conversation.reader.readuntil(b"\r\n\r\n")
        await conversation.send(ok(b"early"))
        await conversation.reader.read(-1)

    for framing in (
        b"Content-Length: 1000\r\n\r\n12345",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
    ):
        async with Backend(early) as backend, gateway(backend.url, limits={"buffer_body": 0}) as app:
            for number in (1, 2):
                reader, writer = await asyncio.open_connection(*app.listen_addresses[0])
                writer.write(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing)
                async with asyncio.timeout(5):
                    answer = parse_response(await reader.read(-1))
                writer.transport.abort()
                assert answer.body == b"early"
                assert answer.value(b"connection") == b"close"
                assert len(backend.conversations) == number
