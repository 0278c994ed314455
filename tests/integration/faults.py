"""What the fault suite needs: backends to kill, stop and spoil, and clients that check all they get."""

import asyncio
import contextlib
import json
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.app import App
from gateway.messages import Outcome
from gateway.pool.backend import Backend
from tests.harness import Caller, call, gateway, left_over, outcomes, post, settled
from tests.integration.fault_server import DONE, READY

ROOT = Path(__file__).parents[2]
#: How long anything may take that is certain to come; never part of what a test asserts.
WITHIN_S = 20.0

#: What a client saw when it got everything, and when an answer broke off visibly after its first byte.
WHOLE, CUT = "whole", "cut"


class Server:
    """One backend in a process of its own, on a port that nobody else gets while it is down.

    The port is bound here too, without listening, for as long as this lives. The kernel refuses connections
    while the process is down, and the process can bind the port again however often it is started.
    """

    def __init__(self, name: str, behaviour: dict[str, Any]) -> None:
        self.name = name
        self._behaviour = behaviour
        self._process: Process | None = None
        self._port = socket.socket()
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._port.bind(("127.0.0.1", 0))
        self.port: int = self._port.getsockname()[1]

    def __repr__(self) -> str:
        return f"<Server {self.name} port {self.port} {'down' if self._process is None else 'running'}>"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.integration.fault_server"),
            *("--port", str(self.port), "--name", self.name, "--behaviour", json.dumps(self._behaviour)),
            cwd=ROOT,
            stdin=PIPE,
            stdout=PIPE,
        )
        assert await self._line() == READY

    async def be(self, fault: str = "", **behaviour: Any) -> None:
        """Behave like this from now on; what is not given is as at the start."""
        assert await self._told(json.dumps({"fault": fault, **behaviour})) == READY

    async def seen(self) -> list[int]:
        """The numbers of the requests that have reached this process, in order."""
        numbers: list[int] = json.loads(await self._told("seen"))
        return numbers

    def send(self, number: signal.Signals) -> None:
        self._running.send_signal(number)

    async def ended(self) -> None:
        """Wait until the process is gone."""
        async with asyncio.timeout(WITHIN_S):
            await self._running.wait()
        self._process = None

    async def kill(self) -> None:
        """kill -9, and wait until the process is gone."""
        self.send(signal.SIGKILL)
        await self.ended()

    async def close(self) -> None:
        """End the process, whatever state it is in, and give the port back."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                self.send(signal.SIGKILL)
            await self.ended()
        self._port.close()

    @property
    def _running(self) -> Process:
        assert self._process is not None, f"{self!r} was to be running"
        return self._process

    async def _told(self, words: str) -> bytes:
        stdin = self._running.stdin
        assert stdin is not None
        stdin.write(words.encode() + b"\n")
        return await self._line()

    async def _line(self) -> bytes:
        stdout = self._running.stdout
        assert stdout is not None
        async with asyncio.timeout(WITHIN_S):
            return await stdout.readline()


@contextlib.asynccontextmanager
async def servers(names: str = "abc", **behaviour: Any) -> AsyncIterator[list[Server]]:
    """Running backends, one for each letter, all with the same behaviour at first."""
    made = [Server(name, behaviour) for name in names]
    try:
        await asyncio.gather(*(server.start() for server in made))
        yield made
    finally:
        await asyncio.gather(*(server.close() for server in made))


@contextlib.asynccontextmanager
async def in_front_of(backends: Sequence[Server], **pool: Any) -> AsyncIterator[App]:
    """A gateway whose only pool has these backends and, but for the keys in `pool`, the defaults.

    It begins when the checks have found every backend well.
    """
    named = [{"url": backend.url, "name": backend.name} for backend in backends]
    async with gateway(pools={"default": {"backends": named, **pool}}) as app:
        await settled(lambda: states(app) == ["up"] * len(backends), WITHIN_S)
        yield app


def states(app: App) -> list[str]:
    """The backends' states, in the order of their names."""
    app.ready()  # brings the states up to date
    return [backend.state for backend in app.pools["default"].backends]


def known(app: App, server: Server) -> Backend:
    """What the gateway knows about `server`."""
    return app.pools["default"].backend(server.name)


def failures(app: App, server: Server) -> int:
    """How many attempts at `server` have ended in anything but a good answer."""
    backend = known(app, server)
    return sum(backend.outcomes) - backend.outcomes[Outcome.OK]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the client of request `number` saw: WHOLE, CUT, or what is wrong, such as `502 connect_error`.

    `backend` is the one that answered, if the answer names one; `patience` its Retry-After.
    """

    number: int
    verdict: str
    stream: bool
    backend: str = ""
    patience: str | None = None


class Load:
    """Clients that send one request after the other, every second one for a stream.

    Requests are numbered as they are sent: `sent` is the last number. `answers` are in the order of their
    ends. Each client waits `think_s` before its next request; after `most` requests nobody sends another.
    """

    def __init__(self, app: App, most: int, think_s: float) -> None:
        self.app = app
        self.answers: list[Seen] = []
        self.sent = 0
        self.stopped = False
        self._most = most
        self._think_s = think_s

    def __repr__(self) -> str:
        return f"<Load {dict(self.verdicts())}, {self.sent - len(self.answers)} under way>"

    def after(self, number: int) -> list[Seen]:
        """The answers to requests sent after the one of this number."""
        return [answer for answer in self.answers if answer.number > number]

    def verdicts(self, after: int = 0) -> Counter[str]:
        """How many clients saw what, of requests sent after number `after`."""
        return Counter(answer.verdict for answer in self.after(after))

    def shares(self, after: int = 0) -> Counter[str]:
        """How many answers each backend gave, to requests sent after number `after`."""
        return Counter(answer.backend for answer in self.after(after))

    async def more(self, answers: int) -> None:
        """Let the load go on for so many more answers."""
        enough = len(self.answers) + answers
        await settled(lambda: len(self.answers) >= enough, WITHIN_S)

    async def client(self) -> None:
        """One client, on one connection for as long as that is kept."""
        caller: Caller | None = None
        try:
            while not self.stopped and self.sent < self._most:
                self.sent += 1
                number = self.sent
                if caller is None:
                    caller = await call(self.app)
                answer = await _ask(caller, number, stream=number % 2 == 0)
                self.answers.append(answer)
                if answer.verdict != WHOLE:
                    caller.drop()
                    caller = None
                await asyncio.sleep(self._think_s)
        finally:
            if caller is not None:
                caller.drop()


@contextlib.asynccontextmanager
async def load(app: App, clients: int, *, most: int = 6000, think_s: float = 0.02) -> AsyncIterator[Load]:
    """A load of so many clients while the block runs; after it every request has been answered."""
    running = Load(app, most, think_s)
    tasks = [asyncio.ensure_future(running.client()) for _ in range(clients)]
    try:
        yield running
        assert running.sent < most, "the load was over before the scene: it may have missed something"
        running.stopped = True
        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _ask(caller: Caller, number: int, *, stream: bool) -> Seen:
    backend = ""
    try:
        await caller.send(post({"n": number, "stream": stream}))
        head = await caller.head()
        if head.status != 200:
            fields = dict(head.fields)
            wrong = f"{head.status} {fields.get('x-gateway-error', 'from the backend')}"
            return Seen(number, wrong, stream, patience=fields.get("retry-after"))
        backend = head["x-gateway-backend"]
        if stream:
            return Seen(number, _stream_verdict(await _chunks(caller), number, backend), stream, backend)
        body = json.loads(await caller.reader.readexactly(int(head["content-length"])))
        own = (body["n"], body["name"]) == (number, backend)
        return Seen(number, WHOLE if own else f"somebody else's: {body}", stream, backend)
    except TimeoutError:
        return Seen(number, "no answer in time", stream, backend)
    except (asyncio.IncompleteReadError, ConnectionError):
        return Seen(number, CUT if backend else "closed without an answer", stream, backend)


async def _chunks(caller: Caller) -> bytes:
    """A whole chunked body; IncompleteReadError when it ends before its last chunk."""
    body = b""
    while (size := int(await caller.reader.readuntil(b"\r\n"), 16)) > 0:
        body += (await caller.reader.readexactly(size + 2))[:-2]
    await caller.reader.readuntil(b"\r\n")
    return body


def _stream_verdict(body: bytes, number: int, backend: str) -> str:
    """WHOLE when a complete stream is this request's, by the backend it names, with all its pieces."""
    if not body.endswith(DONE):
        return "complete, says its framing, but it is not"
    events = [json.loads(event[len(b"data: ") :]) for event in body[: -len(DONE)].split(b"\n\n")[:-1]]
    told = [(event["n"], event["name"], event["piece"]) for event in events]
    own = told == [(number, backend, piece) for piece in range(len(told))]
    return WHOLE if own else f"somebody else's: {told}"


async def balanced(app: App, seen: Load) -> None:
    """When the load is over nothing is held, every attempt has one outcome, every request one answer, and the
    gateway has counted the same."""
    await settled(lambda: not left_over(app))
    pool = app.pools["default"]
    attempts = sum(backend.selected for backend in pool.backends)
    assert sum(outcomes(app).values()) == attempts
    assert attempts == seen.sent - pool.shed.total() + pool.retries["tried"]
    assert sorted(answer.number for answer in seen.answers) == list(range(1, seen.sent + 1))
    counted = [sum(route.requests.values()) for route in app.metrics.routes.values()]
    assert sum(counted) == seen.sent
