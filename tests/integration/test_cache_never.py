"""What must never happen: another's answer, a broken one, one of another question, model, pool or version."""

import asyncio
import json
import random
from typing import Any

import pytest

from tests.harness import CHUNKED, Conversation, answers, call, chunk, get, ok, post, settled
from tests.integration.caching import (
    EVENTS,
    QUESTION,
    STREAM,
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
    stream_of,
)


async def echo(conversation: Conversation) -> None:
    """Answers with what it was asked, slowly enough that equal questions meet."""
    while request := await conversation.request():
        await asyncio.sleep(0.01)
        await conversation.send(ok(request))


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key", "Api-Key", "Cookie", "Proxy-Authorization"])
async def test_no_credential_gets_what_another_was_given(name: str) -> None:
    """Neither kept nor under way; nor does who has none."""
    fields: list[tuple[str, ...]] = [(f"{name}: one",), (f"{name}: two",), ()]
    path = "/v1/chat/completions"
    async with cached(echo) as (app, _):
        for _ in range(2):
            asked = [(field, fetch(app, post(QUESTION, path, *field))) for field in fields for _ in range(3)]
            for (field, _), answer in zip(asked, await asyncio.gather(*(a for _, a in asked)), strict=True):
                told = [line for line in answer.body.decode().split("\r\n") if line.startswith(f"{name}: ")]
                assert told == list(field) or name == "Proxy-Authorization"
        assert entries(app) == (3 if name != "Proxy-Authorization" else entries(app))


BODIES: list[dict[str, Any]] = [
    QUESTION,
    QUESTION | {"model": "n"},
    QUESTION | {"seed": 1},
    QUESTION | {"seed": 1.5},
    QUESTION | {"seed": "1"},
    QUESTION | {"seed": None},
    QUESTION | {"stream": True},
    QUESTION | {"stream": False},
    QUESTION | {"temperature": 0},
    QUESTION | {"unheard_of": True},
    QUESTION | {"messages": [{"role": "user", "content": "hello "}]},
    QUESTION | {"messages": [{"role": "system", "content": "hello"}]},
    QUESTION | {"messages": QUESTION["messages"] * 2},
]


async def test_whatever_differs_in_a_body_is_another_question() -> None:
    """All at once and again from the cache: each gets the answer to its own body."""
    async with cached(echo) as (app, (backend,)):
        for _ in range(2):
            got = await asyncio.gather(*(fetch(app, post(body)) for body in BODIES for _ in range(2)))
            wanted = [body for body in BODIES for _ in range(2)]
            for answer, body in zip(got, wanted, strict=True):
                assert json.loads(answer.body.partition(b"\r\n\r\n")[2]) == body
        assert len(backend.requests) == len(BODIES)


async def test_whatever_differs_in_a_head_is_another_question() -> None:
    """Method, path, query, content type and encoding; for a GET the host, too."""
    body = b'{"a":1}'
    requests = [
        post(body, "/a"),
        post(body, "/b"),
        post(body, "/a?b"),
        post(body, "/A"),
        post(body, "/a").replace(b"application/json", b"text/plain"),
        post(body, "/a").replace(b"application/json", b"multipart/form-data; boundary=x"),
        post(body, "/a", "Content-Encoding: gzip"),
        get("/a"),
        get("/a").replace(b"gateway.test", b"other.test"),
    ]
    async with cached(numbered(lambda n: ok(b"%d" % n))) as (app, _):
        first = [(await fetch(app, request)).body for request in requests]
        assert len(set(first)) == len(requests)
        assert [(await fetch(app, request)).body for request in requests] == first


async def test_routes_do_not_share() -> None:
    """The same question by two routes to one pool."""
    routes = [
        {"name": "one", "match": {"headers": {"x-tier": "one"}}, "pool": "default", "cache": "on"},
        {"name": "two", "pool": "default", "cache": "on"},
    ]
    async with cached(numbered(lambda n: ok(b"%d" % n)), routes=routes) as (app, _):
        path = "/v1/chat/completions"
        for _ in range(2):
            assert (await fetch(app, post(QUESTION, path, "x-tier: one"))).body == b"0"
            assert (await fetch(app, post(QUESTION, path))).body == b"1"


@pytest.mark.parametrize(
    "broken",
    [
        reply(b"{}", status="500 Internal Server Error"),
        reply(b"{}", status="429 Too Many Requests"),
        reply(b"{}", status="400 Bad Request"),
        reply(b"{}", status="302 Found"),
        reply(b"{}", "Set-Cookie: a=b"),
        reply(b"{}", "Cache-Control: no-store"),
        reply(b"{}", "Cache-Control: private"),
        reply(b"{}", "Cache-Control: max-age=0"),
        reply(b"{}", "Vary: *"),
        reply(b'{"error":{"message":"out of memory"}}'),
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\nuntil close",
        stream_of(EVENTS[:-1]),
        stream_of([EVENTS[0], b'data: {"error":{"message":"engine died"}}\n\n', EVENTS[-1]]),
        reply(b"x" * 3000),
        stream_of([b"data: " + b"x" * 900 + b"\n\n"] * 4),
        CHUNKED + chunk(EVENTS[0]) + b"zz\r\n",
        CHUNKED + chunk(EVENTS[0]),
        reply(b"{}")[:-1],
    ],
)
async def test_what_is_not_for_everybody_or_not_whole_is_not_kept(broken: bytes) -> None:
    """It is given as it came, and the next is asked anew."""
    fine = ok(b"fine")

    async def ends(conversation: Conversation) -> None:
        await conversation.send(broken)
        conversation.writer.close()

    handler = in_turn(ends, say(fine))
    async with cached(handler, cache={"max_entry": 2000}, pool={"retries": {"attempts": 1}}) as (app, _):
        async with await call(app) as client:
            await client.send(post(STREAM, "/v1/chat/completions", "Connection: close"))
            await client.rest()
        await settled(lambda: app.pools["default"].in_flight_total == 0)
        assert entries(app) == 0
        assert (await fetch(app, post(STREAM))).body == b"fine"


async def test_cookies_are_given_to_nobody_else() -> None:
    """Neither to who comes later nor to who has waited."""
    async with cached(echo_with_cookie) as (app, (backend,)), crowd(app, 5) as clients:
        got = await asyncio.gather(*(client.answer() for client in clients))
        assert len({answer["set-cookie"] for answer in got}) == 5
        assert len(backend.requests) == 5


async def echo_with_cookie(conversation: Conversation) -> None:
    while await conversation.request():
        await asyncio.sleep(0.05)
        await conversation.send(reply(b"{}", f"Set-Cookie: id={random.random()}"))


async def test_a_fallback_pool_s_answer_is_not_that_of_the_first() -> None:
    """Given while the first is down, but not kept; nor may its 304 confirm what the first has said."""

    async def second(conversation: Conversation) -> None:
        while request := await conversation.request():
            same = b"If-None-Match" in request
            await conversation.send(
                b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n' if same else reply(b"second", 'ETag: "a"')
            )

    handlers = (answers(reply(b"first", 'ETag: "a"')), second)
    routes = [{"name": "r", "pool": "one", "fallback": ["two"], "cache": "on"}]
    pool = {"retries": {"attempts": 1}}
    async with cached(*handlers, apart=("one", "two"), pool=pool, routes=routes) as (app, (one, two)):
        assert (await fetch(app, get("/x"))).body == b"first"
        await one.__aexit__()
        assert (await fetch(app, get("/y"))).body == b"second"
        assert entries(app) == 1
        grow_old(app, 4000)
        answer = await fetch(app, get("/x"))
        assert answer.body == b"second"
        assert len(two.requests) == 3


async def test_pools_that_share_a_route_s_requests_do_not_share_answers() -> None:
    """Half and half by chance: each pool's answer is kept for itself."""
    routes = [
        {
            "name": "r",
            "split": [{"pool": "one", "weight": 1}, {"pool": "two", "weight": 1}],
            "cache": "on",
        }
    ]
    handlers = answers(ok(b"one")), answers(ok(b"two"))
    async with cached(*handlers, apart=("one", "two"), routes=routes) as (app, backends):
        got = [(await fetch(app)).body for _ in range(40)]
        assert set(got) == {b"one", b"two"}
        assert [len(backend.requests) for backend in backends] == [1, 1]


async def test_a_new_version_of_a_model_never_gives_what_the_old_one_said() -> None:
    """As soon as an answer names another version, whether it is kept itself or not."""
    version = "1"

    async def says_version(conversation: Conversation) -> None:
        while await conversation.request():
            await conversation.send(reply(version.encode(), f"X-Model-Version: {version}"))

    cache = {"fingerprint": "header:X-Model-Version"}
    for other in (QUESTION | {"seed": 7}, QUESTION | {"temperature": 1}):
        version = "1"
        async with cached(says_version, cache=cache) as (app, _):
            for _ in range(2):
                assert (await fetch(app)).body == b"1"
            version = "2"
            await fetch(app, post(other))
            new = await fetch(app)
            assert (new.body, new["cache-status"]) == (b"2", "gateway; fwd=miss; stored")


async def test_many_questions_at_once_each_get_their_own_stream() -> None:
    """A hundred clients, ten questions, some of whom leave: nobody sees a byte of another's stream."""
    rng = random.Random(7)

    async def streams(conversation: Conversation) -> None:
        while request := await conversation.request():
            seed = json.loads(request.partition(b"\r\n\r\n")[2])["seed"]
            await conversation.send(CHUNKED)
            for number in range(20):
                await put(conversation, chunk(b"data: %d %d\n\n" % (seed, number)))
                await asyncio.sleep(0.001)
            await conversation.send(chunk(b""))

    async def one(seed: int) -> None:
        async with await call(app) as client:
            await asyncio.sleep(rng.random() * 0.05)
            await client.send(post(STREAM | {"seed": seed}))
            if rng.random() < 0.3:
                await asyncio.sleep(rng.random() * 0.05)
                return
            answer = await client.answer()
            assert answer.body == b"".join(b"data: %d %d\n\n" % (seed, number) for number in range(20))

    async with cached(streams, cache={"ttl": "50ms"}) as (app, _):
        for _ in range(3):
            await asyncio.gather(*(one(number % 10) for number in range(100)))
        assert kept(app).flights.joined > 0


async def test_what_is_held_and_kept_stays_within_bounds() -> None:
    """A thousand different answers: no more bytes than max_size, and nothing under way afterwards."""
    async with cached(numbered(lambda n: ok(b"%d" % n + b"x" * 5000)), cache={"max_size": "1MiB"}) as (
        app,
        _,
    ):
        async with await call(app) as client:
            for number in range(1000):
                await client.ask(post(QUESTION | {"seed": number}))
        figures = kept(app).memory.figures
        assert 0 < figures.bytes <= 1024 * 1024
        assert figures.entries == entries(app)
        assert len(kept(app).flights) == 0


async def test_one_that_joined_is_not_given_the_leader_s_id_or_timing() -> None:
    """What speaks of one exchange is said to that one."""

    async def slowly(conversation: Conversation) -> None:
        while await conversation.request():
            await asyncio.sleep(0.1)
            await conversation.send(reply(b"{}", "X-Request-ID: theirs", "X-RateLimit-Remaining: 3"))

    async with cached(slowly) as (app, _), crowd(app, 3) as clients:
        await joined(app, 2)
        got = await asyncio.gather(*(client.answer() for client in clients))
        assert [("x-ratelimit-remaining" in answer) for answer in got] == [True, False, False]
        assert len({answer.fields[-1] for answer in got}) >= 1
        assert all("theirs" not in dict(answer.fields).get("x-request-id", "") for answer in got[1:])
