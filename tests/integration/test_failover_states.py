"""Which backends may take work: after failures, by their checks, by hand, and from pool to pool?"""

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.harness import (
    CHUNKED,
    FAILED,
    IN_TURN,
    LIMITED,
    Backend,
    Conversation,
    admin_url,
    answers,
    ask,
    call,
    chunk,
    demo,
    gateway,
    left_over,
    ok,
    outcomes,
    post,
    refusing,
    scripted,
    settled,
    state,
)

# Ejection, panic, health.


async def test_failures_in_a_row_eject_and_never_more_than_half() -> None:
    """Of four failing backends two are ejected; the others go on, since somebody must."""
    pool = {
        "outlier": {"consecutive_failures": 2, "ejection": "60s"},
        "retries": {"attempts": 1},
        "panic_below": 0,
    }
    async with scripted(*[answers(FAILED)] * 4, **pool) as (app, backends):
        assert await ask(app, 24) == [500] * 24
        assert sorted(state(app, name) for name in "abcd") == ["ejected", "ejected", "up", "up"]
        assert sum(b.ejections["consecutive_failures"] for b in app.pools["default"].backends) == 2
        counts = [len(backend.requests) for backend in backends]
        assert sorted(counts)[:2] == [2, 2] and sum(counts) == 24


async def test_an_ejected_backend_comes_back() -> None:
    """After its time it is asked again, and stays if it answers."""
    failing = True

    async def handler(conversation: Conversation) -> None:
        while await conversation.request():
            await conversation.send(FAILED if failing else ok())

    pool = {"outlier": {"consecutive_failures": 2, "ejection": "100ms"}, "retries": {"attempts": 1}}
    async with scripted(handler, answers(ok()), **pool) as (app, (sick, _)):
        await ask(app, 4)
        assert state(app, "a") == "ejected"
        failing = False
        await settled(lambda: state(app, "a") == "up")
        before = len(sick.requests)
        assert await ask(app, 4) == [200] * 4
        assert len(sick.requests) > before


async def test_client_errors_and_overload_eject_nobody() -> None:
    """4xx are the caller's fault and 429 asks for patience: neither counts towards an ejection."""
    missing = FAILED.replace(b"500 Internal Server Error", b"404 Not Found")
    pool = {"outlier": {"consecutive_failures": 1, "min_requests": 1}, "retries": {"attempts": 1}}
    async with scripted(answers(missing), answers(missing), **pool) as (app, _):
        assert await ask(app, 6) == [404] * 6
        assert (state(app, "a"), state(app, "b")) == ("up", "up")
    async with scripted(answers(LIMITED), answers(LIMITED), **pool) as (app, both):
        assert await ask(app, 6) == [429] * 6
        assert all(len(backend.requests) > 1 for backend in both)
        assert (state(app, "a"), state(app, "b")) == ("up", "up")


async def test_checks_take_a_backend_out_and_back() -> None:
    """A model server that is still loading gets no work while it says so, and its share afterwards."""
    health = {"interval": "50ms", "fall": 1, "rise": 1}
    async with demo(name="slow", startup_time_s=0.6) as slow, demo(name="fast") as fast:
        named = [{"url": slow.url, "name": "slow"}, {"url": fast.url, "name": "fast"}]
        pools = {"default": {"backends": named, "health": health, "slow_start": 0, **IN_TURN}}
        async with gateway(pools=pools) as app:
            await settled(lambda: state(app, "slow") == "down" and state(app, "fast") == "up")
            assert await ask(app, 10, post(path="/echo")) == [200] * 10
            assert slow.stats.requests == 0
            await settled(lambda: state(app, "slow") == "up")
            assert await ask(app, 10, post(path="/echo")) == [200] * 10
            assert slow.stats.completed == 5
            assert fast.stats.completed == 15


async def test_panic_ignores_health() -> None:
    """When the checks say that all are down, requests go out all the same, and the panic is shown."""
    unwell = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"

    async def handler(conversation: Conversation) -> None:
        while request := await conversation.request():
            await conversation.send(unwell if b"/health" in request else ok())

    async with scripted(handler, handler, health={"interval": "50ms", "fall": 1}) as (app, _):
        await settled(lambda: {state(app, "a"), state(app, "b")} == {"down"})
        assert app.pools["default"].panic
        assert not app.ready()[0]
        assert await ask(app, 4) == [200] * 4
    async with scripted(handler, handler, health={"interval": "50ms", "fall": 1}, panic_below=0) as (app, _):
        await settled(lambda: {state(app, "a"), state(app, "b")} == {"down"})
        async with await call(app) as client:
            answer = await client.ask(post())
        assert (answer.status, answer["x-gateway-error"]) == (503, "no_backend")
        assert int(answer["retry-after"]) >= 1


# By hand, and from pool to pool.


async def test_drain_and_undrain_through_the_admin_side() -> None:
    """A drained backend finishes what it has and gets nothing new; undrained it works again."""
    go_on = asyncio.Event()

    async def handler(conversation: Conversation) -> None:
        while await conversation.request():
            await go_on.wait()
            await conversation.send(ok(b"finished"))

    async with (
        scripted(handler, answers(ok(b"other")), slow_start=0) as (app, (slow, _)),
        aiohttp.ClientSession() as admin,
        await call(app) as client,
    ):
        await client.send(post())
        await settled(lambda: len(slow.requests) == 1)
        path = "/api/pools/default/backends/a/"
        async with admin.post(admin_url(app, path + "drain")) as response:
            assert (await response.json())["state"] == "draining"
        assert await ask(app, 6) == [200] * 6
        assert len(slow.requests) == 1
        go_on.set()
        assert (await client.answer()).body == b"finished"
        async with admin.post(admin_url(app, path + "undrain")) as response:
            assert (await response.json())["state"] == "up"
        assert await ask(app, 6) == [200] * 6
        assert len(slow.requests) == 4


async def test_fallback_pools_are_tried_in_order() -> None:
    """Unreachable, then drained, then somebody who answers; a backend's own error does not fall through."""
    with refusing() as nobody:
        async with Backend(answers(ok(b"last"))) as last, Backend(answers(ok())) as idle:
            off = {"path": None}
            pools = {
                "first": {"backends": [nobody], "health": off},
                "second": {"backends": [{"url": idle.url, "name": "idle"}], "health": off},
                "third": {"backends": [last.url], "health": off},
            }
            routes = [{"name": "all", "pool": "first", "fallback": ["second", "third"]}]
            async with gateway(pools=pools, routes=routes) as app, await call(app) as client:
                app.pools["second"].drain("idle")
                for _ in range(2):
                    answer = await client.ask(post(b"body"))
                    assert (answer.status, answer.body) == (200, b"last")
                app.pools["second"].undrain("idle")
                assert (await client.ask(post(b"body"))).body == b"{}"
                assert all(request.endswith(b"\r\n\r\nbody") for request in last.requests + idle.requests)
    async with Backend(answers(FAILED)) as bad, Backend(answers(ok())) as good:
        pools = {
            "first": {"backends": [bad.url], "health": off},
            "second": {"backends": [good.url], "health": off},
        }
        routes = [{"name": "all", "pool": "first", "fallback": ["second"]}]
        async with gateway(pools=pools, routes=routes) as app:
            assert await ask(app) == [500]


@pytest.mark.parametrize(
    ("waiting", "error"), [({"queue": 0}, "queue_full"), ({"queue_timeout": "100ms"}, "queue_timeout")]
)
async def test_full_backends_fall_back_too(waiting: dict[str, Any], error: str) -> None:
    """`max_in_flight` reached and no waiting, or no more: it goes to the fallback; without one it is 503 with
    Retry-After."""
    go_on = asyncio.Event()

    async def handler(conversation: Conversation) -> None:
        while await conversation.request():
            await go_on.wait()
            await conversation.send(ok(b"first"))

    off = {"path": None}
    async with Backend(handler) as one, Backend(answers(ok(b"second"))) as two:
        pools = {
            "first": {
                "backends": [{"url": one.url, "max_in_flight": 1}],
                "health": off,
                "concurrency": waiting,
            },
            "second": {"backends": [two.url], "health": off},
        }
        routes: list[dict[str, Any]] = [
            {"name": "alone", "match": {"path": "/alone"}, "pool": "first"},
            {"name": "both", "pool": "first", "fallback": ["second"]},
        ]
        async with (
            gateway(pools=pools, routes=routes) as app,
            await call(app) as client,
            await call(app) as other,
        ):
            await client.send(post())
            await settled(lambda: len(one.requests) == 1)
            assert (await other.ask(post())).body == b"second"
            answer = await other.ask(post(path="/alone"))
            assert (answer.status, answer["x-gateway-error"]) == (503, error)
            assert int(answer["retry-after"]) >= 1
            go_on.set()
            assert (await client.answer()).body == b"first"
            assert (await other.ask(post(path="/alone"))).body == b"first"


async def test_a_split_shares_by_weight() -> None:
    """Two pools with weights 3 and 1 get about so much of 400 requests."""
    off = {"path": None}
    async with Backend(answers(ok(b"a"))) as one, Backend(answers(ok(b"b"))) as two:
        pools = {"a": {"backends": [one.url], "health": off}, "b": {"backends": [two.url], "health": off}}
        split = [{"pool": "a", "weight": 3}, {"pool": "b", "weight": 1}]
        async with gateway(pools=pools, routes=[{"name": "both", "split": split}]) as app:
            app._rng.seed(11)
            assert await ask(app, 400) == [200] * 400
            assert len(one.requests) + len(two.requests) == 400
            assert 70 <= len(two.requests) <= 130  # 100 expected, 8.7 the standard deviation


@pytest.mark.parametrize("wait", ["connect", "first_byte", "idle", "total"])
async def test_each_wait_has_its_own_limit(wait: str) -> None:
    """A stall is 504 by the kind of wait, or a visible cut once the answer has begun."""

    async def handler(conversation: Conversation) -> None:
        await conversation.request()
        if wait in ("idle", "total"):
            await conversation.send(CHUNKED + chunk(b"one"))
        await asyncio.Event().wait()

    async with Backend(handler) as backend:
        pool = {"timeouts": {wait: "100ms"}}
        async with gateway(backend.url, pool=pool) as app, await call(app) as client:
            if wait == "connect":
                connections = app.pools["default"].backends[0].connections

                async def never(attempt: object) -> None:
                    await asyncio.Event().wait()

                connections.dial = never
            answer = await client.ask(post()) if wait in ("connect", "first_byte") else None
            if answer is not None:
                assert (answer.status, answer["x-gateway-error"]) == (504, f"{wait}_timeout")
            else:
                await client.send(post())
                assert (await client.head()).status == 200
                assert await client.rest() == chunk(b"one")
            client.drop()
            await settled(lambda: not left_over(app))
            # A long answer is nobody's failure, though its total time is over.
            ended = {"connect": "connect_error", "total": "cancelled"}.get(wait, "timeout")
            assert outcomes(app) == {ended: 1}
