"""Do request bodies reach their backend whole, whatever their size, and without piling up?"""

import asyncio
import hashlib
import random
from itertools import pairwise
from typing import Any

import pytest

from gateway.http.client import HIGH_WATER
from tests.harness import (
    Backend,
    Caller,
    Conversation,
    call,
    chunk,
    client_connection,
    demo,
    gateway,
    get,
    left_over,
    listener,
    ok,
    outcomes,
    post,
    refusing,
    settled,
)

MIB = 1 << 20
#: What a side may have waiting to be written: up to the mark, and what one read from the other side brings.
BOUND = HIGH_WATER + 512 * 1024
NOISE = random.Random(7).randbytes(MIB)
BIG = NOISE * 30
DIGEST = hashlib.sha256(BIG).hexdigest()
CHUNKED_POST = post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
CHUNKED_ECHO = post(b"", "/echo").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")


async def ask_often(caller: Caller, times: int) -> None:
    for _ in range(times):
        assert (await caller.ask(get("/echo"))).status == 200


@pytest.mark.parametrize("buffer_body", [0, 8 * MIB])
async def test_a_slow_backend_pauses_the_client_that_uploads(buffer_body: int) -> None:
    """The client's sending blocks, the gateway holds no more than it may, others are served; then all
    arrives. A body that was held at first, until it proved too long, is no exception."""
    go_on = asyncio.Event()
    seen: list[bytes] = []

    async def handler(conversation: Conversation) -> None:
        await conversation.reader.readuntil(b"\r\n\r\n")
        await go_on.wait()
        while not seen or not seen[-1].endswith(b"0\r\n\r\n"):
            seen.append(await conversation.reader.read(MIB))
        await conversation.send(ok())

    async with Backend(handler) as backend, demo() as other:
        pools = {
            name: {"backends": [target], "health": {"path": None}}
            for name, target in (("slow", backend.url), ("other", other.url))
        }
        routes = [
            {"name": "other", "match": {"path": "/echo"}, "pool": "other"},
            {"name": "slow", "pool": "slow"},
        ]
        limits = {"buffer_body": buffer_body}
        async with gateway(pools=pools, routes=routes, limits=limits) as app, await call(app) as client:
            connection = await client_connection(app)
            request = CHUNKED_POST + b"".join(chunk(NOISE) for _ in range(30)) + chunk(b"")
            sending = asyncio.ensure_future(client.send(request))
            await settled(lambda: connection._sink is not None and connection._paused)
            async with await call(app) as impatient:
                await ask_often(impatient, 200)
            assert connection._paused and not sending.done()
            assert connection._sink.transport.get_write_buffer_size() <= buffer_body + BOUND
            assert listener(app).held_bytes == 0
            go_on.set()
            await sending
            assert (await client.answer()).status == 200
            assert hashlib.sha256(unchunked(b"".join(seen))).hexdigest() == DIGEST
            await settled(lambda: app.pools["slow"].in_flight_total == 0)


def unchunked(data: bytes) -> bytes:
    """The body in `data`, whatever the sizes of its chunks."""
    pieces, at = [], 0
    while True:
        end = data.index(b"\r\n", at)
        size = int(data[at:end], 16)
        if not size:
            return b"".join(pieces)
        pieces.append(data[end + 2 : end + 2 + size])
        at = end + 2 + size + 2


async def test_a_body_waits_with_its_client_while_the_backend_is_dialled() -> None:
    """Until there is a connection to stream to, no more of the body is read than a piece."""
    go_on = asyncio.Event()
    async with (
        demo() as server,
        gateway(server.url, limits={"buffer_body": 0}) as app,
        await call(app) as client,
    ):
        connection = await client_connection(app)
        connections = app.pools["default"].backends[0].connections
        dial = connections.dial

        async def slow_dial(attempt: Any) -> None:
            await go_on.wait()
            await dial(attempt)

        connections.dial = slow_dial
        sending = asyncio.ensure_future(client.send(post(BIG, "/echo")))
        await settled(lambda: connection._paused)
        async with await call(app) as impatient:
            for _ in range(50):
                assert (await impatient.ask(b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n")).status == 405
        assert 0 < listener(app).held_bytes <= BOUND
        assert not sending.done()
        go_on.set()
        await sending
        assert (await client.answer()).json()["sha256"] == DIGEST


async def test_a_streamed_body_goes_to_the_backend_that_can_be_reached() -> None:
    """A refused connect has sent nothing: the whole body, however framed, reaches the next backend."""
    with refusing() as nobody:
        async with demo() as server:
            pool = {"policy": "round_robin", "outlier": {"consecutive_failures": 0}}
            async with gateway(nobody, server.url, pool=pool, limits={"buffer_body": 0}) as app:
                for request in [post(BIG, "/echo"), CHUNKED_ECHO + chunk(BIG) + chunk(b"")] * 2:
                    async with await call(app) as client:
                        await client.send(request)
                        answer = await client.answer()
                        assert (answer.status, answer.json()["sha256"]) == (200, DIGEST)
                assert outcomes(app)["ok"] == 4 and outcomes(app)["connect_error"] >= 1


@pytest.mark.parametrize("max_idle", [0, 64])
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("cuts", [1, 2, 7])
async def test_bodies_around_the_bound_arrive_whole(max_idle: int, framing: str, cuts: int) -> None:
    """Held or streamed, in one write or several, on new and on kept backend connections: byte for byte."""
    pool = {"keepalive": {"max_idle": max_idle}}
    async with (
        demo() as server,
        gateway(server.url, pool=pool, limits={"buffer_body": 1000}) as app,
        await call(app) as client,
    ):
        for size in (999, 1000, 1001, 5000, 70_000, 300_000, 1_000_000):
            body = random.Random(size).randbytes(size)
            if framing == "length":
                request = post(body, "/echo")
            else:
                request = post(b"", "/echo").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
                request += b"".join(chunk(body[at : at + 50_000]) for at in range(0, size, 50_000))
                request += chunk(b"")
            edges = [len(request) * n // cuts for n in range(cuts + 1)]
            for start, end in pairwise(edges):
                await client.send(request[start:end])
                await asyncio.sleep(0)
            answer = await client.answer()
            assert answer.status == 200, f"{size} bytes: {answer}"
            seen = answer.json()
            assert (seen["length"], seen["sha256"]) == (size, hashlib.sha256(body).hexdigest())
        assert outcomes(app) == {"ok": 7}


async def test_a_body_never_goes_where_the_one_before_went() -> None:
    """After a streamed body, the pieces of the next one are held for its own backend connection, while the
    connection of the first serves another client."""
    seen: list[bytes] = []

    async def handler(conversation: Conversation) -> None:
        while request := await conversation.request():
            seen.append(request.partition(b"\r\n\r\n")[2])
            await conversation.send(ok())

    large, small = post(b"l" * 5000), post(b"s" * 900)
    async with (
        Backend(handler) as backend,
        gateway(backend.url, limits={"buffer_body": 1000}) as app,
        await call(app) as one,
    ):
        connection = await client_connection(app)
        await one.send(large[:3000])
        await settled(lambda: connection._sink is not None)
        await one.send(large[3000:])
        assert (await one.answer()).status == 200
        await one.send(small[:-500])
        await settled(lambda: listener(app).held_bytes == 400)
        async with await call(app) as two:
            assert (await two.ask(post(b"other"))).status == 200
            await one.send(small[-500:-200])
            await settled(lambda: listener(app).held_bytes == 700)
            assert (await two.ask(post(b"another"))).status == 200
        await one.send(small[-200:])
        assert (await one.answer()).status == 200
    assert seen == [b"l" * 5000, b"other", b"another", b"s" * 900]


async def test_a_chunked_body_that_ends_while_the_backend_is_dialled() -> None:
    """A body too large to hold whose end arrives before the backend is connected reaches it well framed."""
    body = NOISE[:25_000]
    head = post(b"", "/echo").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    async with demo() as server, gateway(server.url, limits={"buffer_body": 1000}) as app:
        pool = app.pools["default"]
        async with await call(app) as client:
            connection = await client_connection(app)
            connections = pool.backends[0].connections
            dial, dialling = connections.dial, asyncio.Event()
            arrived = asyncio.Event()

            async def slow_dial(attempt: Any) -> None:
                dialling.set()
                await arrived.wait()
                await dial(attempt)

            connections.dial = slow_dial
            await client.send(head + chunk(body[:5000]))
            await dialling.wait()
            await client.send(chunk(body[5000:]) + chunk(b""))
            await settled(lambda: connection._request is not None and connection._request.complete)
            arrived.set()
            answer = await client.answer()
            assert answer.status == 200, answer
            assert answer.json()["sha256"] == hashlib.sha256(body).hexdigest()


async def test_an_answer_before_the_end_of_the_upload_ends_the_connections() -> None:
    """A backend that answers without reading on gets no second request on that connection: its next bytes
    would be taken for the rest of the first body."""

    async def early(conversation: Conversation) -> None:
        head = await conversation.reader.readuntil(b"\r\n\r\n")
        conversation.requests.append(head)
        await conversation.send(ok(b"early"))
        while await conversation.reader.read(65536):
            pass

    async with Backend(early) as backend, gateway(backend.url, limits={"buffer_body": 0}) as app:
        for number in (1, 2, 3):
            async with await call(app) as client:
                await client.send(post(b"x" * 5000)[:-2500])
                answer = await client.answer()
                assert (answer.status, answer.body) == (200, b"early")
                assert answer["connection"] == "close"
            await settled(lambda: not left_over(app))
            assert len(backend.conversations) == number
            assert app.pools["default"].backends[0].connections.idle == 0
        assert all(len(conversation.requests) == 1 for conversation in backend.conversations)


LIMITS = {"buffer_body": 100_000, "buffer_total": 100_000}


async def hold(client: Caller, size: int) -> bytes:
    """Send the head and `size` bytes of a body that then waits; the rest of the request."""
    request = post(b'{"model": "one", "pad": "%b"}' % (b"x" * 90_000), "/echo")
    await client.send(request[: size + request.index(b"\r\n\r\n")])
    return request[size + request.index(b"\r\n\r\n") :]


async def test_without_room_for_all_bodies_some_are_streamed() -> None:
    """Where nothing in the body is needed, what finds no room to be held is streamed through instead."""
    async with demo() as server, gateway(server.url, limits=LIMITS) as app:
        async with await call(app) as one, await call(app) as two:
            rest_one = await hold(one, 60_000)
            await settled(lambda: listener(app).held_bytes > 50_000)
            assert app.pools["default"].in_flight_total == 0
            rest_two = await hold(two, 60_000)
            await settled(lambda: app.pools["default"].in_flight_total == 1)  # it has begun without its end
            assert listener(app).held_bytes <= 100_000
            await two.send(rest_two)
            assert (await two.answer()).status == 200
            await one.send(rest_one)
            assert (await one.answer()).status == 200
        await settled(lambda: not left_over(app))
        assert listener(app).held_bytes == 0


async def test_without_room_a_body_whose_model_must_be_read_is_refused() -> None:
    """503 buffers_full with Retry-After; the one that had room is served, and then there is room again."""
    async with demo(model="one") as server:
        pools = {
            "one": {"backends": [server.url], "health": {"path": None}},
            "two": {"backends": [server.url], "health": {"path": None}},
        }
        async with gateway(pools=pools, limits=LIMITS) as app:
            async with await call(app) as one, await call(app) as two:
                rest_one = await hold(one, 60_000)
                await settled(lambda: listener(app).held_bytes > 50_000)
                await hold(two, 60_000)
                answer = await two.answer()
                assert (answer.status, answer["x-gateway-error"]) == (503, "buffers_full")
                assert int(answer["retry-after"]) >= 1
                await one.send(rest_one)
                assert (await one.answer()).status == 200
            await settled(lambda: not left_over(app))
            async with await call(app) as three:
                rest = await hold(three, 60_000)
                await three.send(rest)
                assert (await three.answer()).status == 200
