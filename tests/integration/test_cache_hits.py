"""Is a repeat answered from the cache, and said to be? Is everything else forwarded, and said why?"""

import asyncio
import json
from typing import Any

import pytest

from tests.harness import CHUNKED, answers, call, chunk, error_of, get, ok, post, raw, status_of
from tests.integration.caching import (
    EVENTS,
    QUESTION,
    STREAM,
    cached,
    entries,
    fetch,
    grow_old,
    kept,
    numbered,
    reply,
    stream_of,
)


async def test_a_repeat_is_a_hit_with_status_age_and_an_id_of_its_own() -> None:
    """The first is a miss that is stored; the next has the same body, its age, and its own request id."""
    body = b'{"answer":42}'
    async with cached(answers(reply(body, "X-Request-ID: theirs", "X-Kept: yes"))) as (app, (backend,)):
        first = await fetch(app, post(QUESTION, "/v1/chat/completions", "X-Request-ID: one"))
        grow_old(app, 7)
        second = await fetch(app, post(QUESTION, "/v1/chat/completions", "X-Request-ID: two"))
        assert first["cache-status"] == "gateway; fwd=miss; stored"
        assert "age" not in first
        assert second["cache-status"].startswith("gateway; hit; ttl=359")
        assert second["age"] == "7"
        assert (first["x-request-id"], second["x-request-id"]) == ("one", "two")
        assert first.body == second.body == body
        assert second["x-kept"] == "yes"
        assert second["content-length"] == str(len(body))
        assert second["via"] == "1.1 gateway"
        assert len(backend.requests) == 1


async def test_hits_get_ids_that_differ() -> None:
    """A request without an id of its own gets one, and no two are the same."""
    async with cached(answers(ok())) as (app, (backend,)):
        ids = {(await fetch(app))["x-request-id"] for _ in range(5)}
        assert len(ids) == 5
        assert len(backend.requests) == 1


async def test_what_makes_no_difference_is_a_hit() -> None:
    """Order of members, white space, and members that the route ignores do not count."""
    async with cached(answers(ok())) as (app, (backend,)):
        await fetch(app, post(b'{"model":"m","a":1,"b":[1.0]}'))
        for body in (b'{ "b": [1.0], "a":1,"model":"m" }', b'{"model":"m","a":1,"b":[1.0],"user":"me"}'):
            assert "hit" in (await fetch(app, post(body)))["cache-status"]
        assert len(backend.requests) == 1


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("Cache-Control: no-store", "no_store"),
        ("Range: bytes=0-1", "range"),
        ('If-Match: "a"', "conditional"),
    ],
)
async def test_a_request_that_asks_for_it_goes_past_the_cache(field: str, reason: str) -> None:
    """What is kept is neither given nor replaced, and the answer says why."""
    async with cached(numbered(lambda n: ok(b"%d" % n))) as (app, (backend,)):
        await fetch(app, get("/x"))
        past = await fetch(app, get("/x", field))
        assert past["cache-status"] == f"gateway; fwd=bypass; detail={reason}"
        assert past.body == b"1"
        again = await fetch(app, get("/x"))
        assert again.body == b"0"
        assert "hit" in again["cache-status"]
        assert len(backend.requests) == 2


async def test_no_cache_asks_anew_and_replaces_what_is_kept() -> None:
    """A reload is forwarded though there is a fresh answer; its own answer is the next one's hit."""
    async with cached(numbered(lambda n: ok(b"%d" % n))) as (app, _):
        await fetch(app)
        new = await fetch(app, post(QUESTION, "/v1/chat/completions", "Cache-Control: no-cache"))
        assert (new.body, new["cache-status"]) == (b"1", "gateway; fwd=request; stored")
        assert (await fetch(app)).body == b"1"


async def test_max_age_is_the_oldest_that_is_taken() -> None:
    """What is older than the request allows is asked for anew, what is younger is given."""
    async with cached(numbered(lambda n: ok(b"%d" % n))) as (app, _):
        await fetch(app)
        grow_old(app, 10)
        path = "/v1/chat/completions"
        assert (await fetch(app, post(QUESTION, path, "Cache-Control: max-age=60"))).body == b"0"
        assert (await fetch(app, post(QUESTION, path, "Cache-Control: max-age=5"))).body == b"1"
        assert (await fetch(app)).body == b"1"


async def test_only_if_cached_asks_no_backend() -> None:
    """There is a kept answer, or 504 not_cached; also where the cache could have no part in the request."""
    wish = "Cache-Control: only-if-cached"
    path = "/v1/chat/completions"
    async with cached(answers(ok(b"kept"))) as (app, (backend,)):
        for body in (QUESTION, QUESTION | {"temperature": 1}):
            refused = await raw(app, post(body, path, wish, "Connection: close"))
            assert status_of(refused) == 504
            assert error_of(refused)["code"] == "not_cached"
        assert backend.requests == []
        await fetch(app)
        assert (await fetch(app, post(QUESTION, path, wish))).body == b"kept"
        assert len(backend.requests) == 1
        assert kept(app).flights.joined == 0


@pytest.mark.parametrize("more", [{"temperature": 0.5}, {"n": 2}])
async def test_an_answer_drawn_by_lot_is_asked_for_each_time(more: dict[str, Any]) -> None:
    """Unless it says the seed, or the route says store."""
    async with cached(answers(ok())) as (app, (backend,)):
        for _ in range(2):
            drawn = await fetch(app, post(QUESTION | more))
            assert drawn["cache-status"] == "gateway; fwd=bypass; detail=sampled"
        assert len(backend.requests) == 2
        for _ in range(2):
            seeded = await fetch(app, post(QUESTION | more | {"seed": 1}))
        assert "hit" in seeded["cache-status"]
    async with cached(answers(ok()), cache={"sampled": "store"}) as (app, (backend,)):
        for _ in range(2):
            drawn = await fetch(app, post(QUESTION | more))
        assert "hit" in drawn["cache-status"]
        assert len(backend.requests) == 1


async def test_methods_that_are_not_listed_go_past() -> None:
    """PUT never is; POST is not where the configuration leaves it out."""
    async with cached(answers(ok()), cache={"methods": ["GET"]}) as (app, (backend,)):
        for _ in range(2):
            answer = await fetch(app)
            assert answer["cache-status"] == "gateway; fwd=bypass; detail=method"
        assert len(backend.requests) == 2


async def test_an_error_is_kept_only_where_negative_ttl_says_so_and_no_longer() -> None:
    """404 for its seconds; 500 never."""
    missing = reply(b"no", status="404 Not Found")
    async with cached(answers(missing)) as (app, (backend,)):
        for _ in range(2):
            assert (await fetch(app))["cache-status"] == "gateway; fwd=miss"
        assert len(backend.requests) == 2
    async with cached(answers(missing), cache={"negative_ttl": 10}) as (app, (backend,)):
        await fetch(app)
        again = await fetch(app)
        assert again.status == 404
        assert "hit; ttl=9" in again["cache-status"]
        grow_old(app, 11)
        assert (await fetch(app))["cache-status"] == "gateway; fwd=miss; stored"
        assert len(backend.requests) == 2
    broken = reply(b"no", status="500 Internal Server Error")
    async with cached(answers(broken), cache={"negative_ttl": 10}) as (app, (backend,)):
        for _ in range(2):
            assert (await fetch(app)).status == 500
        assert len(backend.requests) == 2


async def test_a_body_too_large_to_be_held_goes_past() -> None:
    """What is streamed through has no key."""
    async with cached(answers(ok()), limits={"buffer_body": 1000}) as (app, (backend,)):
        for _ in range(2):
            async with await call(app) as client:
                request = post(b'{"a":"' + b"x" * 5000 + b'"}')
                await client.send(request[:500])
                await asyncio.sleep(0.02)
                await client.send(request[500:])
                answer = await client.answer()
                assert answer["cache-status"] == "gateway; fwd=bypass; detail=body"
        assert len(backend.requests) == 2


async def test_a_stream_is_given_again_byte_by_byte() -> None:
    """The very bytes of its body, as a stream of its media type."""
    async with cached(answers(stream_of(EVENTS))) as (app, (backend,)):
        first, second = [await fetch(app, post(STREAM)) for _ in range(2)]
        assert first.body == second.body == b"".join(EVENTS)
        assert second["content-type"] == "text/event-stream"
        assert "hit" in second["cache-status"]
        assert len(backend.requests) == 1


async def test_streamed_and_not_are_told_apart() -> None:
    """A client that asks for no stream gets none, and the reverse."""

    def by_wish(number: int) -> bytes:
        return stream_of(EVENTS) if number == 0 else ok(b"{}")

    async with cached(numbered(by_wish)) as (app, (backend,)):
        for _ in range(2):
            assert (await fetch(app, post(STREAM)))["content-type"] == "text/event-stream"
            assert (await fetch(app, post(QUESTION))).body == b"{}"
        assert len(backend.requests) == 2


async def test_hits_and_misses_follow_each_other_on_one_connection() -> None:
    """Requests one behind the other, sent at once, are answered in their order and no byte is lost."""
    async with (
        cached(numbered(lambda n: ok(b"%d" % n))) as (app, _),
        await call(app) as client,
    ):
        paths = ["/a", "/b", "/a", "/b", "/c", "/a"]
        await client.send(b"".join(get(path) for path in paths))
        assert [(await client.answer()).body for _ in paths] == [b"0", b"1", b"0", b"1", b"2", b"0"]


async def test_a_model_that_is_rewritten_is_kept_under_the_name_it_was_asked_by() -> None:
    """Two names for one model are two keys, and both backends' requests carry the new name."""
    async with cached(
        answers(ok()),
        routes=[{"name": "r", "pool": "default", "rewrite": {"model": "real"}, "cache": "on"}],
    ) as (app, (backend,)):
        for name in ("one", "two", "one", "two"):
            await fetch(app, post(QUESTION | {"model": name}))
        bodies = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in backend.requests]
        assert [body["model"] for body in bodies] == ["real", "real"]
        assert entries(app) == 2


async def test_a_client_of_http_1_0_gets_a_kept_stream() -> None:
    """With a length, so it need not guess where the body ends."""
    async with cached(answers(CHUNKED + chunk(b"data: 1\n\n") + chunk(b""))) as (app, _):
        await fetch(app, get("/s"))
        old = await raw(app, b"GET /s HTTP/1.0\r\nHost: gateway.test\r\n\r\n")
        assert old.endswith(b"data: 1\n\n")
        assert b"hit" in old
