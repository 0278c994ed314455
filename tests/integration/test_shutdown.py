"""Does the gateway end in order: what is in flight finishes, nothing new begins, nothing is left?"""

import asyncio

import aiohttp
import pytest

from tests.harness import (
    CHUNKED,
    Backend,
    Conversation,
    admin_url,
    answers,
    call,
    chunk,
    gateway,
    get,
    left_over,
    listener,
    ok,
    outcomes,
    post,
    settled,
)

HANDSHAKE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: a")


class Slow:
    """A handler whose answers wait for `go_on`; streams send a chunk before they wait."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def __call__(self, conversation: Conversation) -> None:
        while request := await conversation.request():
            if b"/stream" in request:
                await conversation.send(CHUNKED + chunk(b"begun"))
                await self.go_on.wait()
                await conversation.send(chunk(b"ended") + chunk(b""))
            else:
                await self.go_on.wait()
                await conversation.send(ok(b"done"))


async def test_what_is_in_flight_finishes() -> None:
    """Readiness fails and the listener closes at once; a stream and a waiting request get their whole
    answers, idle connections end, and the drain is over when the last one is."""
    slow = Slow()
    async with Backend(slow) as backend, gateway(backend.url) as app, aiohttp.ClientSession() as admin:
        async with await call(app) as stream, await call(app) as waiting, await call(app) as idle:
            await stream.send(get("/stream"))
            assert (await stream.head()).status == 200
            assert await stream.chunk() == b"begun"
            await waiting.send(post())
            await settled(lambda: len(backend.requests) == 2)
            await settled(lambda: len(listener(app).connections) == 3)
            draining = asyncio.ensure_future(app.drain())
            assert await idle.rest() == b""
            async with admin.get(admin_url(app, "/readyz")) as response:
                assert (response.status, await response.json()) == (
                    503,
                    {"ready": False, "reason": "draining"},
                )
            async with admin.get(admin_url(app, "/healthz")) as response:
                assert response.status == 200
            with pytest.raises(ConnectionError):
                await call(app)
            assert not draining.done()
            slow.go_on.set()
            assert [await stream.chunk(), await stream.chunk()] == [b"ended", b""]
            assert await stream.rest() == b""
            answer = await waiting.answer()
            assert (answer.status, answer.body, answer["connection"]) == (200, b"done", "close")
            assert await waiting.rest() == b""
            await draining
        assert left_over(app) == []
        assert outcomes(app) == {"ok": 2}


async def test_a_kept_connection_gets_its_last_answer() -> None:
    """A request already on its way when the drain begins is answered, with Connection: close; one pipelined
    behind it is not begun."""
    slow = Slow()
    async with Backend(slow) as backend, gateway(backend.url) as app, await call(app) as client:
        slow.go_on.set()
        assert "connection" not in await client.ask(post())
        slow.go_on.clear()
        await client.send(post() + post())
        await settled(lambda: len(backend.requests) == 2)
        draining = asyncio.ensure_future(app.drain())
        await settled(lambda: app.draining and listener(app).draining)
        slow.go_on.set()
        assert (await client.answer())["connection"] == "close"
        assert await client.rest() == b""
        await draining
        assert len(backend.requests) == 2


async def test_half_a_request_is_still_served() -> None:
    """A client in the middle of its head or body when the drain begins gets its answer."""
    async with (
        Backend(answers(ok())) as backend,
        gateway(backend.url) as app,
        await call(app) as head,
        await call(app) as body,
    ):
        request = post(b"x" * 100)
        await head.send(request[:20])
        await body.send(request[:-50])
        await settled(lambda: listener(app).held_bytes == 50)
        await settled(lambda: sum(c._reader.started for c in listener(app).connections) == 1)
        draining = asyncio.ensure_future(app.drain())
        await settled(lambda: listener(app).draining)
        await head.send(request[20:])
        await body.send(request[-50:])
        for client in (head, body):
            answer = await client.answer()
            assert (answer.status, answer["connection"]) == (200, "close")
        await draining


async def test_what_takes_too_long_is_cut() -> None:
    """After `shutdown.drain` the drain is over; `close` then cuts streams, tunnels and waiting requests."""
    slow = Slow()

    async def switches(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        await conversation.reader.read()

    off = {"path": None}
    async with Backend(slow) as backend, Backend(switches) as socket:
        pools = {
            "slow": {"backends": [backend.url], "health": off},
            "socket": {"backends": [socket.url], "health": off},
        }
        routes = [
            {"name": "s", "match": {"path": "/socket"}, "pool": "socket"},
            {"name": "r", "pool": "slow"},
        ]
        async with gateway(pools=pools, routes=routes, shutdown={"drain": "100ms"}) as app:
            async with await call(app) as stream, await call(app) as waiting, await call(app) as tunnel:
                await stream.send(get("/stream"))
                assert (await stream.head()).status == 200
                await waiting.send(post())
                await tunnel.send(get("/socket", *HANDSHAKE))
                assert (await tunnel.head()).status == 101
                await settled(lambda: len(backend.requests) == 2)
                await app.drain()
                assert len(listener(app).connections) == 3
                await app.close()
                assert await stream.rest() == chunk(b"begun")
                assert await waiting.rest() == b""
                assert await tunnel.rest() == b""
            await settled(lambda: not left_over(app))


async def test_close_may_be_called_twice_and_at_once() -> None:
    """Ending at once, without a drain and more than once, is no error."""
    async with Backend(answers(ok())) as backend, gateway(backend.url) as app:
        async with await call(app) as client:
            assert (await client.ask(post())).status == 200
            await app.close()
            assert await client.rest() == b""
        await app.close()
        assert left_over(app) == []


async def test_no_request_is_lost_under_load() -> None:
    """While clients send as fast as they can, a drain ends: every request has a whole answer, or found its
    connection closed before a byte of one, and none of those had begun."""
    async with Backend(answers(ok())) as backend, gateway(backend.url) as app:
        answered = 0

        async def sends() -> str:
            nonlocal answered
            async with await call(app) as client:
                while True:
                    try:
                        await client.send(post())
                        answer = await client.answer()
                    except (ConnectionError, asyncio.IncompleteReadError) as error:
                        partial = error.partial if isinstance(error, asyncio.IncompleteReadError) else b""
                        return f"closed {partial!r}"
                    assert answer.status == 200
                    answered += 1
                    if "connection" in answer:
                        return answer["connection"]

        clients = [asyncio.ensure_future(sends()) for _ in range(10)]
        await settled(lambda: answered >= 300)
        await app.drain()
        ends = await asyncio.gather(*clients)
        assert set(ends) <= {"close", "closed b''"}
        assert outcomes(app) == {"ok": answered}
        assert left_over(app) == []
