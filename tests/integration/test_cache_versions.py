"""Versions of models by /v1/models: what backends say there decides what is kept and what is given."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway import cache_versions
from gateway.app import App
from gateway.cache.model_list import NO_LIST
from tests.harness import Answer, Backend, Conversation, call, gateway, ok, post, settled

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
FORBIDDEN = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
LOADING = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
CACHE = {"fingerprint": "models", "scope": "shared"}


class Server:
    """A model server whose answers say which model gave them; `lists` is what it says at /v1/models."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.lists: bytes | None = None
        self.asked = 0
        self.listed = 0
        self.hold: asyncio.Event | None = None

    async def __call__(self, conversation: Conversation) -> None:
        while request := await conversation.request():
            if request.startswith(b"GET /v1/models"):
                self.listed += 1
                await conversation.send(self.lists or self._list())
                continue
            self.asked += 1
            if self.hold is not None:
                await self.hold.wait()
            await conversation.send(ok(json.dumps({"model": self.model, "number": self.asked}).encode()))

    def _list(self) -> bytes:
        model = {"id": "m", "root": self.model, "created": self.listed, "permission": [{"id": self.listed}]}
        return ok(json.dumps({"object": "list", "data": [model]}).encode())


class Changing(Server):
    """A server that is another one each time, by what it says."""

    def _list(self) -> bytes:
        return ok(json.dumps({"data": [{"id": "m", "now": self.listed}]}).encode())


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_versions, "EVERY_S", 0.05)


@contextlib.asynccontextmanager
async def serving(
    *servers: Server, pool: dict[str, Any] | None = None, **cache: Any
) -> AsyncIterator[tuple[App, list[Backend]]]:
    async with contextlib.AsyncExitStack() as stack:
        backends = [await stack.enter_async_context(Backend(server)) for server in servers]
        named = [{"url": b.url, "name": name} for b, name in zip(backends, "ab", strict=False)]
        rules = {"backends": named, "health": {"path": None}, "policy": "round_robin", **(pool or {})}
        app = await stack.enter_async_context(gateway(pools={"default": rules}, cache={**CACHE, **cache}))
        yield app, backends


async def known(app: App, *names: str) -> None:
    assert app.cache is not None
    versions = app.cache.versions
    await settled(lambda: all(versions.known("default", name) for name in names))


async def again(server: Server) -> None:
    """Wait for a question that was sent after now, and its answer."""
    listed = server.listed
    await settled(lambda: server.listed >= listed + 2)


async def ask(app: App, text: str = "x") -> Answer:
    async with await call(app) as client:
        return await client.ask(post({"model": "m", "prompt": text}))


def model(answer: Answer) -> str:
    return str(json.loads(answer.body)["model"])


async def test_answers_are_kept_under_the_version_that_gave_them() -> None:
    """And given again while the backend still says so, however often it is asked."""
    server = Server("v1")
    async with serving(server) as (app, _):
        await known(app, "a")
        first = await ask(app)
        await again(server)
        second = await ask(app)
        assert first.body == second.body
        assert server.asked == 1
        assert b"hit" in second["cache-status"].encode()
        assert app.cache is not None
        ((_, entry),) = app.cache.memory.items()
        assert entry.fingerprint.startswith("models:")


async def test_another_version_is_never_answered_for_by_the_one_before() -> None:
    """Once the backend says that it is another, what was kept goes."""
    server = Server("v1")
    async with serving(server) as (app, _):
        await known(app, "a")
        assert model(await ask(app)) == "v1"
        server.model = "v2"
        await again(server)
        assert model(await ask(app)) == "v2"
        assert model(await ask(app)) == "v2"
        assert server.asked == 2
        assert app.cache is not None
        assert app.cache.memory.figures.evictions["model"] == 1


async def test_nothing_is_kept_before_the_version_is_known() -> None:
    """A server that is still loading has not said what it is; its answers are passed on."""
    server = Server("v1")
    server.lists = LOADING
    async with serving(server) as (app, _):
        await settled(lambda: server.listed > 0)
        first = await ask(app)
        assert (await ask(app)).body != first.body
        assert "stored" not in first["cache-status"]
        server.lists = None
        await known(app, "a")
        third = await ask(app)
        assert (await ask(app)).body == third.body
        assert server.asked == 3


async def test_those_who_wait_for_the_same_share_it_though_it_is_not_kept() -> None:
    """An unknown version is no reason to compute the same at the same time."""
    server = Server("v1")
    server.lists, server.hold = LOADING, asyncio.Event()
    async with serving(server) as (app, _):
        asking = [asyncio.ensure_future(ask(app)) for _ in range(5)]
        await settled(lambda: app.metrics.route("default").in_flight == 5)
        server.hold.set()
        answers = await asyncio.gather(*asking)
        assert len({answer.body for answer in answers}) == 1
        assert server.asked == 1
        assert app.cache is not None
        assert app.cache.memory.figures.entries == 0


async def test_a_backend_without_the_list_is_one_version() -> None:
    """404 is an answer: it has none to tell apart; when it has one later, that is another."""
    server = Server("v1")
    server.lists = NOT_FOUND
    async with serving(server) as (app, _):
        await known(app, "a")
        first = await ask(app)
        assert (await ask(app)).body == first.body
        assert app.cache is not None
        ((_, entry),) = app.cache.memory.items()
        assert entry.fingerprint == NO_LIST
        server.lists = None
        await again(server)
        assert (await ask(app)).body != first.body


async def test_a_list_that_is_not_understood_is_said_and_nothing_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Such as one that needs a key; the warning says what to do, once."""
    server = Server("v1")
    server.lists = FORBIDDEN
    with caplog.at_level(logging.WARNING):
        async with serving(server) as (app, _):
            await again(server)
            assert (await ask(app)).body != (await ask(app)).body
    said = [record.getMessage() for record in caplog.records if record.name == "gateway.cache_versions"]
    assert len(said) == 1
    assert "answered 401" in said[0]
    assert "cache.fingerprint" in said[0]


async def test_a_list_that_never_stays_the_same_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing would ever be given again, and nobody would know why."""
    server = Changing("v1")
    with caplog.at_level(logging.WARNING):
        async with serving(server):
            await settled(lambda: server.listed > 10)
    said = [record.getMessage() for record in caplog.records if record.name == "gateway.cache_versions"]
    assert len(said) == 1
    assert "something else each time" in said[0]


async def test_in_a_rolling_upgrade_the_old_version_goes_with_its_last_backend() -> None:
    """While one has it still, it is given; one that is drained does not count, and is not asked."""
    servers = {"a": Server("v1"), "b": Server("v1")}
    async with serving(*servers.values()) as (app, _):
        await known(app, "a", "b")
        first = await ask(app)
        assert app.cache is not None
        ((_, entry),) = app.cache.memory.items()
        (other,) = servers.keys() - {entry.backend}
        old, new = servers[entry.backend], servers[other]
        new.model = "v2"
        await again(new)
        assert (await ask(app)).body == first.body
        app.pools["default"].drain(entry.backend)
        assert model(await ask(app)) == "v2"
        listed = old.listed
        await again(new)
        await again(new)
        assert old.listed <= listed + 1, "one question may have been under way"
        app.pools["default"].undrain(entry.backend)
        await known(app, entry.backend)


async def test_an_answer_under_way_during_a_change_is_not_kept() -> None:
    """It may be of either version."""
    server = Server("v1")
    async with serving(server) as (app, _):
        await known(app, "a")
        server.hold = asyncio.Event()
        asking = asyncio.ensure_future(ask(app))
        await settled(lambda: server.asked == 1)
        server.model = "v2"
        await again(server)
        server.hold.set()
        await asking
        assert app.cache is not None
        assert app.cache.memory.figures.entries == 0


async def test_while_the_backend_is_away_its_answers_are_given() -> None:
    """A crash is when they are worth most; of a backend that is back they count once it has been asked."""
    server = Server("v1")
    async with serving(server) as (app, (backend,)):
        await known(app, "a")
        first = await ask(app)
        await backend.__aexit__()
        assert app.cache is not None
        versions = app.cache.versions
        await settled(lambda: not versions.known("default", "a"))
        assert (await ask(app)).body == first.body


async def test_a_backend_that_comes_up_is_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only when its next turn comes."""
    monkeypatch.setattr(cache_versions, "EVERY_S", 60.0)
    server = Server("v1")
    async with serving(server) as (app, _):
        await known(app, "a")
        app.pools["default"].drain("a")
        assert app.cache is not None
        assert not app.cache.versions.known("default", "a")
        app.pools["default"].undrain("a")
        await known(app, "a")
        assert server.listed == 2


async def test_entries_of_before_a_restart_wait_for_the_first_word() -> None:
    """A store that outlives the process may hold what another version gave."""
    server = Server("v1")
    async with serving(server) as (app, _):
        await known(app, "a")
        await ask(app)
        assert app.cache is not None
        kept = list(app.cache.memory.items())
    server.lists = LOADING
    async with serving(server) as (app, _):
        assert app.cache is not None
        ((digest, entry),) = kept
        app.cache.memory.put(digest, entry, entry.stored_at)
        assert (await ask(app)).body != entry.body
        server.lists = None
        await known(app, "a")
        assert (await ask(app)).body == entry.body
        server.model = "v2"
        await again(server)
        assert model(await ask(app)) == "v2"


async def test_nobody_is_asked_without_a_route_that_wants_it() -> None:
    """`fingerprint` left out: no questions."""
    server = Server("v1")
    async with serving(server, fingerprint=None) as (app, _):
        assert (await ask(app)).body == (await ask(app)).body
        assert server.listed == 0


async def test_versions_named_by_answers_wait_for_the_first_answer_after_a_restart() -> None:
    """Until then nobody knows what is there; from then on what is kept of that version is given."""

    async def handler(conversation: Conversation) -> None:
        while request := await conversation.request():
            body = json.dumps({"model": "v1", "asked": request.decode()[-20:], "number": id(request)})
            answer = ok(body.encode())
            await conversation.send(answer.replace(b"\r\n\r\n", b"\r\nX-Version: v1\r\n\r\n", 1))

    cache = {"scope": "shared", "fingerprint": "header:X-Version"}
    async with Backend(handler) as backend:
        pools = {"default": {"backends": [{"url": backend.url, "name": "a"}], "health": {"path": None}}}
        async with gateway(pools=pools, cache=cache) as app:
            for text in ("x", "y"):
                await ask(app, text)
            assert app.cache is not None
            kept = list(app.cache.memory.items())
            assert len(kept) == 2
        async with gateway(pools=pools, cache=cache) as app:
            assert app.cache is not None
            for digest, entry in kept:
                app.cache.memory.put(digest, entry, entry.stored_at)
            assert "fwd=miss" in (await ask(app, "x"))["cache-status"]
            assert "hit" in (await ask(app, "y"))["cache-status"]
