"""Every request of the table gets its answer, nothing else reaches a backend, and the next one is served."""

import asyncio
import contextlib
import gzip
import itertools
import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest

from gateway.app import App
from gateway.errors import RULES
from tests.harness import Backend, Conversation, gateway, left_over, settled
from tests.integration import vectors
from tests.integration.vectors import HOST, Vector, head
from tests.unit.http.strict import Incomplete, Message, parse_request, parse_response

CLOSES = head("GET /@/again HTTP/1.1", HOST, "Connection: close")
AFTER = head("GET /@/after HTTP/1.1", HOST, "Connection: close")


class Recorder:
    """A backend that reads strictly, answers with the body it got, and keeps what it has seen."""

    def __init__(self) -> None:
        self.whole: list[Message] = []
        self.broken: list[bytes] = []  # what was begun and not finished
        self.begun: set[bytes] = set()  # paths of which something has arrived

    async def __call__(self, conversation: Conversation) -> None:
        data = b""
        while True:
            piece = b""
            with contextlib.suppress(ConnectionError):
                piece = await conversation.reader.read(65536)
            if not piece:
                self.broken += [data] if data else []
                return
            data += piece
            self.begun.add(data.split(b" ", 2)[1])
            with contextlib.suppress(Incomplete):
                message = parse_request(data)
                assert message.rest == b"", "one request at a time"
                self.whole.append(message)
                data = b""
                await conversation.send(self.answer(message))

    @staticmethod
    def answer(message: Message) -> bytes:
        coding = b"".join(
            b"Content-Encoding: %b\r\n" % value for value in message.values(b"content-encoding")
        )
        body = message.body
        start = b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n" % (coding, len(body))
        return start + (b"" if message.start[0] == b"HEAD" else body)

    def seen(self, mark: bytes) -> list[Message]:
        """Requests for paths below `mark`, but for those that only see whether all is well."""
        found = [m for m in self.whole if m.start[1].startswith(mark)]
        return [m for m in found if not m.start[1].endswith((b"/again", b"/after"))]


@contextlib.asynccontextmanager
async def recorded(**settings: Any) -> AsyncIterator[tuple[App, Recorder]]:
    recorder = Recorder()
    async with Backend(recorder) as backend, gateway(backend.url, **settings) as app:
        yield app, recorder


async def answers_to(
    app: App, vector: Vector, mark: bytes, begun: set[bytes] | None = None
) -> tuple[list[Message], bytes, bool]:
    """Send a vector; its answers, bytes that are no answer, and whether the gateway ended the connection.

    With `begun` the first write has to reach the backend before the second is made.
    """
    reader, writer = await asyncio.open_connection(*app.listen_addresses[0])
    data, closed = b"", False
    found: list[Message] = []
    heads = [write.startswith(b"HEAD ") for write in vector.writes[:1]]

    async def receive(count: int | None) -> None:
        nonlocal data, closed
        while count is None or len(found) < count:
            with contextlib.suppress(Incomplete):
                message = parse_response(data, to_head=heads == [True] and not found)
                data = message.rest
                found.append(message)
                continue
            piece = await reader.read(65536)
            if not piece:
                closed = True
                return
            data += piece

    try:
        async with asyncio.timeout(5):
            writes = [write.replace(b"/@", mark) for write in vector.writes]
            if vector.crumbs:
                writes = [bytes([byte]) for write in writes for byte in write]
            for number, write in enumerate(writes):
                if number:
                    if b"Expect" in vector.writes[0] and vector.answers[0] == 100:
                        await receive(1)
                    if begun is not None and number == 1 and not vector.crumbs:
                        await settled(lambda: mark in begun)
                    await asyncio.sleep(0 if vector.crumbs else 0.002)
                writer.write(write)
            await receive(len(vector.answers))
            if not vector.closed:
                writer.write(CLOSES.replace(b"/@", mark))
            await receive(None)
    except ConnectionError:
        closed = True
    except TimeoutError:
        closed = False
    finally:
        writer.transport.abort()
    return found, data, closed


def faults(vector: Vector, found: list[Message], rest: bytes, closed: bool) -> Iterable[str]:
    """What is wrong with the answers to a vector."""
    expected = [codes if isinstance(codes, tuple) else (codes,) for codes in vector.answers]
    if not vector.closed:
        expected.append((200,))
    statuses = [int(message.start[0]) for message in found]
    if len(statuses) != len(expected) or any(s not in e for s, e in zip(statuses, expected, strict=False)):
        yield f"answered {statuses}, not {expected}"
        return
    if rest:
        yield f"something behind the answers: {rest[:80]!r}"
    if not closed:
        yield "the connection stays open"
    for number, message in enumerate(found):
        last, status = number == len(found) - 1 and vector.announced, int(message.start[0])
        if message.start[1] != b"HTTP/1.1":
            yield f"answered in {message.start[1]!r}"
        if status >= 200 and (message.values(b"connection") == [b"close"]) is not last:
            yield f"Connection: {message.values(b'connection')} in answer {number + 1} of {len(found)}"
        if status >= 400:
            error = json.loads(message.body)["error"]
            kind = message.value(b"x-gateway-error").decode()
            if (error["code"], RULES[kind].status, error["param"]) != (kind, status, None) or not error[
                "message"
            ]:
                yield f"error {error} for {kind}"


async def judge(app: App, recorder: Recorder, vector: Vector, number: int, streamed: bool) -> list[str]:
    """Everything that is wrong with how a vector was treated."""
    mark = b"/v%03d" % number
    wrong = list(faults(vector, *await answers_to(app, vector, mark, recorder.begun if streamed else None)))
    seen = recorder.seen(mark)
    if len(seen) != vector.seen:
        wrong.append(f"the backend saw {len(seen)} requests, not {vector.seen}")
    found, _, _ = await answers_to(app, Vector("after", (AFTER,), (200,)), mark)
    if [m.start[0] for m in found] != [b"200"]:
        wrong.append("the next connection is not served")
    return [f"{vector.name}: {fault}" for fault in wrong]


async def judge_all(table: list[Vector], streamed: bool = False, **settings: Any) -> Recorder:
    """Send a whole table at once, and see that the backend got what it should and nothing besides."""
    async with recorded(**settings) as (app, recorder):
        limit = asyncio.Semaphore(40)

        async def one(number: int, vector: Vector) -> list[str]:
            async with limit:
                return await judge(app, recorder, vector, number, streamed)

        found = await asyncio.gather(*(one(number, vector) for number, vector in enumerate(table)))
        wrong = list(itertools.chain(*found))
        assert not wrong, "\n".join(wrong)
        expected = sum(vector.seen + (not vector.closed) + 1 for vector in table)
        targets = [message.start[1] for message in recorder.whole]
        assert b"/smuggled" not in targets
        assert len(targets) == expected
        await settled(lambda: not left_over(app))
    return recorder


GROUPS = [
    *(vectors.codings, vectors.lengths, vectors.fields, vectors.hosts, vectors.targets),
    *(vectors.lines, vectors.chunks, vectors.expectations, vectors.pipelines, vectors.sizes),
]


def test_the_table_is_large() -> None:
    """No group has been lost, and no name stands for two."""
    everything = [*vectors.PLAIN, *vectors.SMALL, *vectors.SLOW, *vectors.STREAMED]
    assert len(everything) >= 300
    for table in (vectors.PLAIN, vectors.SMALL, vectors.SLOW, vectors.STREAMED):
        assert len({vector.name for vector in table}) == len(table)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
async def test_requests_get_their_answers(group: Any) -> None:
    """Status, end of the connection, what the backend sees, and the next request: all as the table says."""
    recorder = await judge_all(list(group()))
    assert recorder.broken == []


async def test_bodies_too_large_are_refused() -> None:
    """413 by announced length, or as soon as the bytes are too many; nothing is forwarded."""
    recorder = await judge_all(vectors.SMALL, limits={"max_body": 1024, "max_header": 2048})
    assert recorder.broken == []


async def test_slow_clients_are_told_so() -> None:
    """408 for a head or body that does not come; an idle connection is closed without a word."""
    limits = {"header_timeout": "250ms", "body_timeout": "250ms", "keepalive_timeout": "400ms"}
    recorder = await judge_all(vectors.SLOW, limits=limits)
    assert recorder.broken == []


async def test_streamed_bodies_never_end_well_by_mistake() -> None:
    """Where bodies are not held, a bad chunk leaves the backend with an unfinished message and a closed
    connection."""
    recorder = await judge_all(vectors.STREAMED, streamed=True, limits={"buffer_body": 0, "max_body": 1024})
    assert len(recorder.broken) == sum(vector.answers[0] in (400, 413) for vector in vectors.STREAMED)
    for data in recorder.broken:
        with pytest.raises(Incomplete):
            parse_request(data)


async def exchange(app: App, request: bytes, to_head: bool = False) -> Message:
    """The answer to a request that asks for the connection to be closed."""
    reader, writer = await asyncio.open_connection(*app.listen_addresses[0])
    try:
        writer.write(request)
        async with asyncio.timeout(5):
            return parse_response(await reader.read(-1), to_head, closed=True)
    finally:
        writer.transport.abort()


PATHS = [
    "/",
    "//",
    "//a//b",
    "/a/../b/./c/",
    "/..;/x",
    "/a;b=c;d",
    "/%0d%0aX:%20y",
    "/%00%2e%2E%2f%5c",
    "/%C3%A9%zz%",
    "/a+b%20c?d+e%20f",
    "/?",
    "/??a=b&&=&c",
    "/x?y=/../z//;%0d%0a",
    "/a?http://b/c@d:e",
    "/'()*!$&,~_-.",
]


@pytest.mark.parametrize("form", ["", "http://other.test"])
async def test_targets_arrive_byte_for_byte(form: str) -> None:
    """Nothing is decoded, encoded, merged or resolved on the way, in either form."""
    async with recorded() as (app, recorder):
        await asyncio.gather(
            *(exchange(app, head(f"GET {form}{path} HTTP/1.1", HOST, "Connection: close")) for path in PATHS)
        )
        assert sorted(m.start[1] for m in recorder.whole) == sorted(path.encode() for path in PATHS)


@pytest.mark.parametrize("settings", [{}, {"limits": {"buffer_body": 0}}], ids=["held", "streamed"])
async def test_bodies_pass_byte_for_byte(settings: dict[str, Any]) -> None:
    """Compressed or odd, counted or chunked: each side gets the other's bytes."""
    bodies = [
        b"",
        b"\r\n\r\n",
        b"0\r\n\r\n",
        bytes(range(256)) * 600,
        gzip.compress(b"hello" * 999),
        b"\x00",
        b'{"a":1}',
    ]
    async with recorded(**settings) as (app, recorder):
        for body in bodies:
            length = f"Content-Length: {len(body)}"
            chunked = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
            for framing, sent in [(length, body), ("Transfer-Encoding: chunked", chunked)]:
                lines = ["POST /x HTTP/1.1", HOST, "Content-Encoding: gzip", "Connection: close", framing]
                answer = await exchange(app, head(*lines) + sent)
                assert answer.body == body
                assert answer.value(b"content-encoding") == b"gzip"
                assert recorder.whole[-1].body == body
                assert recorder.whole[-1].value(b"content-encoding") == b"gzip"


async def test_what_a_backend_gets_beside_the_client_s_fields() -> None:
    """Hop-by-hop fields and those that Connection names end here; Host, Via, X-Forwarded-* and the request id
    are the gateway's own."""
    lines = [
        "Connection: close, X-Drop , content-type,HOST",
        "X-Drop: 1",
        "x-drop: 2",
        "Content-Type: text/plain",
    ]
    lines += ["Keep-Alive: 1", "TE: trailers", "Trailer: X", "Proxy-Connection: x", "Proxy-Authorization: x"]
    lines += [
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil",
        "Forwarded: for=x",
    ]
    lines += ["X-Real-IP: 6.6.6.6", "X-Request-ID: bad id", "Via: 1.0 before", "X-Keep: 1", "Upgrade: h2c"]
    async with recorded() as (app, recorder):
        answer = await exchange(app, head("GET http://shop.test:1/x HTTP/1.1", HOST, *lines))
        (told,) = recorder.whole
        assert dict(told.fields).keys() == {
            *(b"host", b"via", b"x-keep", b"x-request-id"),
            *(b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"),
        }
        assert told.value(b"x-forwarded-for") == b"127.0.0.1"
        assert told.value(b"x-forwarded-proto") == b"http"
        assert told.value(b"x-forwarded-host") == b"shop.test:1"
        assert told.values(b"via") == [b"1.0 before", b"1.1 gateway"]
        assert told.value(b"x-request-id") == answer.value(b"x-request-id")
        assert told.value(b"host").startswith(b"127.0.0.1:")
        assert answer.values(b"via") == [b"1.1 gateway"]


async def test_a_trusted_proxy_is_believed() -> None:
    """Its X-Forwarded-For is continued, proto and host are kept, and a good request id passes."""
    lines = ["X-Forwarded-For: 1.1.1.1, 2.2.2.2", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.test"]
    async with recorded(trusted_proxies=["127.0.0.0/8"]) as (app, recorder):
        answer = await exchange(
            app, head("GET / HTTP/1.1", HOST, *lines, "X-Request-ID: a-1", "Connection: close")
        )
        (told,) = recorder.whole
        assert told.value(b"x-forwarded-for") == b"1.1.1.1, 2.2.2.2, 127.0.0.1"
        assert told.value(b"x-forwarded-proto") == b"https"
        assert told.value(b"x-forwarded-host") == b"shop.test"
        assert told.value(b"x-request-id") == answer.value(b"x-request-id") == b"a-1"


async def test_max_forwards_ends_and_counts() -> None:
    """OPTIONS with Max-Forwards 0 is answered here; with more it goes on with one less."""
    async with recorded() as (app, recorder):
        for hops, status in [("0", b"204"), ("2", b"200")]:
            lines = ["OPTIONS /x HTTP/1.1", HOST, f"Max-Forwards: {hops}", "Connection: close"]
            assert (await exchange(app, head(*lines))).start[0] == status
        assert [m.value(b"max-forwards") for m in recorder.whole] == [b"1"]


async def test_odd_models_get_an_answer() -> None:
    """Where the body's model decides, anything for a body is answered: 400 or 404, never a crash."""
    async with Backend(Recorder()) as backend:
        pools = {name: {"backends": [backend.url], "health": {"path": None}} for name in ("a", "b")}
        odd = [
            b'{"model": "\\ud800"}',
            b'{"model": "\xff"}',
            b'{"model": "\\u0000\\r\\n"}',
            b'{"model": "\xc3\xa9"}',
        ]
        odd += [
            b"[" * 100_000,
            b'{"model": ' + b"[" * 100_000,
            b'{"model": "' + b"x" * 9999 + b'"}',
            b"",
            b"\0",
        ]
        lines = ["POST /v1/chat/completions HTTP/1.1", HOST, "Connection: close"]
        async with gateway(pools=pools) as app:
            for body in odd:
                answer = await exchange(app, head(*lines, f"Content-Length: {len(body)}") + body)
                assert answer.start[0] in (b"400", b"404")
                assert json.loads(answer.body)["error"]["code"] in ("bad_request", "model_not_found")
            answer = await exchange(app, head(*lines, "Content-Length: 13") + b'{"model":"b"}')
            assert answer.start[0] == b"200"


MANUAL = Path(__file__).parents[2] / "docs" / "http.md"


def test_the_manual_lists_every_error() -> None:
    """The table in docs/http.md has each kind with its status and type, and no others."""
    rows = [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        for line in MANUAL.read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
    ]
    listed = {
        row[0]: (int(row[1]), row[2]) for row in rows if row[0] in RULES or (row[1:2] and row[1].isdigit())
    }
    assert listed == {
        kind: (rule.status, rule.type) for kind, rule in RULES.items() if kind != "client_closed"
    }
