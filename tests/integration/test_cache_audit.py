"""Audits: what is kept is asked for anew while nobody asks, and a route's cache goes off when it is wrong."""

import asyncio
import contextlib
import gzip
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway import auditor, cache_versions
from gateway.app import App
from gateway.cache.store import Purge
from tests.harness import (
    CHUNKED,
    Answer,
    Backend,
    Conversation,
    call,
    chunk,
    gateway,
    get,
    left_over,
    ok,
    post,
    settled,
)

CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
ASKED = {"model": "m", "temperature": 0, "prompt": "x"}


class Server:
    """A model server that counts; `answer` makes each answer from its number."""

    def __init__(self, answer: Callable[[int], bytes]) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.hold: asyncio.Event | None = None

    async def __call__(self, conversation: Conversation) -> None:
        while request := await conversation.request():
            self.requests.append(request)
            if self.hold is not None and b"held" in request:
                await self.hold.wait()
            answer = self.answer(len(self.requests))
            await conversation.send(answer)
            if answer == CUT:
                return


def completion(number: int, text: str = "a") -> bytes:
    """The same answer as ever, under another id."""
    return ok(json.dumps({"id": f"cmpl-{number}", "created": number, "choices": [{"text": text}]}).encode())


def different(number: int) -> bytes:
    return completion(number, f"answer {number}")


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditor, "EVERY_S", 0.01)
    monkeypatch.setattr(cache_versions, "EVERY_S", 0.05)


@contextlib.asynccontextmanager
async def serving(
    answer: Callable[[int], bytes], audit: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[tuple[App, Server]]:
    """A gateway that audits every hit it can, in front of one server."""
    server = Server(answer)
    rule = {"share": 1, "min_checked": 5, **(audit or {})}
    cache = {"scope": "shared", "audit": rule, **settings.pop("cache", {})}
    async with Backend(server) as backend, gateway(backend.url, cache=cache, **settings) as app:
        yield app, server


async def ask(app: App, *fields: str, **body: Any) -> Answer:
    async with await call(app) as client:
        return await client.ask(post({**ASKED, **body}, "/v1/completions", *fields))


def audits(app: App, name: str = "default") -> dict[str, int]:
    return {result: count for result, count in app.metrics.route(name).audits.items() if count}


async def audited(app: App, times: int, **body: Any) -> None:
    """Ask until so many audits have ended."""
    for _ in range(times):
        before = sum(audits(app).values())
        await ask(app, **body)
        await settled(lambda: sum(audits(app).values()) > before)  # noqa: B023  awaited at once


async def test_hits_are_asked_for_anew_and_the_same_answer_is_a_match() -> None:
    """Whatever is random in it; the new answer goes nowhere, and is no request of the route."""
    async with serving(completion) as (app, server):
        first = await ask(app)
        await audited(app, 3)
        assert (await ask(app)).body == first.body
        assert audits(app)["match"] >= 3
        assert app.metrics.route("default").mismatch_ratio == 0.0
        requests = app.metrics.route("default").requests
        assert sum(requests.values()) == 5
        assert app.cache is not None
        assert app.cache.memory.figures.entries == 1
        assert json.loads(server.requests[1].partition(b"\r\n\r\n")[2]) == ASKED
        await settled(lambda: not left_over(app))


async def test_too_many_other_answers_turn_the_routes_cache_off(caplog: pytest.LogCaptureFixture) -> None:
    """With a warning that says what to do; requests then go past it."""
    with caplog.at_level(logging.WARNING):
        async with serving(different) as (app, _):
            first = await ask(app)
            await audited(app, 4)
            assert (await ask(app)).body == first.body, "not after four: five have to be compared"
            await settled(lambda: audits(app) == {"mismatch": 5})
            after = await ask(app)
            assert after.body != first.body
            assert after["cache-status"] == "gateway; fwd=bypass; detail=audit"
            assert app.metrics.bypasses == {"audit": 1}
            assert app.metrics.route("default").mismatch_ratio == 1.0
    (said,) = [record.getMessage() for record in caplog.records if record.name == "gateway.auditor"]
    assert "route default: its cache is off" in said
    assert "purge" in said


async def test_a_purge_turns_it_on_again() -> None:
    """Of the whole route, since what was wrong with it was in its entries; it is then judged anew."""
    async with serving(different) as (app, _):
        await ask(app)
        await audited(app, 5)
        assert app.cache is not None
        await app.cache.purge(Purge(model="m"))
        await app.cache.purge(Purge(route="another"))
        assert (await ask(app))["cache-status"] == "gateway; fwd=bypass; detail=audit"
        await app.cache.purge(Purge(route="default"))
        assert app.metrics.route("default").mismatch_ratio is None
        first = await ask(app)
        assert (await ask(app)).body == first.body
        await settled(lambda: audits(app) == {"mismatch": 6})


async def test_others_are_not_judged_with_it() -> None:
    """Each route by its own audits."""
    routes = [
        {"name": "one", "match": {"path": "/v1/completions"}, "pool": "default", "cache": "on"},
        {"name": "two", "pool": "default", "cache": "on"},
    ]
    async with serving(different, routes=routes) as (app, _):
        await ask(app)
        for number in range(5):
            await ask(app)
            await settled(lambda n=number: audits(app, "one") == {"mismatch": n + 1})  # type: ignore[misc]
        assert (await ask(app))["cache-status"].endswith("audit")
        async with await call(app) as client:
            await client.ask(post(ASKED))
            assert "hit" in (await client.ask(post(ASKED)))["cache-status"]


async def test_nothing_is_audited_while_the_pool_has_something_to_do() -> None:
    """Clients come first, were it only one."""
    async with serving(completion) as (app, server):
        server.hold = asyncio.Event()
        await ask(app)
        busy = asyncio.ensure_future(ask(app, prompt="held"))
        await settled(lambda: len(server.requests) == 2)
        await ask(app)
        await asyncio.sleep(0.1)
        assert audits(app) == {}
        server.hold.set()
        await busy
        await settled(lambda: audits(app) == {"match": 1})


async def test_a_hit_waits_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is forgotten, and another may be audited."""
    monkeypatch.setattr(auditor, "WAIT_S", 0.05)
    async with serving(completion) as (app, server):
        server.hold = asyncio.Event()
        await ask(app)
        busy = asyncio.ensure_future(ask(app, prompt="held"))
        await settled(lambda: len(server.requests) == 2)
        await ask(app)
        await asyncio.sleep(0.15)
        server.hold.set()
        await busy
        await asyncio.sleep(0.05)
        assert audits(app) == {}
        await audited(app, 1)


async def test_an_error_of_the_moment_is_counted_and_judged_as_nothing() -> None:
    """A backend that fails says nothing about what is kept."""
    busy = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"

    def answer(number: int) -> bytes:
        return completion(number) if number == 1 else busy if number % 2 else CUT

    async with serving(answer, pool={"retries": {"attempts": 1}, "outlier": {"enforce": False}}) as (app, _):
        first = await ask(app)
        await audited(app, 3)
        assert audits(app) == {"failed": 3}
        assert app.metrics.route("default").mismatch_ratio is None
        assert (await ask(app)).body == first.body


async def test_streams_and_compressed_answers_are_compared_by_what_they_say() -> None:
    """Cut elsewhere, packed into other bytes: a match all the same."""

    def event(number: int, text: str) -> bytes:
        return b"data: %b\n\n" % json.dumps({"id": number, "choices": [{"index": 0, "text": text}]}).encode()

    def answer(number: int) -> bytes:
        texts = ["ab", "c"] if number % 2 else ["a", "bc"]
        return (
            CHUNKED
            + b"".join(chunk(event(number, text)) for text in texts)
            + chunk(b"data: [DONE]\n\n")
            + chunk(b"")
        )

    async with serving(answer) as (app, _):
        await ask(app, stream=True)
        await audited(app, 2, stream=True)
        assert audits(app) == {"match": 2}

    def packed(number: int) -> bytes:
        body = gzip.compress(json.dumps({"id": number, "choices": []}).encode(), mtime=number)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body

    async with serving(packed) as (app, _):
        await ask(app, "Accept-Encoding: gzip")
        for number in range(2):
            await ask(app, "Accept-Encoding: gzip")
            await settled(lambda n=number: audits(app) == {"match": n + 1})  # type: ignore[misc]


async def test_answers_that_need_not_be_the_same_are_not_audited() -> None:
    """Drawn by lot, asked for with a condition, or without a body."""
    async with serving(different, cache={"sampled": "store"}) as (app, _):
        drawn = await ask(app, temperature=1)
        assert (await ask(app, temperature=1)).body == drawn.body
        await asyncio.sleep(0.05)
        assert audits(app) == {}


async def test_what_cannot_be_compared_is_not_audited() -> None:
    """A request with a condition, which may be answered with 304, and one for the head alone."""
    async with serving(different) as (app, server), await call(app) as client:
        await client.ask(get("/x"))
        assert (await client.ask(get("/x", 'If-None-Match: "a"'))).status == 200
        await client.send(get("/x").replace(b"GET", b"HEAD", 1))
        assert "hit" in (await client.head())["cache-status"]
        await asyncio.sleep(0.05)
        assert len(server.requests) == 1
        assert audits(app) == {}


async def test_another_version_of_the_model_is_not_compared_with() -> None:
    """In a rolling upgrade both answer; that they differ is no fault of the cache."""

    def named(number: int) -> bytes:
        answer = different(number)
        return answer.replace(b"\r\n\r\n", b"\r\nX-Model: %d\r\n\r\n" % (number % 2), 1)

    async with serving(named, cache={"fingerprint": "header:x-model"}) as (app, server):
        await ask(app)
        await audited(app, 1)
        assert len(server.requests) == 2
        assert audits(app) == {"failed": 1}
        await audited(app, 1)
        assert audits(app) == {"failed": 1, "mismatch": 1}


async def test_by_asked_versions_audits_are_compared_too() -> None:
    """The backend's version is the entry's while it says so."""

    class Lists(Server):
        async def __call__(self, conversation: Conversation) -> None:
            while request := await conversation.request():
                if request.startswith(b"GET"):
                    await conversation.send(ok(b'{"data": []}'))
                else:
                    self.requests.append(request)
                    await conversation.send(different(len(self.requests)))

    server = Lists(different)
    cache = {"scope": "shared", "fingerprint": "models", "audit": {"share": 1}}
    async with Backend(server) as backend, gateway(backend.url, cache=cache) as app:
        assert app.cache is not None
        versions = app.cache.versions
        await settled(lambda: versions.known("default", backend.url.removeprefix("http://")))
        await ask(app)
        await audited(app, 2)
        assert audits(app) == {"mismatch": 2}


async def test_only_a_share_is_audited(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the dice say."""
    async with serving(completion, {"share": "10%"}) as (app, server):
        await ask(app)
        monkeypatch.setattr(app._rng, "random", lambda: 0.1)
        for _ in range(5):
            await ask(app)
        await asyncio.sleep(0.05)
        assert len(server.requests) == 1
        monkeypatch.setattr(app._rng, "random", lambda: 0.09)
        await audited(app, 1)


async def test_without_the_setting_nobody_is_asked() -> None:
    """It is off unless it is turned on."""
    async with serving(completion, {"share": 0}) as (app, server):
        for _ in range(3):
            await ask(app)
        await asyncio.sleep(0.05)
        assert len(server.requests) == 1


async def test_what_goes_to_the_backend_is_what_the_route_makes_of_it() -> None:
    """The rewritten model and path, the client's address and credentials, an id of its own."""
    routes = [
        {
            "name": "default",
            "match": {"path": "/openai/*"},
            "pool": "default",
            "cache": "on",
            "rewrite": {"model": "real", "prefix": "/"},
        }
    ]
    async with serving(completion, routes=routes) as (app, server):
        async with await call(app) as client:
            for _ in range(2):
                await client.ask(post(ASKED, "/openai/v1/completions", "Authorization: Bearer key"))
        await settled(lambda: audits(app) == {"match": 1})

        def told(request: bytes) -> tuple[list[bytes], bytes]:
            head, _, body = request.partition(b"\r\n\r\n")
            return [line for line in head.split(b"\r\n") if not line.startswith(b"X-Request-ID")], body

        assert told(server.requests[0]) == told(server.requests[1])
        assert b"POST /v1/completions" in server.requests[1]
        assert b'"real"' in server.requests[1]


async def test_it_is_shown() -> None:
    """Both series, at /metrics."""
    async with serving(different) as (app, _):
        await ask(app)
        await audited(app, 1)
        text, _ = await app.exposition.scrape()
    assert b'gateway_cache_audits_total{route="default",result="mismatch"} 1' in text
    assert b'gateway_cache_mismatch_ratio{route="default"} 1' in text
