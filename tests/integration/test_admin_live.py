"""Do consoles hear what is going on, each at its own pace, and are they told when it ends?"""

import asyncio
import contextlib
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.admin import live
from gateway.app import App
from gateway.messages import Outcome
from tests.harness import admin_url, answers, ask, gateway, get, ok, scripted, settled


class Stream:
    """A listener; `next` is the next event of that name as data."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def event(self) -> tuple[str, Any]:
        name = ""
        async with asyncio.timeout(10):
            async for line in self.response.content:
                text = line.decode().rstrip("\n")
                if text.startswith("event: "):
                    name = text[7:]
                if text.startswith("data: "):
                    return name, json.loads(text[6:])
        raise EOFError

    async def next(self, name: str = "overview") -> Any:
        while True:
            found, data = await self.event()
            if found == name:
                return data


class Client:
    """Asks the admin side; ends what it listens to."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.get = session.get
        self.streams: list[Stream] = []

    async def listen(self, app: App, interval: str = "0.5") -> Stream:
        response = await self.get(admin_url(app, f"/api/live?interval={interval}"))
        self.streams.append(Stream(response))
        assert response.status == 200 and response.content_type == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        return self.streams[-1]


@contextlib.asynccontextmanager
async def session() -> AsyncIterator[Client]:
    async with aiohttp.ClientSession(read_bufsize=1 << 23) as session:
        client = Client(session)
        try:
            yield client
        finally:
            for stream in client.streams:
                stream.response.close()


async def overview(client: Client, app: App) -> Any:
    async with client.get(admin_url(app, "/api/overview")) as response:
        assert response.status == 200
        return await response.json()


async def test_the_overview_is_what_its_parts_are() -> None:
    """Status, pools and routes agree with their own endpoints and with what was asked."""
    async with scripted(answers(ok()), answers(ok())) as (app, _), session() as client:
        await ask(app, 6)
        told = await overview(client, app)
        async with client.get(admin_url(app, "/api/pools")) as response:
            pools = (await response.json())["pools"]
        assert told["status"]["pid"] > 0 and told["status"]["ready"] is True
        (pool,) = told["pools"]
        assert [b["outcomes"] for b in pool["backends"]] == [b["outcomes"] for b in pools[0]["backends"]]
        assert pool.keys() == pools[0].keys() and pool["backends"][0].keys() == pools[0]["backends"][0].keys()
        (route,) = told["routes"]
        assert route["requests"] == 6 and route["by_class"] == {"2xx": 6} and route["errors"] == 0
        assert route["duration"]["count"] == sum(route["duration"]["counts"]) == 6
        assert len(route["duration"]["counts"]) == len(told["latency_bounds_s"]) + 1
        assert told["cache"] is None
        ok_ = sum(backend.outcomes[Outcome.OK] for backend in app.pools["default"].backends)
        assert sum(b["outcomes"]["ok"] for b in pool["backends"]) == ok_ == 6


async def test_listeners_hear_what_changes() -> None:
    """At once what there is, later what is new; decisions only when there are some."""
    async with scripted(answers(ok())) as (app, _), session() as client:
        await ask(app, 2)
        stream = await client.listen(app)
        assert (await stream.next())["routes"][0]["requests"] == 2
        first = await stream.next("decisions")
        assert first["recorded"] == 2 and len(first["decisions"]) == 2
        await ask(app, 3)
        told = await stream.next("decisions")
        assert told["recorded"] == 5 and len(told["decisions"]) == 3
        assert told["decisions"][0]["attempts"][0]["candidates_total"] == 1
        while (await stream.next())["routes"][0]["requests"] != 5:
            pass


async def test_a_document_is_made_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten listeners at one pace cost as many documents as one; when they have left, none is made."""
    made = 0
    real = live.overview

    async def counting(view: Any) -> bytes:
        nonlocal made
        made += 1
        return await real(view)

    monkeypatch.setattr(live, "overview", counting)
    async with scripted(answers(ok())) as (app, _), session() as client:
        streams = [await client.listen(app) for _ in range(10)]
        told = [[await stream.next() for _ in range(3)] for stream in streams]
        assert len({document["at_s"] for documents in told for document in documents}) <= made < 15
        for stream in streams:
            stream.response.close()
        endpoints = app._admin
        assert endpoints is not None
        await settled(lambda: endpoints.live_listeners == 0)
        before = made
        await asyncio.sleep(1.1)
        assert made == before


async def test_a_slow_listener_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who reads nothing keeps one document waiting at most; the others go on, and he is let go."""
    monkeypatch.setattr(live, "STUCK_S", 1.0)
    big = b"x" * 6_000_000  # more than the system takes off the gateway's hands

    async def document(view: Any) -> bytes:
        return b'"' + big + b'"'

    written: Counter[int] = Counter()
    write = web.StreamResponse.write

    async def counting(self: web.StreamResponse, data: bytes) -> None:
        written[id(self)] += 1
        await write(self, data)

    monkeypatch.setattr(web.StreamResponse, "write", counting)
    async with scripted(answers(ok())) as (app, _), session() as client:
        monkeypatch.setattr(live, "overview", document)
        assert app.admin_address is not None and app._admin is not None
        with socket.socket() as narrow:
            narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            narrow.connect(app.admin_address)
            _, writer = await asyncio.open_connection(sock=narrow.dup(), limit=1024)
        writer.write(b"GET /api/live?interval=0.5 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await settled(lambda: app._admin is not None and app._admin.live_listeners == 1)
        stream = await client.listen(app)
        for _ in range(4):
            await stream.next()
        assert len(written) == 2 and min(written.values()) == 1 and max(written.values()) >= 4
        admin = app._admin
        await settled(lambda: admin.live_listeners == 1)
        writer.transport.abort()


async def test_too_many_listeners_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """503 beyond the bound, which says what else there is; a place that is left is given again."""
    monkeypatch.setattr(live, "MAX_LISTENERS", 2)
    async with scripted(answers(ok())) as (app, _), session() as client:
        streams = [await client.listen(app) for _ in range(2)]
        async with client.get(admin_url(app, "/api/live")) as refused:
            assert refused.status == 503 and "Retry-After" in refused.headers
            assert "/api/overview" in (await refused.json())["error"]["message"]
        streams[0].response.close()
        admin = app._admin
        assert admin is not None
        await settled(lambda: admin.live_listeners == 1)
        await (await client.listen(app)).next()


@pytest.mark.parametrize("interval", ["0", "11", "fast"])
async def test_a_bad_interval_is_explained(interval: str) -> None:
    """400 with the bounds."""
    async with (
        scripted(answers(ok())) as (app, _),
        session() as client,
        client.get(admin_url(app, f"/api/live?interval={interval}")) as response,
    ):
        assert response.status == 400
        assert "seconds from 0.5 to 10" in (await response.json())["error"]["message"]


async def test_streams_end_with_the_gateway() -> None:
    """At once and properly, not cut off."""
    async with scripted(answers(ok())) as (app, _), session() as client:
        stream = await client.listen(app, "10")
        await stream.next()
        await asyncio.wait_for(app.close(), 5)
        with pytest.raises(EOFError):
            await stream.next()


async def test_strange_pages_hear_nothing() -> None:
    """Another origin, or a name that was made to point here, gets 403; the console's own origin is served."""
    async with scripted(answers(ok())) as (app, _), session() as client:
        for path in ("/api/live", "/api/overview", "/api/config"):
            for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
                async with client.get(admin_url(app, path), headers=headers) as response:
                    assert response.status == 403, path
        own = {"Origin": admin_url(app)}
        async with client.get(admin_url(app, "/api/live"), headers=own) as response:
            assert response.status == 200


async def test_the_configuration_is_shown_without_secrets() -> None:
    """Names and values that matter are there; values of header fields are not."""
    routes = [{"name": "r", "match": {"headers": {"x-key": "s3cret"}}, "pool": "default"}]
    async with gateway("http://127.0.0.1:9", routes=routes) as app, session() as client:
        async with client.get(admin_url(app, "/api/config")) as response:
            text = await response.text()
        shown = json.loads(text)
        assert shown["pools"]["default"]["policy"] == "least_latency"
        assert shown["pools"]["default"]["timeouts"]["connect"] == "2s"
        assert shown["routes"][0]["match"]["headers"].keys() == {"x-key"} and "s3cret" not in text


async def test_decisions_of_one_request() -> None:
    """`request_id` finds the whole decision behind a short one."""
    async with scripted(answers(ok()), answers(ok())) as (app, _), session() as client:
        await ask(app, 3)
        await ask(app, 1, get("/", "X-Request-ID: look-for-me"))
        async with client.get(admin_url(app, "/api/decisions?request_id=look-for-me")) as response:
            (found,) = (await response.json())["decisions"]
        assert found["request_id"] == "look-for-me" and len(found["attempts"][0]["candidates"]) == 2
