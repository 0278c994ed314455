"""What does a client see? An open loop: every request leaves at its time, whatever became of those before it.

A request's time counts from when it was due, not from when it was sent, so that nothing which delays the
sender hides (coordinated omission).
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import httptools

from benchmarks.shootout.answers import TOKEN
from benchmarks.shootout.plan import PATH, Request

KEY = "sk-shootout"  # LiteLLM wants one; sent to all
IDLE_S = (
    1.0  # a connection idle for longer is not used again: every proxy here keeps it for at least twice that
)
SEEN = TOKEN.encode()
WORDS = {200: "", 408: "timeout", 429: "429", 500: "500", 502: "502", 503: "503", 504: "504"}


@dataclass(slots=True)
class Seen:
    """One request as its client saw it; times are seconds after it was due, `late_s` when it was sent."""

    at: float
    late_s: float = 0.0
    first_s: float = 0.0  # first token, or first byte of a body that is not streamed
    end_s: float = 0.0
    tokens: int = 0
    error: str = ""  # kind; empty: a whole, right answer


class Connection(asyncio.Protocol):
    """One kept connection to the proxy, one request at a time."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._seen: Seen | None = None
        self._request: Request | None = None
        self._due = 0.0
        self._rest = b""
        self._done = False
        self._length = 0
        self.idle_since = 0.0

    def __repr__(self) -> str:
        return f"<Connection {self._seen!r}>"

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        if self._seen is not None:
            self._finish("cut" if self._length or self._rest else "reset")

    def send(self, head: bytes, request: Request, seen: Seen, due: float) -> None:
        """Send `request`, which was due at `due`; the answer goes into `seen`."""
        assert self._transport is not None
        self._parser = httptools.HttpResponseParser(self)
        self._seen, self._request, self._due = seen, request, due
        self._rest, self._length, self._done = b"", 0, False
        self._transport.write(head + str(len(request.body)).encode() + b"\r\n\r\n" + request.body)

    def data_received(self, data: bytes) -> None:
        if self._seen is None:
            self.abort()  # nothing was asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            raise
        except httptools.HttpParserError:
            self._finish("malformed")
            self.abort()

    def on_body(self, data: bytes) -> None:
        seen, request = self._seen, self._request
        assert seen is not None
        assert request is not None
        self._length += len(data)
        if not request.tokens:
            seen.first_s = seen.first_s or time.monotonic() - self._due
            return
        whole, newline, self._rest = (self._rest + data).rpartition(b"\n")
        if tokens := (whole + newline).count(SEEN):
            now = time.monotonic() - self._due
            seen.first_s = seen.first_s or now
            seen.end_s = now
            seen.tokens += tokens
        self._done = self._done or b"[DONE]" in whole

    def on_message_complete(self) -> None:
        assert self._request is not None
        assert self._seen is not None
        status = self._parser.get_status_code()
        error = WORDS.get(status, f"{status}")
        if not error and self._request.tokens and not (self._done and self._seen.tokens):
            error = "incomplete"
        keep = self._parser.should_keep_alive()
        self._finish(error)
        if keep:
            self._client.give_back(self)
        else:
            self.abort()

    def _finish(self, error: str) -> None:
        seen, self._seen = self._seen, None
        assert seen is not None
        if not (seen.tokens and not error):  # a stream ends with its last token, not with [DONE]
            seen.end_s = time.monotonic() - self._due
        seen.error = error
        self._client.finished()

    def give_up(self, seen: Seen) -> None:
        """The client's patience is at its end; nothing happens if the answer has come."""
        if self._seen is seen:
            self._finish("no answer")
            self.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class Client:
    """Sends a schedule of requests to one port, or to several in turn, and keeps what it saw of each."""

    def __init__(self, ports: Sequence[int], schedule: Sequence[Request], patience_s: float) -> None:
        self._ports = ports
        self._schedule = schedule
        self._patience_s = patience_s
        self._idle: deque[Connection] = deque()
        self._heads = [self._head(port) for port in ports]
        self._turn = 0
        self._open = 0
        self._dialling: set[asyncio.Task[None]] = set()
        self._all_done = asyncio.Event()
        self.seen: list[Seen] = []

    def __repr__(self) -> str:
        return f"<Client {len(self.seen)} of {len(self._schedule)} sent, {self._open} open>"

    @staticmethod
    def _head(port: int) -> bytes:
        return (
            f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {KEY}\r\n"
            "content-type: application/json\r\naccept: */*\r\ncontent-length: "
        ).encode()

    async def send(self, zero: float) -> None:
        """Send everything, each request at its time after `zero` (monotonic)."""
        loop = asyncio.get_running_loop()
        for request in self._schedule:
            due = zero + request.at
            while (left := due - time.monotonic()) > 0:  # noqa: ASYNC110 - no event sets the time
                await asyncio.sleep(
                    left
                )  # libuv rounds it to milliseconds; the last half one is spent turning
            seen = Seen(request.at, late_s=time.monotonic() - due)
            self.seen.append(seen)
            self._open += 1
            connection = self._kept()
            if connection is not None:
                self._send(connection, 0, request, seen, due)
            else:
                task = loop.create_task(self._dial(request, seen, due))
                self._dialling.add(task)
                task.add_done_callback(self._dialling.discard)

    async def finish(self) -> list[Seen]:
        """Wait until each request has been answered, or given up."""
        if self._open:
            await self._all_done.wait()
        return self.seen

    def _kept(self) -> Connection | None:
        """The connection used last, unless it has been idle for too long; kept ones only towards one port."""
        oldest = time.monotonic() - IDLE_S
        while self._idle:
            connection = self._idle.pop()
            if connection.open and connection.idle_since > oldest and len(self._ports) == 1:
                return connection
            connection.abort()
        return None

    async def _dial(self, request: Request, seen: Seen, due: float) -> None:
        loop = asyncio.get_running_loop()
        self._turn = (self._turn + 1) % len(self._ports)
        turn = self._turn
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(self), "127.0.0.1", self._ports[turn]
            )
        except OSError:
            seen.end_s = time.monotonic() - due
            seen.error = "refused"
            self.finished()
            return
        self._send(connection, turn, request, seen, due)

    def _send(self, connection: Connection, turn: int, request: Request, seen: Seen, due: float) -> None:
        connection.send(self._heads[turn], request, seen, due)
        asyncio.get_running_loop().call_later(self._patience_s, connection.give_up, seen)

    def give_back(self, connection: Connection) -> None:
        connection.idle_since = time.monotonic()
        self._idle.append(connection)

    def finished(self) -> None:
        self._open -= 1
        if not self._open and len(self.seen) == len(self._schedule):
            self._all_done.set()
