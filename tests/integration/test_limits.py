"""Does every bound hold, with the answer that says so, and without harm to others?"""

import asyncio
import contextlib
import socket

import pytest

from gateway.http.server import MAX_BACKLOG
from tests.harness import (
    Backend,
    Caller,
    Conversation,
    answers,
    ask,
    call,
    chunk,
    client_connection,
    gateway,
    get,
    left_over,
    listener,
    ok,
    outcomes,
    post,
    settled,
)

CHUNKED_POST = post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")


async def refused(client: Caller, status: int, kind: str) -> None:
    """The next answer is this error, in OpenAI's form, and the last on its connection."""
    answer = await client.answer()
    assert (answer.status, answer["x-gateway-error"], answer["connection"]) == (status, kind, "close")
    assert answer.json()["error"]["code"] == kind
    assert answer.json()["error"]["type"] == "invalid_request_error" if status < 500 else "server_error"
    assert await client.rest() == b""


async def test_a_body_too_large_by_its_length() -> None:
    """413 before a byte of the body, and no backend hears of it."""
    async with Backend(answers(ok())) as backend, gateway(backend.url, limits={"max_body": 1000}) as app:
        async with await call(app) as client:
            await client.send(post(b"x" * 1001)[:-1001])
            await refused(client, 413, "body_too_large")
        assert await ask(app, 2, post(b"x" * 1000)) == [200, 200]
        assert len(backend.requests) == 2
        await settled(lambda: not left_over(app))


@pytest.mark.parametrize("buffer_body", [0, 1000])
async def test_a_body_that_grows_too_large(buffer_body: int) -> None:
    """A chunked body is counted as it comes: 413 when it passes the limit, held or streamed through."""

    async def handler(conversation: Conversation) -> None:
        await conversation.reader.readuntil(b"\r\n\r\n")
        while await conversation.reader.read(65536):
            pass

    limits = {"max_body": 1000, "buffer_body": buffer_body}
    async with Backend(handler) as backend, gateway(backend.url, limits=limits) as app:
        async with await call(app) as client:
            await client.send(CHUNKED_POST + chunk(b"x" * 600))
            if buffer_body:
                await settled(lambda: listener(app).held_bytes == 600)
            else:
                await settled(lambda: app.pools["default"].in_flight_total == 1)
            await client.send(chunk(b"x" * 600))
            await refused(client, 413, "body_too_large")
        await settled(lambda: not left_over(app))
        assert outcomes(app) == ({} if buffer_body else {"cancelled": 1})


@pytest.mark.parametrize("end", [b"", chunk(b"")], ids=["unfinished", "whole"])
@pytest.mark.parametrize("buffer_body", [0, 1000])
async def test_a_body_too_large_beside_its_head(buffer_body: int, end: bytes) -> None:
    """A chunked body that passes the limit together with its head is 413 too; no backend hears of it."""
    limits = {"max_body": 1000, "buffer_body": buffer_body}
    async with Backend(answers(ok())) as backend, gateway(backend.url, limits=limits) as app:
        async with await call(app) as client:
            await client.send(CHUNKED_POST + chunk(b"x" * 1001) + end)
            await refused(client, 413, "body_too_large")
        await settled(lambda: not left_over(app))
        assert backend.requests == []


async def test_a_head_too_large() -> None:
    """431 for the fields, 414 for the request line; one that just fits is served."""
    async with Backend(answers(ok())) as backend, gateway(backend.url, limits={"max_header": 2000}) as app:
        fits = get("/", "X-Pad: " + "x" * (2000 - len(get("/", "X-Pad: "))))
        assert len(fits) == 2000
        assert await ask(app, 1, fits) == [200]
        for request, status, kind in (
            (fits.replace(b"X-Pad", b"X-Pads"), 431, "header_too_large"),
            (get("/", *(f"X-{n}: {n}" for n in range(101))), 431, "header_too_large"),
            (get("/" + "x" * 2000), 414, "target_too_long"),
        ):
            async with await call(app) as client:
                await client.send(request)
                await refused(client, status, kind)
        assert len(backend.requests) == 1


async def test_a_target_too_long_in_a_head_that_fits() -> None:
    """8 KiB of target are enough for anyone, whatever the head may have."""
    async with Backend(answers(ok())) as backend, gateway(backend.url) as app:
        assert await ask(app, 1, get("/" + "x" * 8191)) == [200]
        async with await call(app) as client:
            await client.send(get("/" + "x" * 8192))
            await refused(client, 414, "target_too_long")


async def test_what_does_not_arrive_in_time() -> None:
    """408 for half a head and for a stalled body; an unused keep-alive connection is closed in silence."""
    limits = {"header_timeout": "100ms", "body_timeout": "100ms", "keepalive_timeout": "150ms"}
    async with Backend(answers(ok())) as backend, gateway(backend.url, limits=limits) as app:

        async def half_a_head() -> None:
            async with await call(app) as client:
                await client.send(get()[:20])
                await refused(client, 408, "header_timeout")

        async def drop_by_drop() -> None:
            """Bytes that keep coming do not buy more time for the head."""
            async with await call(app) as client:
                with contextlib.suppress(ConnectionError):
                    for byte in get("/", "X-Long: " + "y" * 1000):
                        client.writer.write(bytes([byte]))
                        await asyncio.sleep(0.005)
                        if client.reader._buffer:  # type: ignore[attr-defined]
                            break
                answer = await client.head()
                assert (answer.status, answer["x-gateway-error"]) == (408, "header_timeout")

        async def half_a_body() -> None:
            async with await call(app) as client:
                await client.send(post(b"x" * 100)[:-50])
                await refused(client, 408, "body_timeout")

        async def never_used() -> None:
            async with await call(app) as client:
                assert await client.rest() == b""

        async def used_once() -> None:
            async with await call(app) as client:
                assert (await client.ask(post())).status == 200
                assert await client.rest() == b""

        await asyncio.gather(half_a_head(), drop_by_drop(), half_a_body(), never_used(), used_once())
        await settled(lambda: not left_over(app))
        assert outcomes(app) == {"ok": 1}
        counted = app.metrics.route("-").errors
        assert counted == {"header_timeout": 2, "body_timeout": 1}


async def test_a_stalled_upload_that_is_streamed() -> None:
    """408 when the client stalls in a body that is passed on; the backend is not blamed."""

    async def handler(conversation: Conversation) -> None:
        while await conversation.reader.read(65536):
            pass

    limits = {"buffer_body": 0, "body_timeout": "100ms"}
    async with Backend(handler) as backend, gateway(backend.url, limits=limits) as app:
        async with await call(app) as client:
            await client.send(post(b"x" * 100)[:-50])
            await refused(client, 408, "body_timeout")
        await settled(lambda: not left_over(app))
        assert outcomes(app) == {"cancelled": 1}


async def test_too_many_connections() -> None:
    """One too many is told 503 with Retry-After; when another leaves, there is room again."""
    async with (
        Backend(answers(ok())) as backend,
        gateway(backend.url, limits={"max_connections": 3}) as app,
        contextlib.AsyncExitStack() as stack,
    ):
        clients = [await stack.enter_async_context(await call(app)) for _ in range(3)]
        for client in clients:
            assert (await client.ask(post())).status == 200
        async with await call(app) as fourth:
            answer = await fourth.answer()
            assert (answer.status, answer["x-gateway-error"]) == (503, "too_many_connections")
            assert int(answer["retry-after"]) >= 1
            assert await fourth.rest() == b""
        await settled(lambda: len(listener(app).connections) == 3)
        clients[0].drop()
        await settled(lambda: len(listener(app).connections) == 2)
        assert await ask(app) == [200]


async def test_fifty_requests_at_once_are_answered_in_order() -> None:
    """Pipelined requests, some with bodies, some the gateway answers itself: one answer each, in order."""

    async def mirror(conversation: Conversation) -> None:
        while request := await conversation.request():
            await conversation.send(ok(request.split(b" ")[1]))

    async with Backend(mirror) as backend, gateway(backend.url) as app, await call(app) as client:
        requests = []
        for number in range(50):
            if number % 7 == 3:
                requests.append(f"TRACE /{number} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            elif number % 2:
                requests.append(post(b"x" * number * 100, f"/{number}"))
            else:
                requests.append(get(f"/{number}"))
        await client.send(b"".join(requests))
        for number in range(50):
            answer = await client.answer()
            if number % 7 == 3:
                assert (answer.status, answer["x-gateway-error"]) == (405, "method_not_allowed")
            else:
                assert (answer.status, answer.body) == (200, b"/%d" % number)
        assert len(backend.conversations) == 1


async def test_requests_sent_ahead_are_held_only_so_far() -> None:
    """While one is served, a bounded piece of those behind it is held and reading stops; all are served."""
    go_on = asyncio.Event()

    async def handler(conversation: Conversation) -> None:
        while await conversation.request():
            await go_on.wait()
            await conversation.send(ok())

    count = 1000
    request = get("/", "X-Pad: " + "x" * 2000)
    async with Backend(handler) as backend, gateway(backend.url) as app, await call(app) as client:
        client.writer.write(post() + request * count)
        connection = await client_connection(app)
        await settled(lambda: connection._paused)
        assert len(connection._backlog) <= MAX_BACKLOG + 512 * 1024
        assert len(backend.requests) == 1
        go_on.set()
        for _ in range(1 + count):
            assert (await client.answer()).status == 200


async def test_the_reply_reaches_a_client_that_is_still_sending() -> None:
    """A blocking client that sends megabytes before it reads finds the 413 waiting for it."""
    seen: list[bytes] = []

    def send_and_read(address: tuple[str, int]) -> None:
        with socket.create_connection(address, timeout=10) as client:
            with contextlib.suppress(ConnectionError):  # as other clients, it then looks for an answer
                client.sendall(post(b"x" * 5_000_000))
            with contextlib.suppress(ConnectionError):
                while piece := client.recv(65536):
                    seen.append(piece)

    async with Backend(answers(ok())) as backend, gateway(backend.url, limits={"max_body": 1000}) as app:
        await asyncio.to_thread(send_and_read, app.listen_addresses[0])
        await settled(lambda: not left_over(app))
    assert b"".join(seen).startswith(b"HTTP/1.1 413 ")
    assert b"body_too_large" in b"".join(seen)


async def test_the_reply_reaches_a_client_that_sends_slowly() -> None:
    """A client whose body comes in small pieces after the refusal is not reset before it has read it."""
    async with (
        Backend(answers(ok())) as backend,
        gateway(backend.url, limits={"max_body": 1000}) as app,
        await call(app) as client,
    ):
        body = post(b"x" * 20_000)
        await client.send(body[:500])
        for start in range(500, 20_000, 500):
            await client.send(body[start : start + 500])
            await asyncio.sleep(0)
        await refused(client, 413, "body_too_large")


async def test_one_client_s_refusals_are_nobody_else_s() -> None:
    """While many clients are refused for all kinds of reasons, another one's requests are all answered."""
    bad = [
        b"\x00\x01garbage\r\n\r\n",
        post(b"x" * 2000)[:-1900],
        get("/" + "x" * 9000),
        b"GET / HTTP/3.0\r\n\r\n",
    ]

    async def nuisance(app: object, request: bytes) -> None:
        for _ in range(10):
            async with await call(app) as client:  # type: ignore[arg-type]
                await client.send(request)
                assert (await client.answer()).status >= 400

    async with Backend(answers(ok())) as backend, gateway(backend.url, limits={"max_body": 1000}) as app:
        served, *_ = await asyncio.gather(ask(app, 100), *(nuisance(app, request) for request in bad))
        assert served == [200] * 100
        await settled(lambda: not left_over(app))
