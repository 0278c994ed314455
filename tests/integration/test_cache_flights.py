"""Are identical requests under way one request to the backend, and does nobody hold up or harm another?"""

import asyncio

import pytest

from tests.harness import (
    CHUNKED,
    Answer,
    Caller,
    Conversation,
    call,
    chunk,
    ok,
    post,
    refusing,
    settled,
)
from tests.integration.caching import (
    EVENTS,
    QUESTION,
    STREAM,
    Stage,
    cached,
    crowd,
    entries,
    fetch,
    in_turn,
    joined,
    kept,
    numbered,
    say,
    stream_of,
)

FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 6\r\n\r\nbroken"


async def all_of(clients: list[Caller]) -> list[Answer]:
    return await asyncio.gather(*(client.answer() for client in clients))


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_thousand_identical_requests_are_one(streamed: bool) -> None:
    """All get the same body from one request to the backend: one as the miss, all others joined,
    each of which saves what a hit does."""
    body = b"".join(EVENTS) if streamed else b'{"n":1}'
    parts = [CHUNKED, *map(chunk, EVENTS), chunk(b"")] if streamed else [ok(body)]
    stage = Stage(*parts)
    async with cached(stage) as (app, (backend,)):
        async with crowd(app, 1000, post(STREAM if streamed else QUESTION)) as clients:
            await joined(app, 999)
            waiting = asyncio.ensure_future(all_of(clients))
            for _ in parts:
                stage.cue()
                await asyncio.sleep(0.001)
            got = await waiting
        assert {answer.body for answer in got} == {body}
        assert {answer.status for answer in got} == {200}
        told = [answer["cache-status"] for answer in got]
        assert told.count("gateway; fwd=miss; stored") == 1
        assert told.count("gateway; fwd=miss; collapsed") == 999
        assert len({answer["x-request-id"] for answer in got}) == 1000
        assert len(backend.requests) == 1
        (route,) = app.metrics.routes.values()
        joint_s, joint_bytes = route.saved_s, route.saved_bytes
        assert "hit" in (await fetch(app, post(STREAM if streamed else QUESTION)))["cache-status"]
        hit_s, hit_bytes = route.saved_s - joint_s, route.saved_bytes - joint_bytes
        assert joint_bytes == 999 * hit_bytes == 999 * len(body)
        assert hit_s > 0.0
        assert joint_s == pytest.approx(999 * hit_s)


async def test_followers_that_leave_midway_change_nothing_for_the_rest() -> None:
    """Half of them go, before and after the head; the others get every byte, from one request."""
    stage = Stage(CHUNKED, *map(chunk, EVENTS), chunk(b""))
    async with cached(stage) as (app, (backend,)):
        async with crowd(app, 40, post(STREAM)) as clients:
            await joined(app, 39)
            for client in clients[1:11]:
                client.drop()
            stage.cue(2)
            for client in clients[11:21]:
                await client.head()
                client.drop()
            stage.cue(len(EVENTS))
            got = await all_of([clients[0], *clients[21:]])
        assert {answer.body for answer in got} == {b"".join(EVENTS)}
        assert len(backend.requests) == 1
        assert entries(app) == 1


@pytest.mark.parametrize("said", [0, 3])
async def test_a_leader_that_leaves_does_not_take_the_others_with_it(said: int) -> None:
    """Before the head or in the middle of the stream: those who wait get all of it, and it is kept."""
    stage = Stage(CHUNKED, *map(chunk, EVENTS), chunk(b""))
    async with cached(stage) as (app, (backend,)), await call(app) as leader:
        await leader.send(post(STREAM))
        await settled(lambda: stage.begun == 1)
        async with crowd(app, 5, post(STREAM)) as clients:
            await joined(app, 5)
            stage.cue(said)
            if said:
                await leader.head()
            leader.drop()
            await settled(lambda: app.connections == 5)
            stage.cue(len(stage.parts))
            got = await all_of(clients)
        assert {answer.body for answer in got} == {b"".join(EVENTS)}
        assert len(backend.requests) == 1
        assert entries(app) == 1


async def test_a_leader_that_leaves_alone_stops_the_backend() -> None:
    """Nobody waits: the backend sees its connection end, and nothing is kept."""
    stage = Stage(CHUNKED, *map(chunk, EVENTS), chunk(b""))
    async with cached(stage) as (app, (backend,)):
        async with await call(app) as leader:
            await leader.send(post(STREAM))
            await settled(lambda: stage.begun == 1)
            stage.cue(3)
            await leader.head()
        (conversation,) = backend.conversations
        assert await asyncio.wait_for(conversation.reader.read(), 5) == b""
        assert entries(app) == 0


async def test_when_everybody_has_left_the_backend_is_stopped() -> None:
    """The leader first, then the last who waited."""
    stage = Stage(CHUNKED, *map(chunk, EVENTS), chunk(b""))
    async with cached(stage) as (app, (backend,)):
        async with await call(app) as leader:
            await leader.send(post(STREAM))
            await settled(lambda: stage.begun == 1)
            async with crowd(app, 3, post(STREAM)) as clients:
                await joined(app, 3)
                stage.cue(2)
                leader.drop()
                await settled(lambda: app.connections == 3)
                assert app.pools["default"].in_flight_total == 1
                for client in clients:
                    client.drop()
        (conversation,) = backend.conversations
        assert await asyncio.wait_for(conversation.reader.read(), 5) == b""
        assert entries(app) == 0


async def test_when_the_backend_fails_one_at_a_time_goes_on() -> None:
    """Three fail, the fourth answers: at no time are two asked, and the rest get the fourth's answer."""
    most = now = 0

    def slowly(*parts: bytes) -> object:
        async def handler(conversation: Conversation) -> None:
            nonlocal most, now
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.05)
            now -= 1
            for part in parts:
                await conversation.send(part)

        return handler

    failing, fine = slowly(FAILED), slowly(ok(b"fine"))
    async with cached(in_turn(failing, failing, failing, fine)) as (app, (backend,)):  # type: ignore[arg-type]
        async with crowd(app, 50) as clients:
            got = await all_of(clients)
        assert sorted({answer.body for answer in got}) == [b"broken", b"fine"]
        assert sum(answer.status == 500 for answer in got) == 3
        assert (most, len(backend.requests)) == (1, 4)
        assert entries(app) == 1


async def test_a_stream_that_breaks_is_cut_for_all_and_not_kept() -> None:
    """Nobody sees a whole answer; the next request is asked anew."""

    async def breaks(conversation: Conversation) -> None:
        await asyncio.sleep(0.05)
        await conversation.send(CHUNKED + b"".join(map(chunk, EVENTS[:2])))
        await asyncio.sleep(0.05)
        conversation.abort()

    handler = in_turn(breaks, say(stream_of(EVENTS)))
    async with cached(handler) as (app, (backend,)):
        async with crowd(app, 20, post(STREAM)) as clients:
            for client in clients:
                assert (await client.head()).status == 200
                assert chunk(b"") not in await client.rest()
        assert entries(app) == 0
        assert (await fetch(app, post(STREAM)))["cache-status"] == "gateway; fwd=miss; stored"
        assert len(backend.requests) == 2


async def test_coalescing_can_be_turned_off() -> None:
    """Then each asks for itself."""
    stage = Stage(ok())
    async with cached(stage, cache={"coalesce": "off"}) as (app, (backend,)):
        async with crowd(app, 5) as clients:
            await settled(lambda: stage.begun == 5)
            stage.cue()
            await all_of(clients)
        assert len(backend.requests) == 5
        assert kept(app).flights.joined == 0


async def test_a_follower_waits_no_longer_than_its_own_deadline() -> None:
    """One with a wish of its own is answered 504 when that is over, while the rest wait on."""
    stage = Stage(ok(b"late"))
    async with cached(stage) as (app, (backend,)), await call(app) as leader:
        await leader.send(post(QUESTION))
        await settled(lambda: stage.begun == 1)
        hasty = await fetch(app, post(QUESTION, "/v1/chat/completions", "X-Gateway-Timeout: 100ms"))
        assert (hasty.status, hasty["x-gateway-error"]) == (504, "deadline_exceeded")
        stage.cue()
        assert (await leader.answer()).body == b"late"
        assert len(backend.requests) == 1


async def test_a_leader_s_deadline_in_mid_stream_is_not_that_of_the_others() -> None:
    """The leader is cut when its time is over; who has more time gets all of it."""
    stage = Stage(CHUNKED, *map(chunk, EVENTS), chunk(b""))
    async with cached(stage) as (app, (backend,)), await call(app) as leader:
        await leader.send(post(STREAM, "/v1/chat/completions", "X-Gateway-Timeout: 300ms"))
        await settled(lambda: stage.begun == 1)
        async with crowd(app, 3, post(STREAM)) as clients:
            await joined(app, 3)
            stage.cue(3)
            assert (await leader.head()).status == 200
            assert chunk(b"") not in await asyncio.wait_for(leader.rest(), 5)
            stage.cue(len(stage.parts))
            got = await all_of(clients)
        assert {answer.body for answer in got} == {b"".join(EVENTS)}
        assert len(backend.requests) == 1


async def test_a_dead_pool_is_not_asked_by_each_in_turn_for_ever() -> None:
    """Everybody gets an error, and soon."""
    with refusing() as nowhere:
        async with cached(pool={"backends": [nowhere]}) as (app, _), crowd(app, 50) as clients:
            got = await asyncio.wait_for(all_of(clients), 20)
        assert {answer.status for answer in got} <= {502, 503}


async def test_different_questions_do_not_wait_for_each_other() -> None:
    """Each gets its own answer, at the same time."""
    async with cached(numbered(lambda n: ok(b"%d" % n))) as (app, (backend,)):
        got = await asyncio.gather(*(fetch(app, post(QUESTION | {"seed": n})) for n in range(20)))
        assert len({answer.body for answer in got}) == 20
        assert len(backend.requests) == 20


async def test_a_crowd_before_a_backend_that_fails_costs_no_more_than_each_its_own() -> None:
    """One after the other is told the failure; meanwhile the others are left in peace."""
    stage = Stage(FAILED)
    async with cached(stage, pool={"retries": {"attempts": 1}}) as (app, (backend,)):
        async with crowd(app, 400) as clients:
            await joined(app, 399)
            stage.cue()
            assert {answer.status for answer in await all_of(clients)} <= {500, 503}
        assert kept(app).flights.joined == 399
        assert len(backend.requests) <= 400
