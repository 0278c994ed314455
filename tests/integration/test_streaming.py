"""Do answers reach their client as they are made, whole or visibly cut, and without piling up?"""

import asyncio
import hashlib
import io
import random

import aiohttp
import pytest
from aiohttp import web

from gateway.http.client import HIGH_WATER
from tests.harness import (
    CHUNKED,
    Backend,
    Caller,
    Conversation,
    answers,
    call,
    chunk,
    client_connection,
    demo,
    gateway,
    get,
    left_over,
    ok,
    outcomes,
    post,
    settled,
    url,
)

MIB = 1 << 20
#: What a side may have waiting to be written: up to the mark, and what one read from the other side brings.
BOUND = HIGH_WATER + 512 * 1024
NOISE = random.Random(7).randbytes(MIB)
BIG = NOISE * 30
DIGEST = hashlib.sha256(BIG).hexdigest()


async def test_chunks_arrive_one_by_one() -> None:
    """Each chunk reaches the client before the backend makes the next one."""
    received = [asyncio.Event() for _ in range(5)]

    async def handler(conversation: Conversation) -> None:
        while await conversation.request():
            await answer(conversation)

    async def answer(conversation: Conversation) -> None:
        await conversation.send(CHUNKED)
        for number, event in enumerate(received):
            await conversation.send(chunk(b"data: %d\n\n" % number))
            await event.wait()
        await conversation.send(chunk(b""))

    async with Backend(handler) as backend, gateway(backend.url) as app, await call(app) as client:
        await client.send(post())
        assert (await client.head())["content-type"] == "text/event-stream"
        for number, event in enumerate(received):
            assert await client.chunk() == b"data: %d\n\n" % number
            event.set()
        assert await client.chunk() == b""
        await client.send(post())  # the connection is as good as new
        assert (await client.head()).status == 200


async def test_a_1_0_client_reads_until_the_connection_closes() -> None:
    """HTTP/1.0 knows no chunks: the body goes out bare, and its end is the connection's."""
    stream = CHUNKED + chunk(b"one ") + chunk(b"two") + chunk(b"")
    async with Backend(answers(stream)) as backend, gateway(backend.url) as app, await call(app) as client:
        await client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = await client.head()
        assert answer.status == 200
        assert "transfer-encoding" not in answer and "content-length" not in answer
        assert answer["connection"] == "close"
        assert await client.rest() == b"one two"


async def test_nothing_is_promised_before_the_first_body_byte() -> None:
    """A backend that sends its head and then breaks has answered nothing: another one is asked."""

    async def breaks(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(CHUNKED)
        conversation.abort()

    async with (
        Backend(breaks) as bad,
        Backend(answers(ok(b"good"))) as good,
        gateway(bad.url, good.url, pool={"policy": "round_robin"}) as app,
    ):
        for _ in range(2):
            async with await call(app) as client:
                answer = await client.ask(post())
                assert (answer.status, answer.body) == (200, b"good")
        ended = outcomes(app)
        assert ended.keys() == {"ok", "reset"}
        assert ended["ok"] == 2
        assert ended["reset"] == app.pools["default"].retries["success"] > 0


async def test_a_cut_answer_is_seen_to_be_cut() -> None:
    """When the backend breaks in the middle, the client gets no last chunk, and its connection ends."""

    async def cuts(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(CHUNKED + chunk(b"half"))
        conversation.abort()

    async with Backend(cuts) as backend, gateway(backend.url) as app, await call(app) as client:
        await client.send(post())
        assert (await client.head()).status == 200
        assert await client.rest() in (b"", chunk(b"half"))
        assert outcomes(app) == {"reset": 1}
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                async with session.post(url(app)) as response:
                    await response.read()


async def ask_often(caller: Caller, times: int) -> None:
    for _ in range(times):
        assert (await caller.ask(get("/echo"))).status == 200


async def test_a_slow_reader_pauses_its_backend_and_nobody_else() -> None:
    """The backend's sending blocks, the gateway holds little, others are served; then all arrives."""
    sent = 0
    total = 64

    async def handler(conversation: Conversation) -> None:
        nonlocal sent
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (total * MIB))
        for _ in range(total):
            await conversation.send(NOISE)
            sent += 1

    async with Backend(handler) as backend, demo() as other:
        pools = {
            name: {"backends": [target], "health": {"path": None}}
            for name, target in (("slow", backend.url), ("other", other.url))
        }
        routes = [
            {"name": "other", "match": {"path": "/echo"}, "pool": "other"},
            {"name": "slow", "pool": "slow"},
        ]
        async with gateway(pools=pools, routes=routes) as app, await call(app) as client:
            connection = await client_connection(app)
            await client.send(get("/slow"))
            assert (await client.head()).status == 200
            await settled(lambda: not connection.writable)
            async with await call(app) as impatient:
                await ask_often(impatient, 200)
            assert not connection.writable
            assert 0 < connection.transport.get_write_buffer_size() <= BOUND
            assert sent < total  # the last of it cannot leave the backend
            digest, length = hashlib.sha256(), 0
            while length < total * MIB:
                piece = await client.reader.read(MIB)
                assert piece
                length += len(piece)
                digest.update(piece)
            assert length == total * MIB
            assert digest.hexdigest() == hashlib.sha256(NOISE * total).hexdigest()
            await settled(lambda: outcomes(app).get("ok") == 201)


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_large_bodies_pass_both_ways(framing: str) -> None:
    """30 MiB up and the same 30 MiB back, in whichever framing, byte for byte."""

    async def mirror(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if framing == "length":
            response.content_length = request.content_length
        first = await request.content.readany()  # the answer begins while the question still arrives
        await response.prepare(request)
        await response.write(first)
        async for piece in request.content.iter_any():
            await response.write(piece)
        return response

    async def pieces():  # type: ignore[no-untyped-def]
        for start in range(0, len(BIG), 3 * MIB):
            yield BIG[start : start + 3 * MIB]

    server = web.Application(client_max_size=64 * MIB)
    server.router.add_post("/mirror", mirror)
    runner = web.AppRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with (
            gateway(f"http://127.0.0.1:{runner.addresses[0][1]}") as app,
            aiohttp.ClientSession() as session,
        ):
            data = io.BytesIO(BIG) if framing == "length" else pieces()
            async with session.post(url(app, "/mirror"), data=data) as response:
                digest = hashlib.sha256()
                async for piece in response.content.iter_any():
                    digest.update(piece)
                assert response.status == 200
            assert digest.hexdigest() == DIGEST
            await settled(lambda: not left_over(app))
            assert outcomes(app) == {"ok": 1}
    finally:
        await runner.cleanup()
