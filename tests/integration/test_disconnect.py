"""When clients leave at any moment, do their backends stop at once, and is nothing left or miscounted?"""

import asyncio
import json
import random
from typing import Any

import pytest

from gateway.demo.server import Running
from tests.harness import (
    Backend,
    Caller,
    Conversation,
    ask,
    call,
    demo,
    gateway,
    get,
    left_over,
    listener,
    outcomes,
    post,
    settled,
)

#: An answer that does not end by itself within the test.
ENDLESS: dict[str, Any] = {
    "messages": [{"role": "user", "content": "hello"}],
    "max_tokens": 5000,
    "ignore_eos": True,
}
SPEED = {"tokens_per_second": 200.0, "slots": 100}


async def leave_after(client: Caller, chunks: int) -> None:
    """Read the head and so many chunks of a stream, and be gone."""
    await client.send(post(ENDLESS | {"stream": True}))
    assert (await client.head()).status == 200
    for _ in range(chunks):
        assert await client.chunk()
    client.drop()


async def cancelled(*servers: Running) -> int:
    """How many requests were cancelled at the servers, once none is under way."""
    await settled(lambda: all(server.stats.in_flight == 0 for server in servers))
    assert all(server.stats.errors == {} for server in servers)
    return sum(server.stats.cancelled for server in servers)


async def test_streams_that_clients_leave_are_cancelled_at_their_servers() -> None:
    """Each stream left after some chunks is cancelled at its server, counted as such, and as no failure."""
    rng = random.Random(3)

    async def one() -> None:
        async with await call(app) as client:
            await leave_after(client, rng.randint(1, 40))

    async with demo(**SPEED) as first, demo(**SPEED) as second, gateway(first.url, second.url) as app:
        await asyncio.gather(*(one() for _ in range(60)))
        await settled(lambda: not left_over(app))
        assert await cancelled(first, second) == 60
        assert first.stats.completed == second.stats.completed == 0
        assert outcomes(app) == {"cancelled": 60}
        stats = app.metrics.route("default")
        assert stats.requests == {("POST", 499): 60}  # their answers were not whole
        assert stats.errors == {"client_closed": 60}
        for backend, server in zip(app.pools["default"].backends, (first, second), strict=True):
            if backend.url != server.url:
                server = second if server is first else first
            assert backend.outcomes[-1] == server.stats.cancelled
            assert backend.outlier.failures == 0
            assert backend.state == "up"


async def test_clients_that_leave_at_any_moment_leave_nothing_behind() -> None:
    """Before, while or after sending, waiting, reading: afterwards nothing is held, and nobody has failed."""
    rng = random.Random(5)
    request = post(ENDLESS | {"stream": True})
    done = 0

    async def one() -> None:
        nonlocal done
        async with await call(app) as client:
            stage = rng.randrange(5)
            if stage == 0:
                await client.send(request[: rng.randrange(len(request))])
            elif stage == 1:
                await client.send(request)
            elif stage == 2:
                await client.send(request)
                await client.head()
            elif stage == 3:
                await leave_after(client, rng.randrange(20))
            else:
                answer = await client.ask(post(ENDLESS | {"max_tokens": 3}))
                assert answer.status == 200
                done += 1
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(0)

    async with demo(**SPEED) as first, demo(**SPEED) as second, gateway(first.url, second.url) as app:
        for _ in range(4):
            await asyncio.gather(*(one() for _ in range(40)))
        await settled(lambda: not left_over(app))
        await cancelled(first, second)
        assert first.stats.completed + second.stats.completed == done
        ended = outcomes(app)
        assert set(ended) == {"ok", "cancelled"} and ended["ok"] == done
        assert await ask(app, 5, post(ENDLESS | {"max_tokens": 1})) == [200] * 5


@pytest.mark.parametrize("how", ["abort", "half-close"])
async def test_a_client_that_leaves_before_the_answer_cancels_it(how: str) -> None:
    """Nobody waits for the answer: its server is freed, whether the client breaks or ends the connection."""
    async with demo(slots=1, tokens_per_second=50.0) as server, gateway(server.url) as app:
        async with await call(app) as client:
            await client.send(post(ENDLESS))
            await settled(lambda: server.stats.running == 1)
            if how == "abort":
                client.drop()
            else:
                client.writer.write_eof()
            await settled(lambda: server.stats.cancelled == 1)
        await settled(lambda: not left_over(app))
        assert outcomes(app) == {"cancelled": 1}
        assert app.metrics.route("default").requests == {("POST", 499): 1}
        assert await ask(app, 1, post(ENDLESS | {"max_tokens": 1})) == [200]  # the only slot is free


async def test_a_client_that_leaves_while_queued_is_not_worked_for() -> None:
    """A request that still waits for a slot when its client leaves never takes one."""
    async with demo(slots=1, tokens_per_second=50.0) as server, gateway(server.url) as app:
        async with await call(app) as busy:
            await leave_open(busy)
            async with await call(app) as waiting:
                await waiting.send(post(ENDLESS | {"stream": True}))
                await settled(lambda: server.stats.queued == 1)
            await settled(lambda: server.stats.queued == 0)
            assert (server.stats.running, server.stats.cancelled) == (1, 1)
        await settled(lambda: not left_over(app))
        await settled(lambda: server.stats.cancelled == 2)
        assert outcomes(app) == {"cancelled": 2}


async def leave_open(client: Caller) -> None:
    await client.send(post(ENDLESS | {"stream": True}))
    await client.head()
    assert await client.chunk()


async def test_a_client_that_leaves_with_requests_pipelined() -> None:
    """The requests behind the one under way are never sent to a backend."""

    async def handler(conversation: Conversation) -> None:
        while await conversation.request():
            await asyncio.Event().wait()

    async with Backend(handler) as backend, gateway(backend.url) as app, await call(app) as client:
        await client.send(post() + post() + get())
        await settled(lambda: len(backend.requests) == 1)
        client.drop()
        await settled(lambda: not left_over(app))
        assert outcomes(app) == {"cancelled": 1}
        assert len(backend.requests) == 1


async def test_a_client_that_stops_reading_is_given_up() -> None:
    """A client that takes nothing of its answer for the body timeout is cut off, and its server freed."""
    async with (
        demo(tokens_per_second=0) as server,
        gateway(server.url, limits={"body_timeout": "200ms"}) as app,
        await call(app) as client,
    ):
        await client.send(post(ENDLESS | {"max_tokens": 8000, "n": 16, "stream": True}))
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await settled(lambda: len(listener(app).connections) == 0, 20)
        await settled(lambda: not left_over(app))
        assert await cancelled(server) == 1
        assert outcomes(app) == {"cancelled": 1}
        assert app.metrics.route("default").errors == {"client_closed": 1}


async def test_a_cancelled_request_says_so_in_log_and_decision() -> None:
    """499 and client_closed in the access log before an answer; the decision's outcome is `cancelled`."""
    lines: list[bytes] = []
    async with (
        demo(tokens_per_second=20.0) as server,
        gateway(server.url, access_log=lines.append) as app,
    ):
        async with await call(app) as client:
            await client.send(post(ENDLESS))
            await settled(lambda: server.stats.running == 1)
        await settled(lambda: not left_over(app))
        (decision,) = app.decisions.latest(5)
    attempt: Any = decision["attempts"]
    assert attempt[0]["outcome"] == "cancelled"
    (line,) = [json.loads(line) for line in b"".join(lines).splitlines()]
    assert (line["status"], line["error"], line["backend"]) == (499, "client_closed", attempt[0]["backend"])
