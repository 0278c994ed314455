"""Is a request that must be answered in time answered, or refused in time, and nobody blamed for it?"""

import asyncio
import re
from typing import Any

import pytest

from tests.harness import (
    CHUNKED,
    Answer,
    Conversation,
    answers,
    ask,
    call,
    chunk,
    get,
    left_over,
    ok,
    outcomes,
    post,
    scripted,
    settled,
    state,
)
from tests.integration.test_waiting import Crowd, Held, limited, told

FIELD = "X-Gateway-Timeout: "


def request(timeout: str) -> bytes:
    return post(b"{}", "/v1/chat/completions", FIELD + timeout)


def forwarded(received: bytes) -> float | None:
    """Seconds in the X-Gateway-Timeout that a backend was sent; None when there was none."""
    found = re.findall(rb"\r\nX-Gateway-Timeout: ([0-9.]+)s\r\n", received, re.IGNORECASE)
    assert len(found) == received.lower().count(b"x-gateway-timeout") <= 1
    return float(found[0]) if found else None


async def hears(conversation: Conversation) -> None:
    """Takes the request and does not answer."""
    await conversation.request()
    await conversation.reader.read()


def check_blameless(app: Any) -> None:
    assert outcomes(app) == {"cancelled": 1}
    for backend in app.pools["default"].backends:
        assert (backend.outlier.failures, state(app, backend.name)) == (0, "up")
        assert backend.latency.value_s is None


async def test_a_request_whose_time_is_over_is_told_so() -> None:
    """504 `deadline_exceeded`; the backend is not blamed, and the attempt is not made again."""
    async with scripted(hears, hears, retries={"on": ["timeout", "connect", "504"]}) as (app, backends):
        async with await call(app) as client:
            answer = await client.ask(request("80ms"))
            assert (answer.status, answer["x-gateway-error"]) == (504, "deadline_exceeded")
            assert answer.json()["error"]["code"] == "deadline_exceeded"
        await settled(lambda: not left_over(app))
        assert sum(len(backend.requests) for backend in backends) == 1
        check_blameless(app)
        assert app.pools["default"].retries == {}


async def test_the_backend_is_told_how_much_is_left() -> None:
    """The forwarded value is what the client gave less what has passed; one field, whatever the spelling."""
    async with scripted(answers(ok())) as (app, (backend,)):
        for text, seconds in (("5s", 5.0), ("5", 5.0), ("5000ms", 5.0), ("2m", 120.0), ("0.1h", 360.0)):
            assert await ask(app, 1, request(text)) == [200]
            left_s = forwarded(backend.requests[-1])
            assert left_s is not None, text
            assert seconds / 2 < left_s <= seconds


async def test_a_retry_has_what_is_left() -> None:
    """The second attempt is told less than the first, by what the first has taken."""

    async def late(conversation: Conversation) -> None:
        await conversation.request()
        await asyncio.sleep(0.05)
        conversation.abort()

    async with scripted(late, answers(ok())) as (app, (one, two)):
        assert await ask(app, 1, request("10s")) == [200]
        first, second = forwarded(one.requests[0]), forwarded(two.requests[0])
        assert first is not None and second is not None
        assert second < first - 0.04


@pytest.mark.parametrize("given", ["1000s", "20m"])
async def test_more_time_than_there_is_changes_nothing(given: str) -> None:
    """A time above the pool's `total` is not passed on, and the pool's own holds: 504 `total_timeout`."""
    async with scripted(answers(ok()), timeouts={"total": "900s"}) as (app, (backend,)):
        assert await ask(app, 1, request(given)) == [200]
        assert forwarded(backend.requests[0]) is None
    async with scripted(hears, timeouts={"total": "80ms"}) as (app, (backend,)), await call(app) as client:
        answer = await client.ask(request(given))
        assert (answer.status, answer["x-gateway-error"]) == (504, "total_timeout")
        assert forwarded(backend.requests[0]) is None


async def test_without_a_time_none_is_passed_on() -> None:
    """The gateway's own bounds are no business of the backend's."""
    async with scripted(answers(ok())) as (app, (backend,)):
        assert await ask(app) == [200]
        assert forwarded(backend.requests[0]) is None


@pytest.mark.parametrize("value", ["soon", "-1s", "0", "0ms", "5 s", "1e3", "5s, 6s", "", "nan", "5d"])
async def test_a_time_that_is_none_is_refused(value: str) -> None:
    """400, and nobody is asked."""
    async with scripted(answers(ok())) as (app, (backend,)), await call(app) as client:
        answer = await client.ask(request(value))
        assert (answer.status, answer["x-gateway-error"]) == (400, "bad_request")
        assert not backend.requests


async def test_an_answer_that_lasts_too_long_is_cut() -> None:
    """After the first byte nothing can be taken back: the answer ends without its end, nobody is blamed."""

    async def streams(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(CHUNKED + chunk(b"begun"))
        await conversation.reader.read()

    async with scripted(streams) as (app, (backend,)):
        async with await call(app) as client:
            await client.send(request("150ms"))
            assert (await client.head()).status == 200
            assert await client.chunk() == b"begun"
            rest = await client.rest()
            assert b"0\r\n\r\n" not in rest and b"HTTP/1.1" not in rest
        await settled(lambda: not left_over(app))
        assert outcomes(app) == {"cancelled": 1}
        assert app.pools["default"].backend("a").outlier.failures == 0
        await settled(backend.conversations[0].writer.transport.is_closing)
        (route,) = [stats for stats in app.metrics.routes.values() if stats.requests]
        assert sum(route.requests.values()) == 1


async def test_a_request_is_refused_while_it_waits() -> None:
    """Its time ends in the queue: 503, before the pool's own `queue_timeout`, and never sent."""
    held = Held()
    async with limited(held) as (app, _), Crowd(app) as crowd:
        await crowd.served("/1")
        await crowd.waits("/2", FIELD + "100ms")
        answer = await crowd.answer("/2")
        assert told(answer)[0] == 503
        assert answer["x-gateway-error"] in ("queue_timeout", "deadline")
        assert len(crowd.queue) == 0
        held.go()
        assert (await crowd.answer("/1")).status == 200
        assert held.came == ["/1"]


async def test_a_request_that_would_wait_too_long_is_refused_at_once() -> None:
    """The queue is known to move slowly: who has no time for that is told `deadline` and does not wait."""
    held = Held()
    async with limited(held) as (app, _), Crowd(app) as crowd:
        await crowd.served("/0")
        for number in range(1, 12):
            await crowd.waits(f"/{number}")
        for number in range(6):
            await settled(lambda number=number: len(held.came) == number + 1)  # type: ignore[misc]
            await asyncio.sleep(0.05)
            held.go()
        waiting = len(crowd.queue)
        assert waiting >= 4
        async with await call(app) as client:
            assert told(await client.ask(get("/late", FIELD + "60ms"))) == (503, "deadline", "deadline")
        held.go(12)
        assert await crowd.answers() == [200] * 12
        assert "/late" not in held.came
        assert app.pools["default"].shed == {"deadline": 1}


async def test_who_has_less_time_is_served_first() -> None:
    """Of two of one credential that wait the one whose time ends sooner is next."""
    held = Held()
    async with limited(held) as (app, _), Crowd(app) as crowd:
        await crowd.served("/first")
        await crowd.waits("/patient")
        await crowd.waits("/hurried", FIELD + "5s")
        held.go(3)
        assert await crowd.answers() == [200] * 3
        assert held.came == ["/first", "/hurried", "/patient"]


async def test_time_spent_in_the_queue_is_not_passed_on() -> None:
    """The backend is told what is left after the wait."""
    held = Held()
    async with limited(held) as (app, (backend,)), Crowd(app) as crowd:
        await crowd.served("/1")
        await crowd.waits("/2", FIELD + "10s")
        await asyncio.sleep(0.05)
        held.go(2)
        answer: Answer = await crowd.answer("/2")
        assert answer.status == 200
        left_s = forwarded(backend.requests[1])
        assert left_s is not None and 1.0 < left_s < 9.96
