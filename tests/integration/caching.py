"""What the tests of the cache in a running gateway share."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import msgspec

from gateway.app import App
from gateway.cache.cache import Cache
from gateway.cache.entry import Entry, Key
from gateway.cache.store import Purge, StoreFigures
from tests.harness import (
    CHUNKED,
    Answer,
    Backend,
    Caller,
    Conversation,
    Handler,
    call,
    chunk,
    gateway,
    left_over,
    post,
    settled,
)

QUESTION: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
STREAM = QUESTION | {"stream": True}
EVENTS = [b'data: {"object":"chat.completion.chunk","n":%d}\n\n' % number for number in range(5)]
EVENTS.append(b"data: [DONE]\n\n")


@contextlib.asynccontextmanager
async def cached(
    *handlers: Handler,
    cache: dict[str, Any] | None = None,
    pool: dict[str, Any] | None = None,
    apart: Sequence[str] = (),
    **settings: Any,
) -> AsyncIterator[tuple[App, list[Backend]]]:
    """A gateway that caches everything, with one pool of scripted backends named a, b, …, or with pools of
    one each that are named in `apart`; afterwards nothing is left over in it."""
    async with contextlib.AsyncExitStack() as stack:
        backends = [await stack.enter_async_context(Backend(handler)) for handler in handlers]
        named = [{"url": b.url, "name": name} for b, name in zip(backends, "abcdef", strict=False)]
        common: dict[str, Any] = {"health": {"path": None}, "policy": "round_robin", **(pool or {})}
        pools = {name: {"backends": [backend], **common} for name, backend in zip(apart, named, strict=False)}
        settings["pools"] = pools or {"default": {"backends": named, **common}}
        settings.setdefault("limits", {"max_connections": 3000})
        app = await stack.enter_async_context(gateway(cache=cache or {}, **settings))
        yield app, backends
        await nothing_left(app)


async def nothing_left(app: App) -> None:
    """Wait until neither leases nor connections nor flights nor held bytes are left."""
    await settled(lambda: not remains(app))


def remains(app: App) -> list[str]:
    """What is left in a gateway without clients, flights included."""
    cache = kept(app)
    found = left_over(app)
    found += [repr(cache.flights)] if len(cache.flights) else []
    found += [f"{cache.flights.held_bytes} bytes of flights"] if cache.flights.held_bytes else []
    found += [f"{cache.refreshing} refreshes"] if cache.refreshing else []
    return found


def kept(app: App) -> Cache:
    assert app.cache is not None
    return app.cache


def entries(app: App) -> int:
    """How many answers are kept; markers of what varies do not count."""
    return sum(entry.status != 0 for _, entry in kept(app).memory.items())


def grow_old(app: App, seconds: float) -> None:
    """Let all that is kept be so much older."""
    memory = kept(app).memory
    for digest, entry in list(memory.items()):
        older = msgspec.structs.replace(entry, stored_at=entry.stored_at - seconds)
        memory.put(digest, older, older.stored_at + 0.001)


def stream_of(events: Sequence[bytes]) -> bytes:
    """A whole chunked answer, each event a chunk."""
    return CHUNKED + b"".join(map(chunk, events)) + chunk(b"")


async def put(conversation: Conversation, data: bytes) -> None:
    """Send, to a gateway that may have left: ConnectionResetError then, which ends the conversation."""
    if conversation.writer.transport.is_closing():
        raise ConnectionResetError
    await conversation.send(data)


class Stage:
    """A backend that waits for its cue before each of its answers' parts; `given` counts those answered."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = parts
        self.cues = [asyncio.Event() for _ in parts]
        self.begun = 0

    def cue(self, count: int = 1) -> None:
        """Let the next `count` parts be said, by every conversation."""
        for event in [event for event in self.cues if not event.is_set()][:count]:
            event.set()

    async def __call__(self, conversation: Conversation) -> None:
        while await conversation.request():
            self.begun += 1
            for event, part in zip(self.cues, self.parts, strict=True):
                await event.wait()
                await put(conversation, part)


def in_turn(*handlers: Callable[[Conversation], Awaitable[None]]) -> Handler:
    """The n-th request goes to the n-th handler, the rest to the last; each handler answers one request."""
    asked = 0

    async def handler(conversation: Conversation) -> None:
        nonlocal asked
        while await conversation.request():
            number, asked = asked, asked + 1
            await handlers[min(number, len(handlers) - 1)](conversation)

    return handler


def say(*parts: bytes) -> Callable[[Conversation], Awaitable[None]]:
    """One answer, for `in_turn`."""

    async def handler(conversation: Conversation) -> None:
        for part in parts:
            await conversation.send(part)

    return handler


def numbered(response: Callable[[int], bytes]) -> Handler:
    """Answers its n-th request, from 0, with `response(n)`."""
    asked = 0

    async def handler(conversation: Conversation) -> None:
        nonlocal asked
        while await conversation.request():
            number, asked = asked, asked + 1
            await conversation.send(response(number))

    return handler


def reply(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    """A whole answer with further field lines."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", *fields, f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def fetch(app: App, request: bytes | None = None, without_body: bool = False) -> Answer:
    """One answer on a connection of its own."""
    async with await call(app) as client:
        await client.send(request or post(QUESTION))
        return await client.answer(without_body)


@contextlib.asynccontextmanager
async def crowd(app: App, size: int, request: bytes | None = None) -> AsyncIterator[list[Caller]]:
    """So many clients, each of which has sent the same request; all have been heard by the gateway."""
    async with contextlib.AsyncExitStack() as stack:
        clients = []
        for _ in range(size):
            client = await stack.enter_async_context(await call(app))
            await client.send(request or post(QUESTION))
            clients.append(client)
        yield clients


async def joined(app: App, count: int) -> None:
    """Wait until so many requests have joined a flight, ever."""
    await settled(lambda: kept(app).flights.joined >= count, 20.0)


class Hanging:
    """A shared store that never answers; the tests say what it would have."""

    def __init__(self, known: dict[bytes, Entry] | None = None) -> None:
        self.figures = StoreFigures()
        self.known = known
        self.asked: list[bytes] = []
        self.answer = asyncio.Event()

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def get(self, key: Key) -> Entry | None:
        self.asked.append(key.digest)
        await self.answer.wait()
        return (self.known or {}).get(key.digest)

    async def put(self, key: Key, entry: Entry, now: float) -> None: ...
    async def delete(self, key: Key) -> None: ...
    async def purge(self, what: Purge) -> int:
        return 0
