"""Do metrics and access log say of a mixed load exactly what the cache did?"""

import asyncio
import contextlib
import json
import random
from collections import Counter

from tests.harness import (
    CHUNKED,
    Backend,
    Conversation,
    call,
    chunk,
    gateway,
    ok,
    post,
    settled,
)
from tests.integration.caching import (
    EVENTS,
    STREAM,
    entries,
    put,
    remains,
    reply,
)


async def test_requests_and_their_results_agree_under_mixed_load() -> None:
    """Every request of the route is counted once by what the cache did, and once by its status."""
    rng = random.Random(11)
    lines: list[bytes] = []

    async def mixed(conversation: Conversation) -> None:
        while request := await conversation.request():
            seed = json.loads(request.partition(b"\r\n\r\n")[2] or b"{}").get("seed", 0)
            await asyncio.sleep(rng.random() * 0.02)
            if seed % 7 == 3:
                conversation.abort()
                return
            if seed % 7 == 4:
                await put(conversation, reply(b"no", status="500 Internal Server Error"))
            elif seed % 7 == 5:
                await put(conversation, reply(b"{}", "Cache-Control: private"))
            elif seed % 2:
                await put(conversation, ok(b"%d" % seed))
            else:
                await put(conversation, CHUNKED + chunk(EVENTS[0]))
                await asyncio.sleep(rng.random() * 0.02)
                await put(conversation, chunk(EVENTS[-1]) + chunk(b""))

    async def one() -> None:
        seed = rng.randrange(40)
        wish = rng.choice([(), (), (), ("Cache-Control: no-cache",), ("Cache-Control: only-if-cached",)])
        async with await call(app) as client:
            await client.send(post(STREAM | {"seed": seed}, "/v1/chat/completions", *wish))
            if rng.random() < 0.3:
                await asyncio.sleep(rng.random() * 0.03)
                return
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ValueError):
                await client.answer()

    settings = {"cache": {"ttl": "20ms", "stale_while_revalidate": "5s", "stale_if_error": "5s"}}
    pool = {"concurrency": {"limit": 20, "queue": 10}}
    async with (
        Backend(mixed) as backend,
        gateway(backend.url, pool=pool, access_log=lines.append, **settings) as app,
    ):
        for _ in range(5):
            await asyncio.gather(*(one() for _ in range(120)))
            await asyncio.sleep(0.03)
        await settled(lambda: not remains(app))
        stats = app.metrics.route("default")
        assert sum(stats.requests.values()) == sum(stats.cache.values()) == 600
        assert sum(app.metrics.bypasses.values()) == stats.cache.get("bypass", 0)
        assert {"hit", "miss", "coalesced", "stale", "bypass"} == set(stats.cache)
        await app.close()
        rows = [json.loads(line) for block in lines for line in block.splitlines()]
        assert Counter(row["cache"] for row in rows) == stats.cache
        assert Counter((row["method"], row["status"]) for row in rows) == stats.requests
        assert entries(app) <= 40
