"""What happens to an answer that has expired: asked about once, given meanwhile, or in place of an error?"""

import asyncio
from typing import Any

import pytest

from tests.harness import Conversation, answers, call, get, ok, post, refusing, settled
from tests.integration.caching import (
    QUESTION,
    Stage,
    cached,
    crowd,
    entries,
    fetch,
    grow_old,
    in_turn,
    joined,
    kept,
    numbered,
    put,
    reply,
    say,
)

ONCE = {"retries": {"attempts": 1}}
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"


async def test_a_hot_answer_that_expires_is_asked_for_once() -> None:
    """A hundred at the same time: one request to the backend, no stampede."""
    stage = Stage(ok(b"new"))
    async with cached(in_turn(say(ok(b"old")), stage_of(stage))) as (app, (backend,)):
        await fetch(app)
        grow_old(app, 4000)
        async with crowd(app, 100) as clients:
            await joined(app, 99)
            stage.cue()
            got = await asyncio.gather(*(client.answer() for client in clients))
        assert {answer.body for answer in got} == {b"new"}
        assert len(backend.requests) == 2


def stage_of(stage: Stage) -> Any:
    """One answer of a stage, for `in_turn`."""

    async def handler(conversation: Conversation) -> None:
        stage.begun += 1
        for event, part in zip(stage.cues, stage.parts, strict=True):
            await event.wait()
            await put(conversation, part)

    return handler


@pytest.mark.parametrize("coalesce", ["on", "off"])
async def test_while_it_is_asked_for_anew_all_are_given_what_is_stale(coalesce: str) -> None:
    """A hundred stale hits, at once and marked, and one request behind them; then the new one is given."""
    stage = Stage(ok(b"new"))
    cache = {"stale_while_revalidate": 60, "coalesce": coalesce}
    async with cached(in_turn(say(ok(b"old")), stage_of(stage)), cache=cache) as (app, (backend,)):
        await fetch(app)
        grow_old(app, 3605)
        got = await asyncio.gather(*(fetch(app) for _ in range(100)))
        assert {answer.body for answer in got} == {b"old"}
        assert {answer["cache-status"] for answer in got} == {"gateway; hit; ttl=-6; detail=stale"}
        assert {answer["age"] for answer in got} == {"3605"}
        await settled(lambda: stage.begun == 1)
        stage.cue()
        await settled(lambda: kept(app).refreshes["stored"] == 1)
        assert kept(app).refreshing == 0
        new = await fetch(app)
        assert new.body == b"new"
        assert "hit; ttl=35" in new["cache-status"]
        assert len(backend.requests) == 2
        assert app.metrics.route("default").requests == {("POST", 200): 102}


async def test_a_refresh_that_fails_leaves_what_is_stale_and_is_tried_again() -> None:
    """Nobody sees the failure; each later stale hit may try once more."""
    cache = {"stale_while_revalidate": 60}
    handler = in_turn(say(ok(b"old")), say(BUSY))
    async with cached(handler, cache=cache, pool=ONCE) as (app, (backend,)):
        await fetch(app)
        grow_old(app, 3605)
        for number in (1, 2):
            assert (await fetch(app)).body == b"old"
            await settled(lambda number=number: kept(app).refreshes["failed"] == number)  # type: ignore[misc]
        assert len(backend.requests) == 3
        assert entries(app) == 1


async def test_a_refresh_confirmed_by_the_backend_makes_it_fresh() -> None:
    """304 behind a stale hit."""
    old = reply(b"old", 'ETag: "a"')
    confirmed = b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n'
    cache = {"stale_while_revalidate": 60}
    async with cached(in_turn(say(old), say(confirmed)), cache=cache) as (app, (backend,)):
        await fetch(app, get("/x"))
        grow_old(app, 3605)
        assert "stale" in (await fetch(app, get("/x")))["cache-status"]
        await settled(lambda: kept(app).refreshes["stored"] == 1)
        assert "hit; ttl=35" in (await fetch(app, get("/x")))["cache-status"]
        assert len(backend.requests) == 2


async def test_a_gateway_that_ends_while_it_refreshes_ends() -> None:
    """What no client waits for does not keep it, and leaves nothing."""
    cache = {"stale_while_revalidate": 60}
    async with cached(in_turn(say(ok(b"old")), stage_of(Stage(b"never"))), cache=cache) as (app, _):
        await fetch(app)
        grow_old(app, 3605)
        await fetch(app)
        await settled(lambda: kept(app).refreshing == 1)
        await asyncio.wait_for(app.close(), 5)
        await settled(lambda: kept(app).refreshing == 0)


@pytest.mark.parametrize("how", ["503", "refused", "reset", "queue"])
async def test_what_is_stale_stands_in_for_an_error(how: str) -> None:
    """The expired answer, marked, for all who wait, where the backend says 503, is gone or turns away."""

    async def second(conversation: Conversation) -> None:
        if how == "503":
            await conversation.send(BUSY)
        else:
            conversation.abort()

    pool = {"concurrency": {"limit": 1, "queue": 0}} if how == "queue" else {}
    cache = {"stale_if_error": 600}
    hold = Stage(ok())
    handler = in_turn(say(ok(b"old")), stage_of(hold) if how == "queue" else second)
    async with cached(handler, cache=cache, pool=pool) as (app, (backend,)):
        await fetch(app)
        grow_old(app, 3605)
        if how == "refused":
            await backend.__aexit__()
        async with await call(app) as other:
            if how == "queue":
                await other.send(post(QUESTION | {"seed": 1}))
                await settled(lambda: hold.begun == 1)
            for _ in range(2):
                got = await fetch(app)
                assert (got.status, got.body) == (200, b"old")
                assert got["cache-status"] == "gateway; hit; ttl=-6; detail=error"
            hold.cue()


async def test_what_is_too_old_does_not_stand_in() -> None:
    """Beyond stale_if_error the error is given."""
    async with cached(in_turn(say(ok(b"old")), say(BUSY)), cache={"stale_if_error": 600}) as (app, _):
        await fetch(app)
        grow_old(app, 3600 + 601)
        assert (await fetch(app)).status == 503


async def test_those_who_wait_for_what_fails_get_what_is_stale_as_well() -> None:
    """The leader and those who have joined, from one request; but not who does not want it."""
    stage = Stage(BUSY)
    wish = "Cache-Control: stale-if-error=0"
    handler = in_turn(say(ok(b"old")), stage_of(stage), say(ok(b"new")))
    async with cached(handler, cache={"stale_if_error": 600}, pool=ONCE) as (app, (backend,)):
        await fetch(app)
        grow_old(app, 3605)
        async with crowd(app, 10) as clients, await call(app) as proud:
            await joined(app, 9)
            await proud.send(post(QUESTION, "/v1/chat/completions", wish))
            await joined(app, 10)
            stage.cue()
            got = await asyncio.gather(*(client.answer() for client in clients))
            assert {answer.body for answer in got} == {b"old"}
            assert all("ttl=-6; detail=" in answer["cache-status"] for answer in got)
            assert (await proud.answer()).body == b"new"
        assert len(backend.requests) == 3


async def test_hits_are_given_while_every_backend_is_down() -> None:
    """No backend is needed for what is kept and fresh."""
    async with cached(answers(ok(b"kept"))) as (app, (backend,)):
        await fetch(app)
        await backend.__aexit__()
        for number in range(5):
            assert (await fetch(app, post(QUESTION | {"seed": number}))).status in (502, 503)
        assert (await fetch(app)).body == b"kept"


async def test_with_no_backend_at_all_there_is_an_error_and_no_stand_in() -> None:
    """Nothing was kept: the error is the gateway's own."""
    with refusing() as nowhere:
        async with cached(pool={"backends": [nowhere]}, cache={"stale_if_error": 600}) as (app, _):
            assert (await fetch(app)).status in (502, 503)


async def test_a_stale_answer_is_taken_by_who_allows_it() -> None:
    """max-stale: as stale as the client says, and no request behind it."""
    async with cached(numbered(lambda n: ok(b"%d" % n)), cache={"stale_if_error": 600}) as (app, (backend,)):
        await fetch(app)
        grow_old(app, 3610)
        path = "/v1/chat/completions"
        assert (await fetch(app, post(QUESTION, path, "Cache-Control: max-stale=60"))).body == b"0"
        assert len(backend.requests) == 1
        assert (await fetch(app, post(QUESTION, path, "Cache-Control: max-stale=5"))).body == b"1"


async def test_a_304_for_something_else_is_asked_again_without_a_condition() -> None:
    """The backend names another validator: those who wait get the answer to the second question."""
    stage = Stage(b'HTTP/1.1 304 Not Modified\r\nETag: "b"\r\n\r\n')
    old, new = reply(b"old", 'ETag: "a"'), reply(b"new", 'ETag: "b"')
    async with cached(in_turn(say(old), stage_of(stage), say(new))) as (app, (backend,)):
        await fetch(app, get("/x"))
        grow_old(app, 3605)
        async with crowd(app, 5, get("/x")) as clients:
            await joined(app, 4)
            stage.cue()
            got = await asyncio.wait_for(asyncio.gather(*(client.answer() for client in clients)), 5)
        assert {answer.body for answer in got} == {b"new"}
        assert len(backend.requests) == 3
        assert b"If-None-Match" in backend.requests[1]
        assert b"If-None-Match" not in backend.requests[2]


async def test_a_stale_head_asks_for_nothing_anew() -> None:
    """The answer to a HEAD could not take the place of what is kept; the next GET asks."""
    handler = in_turn(say(ok(b"old")), say(ok(b"new")))
    async with cached(handler, cache={"stale_while_revalidate": 60}) as (app, (backend,)):
        await fetch(app, get("/x"))
        grow_old(app, 3605)
        stale = await fetch(app, get("/x").replace(b"GET", b"HEAD"), without_body=True)
        assert "stale" in stale["cache-status"]
        assert (await fetch(app, get("/x"))).body == b"old"
        await settled(lambda: kept(app).refreshes["stored"] == 1)
        assert len(backend.requests) == 2
