"""Do WebSocket connections pass through the gateway, and end on both sides when one side ends?"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
import websockets
from aiohttp import web

from gateway.app import App
from tests.harness import (
    Backend,
    Conversation,
    answers,
    call,
    demo,
    gateway,
    get,
    left_over,
    listener,
    ok,
    outcomes,
    settled,
    url,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
HANDSHAKE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: aaaa",
)
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


async def echo(request: web.Request) -> web.StreamResponse:
    """Everything comes back; the text `close` closes with 4001, the text `die` breaks the connection."""
    if request.query.get("refuse"):
        raise web.HTTPForbidden(text="not you")
    socket = web.WebSocketResponse(protocols=("realtime",), max_msg_size=0)
    await socket.prepare(request)
    async for message in socket:
        if message.data == "close":
            await socket.close(code=4001, message=b"enough")
        elif message.data == "die":
            assert request.transport is not None
            request.transport.abort()
        elif message.type is aiohttp.WSMsgType.TEXT:
            await socket.send_str(message.data)
        else:
            await socket.send_bytes(message.data)
    request.app[CLOSES].append(socket.close_code)
    return socket


CLOSES = web.AppKey("closes", list[int | None])


@contextlib.asynccontextmanager
async def sockets() -> AsyncIterator[tuple[App, list[int | None]]]:
    """A gateway before one WebSocket server, and the codes that server's connections were closed with."""
    application = web.Application()
    closes = application[CLOSES] = []
    application.router.add_get("/socket", echo)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with gateway(f"http://127.0.0.1:{runner.addresses[0][1]}") as app:
            yield app, closes
    finally:
        await runner.cleanup()


async def gone(app: App) -> None:
    """Nothing is left of the tunnel: no lease, no connection on either side, none kept for reuse."""
    await settled(lambda: not left_over(app))
    connections = app.pools["default"].backends[0].connections
    assert (connections.open, connections.idle) == (0, 0)


async def test_text_and_binary_pass_both_ways() -> None:
    """Frames of either kind come back as sent, small and large ones, also many at once."""
    async with sockets() as (app, closes), aiohttp.ClientSession() as session:
        async with session.ws_connect(url(app, "/socket"), protocols=["realtime"], max_msg_size=0) as socket:
            assert socket.protocol == "realtime"
            for text in ("hello", "", "ä" * 70_000):
                await socket.send_str(text)
                assert await socket.receive_str(timeout=5) == text
            for data in (b"\x00\xff", b"x" * 3_000_000):
                await socket.send_bytes(data)
                assert await socket.receive_bytes(timeout=5) == data
            for number in range(200):
                await socket.send_str(str(number))
            assert [await socket.receive_str(timeout=5) for _ in range(200)] == [str(n) for n in range(200)]
            assert app.pools["default"].in_flight_total == 1
        await settled(lambda: closes == [1000])
        await gone(app)
        assert outcomes(app) == {"ok": 1}


async def test_the_websockets_library_is_served_as_well() -> None:
    """Another client implementation: text, binary, ping and a close of its own."""
    async with sockets() as (app, closes):
        async with websockets.connect(url(app, "/socket").replace("http", "ws")) as socket:
            await socket.send("hello")
            assert await socket.recv() == "hello"
            await socket.send(b"\x01\x02")
            assert await socket.recv() == b"\x01\x02"
            await (await socket.ping())
            await socket.close(4002, "bye")
        await settled(lambda: closes == [4002])
        await gone(app)


async def test_the_close_code_of_the_server_reaches_the_client() -> None:
    """A server that closes with 4001 and a reason: the client sees both."""
    async with sockets() as (app, _):
        async with websockets.connect(url(app, "/socket").replace("http", "ws")) as socket:
            await socket.send("close")
            with pytest.raises(websockets.ConnectionClosedError) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "enough")
        await gone(app)


async def test_a_refused_handshake_is_a_plain_answer() -> None:
    """403 with its body, as the server sent it; the connection then serves other requests."""
    async with sockets() as (app, _), await call(app) as client:
        answer = await client.ask(get("/socket?refuse=1", *HANDSHAKE))
        assert (answer.status, answer.body) == (403, b"not you")
        assert "upgrade" not in answer
        assert (await client.ask(get("/nothing"))).status == 404
        client.drop()
        await settled(lambda: not left_over(app))
        assert outcomes(app) == {"client_error": 2}


async def test_a_server_that_dies_ends_the_client_s_connection() -> None:
    """The client sees the connection end without a close frame (1006), at once."""
    async with sockets() as (app, _):
        async with websockets.connect(url(app, "/socket").replace("http", "ws")) as socket:
            await socket.send("die")
            with pytest.raises(websockets.ConnectionClosedError) as closed:
                await socket.recv()
            assert closed.value.rcvd is None
        await gone(app)


async def test_a_client_that_dies_ends_the_server_s_connection() -> None:
    """A client that leaves without a word: the server's connection ends, and no failure is counted."""
    async with sockets() as (app, closes), aiohttp.ClientSession() as session:
        socket = await session.ws_connect(url(app, "/socket"))
        await socket.send_str("hello")
        assert await socket.receive_str(timeout=5) == "hello"
        await session.close()
        await settled(lambda: len(closes) == 1)
        await gone(app)
        assert set(outcomes(app)) <= {"ok", "cancelled"}


async def test_the_demo_server_s_realtime_endpoint() -> None:
    """A text comes back, then frames of sound, then `done`."""
    async with demo() as server, gateway(server.url) as app, aiohttp.ClientSession() as session:
        async with session.ws_connect(url(app, "/v1/realtime?frames=2")) as socket:
            await socket.send_str("hello")
            got = [await socket.receive(timeout=5) for _ in range(4)]
        assert (got[0].data, got[3].data) == ("hello", "done")
        assert all(message.type is aiohttp.WSMsgType.BINARY for message in got[1:3])
        await gone(app)
        await settled(lambda: server.stats.in_flight == 0)


async def test_frames_beside_the_handshake_are_not_lost() -> None:
    """Bytes that either side sends right behind its half of the handshake arrive first on the other side."""

    async def handler(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(SWITCHED + b"from the server")
        conversation.requests.append(await conversation.reader.readexactly(len(b"from the client")))
        await conversation.reader.read()

    async with Backend(handler) as backend, gateway(backend.url) as app, await call(app) as client:
        await client.send(get("/", *HANDSHAKE) + b"from the client")
        head = await client.head()
        assert (head.status, head["upgrade"].lower(), head["connection"].lower()) == (
            101,
            "websocket",
            "upgrade",
        )
        assert "content-length" not in head and "transfer-encoding" not in head
        assert await client.reader.readexactly(len(b"from the server")) == b"from the server"
        await settled(lambda: backend.requests[1:] == [b"from the client"])


async def test_a_tunnel_presses_back() -> None:
    """A client that reads nothing stops the server's sending; what was sent arrives in the end."""
    total, sent = 48, 0
    noise = bytes(range(256)) * 4096

    async def handler(conversation: Conversation) -> None:
        nonlocal sent
        await conversation.request()
        await conversation.send(SWITCHED)
        for _ in range(total):
            await conversation.send(noise)
            sent += 1

    async with Backend(handler) as backend, gateway(backend.url) as app, await call(app) as client:
        await client.send(get("/", *HANDSHAKE))
        assert (await client.head()).status == 101
        (connection,) = listener(app).connections
        await settled(lambda: not connection.writable)
        async with await call(app) as other:
            for _ in range(50):
                assert (await other.ask(b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n")).status == 405
        assert not connection.writable
        assert sent < total
        assert connection.transport.get_write_buffer_size() < 1 << 20
        assert await client.rest() == noise * total
    await settled(lambda: not left_over(app))


@pytest.mark.parametrize(
    "fields", [("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"), ("Upgrade: websocket",)]
)
async def test_other_upgrades_are_ignored(fields: tuple[str, ...]) -> None:
    """An upgrade to something else, or one that Connection does not name, is an ordinary request."""
    async with (
        Backend(answers(ok(b"plain"))) as backend,
        gateway(backend.url) as app,
        await call(app) as client,
    ):
        for _ in range(2):
            answer = await client.ask(get("/", *fields))
            assert (answer.status, answer.body) == (200, b"plain")
    for request in backend.requests:
        assert b"upgrade" not in request.lower()
    assert len(backend.conversations) == 1


async def test_many_tunnels_come_and_go() -> None:
    """Twenty at once, half ended by the client and half by the server: all leases are closed."""

    async def one(app: App, number: int) -> None:
        async with websockets.connect(url(app, "/socket").replace("http", "ws")) as socket:
            await socket.send(f"number {number}")
            assert await socket.recv() == f"number {number}"
            if number % 2:
                await socket.send("close")
                await socket.wait_closed()

    async with sockets() as (app, _):
        await asyncio.gather(*(one(app, number) for number in range(20)))
        await gone(app)
        assert outcomes(app) == {"ok": 20}
