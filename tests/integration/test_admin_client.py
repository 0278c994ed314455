"""Does the client of `gateway status` and `gateway top` understand the admin side, and say what is wrong?"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from gateway.top import client
from gateway.top.client import Admin, Refused, Unreachable, session
from gateway.top.document import Decision, Overview
from tests.harness import Backend, Conversation, admin_url, answers, ask, gateway, ok, refusing, url

NAMED = [
    {"url": "http://127.0.0.1:1", "name": "meta/llama:3+a@b"},
    {"url": "http://127.0.0.1:2", "name": "b"},
]


@contextlib.asynccontextmanager
async def admin(where: str) -> AsyncIterator[Admin]:
    async with session() as asked:
        yield Admin(where, asked)


async def silent(conversation: Conversation) -> None:
    await conversation.request()
    await asyncio.Event().wait()


async def cut(conversation: Conversation) -> None:
    await conversation.request()
    conversation.abort()


async def test_a_gateway_tells_what_it_does() -> None:
    """Counts of requests, attempts and latencies, by buckets that belong to their bounds."""
    async with Backend(answers(ok())) as backend, gateway(backend.url) as app, admin(admin_url(app)) as asked:
        assert await ask(app, 7) == [200] * 7
        overview, body = await asked.overview()
        assert body.startswith(b"{")
        assert overview.status.version == app.version
        (route,) = overview.routes
        assert (route.requests, route.duration.count, sum(route.duration.counts)) == (7, 7, 7)
        assert len(route.duration.counts) == len(overview.latency_bounds_s) + 1
        ((only,),) = [pool.backends for pool in overview.pools]
        assert (only.selected, only.ended, only.failed, only.state) == (7, 7, 0, "up")


async def test_the_stream_tells_of_documents_and_decisions() -> None:
    """An overview at once, what was decided, and the end of it all as a failure."""
    async with Backend(answers(ok())) as backend, gateway(backend.url) as app, admin(admin_url(app)) as asked:
        assert await ask(app, 3) == [200] * 3
        came: list[Overview | list[Decision]] = []
        with pytest.raises(Unreachable, match="closed"):
            async with asyncio.timeout(20):
                async for one in asked.live(0.5):
                    came.append(one)
                    if len(came) == 4:
                        await app.close()
        assert isinstance(came[0], Overview)
        (decisions,) = [one for one in came if not isinstance(one, Overview)]
        assert [decision.status for decision in decisions] == [200] * 3
        assert [attempt.candidates[0].backend for one in decisions for attempt in one.attempts]


async def test_any_name_can_be_drained() -> None:
    """With slashes and colons in it; the gateway's refusal is its own words."""
    pools = {"a/b": {"backends": NAMED, "health": {"path": None}}}
    async with gateway(pools=pools) as app, admin(admin_url(app)) as asked:
        assert await asked.change("a/b", "meta/llama:3+a@b", "drain") == "draining"
        assert app.pools["a/b"].backend("meta/llama:3+a@b").draining
        assert await asked.change("a/b", "meta/llama:3+a@b", "undrain") != "draining"
        with pytest.raises(Refused, match=r"has no backend of that name; it has: "):
            await asked.change("a/b", "c", "drain")
        with pytest.raises(Refused, match="there is no pool of that name"):
            await asked.change("c", "b", "drain")


async def test_who_is_no_gateway_is_told() -> None:
    """The gateway's own listener, a page, JSON of somebody else, something that is not HTTP."""
    page = ok(b"<html>hello</html>", b"text/html")
    other = ok(b'{"status": "ok"}')
    async with gateway("http://127.0.0.1:1") as app:
        places = [url(app)]
        async with (
            Backend(answers(page)) as a,
            Backend(answers(other)) as b,
            Backend(answers(b"SSH-2.0\r\n")) as c,
        ):
            for place in (*places, a.url, b.url, c.url):
                async with admin(place) as asked:
                    with pytest.raises(Unreachable) as told:
                        await asked.overview()
                    assert str(told.value).startswith(f"{place}: what answers there is no admin side")
                    assert str(told.value).endswith("check the address: clients use another one")
                    assert "\n" not in str(told.value)


async def test_an_answer_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """One beyond all measure is no gateway's, and does not fill the memory."""
    monkeypatch.setattr(client, "MAX_BYTES", 100_000)
    async with Backend(answers(ok(b"x" * 200_000))) as backend, admin(backend.url) as asked:
        with pytest.raises(Unreachable, match="more than 100000 bytes"):
            await asked.overview()


async def test_a_stream_of_something_else() -> None:
    """No overview in it, or none that can be read: both end in a failure, never in silence."""
    strange = ok(b"event: overview\ndata: {}\n\n", b"text/event-stream")
    for answer, why in ((strange, "no admin side"), (ok(b"hello"), "closed")):
        async with Backend(answers(answer)) as backend, admin(backend.url) as asked:
            with pytest.raises(Unreachable, match=why):
                async for _ in asked.live(0.5):
                    raise AssertionError


async def test_who_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody there, nobody by that name, one that hangs, one that breaks off: each says what to look for."""
    monkeypatch.setattr(client, "TIMEOUT_S", 0.3)
    with refusing() as nobody:
        async with Backend(silent) as hanging, Backend(cut) as cutting:
            for place, why in (
                (nobody, "connection refused; is the gateway running, and is this its admin address?"),
                ("http://gateway.invalid:1", "nobody knows the host gateway.invalid; check the address"),
                (hanging.url, "no answer within 0 s; it hangs, or packets are dropped on the way"),
                (cutting.url, "the connection was closed; the gateway has ended, or is being restarted"),
            ):
                async with admin(place) as asked:
                    with pytest.raises(Unreachable) as told:
                        await asked.overview()
                    assert str(told.value) == f"{place}: {why}"
                    with pytest.raises(Unreachable):
                        async for _ in asked.live(0.1):
                            raise AssertionError


async def test_tls_where_there_is_none_is_told() -> None:
    """As such, and with the scheme that a gateway speaks."""
    async with (
        gateway("http://127.0.0.1:1") as app,
        admin(admin_url(app).replace("http:", "https:")) as asked,
    ):
        with pytest.raises(
            Unreachable, match=r"no TLS connection \(.+\); a gateway's own .* speaks http://$"
        ):
            await asked.overview()


async def test_too_many_listeners_are_told_so() -> None:
    """The gateway's words, not a riddle."""
    async with gateway("http://127.0.0.1:1") as app, contextlib.AsyncExitStack() as stack:
        for _ in range(40):
            asked = await stack.enter_async_context(admin(admin_url(app)))
            stream = asked.live(0.5)
            stack.push_async_callback(stream.aclose)
            try:
                await anext(stream)
            except Refused as refused:
                assert "listen already" in str(refused)
                break
        else:
            pytest.fail("everybody was let in")


async def test_leaving_a_stream_ends_it() -> None:
    """Cancelled while it waits, the request to the gateway is over."""
    async with gateway("http://127.0.0.1:1") as app, admin(admin_url(app)) as asked:
        heard = asyncio.Event()

        async def listen() -> None:
            async for _ in asked.live(10):
                heard.set()

        task = asyncio.create_task(listen())
        async with asyncio.timeout(10):
            await heard.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (await asked.overview())[0].status.ready
