"""What integration tests share: a gateway in this process, and backends that answer byte by byte as told."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from gateway.app import App
from gateway.settings.load import from_dict

Handler = Callable[["Conversation"], Awaitable[None]]


@contextlib.asynccontextmanager
async def gateway(
    *backends: str, pools: dict[str, Any] | None = None, pool: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[App]:
    """A running gateway on free ports; `backends` are the URLs of the pool `default`, `pool` its other keys.

    Active checks are off unless `pool` says otherwise. `settings` are further top-level keys.
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
    data.setdefault("limits", {}).setdefault("max_connections", 200)
    app = App(from_dict(data))
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
                body += await self.reader.readline()
        self.requests.append(head + body)
        return head + body

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def abort(self) -> None:
        """Reset the connection."""
        self.writer.transport.abort()


class Backend:
    """A scripted backend: `handler` runs for every connection. `conversations` keeps all of them."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
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
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
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
    """Send `pieces` on one connection, each in a write of its own; everything the gateway answers until it closes
    or is silent for half a second."""
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
        while not condition():
            await asyncio.sleep(0.005)
