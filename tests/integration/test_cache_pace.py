"""Does a slow client hold up nobody but itself, and is a recorded stream given again at its pace?"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from gateway.app import App
from tests.harness import CHUNKED, Caller, Conversation, answers, call, chunk, listener, ok, post, settled
from tests.integration.caching import (
    EVENTS,
    QUESTION,
    STREAM,
    Stage,
    cached,
    crowd,
    entries,
    fetch,
    joined,
    kept,
)

PIECE = b"data: " + b"x" * 60_000 + b"\n\n"


@contextlib.asynccontextmanager
async def slow(app: App) -> AsyncIterator[Caller]:
    """A client that reads nothing, and whose kernel takes little."""
    async with await call(app) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        yield client


async def flood(conversation: Conversation) -> None:
    """Streams eight megabytes as fast as they are taken."""
    while await conversation.request():
        await asyncio.sleep(0.1)
        await conversation.send(CHUNKED)
        for _ in range(140):
            await conversation.send(chunk(PIECE))
        await conversation.send(chunk(b""))


@pytest.mark.parametrize("leads", [True, False])
async def test_a_client_that_reads_nothing_holds_up_nobody(leads: bool) -> None:
    """It leads or it has joined: who reads gets all, at once. It itself is cut when it is too far behind."""
    async with cached(flood) as (app, (backend,)):
        async with slow(app) as lazy, await call(app) as quick:
            first, second = (lazy, quick) if leads else (quick, lazy)
            await first.send(post(STREAM))
            await settled(lambda: len(backend.requests) == 1)
            await second.send(post(STREAM))
            await joined(app, 1)
            answer = await asyncio.wait_for(quick.answer(), 20)
            assert answer.body == PIECE * 140
            assert kept(app).flights.held_bytes <= kept(app).bound
            await settled(lambda: len(listener(app).connections) == 1)
        assert len(backend.requests) == 1
        assert entries(app) == 0  # it is larger than max_entry


async def test_a_client_that_reads_nothing_gets_all_of_what_fits() -> None:
    """It is behind by less than max_entry: when it reads at last, everything is there."""
    async with cached(flood, cache={"max_entry": "16MiB", "max_size": "64MiB"}) as (app, (backend,)):
        async with slow(app) as lazy, await call(app) as quick:
            await quick.send(post(STREAM))
            await settled(lambda: len(backend.requests) == 1)
            await lazy.send(post(STREAM))
            await joined(app, 1)
            assert (await asyncio.wait_for(quick.answer(), 20)).body == PIECE * 140
            lazy.writer.transport.resume_reading()  # type: ignore[attr-defined]
            assert (await asyncio.wait_for(lazy.answer(), 20)).body == PIECE * 140
        assert entries(app) == 1


async def test_one_that_reads_slowly_after_the_leader_has_left_is_not_cut() -> None:
    """The backend waits for it, as it would for the leader: more than max_entry arrives whole."""
    async with cached(flood) as (app, (backend,)), await call(app) as leader, slow(app) as lazy:
        await leader.send(post(STREAM))
        await settled(lambda: len(backend.requests) == 1)
        await lazy.send(post(STREAM))
        await joined(app, 1)
        leader.drop()
        await asyncio.sleep(0.5)
        lazy.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert (await asyncio.wait_for(lazy.answer(), 20)).body == PIECE * 140


async def test_when_nobody_takes_anything_the_exchange_ends_and_no_backend_is_blamed() -> None:
    """After body_timeout all are cut, whoever has left before; the backend has done nothing wrong."""
    pool = {"timeouts": {"idle": "1s"}}
    limits = {"max_connections": 100, "body_timeout": "2s"}
    async with cached(flood, pool=pool, limits=limits) as (app, (backend,)):
        async with await call(app) as leader, slow(app) as one, slow(app) as two:
            await leader.send(post(STREAM))
            await settled(lambda: len(backend.requests) == 1)
            for client in (one, two):
                await client.send(post(STREAM))
            await joined(app, 2)
            leader.drop()
            await settled(lambda: app.pools["default"].in_flight_total == 0, 10)
        (asked,) = app.pools["default"].backends
        assert asked.outlier.failures == 0
        assert asked.state == "up"


async def test_one_that_takes_nothing_and_waits_alone_is_cut() -> None:
    """After body_timeout, as without a cache, and no backend is blamed."""
    limits = {"max_connections": 100, "body_timeout": "1s"}
    async with cached(flood, limits=limits, pool={"timeouts": {"idle": "500ms"}}) as (app, _):
        async with slow(app) as idle:
            await idle.send(post(STREAM))
            await settled(lambda: app.pools["default"].in_flight_total == 1)
            await settled(lambda: not listener(app).connections)
        assert app.metrics.route("default").errors == {"client_closed": 1}
        (asked,) = app.pools["default"].backends
        assert asked.outlier.failures == 0


async def test_a_recorded_stream_keeps_its_pace_and_its_events() -> None:
    """Each event comes as a piece of its own, as it came at first."""

    async def paced(conversation: Conversation) -> None:
        while await conversation.request():
            await conversation.send(CHUNKED)
            for event in EVENTS:
                await conversation.send(chunk(event))
                await asyncio.sleep(0.02)
            await conversation.send(chunk(b""))

    async with cached(paced, cache={"replay": "recorded"}) as (app, (backend,)):
        await fetch(app, post(STREAM))
        async with await call(app) as client:
            for _ in range(2):
                await client.send(post(STREAM))
                assert "hit" in (await client.head())["cache-status"]
                assert [part async for part in client.chunks()] == EVENTS
        assert len(backend.requests) == 1


async def test_a_recorded_stream_waits_for_a_client_that_is_full() -> None:
    """Megabytes of it, read with a delay, arrive whole."""
    async with cached(flood, cache={"replay": "recorded", "max_entry": "16MiB"}) as (app, (backend,)):
        await fetch(app, post(STREAM))
        assert entries(app) == 1
        async with slow(app) as lazy:
            await lazy.send(post(STREAM))
            await asyncio.sleep(0.3)
            lazy.writer.transport.resume_reading()  # type: ignore[attr-defined]
            assert (await asyncio.wait_for(lazy.answer(), 20)).body == PIECE * 140
        assert len(backend.requests) == 1


async def test_a_recorded_stream_ends_with_its_client() -> None:
    """Nothing is left of a replay whose client goes in the middle."""

    async def paced(conversation: Conversation) -> None:
        while await conversation.request():
            await conversation.send(CHUNKED + chunk(EVENTS[0]))
            await asyncio.sleep(0.3)
            await conversation.send(chunk(EVENTS[-1]) + chunk(b""))

    async with cached(paced, cache={"replay": "recorded"}) as (app, _):
        await fetch(app, post(STREAM))
        async with await call(app) as client:
            await client.send(post(STREAM))
            await client.head()
        await settled(lambda: not listener(app).connections)
        stats = app.metrics.route("default")
        assert stats.requests == {("POST", 200): 1, ("POST", 499): 1}
        assert stats.cache == {"miss": 1, "hit": 1}


async def test_what_answers_under_way_hold_is_bounded_over_all() -> None:
    """Forty streams of two megabytes at once, read by their clients: they hold no more than the bound."""
    sent, all_here = 0, asyncio.Event()

    async def streams(conversation: Conversation) -> None:
        nonlocal sent
        while await conversation.request():
            await conversation.send(CHUNKED + b"".join([chunk(PIECE)] * 30))
            sent += 1
            await all_here.wait()
            await conversation.send(chunk(b""))

    cache = {"max_size": "16MiB", "max_entry": "2MiB"}
    async with cached(streams, cache=cache) as (app, _):
        asked = [fetch(app, post(STREAM | {"seed": number})) for number in range(40)]
        waiting = asyncio.gather(*asked)
        await settled(lambda: sent == 40)
        await settled(lambda: app.pools["default"].in_flight_total == 40)
        await asyncio.sleep(0.3)
        assert 0 < kept(app).flights.held_bytes <= kept(app).bound + 70_000
        all_here.set()
        assert {answer.body for answer in await waiting} == {PIECE * 30}


async def test_no_more_begin_to_wait_while_too_much_is_held() -> None:
    """Then requests go past, and say so."""
    stage = Stage(ok())
    async with cached(stage) as (app, _), crowd(app, 1):
        await settled(lambda: stage.begun == 1)
        kept(app).flights.held_bytes += kept(app).bound + 1
        async with await call(app) as other:
            await other.send(post(QUESTION | {"seed": 1}))
            await settled(lambda: stage.begun == 2)
            stage.cue()
            answer = await other.answer()
            assert answer["cache-status"] == "gateway; fwd=bypass; detail=flights"
        kept(app).flights.held_bytes -= kept(app).bound + 1


async def test_an_answer_of_nothing_is_kept() -> None:
    """Empty bodies, with a length or chunked."""
    for whole in (ok(b""), CHUNKED + chunk(b"")):
        async with cached(answers(whole)) as (app, (backend,)):
            for _ in range(2):
                assert (await fetch(app)).body == b""
            assert len(backend.requests) == 1
