"""Is what the shared store has given to all who wait for it, and to each only what it may have?"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from gateway.app import App
from gateway.cache.entry import Entry, Key
from gateway.cache.store import Purge
from tests.harness import (
    Backend,
    Conversation,
    Handler,
    call,
    get,
    ok,
    post,
    settled,
)
from tests.integration.caching import (
    QUESTION,
    Hanging,
    cached,
    fetch,
    grow_old,
    in_turn,
    joined,
    kept,
    nothing_left,
    reply,
    say,
)


def variant(body: bytes, key: Key, vary: tuple[bytes, ...] = (), fresh_s: float = 60.0) -> Entry:
    """An entry of now; with `vary` the marker of a key whose answers are told apart."""
    import time

    status = 0 if vary else 200
    fields = b"Content-Type: application/json\r\n"
    return Entry(
        status, fields, body, time.time(), 0.0, fresh_s, 0.0, 600.0, 0.1, key.route, "default", "", "a",
        vary=vary, keep_s=600.0,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def shared(handler: Handler, *requests: bytes) -> AsyncIterator[tuple[App, Backend, Hanging]]:
    """A gateway whose shared store holds what the backend has answered to `requests`, and hangs."""
    async with cached(handler) as (app, (backend,)):
        for request in requests:
            await fetch(app, request)
        store = Hanging(dict(kept(app).memory.items()))
        kept(app).memory.purge(Purge())
        kept(app).shared = store
        asked = len(backend.requests)
        yield app, backend, store
        assert len(backend.requests) == asked
        await nothing_left(app)


async def by_language(conversation: Conversation) -> None:
    while request := await conversation.request():
        language = request.lower().partition(b"accept-language: ")[2][:2]
        await conversation.send(reply(language, "Vary: Accept-Language"))


async def test_what_the_shared_store_has_is_asked_for_once_and_given_to_all() -> None:
    """Those who wait are given it too; the backend is not asked."""

    async with shared(in_turn(say(ok(b"kept"))), post(QUESTION)) as (app, _, store):
        waiting = asyncio.gather(*(fetch(app) for _ in range(20)))
        await joined(app, 19)
        store.answer.set()
        assert {answer.body for answer in await waiting} == {b"kept"}
        assert len(store.asked) == 1


async def test_variants_in_the_shared_store_are_not_mixed_up() -> None:
    """Nobody knows that the answers differ until the store says so: each gets its own language."""
    requests = [get("/x", f"Accept-Language: {name}") for name in ("de", "en")]
    async with shared(by_language, *requests) as (app, _, store):
        waiting = asyncio.gather(*(fetch(app, request) for request in requests * 5))
        await joined(app, 9)
        store.answer.set()
        assert [answer.body for answer in await waiting] == [b"de", b"en"] * 5


async def test_who_takes_it_stale_does_not_make_others_take_it() -> None:
    """One says max-stale; who has joined it asks for a new one."""
    async with cached(in_turn(say(ok(b"old")), say(ok(b"new")))) as (app, (backend,)):
        await fetch(app, get("/x", "Cache-Control: max-age=0"))
        ((digest, entry),) = kept(app).memory.items()
        del entry
        store = Hanging()
        kept(app).shared = store
        grow_old(app, 3605)
        store.known = {d: variant(b"old", Key(d, "default", ""), fresh_s=-5.0) for d in (digest,)}
        kept(app).memory.purge(Purge())
        async with await call(app) as lax, await call(app) as strict:
            await lax.send(get("/x", "Cache-Control: max-stale"))
            await settled(lambda: len(store.asked) == 1)
            await strict.send(get("/x"))
            await joined(app, 1)
            store.answer.set()
            assert (await lax.answer()).body == b"old"
            assert (await strict.answer()).body == b"new"
        assert len(backend.requests) == 2
