"""Wherever a request waits in the cache, does its end there leave nothing behind?"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.app import App
from tests.harness import (
    CHUNKED,
    Backend,
    Caller,
    call,
    chunk,
    gateway,
    listener,
    ok,
    outcomes,
    post,
    settled,
)
from tests.integration.caching import (
    EVENTS,
    QUESTION,
    STREAM,
    Hanging,
    Stage,
    cached,
    joined,
    kept,
    nothing_left,
)


class Scene:
    """What a scene has to work with; `client` is the one that leaves."""

    def __init__(self, app: App, stage: Stage, client: Caller) -> None:
        self.app = app
        self.stage = stage
        self.client = client
        self.others: list[Caller] = []

    async def other(self) -> Caller:
        """One more client that has asked the same."""
        client = await call(self.app)
        self.others.append(client)
        await client.send(post(STREAM))
        return client

    @property
    def waits(self) -> int:
        return len(self.app.pools["default"].queue)


async def leading_before_the_head(scene: Scene) -> None:
    await scene.client.send(post(STREAM))
    await settled(lambda: scene.stage.begun == 1)


async def leading_before_the_head_with_another(scene: Scene) -> None:
    await leading_before_the_head(scene)
    await scene.other()
    await joined(scene.app, 1)


async def leading_in_the_middle(scene: Scene) -> None:
    await leading_before_the_head(scene)
    scene.stage.cue(2)
    await scene.client.head()


async def leading_in_the_middle_with_another(scene: Scene) -> None:
    await leading_in_the_middle(scene)
    await scene.other()
    await joined(scene.app, 1)


async def leading_in_the_queue(scene: Scene) -> None:
    pool = scene.app.pools["default"]
    pool.backends[0].limit = 0
    pool.changed()
    await scene.client.send(post(STREAM))
    await settled(lambda: scene.waits == 1)


async def leading_in_the_queue_with_another(scene: Scene) -> None:
    await leading_in_the_queue(scene)
    await scene.other()
    await joined(scene.app, 1)


async def waiting_for_the_head(scene: Scene) -> None:
    await scene.other()
    await settled(lambda: scene.stage.begun == 1)
    await scene.client.send(post(STREAM))
    await joined(scene.app, 1)


async def waiting_in_the_middle(scene: Scene) -> None:
    await waiting_for_the_head(scene)
    scene.stage.cue(2)
    await scene.client.head()


async def waiting_for_one_in_the_queue(scene: Scene) -> None:
    pool = scene.app.pools["default"]
    pool.backends[0].limit = 0
    pool.changed()
    await scene.other()
    await settled(lambda: scene.waits == 1)
    await scene.client.send(post(STREAM))
    await joined(scene.app, 1)


async def waiting_alone_for_one_that_has_left(scene: Scene) -> None:
    await waiting_for_the_head(scene)
    scene.others[0].drop()
    await settled(lambda: len(listener(scene.app).connections) == 1)


async def asking_the_shared_store(scene: Scene) -> None:
    kept(scene.app).shared = Hanging()
    await scene.client.send(post(STREAM))
    await settled(lambda: len(kept(scene.app).flights) == 1)


SCENES: list[Callable[[Scene], Awaitable[None]]] = [
    leading_before_the_head,
    leading_before_the_head_with_another,
    leading_in_the_middle,
    leading_in_the_middle_with_another,
    leading_in_the_queue,
    leading_in_the_queue_with_another,
    waiting_for_the_head,
    waiting_in_the_middle,
    waiting_for_one_in_the_queue,
    waiting_alone_for_one_that_has_left,
    asking_the_shared_store,
]


@pytest.mark.parametrize("how", ["abort", "half-close", "all", "shutdown"])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
async def test_an_end_leaves_nothing(scene: Callable[[Scene], Awaitable[None]], how: str) -> None:
    """The client alone goes and the others get their answer; or all clients go; or the gateway ends."""
    stage = Stage(CHUNKED, *map(chunk, EVENTS), chunk(b""))
    async with cached(stage) as (app, _), await call(app) as client:
        made = Scene(app, stage, client)
        await scene(made)
        if how == "shutdown":
            await asyncio.wait_for(app.close(), 5)
        elif how == "half-close":
            client.writer.write_eof()
        else:
            client.drop()
        if how in ("all", "shutdown"):
            for other in made.others:
                other.drop()
        here = [other for other in made.others if not other.writer.transport.is_closing()]
        if here:
            pool = app.pools["default"]
            pool.backends[0].limit = 100
            pool.changed()
            stage.cue(len(stage.parts))
            for other in here:
                assert (await other.answer()).body == b"".join(EVENTS)
                other.drop()
        client.drop()
        await nothing_left(app)
        stats = app.metrics.route("default")
        assert sum(stats.requests.values()) == sum(stats.cache.values()) == 1 + len(made.others)
        assert set(outcomes(app)) <= {"ok", "cancelled", "reset"}


async def test_a_connect_under_way_is_let_go_with_the_last_client() -> None:
    """While the leader connects, its client goes, then the one who waits."""
    async with Backend(Stage(ok())) as backend, gateway(backend.url, cache={}) as app:
        (asked,) = app.pools["default"].backends
        opening = asyncio.Event()

        async def never(attempt: Any) -> None:
            opening.set()
            await asyncio.Event().wait()

        asked.connections.dial = never
        async with await call(app) as leader, await call(app) as other:
            await leader.send(post(QUESTION))
            await asyncio.wait_for(opening.wait(), 5)
            await other.send(post(QUESTION))
            await joined(app, 1)
            leader.drop()
            await settled(lambda: len(listener(app).connections) == 1)
            assert asked.in_flight == 1
        await nothing_left(app)
