"""Is a request answered while any backend can, and told the truth when none can?"""

import asyncio
import os
import signal
from collections import Counter
from typing import Any

import aiohttp

from gateway.app import App
from gateway.demo.children import Child, spawn
from tests.harness import (
    BUSY,
    CHUNKED,
    FAILED,
    IN_TURN,
    LIMITED,
    Backend,
    Conversation,
    answers,
    ask,
    call,
    chunk,
    gateway,
    get,
    left_over,
    ok,
    outcomes,
    post,
    refusing,
    scripted,
    settled,
    state,
    url,
)


async def resets(conversation: Conversation) -> None:
    """Takes a request and breaks the connection."""
    await conversation.request()
    conversation.abort()


# One of three servers is killed.


class Load:
    """What clients saw of a bounded load: whole, cut in the middle, or anything else."""

    def __init__(self, app: App, requests: int) -> None:
        self.app = app
        self.left = iter(range(requests))
        self.seen: Counter[str] = Counter()
        self.by: Counter[str] = Counter()
        self.done = 0

    async def run(self, concurrency: int) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            await asyncio.gather(*(self._worker(session) for _ in range(concurrency)))

    async def _worker(self, session: aiohttp.ClientSession) -> None:
        for number in self.left:
            self.seen[await self._one(session, stream=number % 2 == 0)] += 1
            self.done += 1

    async def _one(self, session: aiohttp.ClientSession, stream: bool) -> str:
        body: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 30}
        if stream:
            body["stream"] = True
        async with session.post(url(self.app, "/v1/chat/completions"), json=body) as response:
            if response.status != 200:
                return f"status {response.status}"
            self.by[response.headers["X-Gateway-Backend"]] += 1
            got = b""
            try:
                async for piece in response.content.iter_any():
                    got += piece
            except aiohttp.ClientPayloadError:
                return "cut" if stream and got else "cut without need"
        if stream and not got.endswith(b"data: [DONE]\n\n"):
            return "cut without a sign"
        return "whole"


async def test_a_killed_server_costs_no_answer_that_a_retry_can_save() -> None:
    """Of 300 requests under load, kill -9 cuts only streams that had begun, visibly; the rest is answered."""
    children: list[Child] = await asyncio.gather(*(spawn(f"s{n}", 600.0, 4, "demo") for n in range(3)))
    try:
        backends = [{"url": child.url, "name": child.name} for child in children]
        pool = {
            "backends": backends,
            "health": {"interval": "200ms", "timeout": "200ms", "fall": 2},
            "outlier": {"consecutive_failures": 3, "ejection": "1s"},
            "retries": {"attempts": 3},
        }
        async with gateway(pools={"default": pool}) as app:
            load = Load(app, 300)
            running = asyncio.ensure_future(load.run(16))
            victim = app.pools["default"].backend("s1")
            await settled(lambda: load.done >= 75 and victim.in_flight >= 2, 20)
            os.kill(children[1]._process.pid, signal.SIGKILL)
            killed_at = load.by["s1"]
            await running
            assert set(load.seen) <= {"whole", "cut"}, load.seen
            assert load.seen["cut"] <= 16  # those in flight at that moment
            assert load.seen["whole"] >= 300 - 16
            assert load.by["s1"] - killed_at <= 4 + 16
            await settled(lambda: state(app, "s1") == "down")
            assert (state(app, "s0"), state(app, "s2")) == ("up", "up")
            await settled(lambda: not left_over(app))
            lost = outcomes(app).get("reset", 0) + outcomes(app).get("connect_error", 0)
            assert lost >= load.seen["cut"]
            assert sum(outcomes(app).values()) == 300 + sum(
                count for result, count in app.pools["default"].retries.items() if result == "tried"
            )
    finally:
        await asyncio.gather(*(child.stop() for child in children))


# Nobody is there.


async def test_nobody_listens() -> None:
    """502 connect_error naming no address, or 503 with Retry-After once all are known to be out."""
    with refusing() as one, refusing() as two:
        async with gateway(one, two, pool={"outlier": {"consecutive_failures": 1}}) as app:
            async with await call(app) as client:
                for _ in range(5):
                    answer = await client.ask(post())
                    assert answer.status in (502, 503)
                    error = answer.json()["error"]
                    assert error["code"] == answer["x-gateway-error"]
                    assert error["code"] == ("connect_error" if answer.status == 502 else "no_backend")
                    assert answer.status == 502 or int(answer["retry-after"]) >= 1
                    assert "127.0.0.1" not in error["message"]
            assert set(outcomes(app)) == {"connect_error"}


async def test_a_refused_connect_tries_every_other_backend() -> None:
    """Nothing was sent, so `attempts` does not count it: the fourth backend answers what may go out once."""
    with refusing() as one, refusing() as two, refusing() as three:
        async with Backend(answers(ok())) as backend:
            urls = [one, two, three, backend.url]
            pool = {**IN_TURN, "retries": {"attempts": 1}, "outlier": {"consecutive_failures": 0}}
            routes = [{"name": "all", "pool": "default", "replayable": False}]
            async with gateway(*urls, pool=pool, routes=routes) as app:
                assert await ask(app, 8) == [200] * 8
                assert outcomes(app)["ok"] == 8


# A connection that died while idle.


async def closes_after_one(conversation: Conversation) -> None:
    """Answers one request, and breaks the connection at the moment the next one arrives."""
    await conversation.request()
    await conversation.send(ok())
    await conversation.request()
    conversation.abort()


async def test_a_stale_connection_is_replaced() -> None:
    """A reused connection that breaks before a byte of answer: the POST goes out again on a new one, and the
    backend has not failed."""
    async with scripted(closes_after_one, retries={"attempts": 1}) as (app, (backend,)):
        assert await ask(app, 6) == [200] * 6
        assert outcomes(app) == {"ok": 6}
        assert app.pools["default"].backends[0].outlier.failures == 0
        assert len(backend.requests) == 6 + 5


async def test_what_may_not_be_repeated_is_not() -> None:
    """`replayable: off`: a POST that a stale connection swallowed is a 502, and a GET is still sent again."""
    routes = [{"name": "once", "pool": "default", "replayable": False}]
    async with Backend(closes_after_one) as backend, gateway(backend.url, routes=routes) as app:
        assert await ask(app, 2) == [200, 502]
        assert await ask(app, 3, get()) == [200] * 3
        assert outcomes(app) == {"ok": 4, "reset": 1}


# Retries.


async def test_a_reset_is_retried_elsewhere_unless_the_route_forbids_it() -> None:
    """A POST whose backend broke goes to the other one; with `replayable: off` the client gets 502."""
    async with scripted(resets, answers(ok(b"good"))) as (app, (_, good)):
        assert await ask(app, 4, post(b"the body" * 1000)) == [200] * 4
        assert outcomes(app)["ok"] == 4
        assert all(request.endswith(b"\r\n\r\n" + b"the body" * 1000) for request in good.requests)
    async with Backend(resets) as bad, Backend(resets) as worse:
        routes = [{"name": "once", "pool": "default", "replayable": False}]
        async with gateway(bad.url, worse.url, routes=routes) as app, await call(app) as client:
            answer = await client.ask(post())
            assert (answer.status, answer["x-gateway-error"]) == (502, "reset")
            assert len(bad.requests) + len(worse.requests) == 1


async def test_a_listed_status_is_retried_elsewhere() -> None:
    """503 from one backend, 200 from the other: the client sees 200. A status not listed it sees itself."""
    async with scripted(answers(BUSY), answers(ok(b"good"))) as (app, (busy, _)):
        assert await ask(app, 4) == [200] * 4
        assert len(busy.requests) >= 1
        assert app.pools["default"].retries["success"] == len(busy.requests)
    async with scripted(answers(FAILED), answers(ok())) as (app, _):
        assert sorted(await ask(app, 2)) == [200, 500]
    async with scripted(answers(FAILED), answers(ok()), retries={"on": ["500"]}) as (app, _):
        assert await ask(app, 2) == [200, 200]


async def test_the_last_answer_is_the_client_s() -> None:
    """With no other backend to ask, a 429 reaches the client with the backend's Retry-After and body."""
    async with scripted(answers(LIMITED)) as (app, (backend,)), await call(app) as client:
        answer = await client.ask(post())
        assert (answer.status, answer["retry-after"], answer.body) == (429, "7", b"limited")
        assert "x-gateway-error" not in answer
        assert len(backend.requests) == 1
        assert outcomes(app) == {"overloaded": 1}
    async with scripted(answers(LIMITED), answers(LIMITED)) as (app, (one, two)), await call(app) as client:
        assert (await client.ask(post())).status == 429
        assert (len(one.requests), len(two.requests)) == (1, 1)


async def test_a_short_retry_after_is_waited_for() -> None:
    """A single backend that asks for a second's patience is asked again, once, and not sooner."""
    asked: list[float] = []
    loop = asyncio.get_running_loop()

    async def handler(conversation: Conversation) -> None:
        while await conversation.request():
            asked.append(loop.time())
            await conversation.send(ok() if len(asked) > 1 else LIMITED.replace(b"7\r\nC", b"1\r\nC"))

    async with scripted(handler) as (app, _):
        assert await ask(app) == [200]
    assert asked[1] - asked[0] >= 1.0


async def test_nothing_is_repeated_once_an_answer_has_begun() -> None:
    """A stream cut after its first byte stays cut; the other backend is not asked."""

    async def cuts(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(CHUNKED + chunk(b"half"))
        conversation.abort()

    async with scripted(cuts, cuts) as (app, (one, two)), await call(app) as client:
        await client.send(post())
        assert (await client.head()).status == 200
        assert not (await client.rest()).endswith(b"0\r\n\r\n")
        assert len(one.requests) + len(two.requests) == 1


async def test_retries_end_with_the_budget() -> None:
    """Nothing but failures: retries stop at their share of the requests, and none counts as a success."""
    pool = {
        "retries": {"attempts": 2, "budget": "20%", "min_per_second": 0},
        "outlier": {"consecutive_failures": 0},
    }
    async with scripted(answers(BUSY), answers(BUSY), **pool) as (app, (one, two)):
        assert await ask(app, 50) == [503] * 50
        assert len(one.requests) + len(two.requests) == 60
        assert app.pools["default"].retries == {"tried": 10, "no_budget": 40}
