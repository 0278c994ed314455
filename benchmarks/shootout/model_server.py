"""What do the candidates balance? Model servers that sleep instead of computing: many ports, one process.

    python -m benchmarks.shootout.model_server PLAN.json

Reads the backends and the events (`plan.as_json`), listens on each backend's port, prints the control port.
A line of text on a connection to it is a command: `start T` runs the events with T (CLOCK_MONOTONIC, seconds)
as their zero; `stats` gives each backend's counters as a line of JSON.

GET /health      200, or 503 while loading; the model's name and other facts where routers look for them
POST anything    the work named in the body (`work_us=`, or `prompt=` and `tokens=`), done by the engine
"""

import asyncio
import contextlib
import gc
import json
import re
import sys
import time
from pathlib import Path
from typing import cast

import httptools
import uvloop

from benchmarks.shootout import answers
from benchmarks.shootout.engines import Batch, Engine, Job, Slots
from benchmarks.shootout.plan import Backend, Event, from_json

FAIL_AFTER_S = 0.002
RELISTEN_S = 0.05  # an outgoing connection may hold the port for a moment
WORK = re.compile(rb"work_us=(\d+) prompt=(\d+) tokens=(\d+)")


class Connection(asyncio.Protocol):
    """One connection to a backend, one request at a time, as every proxy sends them."""

    def __init__(self, server: "ModelServer") -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._url = b""
        self._body = b""
        self.job: Job | None = None
        self.streams = False

    def __repr__(self) -> str:
        return f"<Connection {self._url!r} {self.job!r}>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._server.connections.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        self._server.connections.discard(self)
        if self.job is not None:
            self._server.abandon(self, self.job)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            raise
        except httptools.HttpParserError:
            self.abort()

    def on_url(self, url: bytes) -> None:
        self._url, self._body = url, b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._parser.get_method() == b"POST":
            self._server.work(self, self._body)
        else:
            self._server.look(self, self._url)

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class ModelServer:
    """One backend: a port that comes and goes, an engine, and what is the matter with it just now."""

    def __init__(self, port: int, backend: Backend) -> None:
        self.connections: set[Connection] = set()
        self._port = port
        self._backend = backend
        self._loop = asyncio.get_running_loop()
        now = time.monotonic()
        self._engine: Engine = (
            Batch(now, backend.batching, backend.speed)
            if backend.batching
            else Slots(now, backend.slots, backend.speed)
        )
        self._who: dict[Job, Connection] = {}
        self._listening: asyncio.AbstractServer | None = None
        self._timer: asyncio.Handle | None = None
        self._due: float | None = None
        self._slower = 1.0
        self._draining = self._failing = self._hung = self._loading = False
        self.counts = dict.fromkeys(("requests", "answered", "failed", "limited", "abandoned"), 0)

    def __repr__(self) -> str:
        return f"<ModelServer {self._port} {self._engine!r}>"

    async def listen(self) -> None:
        """Open the port; tries again for as long as something else holds it."""
        while self._listening is None:
            try:
                self._listening = await self._loop.create_server(
                    lambda: Connection(self), "127.0.0.1", self._port, backlog=1024, reuse_address=True
                )
            except OSError:
                await asyncio.sleep(RELISTEN_S)

    def look(self, connection: Connection, url: bytes) -> None:
        """Answer a GET: a health check, or a router that asks what model this is."""
        if self._hung:
            return
        if self._loading:
            connection.write(answers.LOADING)
        else:
            connection.write(answers.LOOKS.get(url.partition(b"?")[0], answers.UNKNOWN))

    def work(self, connection: Connection, body: bytes) -> None:
        """Take a request in, or refuse it as the state demands."""
        self.counts["requests"] += 1
        found = WORK.search(body)
        if found is None:
            connection.write(answers.NO_WORK)
        elif self._loading:
            self.counts["failed"] += 1
            connection.write(answers.LOADING)
        elif self._failing:
            self.counts["failed"] += 1
            self._loop.call_later(FAIL_AFTER_S, connection.write, answers.FAILING)
        elif self._backend.limit and self._engine.load >= self._backend.limit:
            self.counts["limited"] += 1
            connection.write(answers.LIMITED)
        else:
            work_us, prompt, tokens = (int(number) for number in found.groups())
            connection.streams = tokens > 0
            connection.job = job = Job(work_us / 1e6, prompt, max(1, tokens))
            self._who[job] = connection
            if connection.streams and not self._hung:
                connection.write(answers.STREAM_HEAD)  # before it queues, as vLLM does
            self._engine.arrive(time.monotonic(), job)
            self._arm()

    def abandon(self, connection: Connection, job: Job) -> None:
        """The other side has gone before the answer's end: work on it stops."""
        self.counts["abandoned"] += 1
        connection.job = None
        self._who.pop(job, None)
        self._engine.cancel(time.monotonic(), job)
        self._arm()

    def _arm(self) -> None:
        """Wake up when the engine next has something to say."""
        due = self._engine.next_at()
        if due == self._due:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = due
        if due is not None:
            # libuv rounds it to milliseconds; where that is early the loop is turned until the time has come
            self._timer = self._loop.call_later(max(0.0, due - time.monotonic()), self._progress)

    def _progress(self) -> None:
        self._due = self._timer = None
        for job, ended in self._engine.advance(time.monotonic()):
            connection = self._who.get(job)
            if connection is None:
                continue
            if not ended:
                if connection.streams:
                    connection.write(answers.STREAM_TOKEN)
                continue
            del self._who[job]
            connection.job = None
            self.counts["answered"] += 1
            last = answers.LAST_ANSWER if self._draining else answers.ANSWER
            connection.write(answers.STREAM_END if connection.streams else last)
            if self._draining:
                connection.close()
        self._arm()

    def apply(self, event: Event) -> None:
        """Change as the event says."""
        on = event.value > 0
        if event.do == "speed":
            self._slower = event.value
        elif event.do == "failing":
            self._failing = on
        elif event.do == "hung":
            self._hung = on
        elif event.do == "loading":
            self._loading = on
        elif event.do in ("down", "drain"):
            self._leave(at_once=event.do == "down")
        elif event.do == "up":
            self._draining = False
            self._reopening = self._loop.create_task(self.listen())
        else:
            raise ValueError(f"no such event: {event.do}")
        self._engine.set_speed(time.monotonic(), 0.0 if self._hung else self._backend.speed * self._slower)
        self._arm()

    def _leave(self, at_once: bool) -> None:
        """Close the port; connections at once, or each when it has nothing to do."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        self._draining = not at_once
        for connection in list(self.connections):
            if at_once:
                connection.abort()
            elif connection.job is None:
                connection.close()


class Control:
    """The benchmark's way to the servers: starts the events, reads the counters."""

    def __init__(self, servers: list[ModelServer], events: list[Event]) -> None:
        self._servers = servers
        self._events = events
        self._loop = asyncio.get_running_loop()

    def __repr__(self) -> str:
        return f"<Control of {len(self._servers)} servers, {len(self._events)} events>"

    def start(self, zero: float) -> None:
        """Let every event happen at its time after `zero`."""
        for event in self._events:
            delay = max(0.0, zero + event.at - time.monotonic())
            self._loop.call_later(delay, self._servers[event.backend].apply, event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer commands, a line each, until the other side ends."""
        with contextlib.closing(writer):
            while line := await reader.readline():
                command, *arguments = line.decode().split()
                if command == "start":
                    self.start(float(arguments[0]))
                answer = [server.counts for server in self._servers] if command == "stats" else "ok"
                writer.write(json.dumps(answer).encode() + b"\n")


async def main(text: str) -> None:
    """Serve until the process is ended."""
    backends, events = from_json(text)
    servers = [ModelServer(port, backend) for port, backend in backends]
    for server in servers:
        await server.listen()
    control = await asyncio.start_server(Control(servers, events).serve, "127.0.0.1", 0)
    gc.freeze()
    gc.disable()  # it lives for one measurement, and a collection would be a pause of all its backends
    print(control.sockets[0].getsockname()[1], flush=True)
    await control.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]).read_text()))
