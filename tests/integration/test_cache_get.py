"""Is a GET cached as RFC 9111 asks: validators, Vary, HEAD, Range, and what changes the resource?"""

import asyncio

import pytest

from tests.harness import Conversation, answers, call, get, ok, settled
from tests.integration.caching import (
    cached,
    entries,
    fetch,
    grow_old,
    in_turn,
    numbered,
    reply,
    say,
    stream_of,
)

TAGGED = reply(b"body", 'ETag: "a"', "Last-Modified: Mon, 02 Jan 2023 00:00:00 GMT", "Vary: Accept")
NOT_MODIFIED = b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nCache-Control: max-age=77\r\n\r\n'


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ('If-None-Match: "a"', 304),
        ('If-None-Match: W/"a", "x"', 304),
        ('If-None-Match: "b"', 200),
        ("If-Modified-Since: Mon, 02 Jan 2023 00:00:00 GMT", 304),
        ("If-Modified-Since: Sun, 01 Jan 2023 00:00:00 GMT", 200),
    ],
)
async def test_a_condition_is_judged_by_what_is_kept(condition: str, status: int) -> None:
    """304 with the validator and no body, from the cache; the connection goes on."""
    async with cached(answers(TAGGED)) as (app, (backend,)):
        await fetch(app, get("/x"))
        async with await call(app) as client:
            for _ in range(2):
                answer = await client.ask(get("/x", condition))
                assert answer.status == status
                assert answer["etag"] == '"a"'
                assert answer["cache-status"].startswith("gateway; hit")
                assert "age" in answer
        assert len(backend.requests) == 1


async def test_what_has_expired_is_asked_about_by_its_validator() -> None:
    """304 from the backend: the client gets the kept answer, fresh again by the 304's own word."""
    async with cached(in_turn(say(TAGGED), say(NOT_MODIFIED))) as (app, (backend,)):
        await fetch(app, get("/x"))
        grow_old(app, 3700)
        answer = await fetch(app, get("/x"))
        assert (answer.status, answer.body) == (200, b"body")
        asked = backend.requests[1]
        assert b'If-None-Match: "a"\r\n' in asked
        assert b"If-Modified-Since: Mon, 02 Jan 2023 00:00:00 GMT\r\n" in asked
        assert "hit; ttl=7" in (await fetch(app, get("/x")))["cache-status"]
        assert len(backend.requests) == 2


async def test_the_client_s_own_condition_is_not_sent_on_where_something_is_kept() -> None:
    """What the client has is judged here, after the backend has confirmed what is kept."""
    async with cached(in_turn(say(TAGGED), say(NOT_MODIFIED))) as (app, (backend,)):
        await fetch(app, get("/x"))
        grow_old(app, 3700)
        answer = await fetch(app, get("/x", 'If-None-Match: "mine"'))
        assert (answer.status, answer.body) == (200, b"body")
        assert b"mine" not in backend.requests[1]


async def test_a_client_s_condition_that_the_backend_answers_is_not_kept() -> None:
    """Nothing is kept: the 304 is the client's, and the next without a condition gets the whole."""

    async def judges(conversation: Conversation) -> None:
        while request := await conversation.request():
            await conversation.send(NOT_MODIFIED if b"If-None-Match" in request else TAGGED)

    async with cached(judges) as (app, _):
        assert (await fetch(app, get("/x", 'If-None-Match: "a"'))).status == 304
        assert entries(app) == 0
        assert (await fetch(app, get("/x"))).body == b"body"


async def test_who_waits_behind_a_condition_gets_the_whole() -> None:
    """The leader's 304 is for nobody who has asked for no condition; one of those asks for all."""

    async def judges(conversation: Conversation) -> None:
        while request := await conversation.request():
            await asyncio.sleep(0.05)
            await conversation.send(NOT_MODIFIED if b"If-None-Match" in request else TAGGED)

    async with cached(judges) as (app, (backend,)):
        got = await asyncio.gather(
            fetch(app, get("/x", 'If-None-Match: "a"')), *(fetch(app, get("/x")) for _ in range(5))
        )
        assert [answer.status for answer in got] == [304] + [200] * 5
        assert len(backend.requests) == 2


async def test_answers_that_vary_are_told_apart_and_kept_each() -> None:
    """By the named field only; the miss beside what is kept says so."""

    def by_number(number: int) -> bytes:
        return reply(b"%d" % number, "Vary: Accept-Language")

    async with cached(numbered(by_number)) as (app, (backend,)):
        for _ in range(2):
            assert (await fetch(app, get("/x", "Accept-Language: de"))).body == b"0"
            english = await fetch(app, get("/x", "Accept-Language: en"))
            assert english.body == b"1"
        assert "hit" in english["cache-status"]
        assert (await fetch(app, get("/x", "Accept-Language:  de", "Accept: */*"))).body == b"0"
        assert len(backend.requests) == 2


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("replay", ["instant", "recorded"])
async def test_head_is_answered_from_what_get_left(streamed: bool, replay: str) -> None:
    """The same fields, the length, no body: the next answer on the connection is the next."""
    whole = stream_of([b"data: 1\n\n", b"data: 2\n\n"]) if streamed else ok(b"body")

    async def slowly(conversation: Conversation) -> None:
        while await conversation.request():
            await conversation.send(whole[:-20])
            await asyncio.sleep(0.02)
            await conversation.send(whole[-20:])

    async with cached(slowly, cache={"replay": replay}) as (app, (backend,)):
        got = await fetch(app, get("/x"))
        async with await call(app) as client:
            await client.send(get("/x").replace(b"GET", b"HEAD"))
            head = await client.answer(without_body=True)
            assert (head.status, head["content-length"]) == (200, str(len(got.body)))
            assert "hit" in head["cache-status"]
            assert (await client.ask(get("/x"))).body == got.body
        assert len(backend.requests) == 1


async def test_a_head_is_not_kept_as_an_answer() -> None:
    """HEAD leaves nothing that a GET could be given."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
    async with cached(in_turn(say(head), say(ok(b"body")))) as (app, _):
        assert (await fetch(app, get("/x").replace(b"GET", b"HEAD"), True)).status == 200
        assert entries(app) == 0
        assert (await fetch(app, get("/x"))).body == b"body"


@pytest.mark.parametrize(("status", "gone"), [("200 OK", True), ("404 Not Found", False)])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("fields", [(), ("Origin: http://page.test",)])
async def test_what_changes_a_resource_lets_its_kept_answer_go(
    method: str, fields: tuple[str, ...], status: str, gone: bool
) -> None:
    """A method that is not safe, when it was done; one that failed changes nothing. A page's as well."""

    async def by_method(conversation: Conversation) -> None:
        while request := await conversation.request():
            await conversation.send(ok(b"body") if request.startswith(b"GET") else reply(b"", status=status))

    async with cached(by_method) as (app, _):
        await fetch(app, get("/x", *fields))
        await fetch(app, get("/y", *fields))
        await fetch(app, get("/x", *fields, "Content-Type: text/plain").replace(b"GET", method.encode()))
        assert ("hit" in (await fetch(app, get("/x", *fields)))["cache-status"]) is not gone
        assert "hit" in (await fetch(app, get("/y", *fields)))["cache-status"]


async def test_a_page_s_answer_is_its_own() -> None:
    """Frameworks add CORS fields for the asking page alone, and say nothing of it."""
    async with cached(numbered(lambda n: ok(b"%d" % n))) as (app, _):
        one, two = "Origin: http://one.test", "Origin: http://two.test"
        assert [(await fetch(app, get("/x", field))).body for field in (one, two, one, two)] == [
            b"0",
            b"1",
            b"0",
            b"1",
        ]


async def test_a_part_is_never_kept() -> None:
    """206 to a Range is passed on; and one that nobody asked for is not kept either."""
    part = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/4\r\nContent-Length: 2\r\n\r\nbo"
    async with cached(answers(part)) as (app, (backend,)):
        for _ in range(2):
            assert (await fetch(app, get("/x", "Range: bytes=0-1"))).status == 206
            assert (await fetch(app, get("/x"))).status == 206
        assert entries(app) == 0
        assert len(backend.requests) == 4


async def test_a_long_answer_of_known_length_is_given_whole_in_a_recorded_replay() -> None:
    """Only streams are replayed at their pace: anything else keeps its length."""
    body = b"x" * 300_000

    async with cached(answers(reply(body)), cache={"replay": "recorded"}) as (app, (backend,)):
        await fetch(app, get("/x"))
        again = await fetch(app, get("/x", 'If-None-Match: "other"'))
        assert again["content-length"] == "300000"
        assert again.body == body
        assert len(backend.requests) == 1


async def test_what_changes_a_resource_lets_all_its_variants_go() -> None:
    """Also those that nobody has asked for again when the first of them is back."""

    def by_number(number: int) -> bytes:
        return reply(b"%d" % number, "Vary: Accept-Language")

    german, english = (get("/x", f"Accept-Language: {name}") for name in ("de", "en"))
    async with cached(numbered(by_number)) as (app, _):
        assert [(await fetch(app, request)).body for request in (german, english)] == [b"0", b"1"]
        await fetch(app, get("/x").replace(b"GET", b"DELETE"))
        assert [(await fetch(app, request)).body for request in (german, english)] == [b"3", b"4"]
        assert [(await fetch(app, request)).body for request in (german, english)] == [b"3", b"4"]


@pytest.mark.parametrize("varies", ["no", "yes", "known"])
@pytest.mark.parametrize("begun", [False, True])
async def test_an_answer_under_way_while_its_resource_changes_is_not_kept(begun: bool, varies: str) -> None:
    """It may be the old one: who has waited gets it, who comes later asks."""
    go, changed = asyncio.Event(), False
    fields = () if varies == "no" else ("Vary: Accept",)

    async def handler(conversation: Conversation) -> None:
        nonlocal changed
        while request := await conversation.request():
            changed = changed or request.startswith(b"DELETE")
            if b"Accept: other" in request:
                await conversation.send(reply(b"other", *fields))
            elif not changed:
                old = reply(b"old", *fields)
                if begun:
                    await conversation.send(old[:-1])
                await go.wait()
                await conversation.send(old[-1:] if begun else old)
            else:
                await conversation.send(reply(b"new", *fields))

    async with cached(handler) as (app, (backend,)), await call(app) as first, await call(app) as second:
        if varies == "known":
            await fetch(app, get("/x", "Accept: other"))
        before = len(backend.requests)
        await first.send(get("/x"))
        if begun:
            await first.head()
        await settled(lambda: len(backend.requests) == before + 1)
        await fetch(app, get("/x").replace(b"GET", b"DELETE"))
        assert (await second.ask(get("/x"))).body == b"new"
        go.set()
        assert (await first.reader.readexactly(3) if begun else (await first.answer()).body) == b"old"
        await settled(lambda: app.pools["default"].in_flight_total == 0)
        assert (await fetch(app, get("/x"))).body == b"new"
