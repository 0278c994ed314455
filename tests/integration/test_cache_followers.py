"""What is given to those who have joined: the same answer, in a form that is theirs, or leave to ask?"""

import asyncio
from collections.abc import Awaitable

import pytest

from gateway.attempts.hedge import LEAST_SAMPLES
from gateway.sizes import KINDS
from tests.harness import (
    CHUNKED,
    Answer,
    Caller,
    Conversation,
    call,
    chunk,
    get,
    ok,
    post,
)
from tests.integration.caching import (
    EVENTS,
    STREAM,
    Stage,
    cached,
    crowd,
    entries,
    fetch,
    joined,
    kept,
    reply,
)

FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 6\r\n\r\nbroken"


async def all_of(clients: list[Caller]) -> list[Answer]:
    return await asyncio.gather(*(client.answer() for client in clients))


async def test_an_answer_for_nobody_else_is_asked_for_by_each() -> None:
    """Those who waited in vain ask at once, beside each other, and later ones do not even wait."""
    private = reply(b"{}", "Cache-Control: private")
    stage = Stage(private)
    async with cached(stage) as (app, (backend,)):
        async with crowd(app, 10) as clients:
            await joined(app, 9)
            stage.cue()
            got = await all_of(clients)
        told = [answer["cache-status"] for answer in got]
        assert told.count("gateway; fwd=bypass; detail=uncacheable") == 9
        assert len(backend.requests) == 10
        later = await fetch(app)
        assert later["cache-status"] == "gateway; fwd=bypass; detail=uncacheable"


async def test_an_answer_that_may_not_be_given_unasked_is_given_to_nobody_who_waits() -> None:
    """no-cache with a validator is kept to be asked about: each who waited asks for itself."""
    stage = Stage(reply(b"{}", 'ETag: "a"', "Cache-Control: no-cache"))
    async with cached(stage) as (app, (backend,)):
        async with crowd(app, 5, get("/x")) as clients:
            await joined(app, 4)
            stage.cue()
            assert [answer.status for answer in await all_of(clients)] == [200] * 5
        assert len(backend.requests) == 5


@pytest.mark.parametrize("first", ["GET", "HEAD"])
async def test_head_and_get_do_not_answer_each_other_while_under_way(first: str) -> None:
    """They share a key, but a HEAD's answer has no body, and a body after it would be taken for an answer."""

    async def by_method(conversation: Conversation) -> None:
        while request := await conversation.request():
            await asyncio.sleep(0.1)
            answer = ok(b"body")
            await conversation.send(answer[:-4] if request.startswith(b"HEAD") else answer)

    second = "HEAD" if first == "GET" else "GET"
    async with cached(by_method) as (app, _), await call(app) as one, await call(app) as two:

        def ask(client: Caller, method: str) -> Awaitable[None]:
            return client.send(get("/x").replace(b"GET", method.encode()) + get("/y"))

        await ask(one, first)
        await ask(two, second)
        for client, method in ((one, first), (two, second)):
            answer = await client.answer(without_body=method == "HEAD")
            assert answer["content-length"] == "4"
            assert answer.body == (b"" if method == "HEAD" else b"body")
            following = await client.answer()
            assert following.body == b"body"


async def test_those_who_wait_for_an_answer_without_a_body_get_one_without() -> None:
    """204 has neither length nor chunks, or the next answer on the connection would be misread."""
    stage = Stage(b'HTTP/1.1 204 No Content\r\nETag: "a"\r\n\r\n')
    async with cached(stage) as (app, (backend,)):
        async with crowd(app, 3, get("/x") + get("/x")) as clients:
            await joined(app, 2)
            stage.cue()
            for client in clients:
                for _ in range(2):
                    answer = await client.answer()
                    assert answer.status == 204
                    assert "transfer-encoding" not in answer
        assert len(backend.requests) == 1


async def test_joining_late_gives_what_has_arrived_and_then_the_rest() -> None:
    """The second client comes in the middle of the stream and gets it from its first byte."""
    stage = Stage(CHUNKED, *map(chunk, EVENTS), chunk(b""))
    async with cached(stage) as (app, (backend,)), await call(app) as leader, await call(app) as late:
        await leader.send(post(STREAM))
        stage.cue(3)
        await leader.head()
        await leader.chunk()
        await late.send(post(STREAM))
        head = await late.head()
        assert head["cache-status"] == "gateway; fwd=miss; collapsed"
        sofar = b""
        while len(sofar) < len(EVENTS[0] + EVENTS[1]):
            sofar += await late.chunk()
        assert sofar == EVENTS[0] + EVENTS[1]
        stage.cue(len(stage.parts))
        assert b"".join([part async for part in late.chunks()]) == b"".join(EVENTS[2:])
        assert len(backend.requests) == 1


async def test_what_comes_with_a_length_has_it_for_all() -> None:
    """Who joins an answer of known length is told it, and sees where it ends."""
    body = b"x" * 1000
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    stage = Stage(head + body[:500], body[500:])
    async with cached(stage) as (app, _):
        async with crowd(app, 3) as clients:
            await joined(app, 2)
            stage.cue(2)
            got = await all_of(clients)
        assert {(answer["content-length"], answer.body) for answer in got} == {("1000", body)}


async def test_those_who_differ_by_what_vary_names_do_not_share() -> None:
    """Nobody knew before the head came: each language gets its own answer, by one request each."""
    languages = ("de", "en", "fr")

    async def by_language(conversation: Conversation) -> None:
        while request := await conversation.request():
            await asyncio.sleep(0.05)
            language = request.lower().partition(b"accept-language: ")[2][:2]
            await conversation.send(reply(language, "Vary: Accept-Language"))

    async with cached(by_language) as (app, (backend,)):
        requests = [get("/x", f"Accept-Language: {language}") for language in languages for _ in range(5)]
        got = await asyncio.gather(*(fetch(app, request) for request in requests))
        assert [answer.body.decode() for answer in got] == [name for name in languages for _ in range(5)]
        assert len(backend.requests) == 3
        assert entries(app) == 3


async def test_a_second_attempt_s_answer_is_for_all_who_wait() -> None:
    """The first backend hangs; what the second says is given to everybody, and kept as its answer."""

    async def hangs(conversation: Conversation) -> None:
        while await conversation.request():
            await asyncio.Event().wait()

    async def streams(conversation: Conversation) -> None:
        while await conversation.request():
            await conversation.send(CHUNKED + b"".join(map(chunk, EVENTS[:3])))
            await asyncio.sleep(0.05)
            await conversation.send(b"".join(map(chunk, EVENTS[3:])) + chunk(b""))

    pool = {"hedging": {"after": "p50", "budget": "50%"}}
    async with cached(hangs, streams, pool=pool) as (app, (first, second)):
        hedger = app.pools["default"].hedger
        assert hedger is not None
        for _ in range(LEAST_SAMPLES):
            hedger.deposit()
            for kind in range(KINDS):
                hedger.observe(kind, 0.01)
        async with crowd(app, 10, post(STREAM)) as clients:
            got = await asyncio.gather(*(client.answer() for client in clients))
        assert {answer.body for answer in got} == {b"".join(EVENTS)}
        assert len(second.requests) == 1
        assert len(first.requests) <= 1
        assert [entry.backend for _, entry in kept(app).memory.items()] == ["b"]
