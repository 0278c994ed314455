"""What integration tests share: a gateway in this process, and backends that answer byte by byte as told."""

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from gateway.app import App
from gateway.demo.model import load_model
from gateway.demo.options import ServerOptions
from gateway.demo.server import Running
from gateway.demo.server import start as start_demo
from gateway.messages import Outcome
from gateway.settings.load import from_dict
from gateway.telemetry.access_log import AccessLog

Handler = Callable[["Conversation"], Awaitable[None]]


@contextlib.asynccontextmanager
async def gateway(
    *backends: str,
    pools: dict[str, Any] | None = None,
    pool: dict[str, Any] | None = None,
    access_log: Callable[[bytes], object] | None = None,
    **settings: Any,
) -> AsyncIterator[App]:
    """A running gateway on free ports; `backends` are the URLs of the pool `default`, `pool` its other keys.

    Active checks are off unless `pool` says otherwise. `access_log` takes the access log's lines, which are
    not written without it. `settings` are further top-level keys.
    """
    if pools is None:
        pools = {"default": {"backends": list(backends), "health": {"path": None}, **(pool or {})}}
    data = {
        "listen": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        "log": {"access": "off"},
        "pools": pools,
        **settings,
    }
    data["limits"] = {"max_connections": 200, **data.get("limits", {})}
    app = App(from_dict(data))
    if access_log is not None:
        app.access_log = AccessLog(access_log)
    await app.start()
    try:
        yield app
    finally:
        await app.close()


def url(app: App, path: str = "") -> str:
    host, port = app.listen_addresses[0]
    return f"http://{host}:{port}{path}"


def admin_url(app: App, path: str = "") -> str:
    assert app.admin_address is not None
    host, port = app.admin_address
    return f"http://{host}:{port}{path}"


class Conversation:
    """One connection to a scripted backend; `requests` are the raw requests read so far."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.requests: list[bytes] = []

    async def request(self) -> bytes:
        """The next request, head and body, as received; b"" when the gateway has closed."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""
        body = b""
        lower = head.lower()
        if b"\r\ncontent-length: " in lower:
            length = int(lower.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0])
            body = await self.reader.readexactly(length)
        elif b"\r\ntransfer-encoding: chunked" in lower:
            while not body.endswith(b"0\r\n\r\n"):
                line = await self.reader.readline()
                if not line:
                    return b""
                body += line
        self.requests.append(head + body)
        return head + body

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def abort(self) -> None:
        """Reset the connection."""
        self.writer.transport.abort()


class Backend:
    """A scripted backend: `handler` runs for every connection. `conversations` keeps all of them.

    With `tls` its `url` says https and localhost.
    """

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        self._handler = handler
        self._tls = tls
        self._server: asyncio.Server | None = None
        self.conversations: list[Conversation] = []
        self.url = ""

    @property
    def requests(self) -> list[bytes]:
        """All requests of all connections."""
        return [request for conversation in self.conversations for request in conversation.requests]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = Conversation(reader, writer)
        self.conversations.append(conversation)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._handler(conversation)
        with contextlib.suppress(Exception):
            writer.close()

    async def __aenter__(self) -> "Backend":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"https://localhost:{self.port}" if self._tls else f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for conversation in self.conversations:
            conversation.writer.transport.abort()
        await asyncio.sleep(0)


def answers(response: bytes) -> Handler:
    """A handler that answers every request with `response`."""

    async def handler(conversation: Conversation) -> None:
        while await conversation.request():
            await conversation.send(response)

    return handler


def ok(body: bytes = b"{}", content_type: bytes = b"application/json") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        content_type,
        len(body),
        body,
    )


async def raw(app: App, *pieces: bytes, timeout_s: float = 5.0, eof: bool = False) -> bytes:
    """Send `pieces` on one connection, each in a write of its own; everything the gateway answers until it
    closes or is silent for half a second."""
    reader, writer = await asyncio.open_connection(*app.listen_addresses[0])
    answer = b""
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.005)
        if eof:
            writer.write_eof()
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    data = await asyncio.wait_for(reader.read(65536), 0.5)
                except TimeoutError:
                    return answer
                if not data:
                    return answer
                answer += data
    except ConnectionError:
        return answer
    finally:
        writer.transport.abort()


def status_of(answer: bytes) -> int:
    """The status code of a raw answer; 0 for none."""
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.") else 0


def error_of(answer: bytes) -> dict[str, Any]:
    """The OpenAI error object in a raw answer."""
    error: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    return error


async def settled(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Wait until `condition()`; fails when it does not come true in time."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - the states of what is under test set no event
            await asyncio.sleep(0.005)


def listener(app: App) -> Any:
    """What the gateway's client connections share."""
    found = app._listener
    assert found is not None
    return found


async def client_connection(app: App) -> Any:
    """The gateway's end of the only client connection there is."""
    await settled(lambda: len(listener(app).connections) == 1)
    (connection,) = listener(app).connections
    return connection


def left_over(app: App) -> list[str]:
    """What a gateway without clients still holds: leases, connections, bytes, busy backend connections."""
    kept = listener(app)
    found = [repr(kept)] if kept.connections or kept.held_bytes else []
    routes = app.metrics.routes.values()
    found += [f"route {stats.name}: {stats.in_flight}" for stats in routes if stats.in_flight]
    for pool in app.pools.values():
        found += [repr(backend) for backend in pool.backends if backend.in_flight]
        found += [f"{pool!r}: {len(pool.queue)} wait"] if len(pool.queue) else []
        found += [repr(b.connections) for b in pool.backends if b.connections.open != b.connections.idle]
    return found


def outcomes(app: App) -> dict[str, int]:
    """How many attempts ended how, over all backends; what never happened is left out."""
    sums: dict[str, int] = {}
    for pool in app.pools.values():
        for backend in pool.backends:
            for outcome in Outcome:
                sums[outcome.label] = sums.get(outcome.label, 0) + backend.outcomes[outcome]
    return {label: count for label, count in sums.items() if count}


@contextlib.asynccontextmanager
async def demo(**options: Any) -> AsyncIterator[Running]:
    """A demo model server in this process, as fast as it can unless `options` say otherwise."""
    options = {"tokens_per_second": 0, "prefill_tokens_per_second": 0, "slots": 1000, **options}
    running = await start_demo(ServerOptions(**options), load_model())
    try:
        yield running
    finally:
        await running.close()


@contextlib.contextmanager
def refusing() -> Iterator[str]:
    """The URL of a port that nobody listens on and nobody else gets."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


class Answer:
    """One answer as its bytes say: names of fields in lower case."""

    def __init__(self, head: bytes) -> None:
        line, *fields = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        self.version = line[:8]
        self.status = int(line[9:12])
        self.fields = [
            (name.strip().lower().decode(), value.strip().decode("latin-1"))
            for name, _, value in (field.partition(b":") for field in fields)
        ]
        self.body = b""

    def __repr__(self) -> str:
        return f"<Answer {self.status} {self.fields} {self.body[:200]!r}>"

    def __getitem__(self, name: str) -> str:
        """The only value of the field `name`; KeyError unless there is exactly one."""
        values = [value for key, value in self.fields if key == name]
        if len(values) != 1:
            raise KeyError(f"{name}: {values}")
        return values[0]

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _ in self.fields)

    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """A client that says and hears every byte: one connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def __aenter__(self) -> "Caller":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.drop()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> Answer:
        """The next answer's head; fails when none comes within ten seconds."""
        async with asyncio.timeout(10):
            return Answer(await self.reader.readuntil(b"\r\n\r\n"))

    async def answer(self, without_body: bool = False) -> Answer:
        """The next answer, whole."""
        answer = await self.head()
        if without_body or answer.status in (204, 304):
            return answer
        if "transfer-encoding" in answer:
            answer.body = b"".join([chunk async for chunk in self.chunks()])
        elif "content-length" in answer:
            answer.body = await self.reader.readexactly(int(answer["content-length"]))
        else:
            answer.body = await self.reader.read()
        return answer

    async def ask(self, request: bytes) -> Answer:
        await self.send(request)
        return await self.answer()

    async def chunk(self) -> bytes:
        """The next chunk; b"" for the last."""
        size = int(await self.reader.readline(), 16)
        data = await self.reader.readexactly(size + 2)
        assert data.endswith(b"\r\n")
        return data[:-2]

    async def chunks(self) -> AsyncIterator[bytes]:
        while chunk := await self.chunk():
            yield chunk

    async def rest(self) -> bytes:
        """Everything until the gateway closes, in order or not."""
        pieces = []
        with contextlib.suppress(ConnectionError):
            while piece := await self.reader.read(65536):
                pieces.append(piece)
        return b"".join(pieces)

    def drop(self) -> None:
        """Be gone, without a word."""
        self.writer.transport.abort()


async def call(app: App) -> Caller:
    return Caller(*await asyncio.open_connection(*app.listen_addresses[0]))


def get(path: str = "/", *fields: str) -> bytes:
    """The bytes of a GET."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: gateway.test", *fields, "", ""]).encode()


def post(body: bytes | dict[str, Any] = b"{}", path: str = "/v1/chat/completions", *fields: str) -> bytes:
    """The bytes of a POST with its length; a dict is sent as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"POST {path} HTTP/1.1", "Host: gateway.test", "Content-Type: application/json", *fields]
    return "\r\n".join([*head, f"Content-Length: {len(data)}", "", ""]).encode() + data


def chunk(data: bytes) -> bytes:
    """`data` as one chunk of a chunked body; b"" is the last."""
    return b"%x\r\n%b\r\n" % (len(data), data)


CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"
LIMITED = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 7\r\n\r\nlimited"
FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 6\r\n\r\nbroken"
IN_TURN = {"policy": "round_robin"}


@contextlib.asynccontextmanager
async def scripted(*handlers: Handler, **pool: Any) -> AsyncIterator[tuple[App, list[Backend]]]:
    """A gateway with one pool of scripted backends named a, b, …"""
    async with contextlib.AsyncExitStack() as stack:
        backends = [await stack.enter_async_context(Backend(handler)) for handler in handlers]
        named = [{"url": b.url, "name": name} for b, name in zip(backends, "abcdef", strict=False)]
        pools = {"default": {"backends": named, "health": {"path": None}, **IN_TURN, **pool}}
        yield await stack.enter_async_context(gateway(pools=pools)), backends


async def ask(app: App, times: int = 1, request: bytes | None = None) -> list[int]:
    """The statuses of so many requests, one after the other on one connection."""
    async with await call(app) as client:
        return [(await client.ask(request or post())).status for _ in range(times)]


def state(app: App, name: str, pool: str = "default") -> str:
    app.ready()  # brings the states up to date
    return app.pools[pool].backend(name).state
