"""Servers to be probed, one probe of one of them, and a checker with what it reports."""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway import clock
from gateway.health.checker import HealthChecker, Target
from gateway.health.probes import Probe, Probed, http, open_session
from gateway.health.state import HealthRule, HealthState, Result
from gateway.tasks import Tasks

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[TestServer]:
    """A server that answers every GET with `handler`."""
    app = web.Application()
    app.router.add_get("/{tail:.*}", handler)
    server = TestServer(app, scheme="https" if tls else "http")
    await server.start_server(ssl=tls)
    try:
        yield server
    finally:
        await server.close()


@dataclass(eq=False)
class Machine:
    """A backend as far as probing sees it."""

    name: str
    scheme: str
    host: str
    port: int
    authority: bytes
    prefix: str
    health: HealthState
    pool: str = "chat"
    state: str = "starting"
    answered_at: float = 0.0

    @property
    def settled(self) -> bool:
        return self.health.settled


def backend_at(url: str, name: str = "a", rule: HealthRule | None = None) -> Machine:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    health = HealthState(rule or HealthRule())
    return Machine(name, parts.scheme, host, port, parts.netloc.encode(), parts.path.rstrip("/"), health)


async def ask(
    url: str, rule: HealthRule, tls: ssl.SSLContext | None = None, probe: Probe = http
) -> tuple[Result, str]:
    """What one probe of the backend at `url` comes to."""
    async with open_session() as session:
        return await probe(session, backend_at(url, rule=rule), rule, tls)


async def ok(request: web.Request) -> web.StreamResponse:
    return web.Response(text="fine")


class Results:
    """What was reported, and a way to wait for it; passes results on to the backend's health."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Result, str]] = []
        self._changed = asyncio.Event()

    def __call__(self, backend: Probed, result: Result, detail: str) -> None:
        backend.health.observe(result, 0.0)
        self.seen.append((backend.name, result, detail))
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def of(self, name: str) -> list[Result]:
        return [result for who, result, _ in self.seen if who == name]


@asynccontextmanager
async def checking(
    results: Results, *targets: Target, now: Callable[[], float] = clock.now
) -> AsyncIterator[HealthChecker]:
    tasks = Tasks()
    checker = HealthChecker(tasks, results, random.Random(1), now)
    await checker.start(targets)
    try:
        yield checker
    finally:
        await checker.close()
        await tasks.close()
