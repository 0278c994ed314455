"""Wherever a connection's script waits, does its end there leave nothing behind?

Each scene brings one connection to one of the places where its script waits. Then either the client goes,
or the whole gateway ends.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from gateway.app import App
from gateway.attempts.hedge import LEAST_SAMPLES
from gateway.sizes import KINDS
from tests.harness import (
    CHUNKED,
    Backend,
    Caller,
    Conversation,
    answers,
    call,
    chunk,
    client_connection,
    gateway,
    get,
    left_over,
    listener,
    ok,
    outcomes,
    post,
    settled,
)

HANDSHAKE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: a")
PATIENCE = b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"


class Scene:
    """What a scene has to work with: the gateway, its scripted backend, a client."""

    def __init__(self, app: App, backend: Backend, client: Caller) -> None:
        self.app = app
        self.backend = backend
        self.client = client

    @property
    def in_flight(self) -> int:
        return self.app.pools["default"].in_flight_total


async def waits(conversation: Conversation) -> None:
    """Reads whatever comes and never answers."""
    while await conversation.reader.read(65536):
        conversation.requests.append(b"piece")


def says(*parts: bytes) -> Callable[[Conversation], Awaitable[None]]:
    """A handler that answers a request with `parts` and then waits."""

    async def handler(conversation: Conversation) -> None:
        await conversation.request()
        for part in parts:
            await conversation.send(part)
        await conversation.reader.read()

    return handler


async def idle(scene: Scene) -> None:
    await settled(lambda: len(listener(scene.app).connections) == 1)


async def idle_after_an_answer(scene: Scene) -> None:
    assert (await scene.client.ask(post())).status == 200


async def in_the_head(scene: Scene) -> None:
    await scene.client.send(post()[:20])
    connection = await client_connection(scene.app)
    await settled(lambda: connection._reader.started)


async def holding_a_body(scene: Scene) -> None:
    await scene.client.send(post(b"x" * 500)[:-100])
    await settled(lambda: listener(scene.app).held_bytes == 400)


async def streaming_a_body(scene: Scene) -> None:
    await scene.client.send(post(b"x" * 50_000)[:-100])
    await settled(lambda: scene.in_flight == 1 and len(scene.backend.requests) >= 1)


async def streaming_a_body_nobody_takes(scene: Scene) -> None:
    scene.client.writer.write(post(b"x" * 16_000_000)[:-100])
    connection = await client_connection(scene.app)
    await settled(lambda: connection._paused and connection._sink is not None)


async def dialling(scene: Scene) -> None:
    await scene.client.send(post())
    await settled(lambda: scene.in_flight == 1)


async def waiting_for_the_head(scene: Scene) -> None:
    await scene.client.send(post())
    await settled(lambda: len(scene.backend.requests) >= 1)


async def waiting_for_a_byte_behind_the_head(scene: Scene) -> None:
    await scene.client.send(post())
    await settled(lambda: len(scene.backend.requests) == 1)


async def relaying(scene: Scene) -> None:
    await scene.client.send(post())
    assert (await scene.client.head()).status == 200
    assert await scene.client.chunk() == b"piece"


async def relaying_to_nobody_who_reads(scene: Scene) -> None:
    scene.client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await scene.client.send(post())
    connection = await client_connection(scene.app)
    await settled(lambda: not connection.writable)


async def in_a_tunnel(scene: Scene) -> None:
    await scene.client.send(get("/", *HANDSHAKE))
    assert (await scene.client.head()).status == 101


async def pausing_before_a_retry(scene: Scene) -> None:
    await scene.client.send(post())
    await settled(lambda: outcomes(scene.app) == {"overloaded": 1})
    assert scene.in_flight == 0


async def waiting_in_the_queue(scene: Scene) -> None:
    pool = scene.app.pools["default"]
    pool.backends[0].limit = 0  # full, with nobody there whose end would be another scene
    pool.changed()
    await scene.client.send(post())
    await settled(lambda: len(pool.queue) == 1)


async def racing_while_the_second_dials(scene: Scene) -> None:
    pool = scene.app.pools["default"]
    _, deaf_one = pool.backends
    pool.drain(deaf_one.name)
    hedged(scene)
    await scene.client.send(post())
    await settled(lambda: len(scene.backend.requests) == 1)
    pool.undrain(deaf_one.name)
    await settled(lambda: deaf_one.in_flight == 1)


async def racing_with_both_sent(scene: Scene) -> None:
    hedged(scene)
    await scene.client.send(post())
    await settled(lambda: len(scene.backend.requests) == 2)
    assert [backend.in_flight for backend in scene.app.pools["default"].backends] == [1, 1]


def hedged(scene: Scene) -> None:
    """The pool knows that answers take a millisecond, and has second attempts to spend."""
    hedger = scene.app.pools["default"].hedger
    assert hedger is not None
    for _ in range(LEAST_SAMPLES):
        hedger.deposit()
        for kind in range(KINDS):
            hedger.observe(kind, 0.001)


async def lingering(scene: Scene) -> None:
    await scene.client.send(post(b"x" * 300_000)[:-299_000])
    assert (await scene.client.answer()).status == 413


async def with_more_requests_behind(scene: Scene) -> None:
    await scene.client.send(post() + post() + get())
    await settled(lambda: len(scene.backend.requests) >= 1)


SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
STREAM = says(CHUNKED + chunk(b"piece"))
FLOOD = says(CHUNKED, chunk(b"x" * 32_000_000))


async def ignores(conversation: Conversation) -> None:
    """Reads the head and none of the body."""
    await conversation.reader.readuntil(b"\r\n\r\n")
    await asyncio.Event().wait()


SCENES: dict[Callable[[Scene], Awaitable[None]], Callable[[Conversation], Awaitable[None]]] = {
    idle: waits,
    idle_after_an_answer: answers(ok()),
    in_the_head: waits,
    holding_a_body: waits,
    streaming_a_body: waits,
    streaming_a_body_nobody_takes: ignores,
    dialling: waits,
    waiting_for_the_head: waits,
    waiting_for_a_byte_behind_the_head: says(CHUNKED),
    relaying: STREAM,
    relaying_to_nobody_who_reads: FLOOD,
    in_a_tunnel: says(SWITCHED),
    pausing_before_a_retry: answers(PATIENCE),
    waiting_in_the_queue: waits,
    racing_while_the_second_dials: waits,
    racing_with_both_sent: waits,
    lingering: waits,
    with_more_requests_behind: waits,
}
#: How often the attempt has ended, by outcome; where nothing is said, it was cancelled.
ENDS: dict[Callable[[Scene], Awaitable[None]], list[dict[str, int]]] = {
    idle: [{}],
    idle_after_an_answer: [{"ok": 1}],
    in_the_head: [{}],
    holding_a_body: [{}],
    lingering: [{}],
    in_a_tunnel: [{"ok": 1}, {"cancelled": 1}],
    pausing_before_a_retry: [{"overloaded": 1}],
    waiting_in_the_queue: [{}],
    racing_while_the_second_dials: [{"cancelled": 2}],
    racing_with_both_sent: [{"cancelled": 2}],
}
LIMITS = {"max_body": 20_000_000, "buffer_body": 1000, "max_connections": 50}


@contextlib.contextmanager
def deaf() -> Any:
    """The URL of a listener whose queue is full: connecting to it neither succeeds nor fails."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextlib.asynccontextmanager
async def staged(scene: Callable[[Scene], Awaitable[None]]) -> AsyncIterator[Scene]:
    limits = {**LIMITS, "max_body": 100_000} if scene is lingering else LIMITS
    pool: dict[str, Any] = {"timeouts": {"connect": "30s"}}
    with deaf() as nobody:
        async with Backend(SCENES[scene]) as backend:
            urls = [nobody if scene is dialling else backend.url]
            if scene in (racing_while_the_second_dials, racing_with_both_sent):
                urls.append(backend.url if scene is racing_with_both_sent else nobody)
                pool["hedging"] = {"after": "p50", "budget": "50%"}
            pool["backends"] = [{"url": url, "name": name} for url, name in zip(urls, "ab", strict=False)]
            async with gateway(pool=pool, limits=limits) as app, await call(app) as client:
                made = Scene(app, backend, client)
                await scene(made)
                yield made


def check_the_end(scene: Callable[[Scene], Awaitable[None]], app: App) -> None:
    assert listener(app).held_bytes == 0
    assert not listener(app).connections
    assert outcomes(app) in ENDS.get(scene, [{"cancelled": 1}])
    for backend in app.pools["default"].backends:
        assert (backend.in_flight, backend.outlier.failures, backend.state) == (0, 0, "up")
    counted = app.metrics.routes.values()
    assert sum(stats.in_flight for stats in counted) == 0


#: While the gateway may not read from a client, it cannot see it go; see the test of that below.
UNSEEN = streaming_a_body_nobody_takes


@pytest.mark.parametrize(
    "scene", [scene for scene in SCENES if scene is not UNSEEN], ids=lambda scene: scene.__name__
)
async def test_the_client_goes(scene: Callable[[Scene], Awaitable[None]]) -> None:
    """Lease, connections and held bytes are given back, the backend has not failed, and others are served."""
    async with staged(scene) as made:
        made.client.drop()
        await settled(lambda: not left_over(made.app))
        check_the_end(scene, made.app)
        for conversation in made.backend.conversations:
            if scene not in (idle_after_an_answer, pausing_before_a_retry):  # there it is kept for reuse
                await settled(conversation.writer.transport.is_closing)
        async with await call(made.app) as other:
            assert (await other.ask(b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n")).status == 405


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
async def test_the_gateway_ends(scene: Callable[[Scene], Awaitable[None]]) -> None:
    """After `close` nothing is open on either side, no task runs on, and every request was counted once."""
    async with staged(scene) as made:
        before = {task for task in asyncio.all_tasks() if "connect" in task.get_name()}
        await made.app.close()
        await settled(lambda: not left_over(made.app))
        check_the_end(scene, made.app)
        kept = [backend.connections for backend in made.app.pools["default"].backends]
        await settled(lambda: not any(connections.open or connections.idle for connections in kept))
        assert all(task.done() for task in before)
        made.client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await made.client.rest()  # which ends, because the client's connection has
        requests = [n for stats in made.app.metrics.routes.values() for n in stats.requests.values()]
        assert sum(requests) == (0 if scene in (idle, in_the_head) else 1)


@pytest.mark.parametrize("reads_on", [True, False])
async def test_a_client_that_goes_unseen_is_missed_in_the_end(reads_on: bool) -> None:
    """A client that goes while its upload is held back, because the backend takes none of it, is missed as
    soon as the backend reads on; and one that never does is given up when its time for an answer is over."""
    read_on = asyncio.Event()

    async def handler(conversation: Conversation) -> None:
        await read_on.wait()
        await waits(conversation)

    pool = {"timeouts": {"first_byte": "60s" if reads_on else "300ms"}}
    async with Backend(handler) as backend, gateway(backend.url, pool=pool, limits=LIMITS) as app:
        async with await call(app) as client:
            await UNSEEN(Scene(app, backend, client))
        if reads_on:
            read_on.set()
        await settled(lambda: not left_over(app))
        assert outcomes(app) == ({"cancelled": 1} if reads_on else {"timeout": 1})


async def test_a_backend_that_answers_late_is_not_heard() -> None:
    """The connection of a request whose client went is closed, not kept: its late answer is nobody's."""
    go_on = asyncio.Event()

    async def handler(conversation: Conversation) -> None:
        while await conversation.request():
            if len(backend.requests) == 1:
                await go_on.wait()
                await conversation.send(ok(b"late"))
            else:
                await conversation.send(ok(b"right"))

    async with Backend(handler) as backend, gateway(backend.url) as app:
        async with await call(app) as client:
            await client.send(post())
            await settled(lambda: len(backend.requests) == 1)
        await settled(lambda: not left_over(app))
        go_on.set()
        async with await call(app) as client:
            for _ in range(3):
                assert (await client.ask(post())).body == b"right"
        assert len(backend.conversations) == 2


async def test_a_connection_that_opens_for_nobody_is_used_by_the_next() -> None:
    """The client goes while its connection is being opened: it is kept, and the next request takes it."""
    async with Backend(answers(ok())) as backend, gateway(backend.url) as app:
        connections = app.pools["default"].backends[0].connections
        dial, may = connections.dial, asyncio.Event()

        async def slow_dial(attempt: Any) -> None:
            await may.wait()
            await dial(attempt)

        connections.dial = slow_dial
        async with await call(app) as client:
            await client.send(post())
            await settled(lambda: app.pools["default"].in_flight_total == 1)
        await settled(lambda: not left_over(app))
        may.set()
        await settled(lambda: (connections.open, connections.idle) == (1, 1))
        async with await call(app) as client:
            assert (await client.ask(post())).status == 200
        assert len(backend.conversations) == 1
