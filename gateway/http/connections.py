"""Which connections to a backend are there? Opens new ones, keeps idle ones for reuse, newest first."""

import asyncio
import errno
import ssl
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from gateway import clock
from gateway.errors import GatewayError
from gateway.http.client import BackendConnection
from gateway.http.memo import HeadMemo
from gateway.http.outbox import Outbox
from gateway.messages import ResponseHead

Spawn = Callable[[str, Coroutine[Any, Any, None]], object]

now = clock.now

LEFT_S = 1.0  # within which a backend that was left is expected to stop


@dataclass(frozen=True, slots=True)
class Destination:
    """Where connections go: `authority` is the Host field's value, `prefix` comes before every path."""

    name: str
    host: str
    port: int
    authority: bytes
    prefix: str
    tls: ssl.SSLContext | None = None


class Connecting:
    """A connection being opened: `connection` or `error` is set when it ends.

    After `give_up` nobody is woken; what opens then is kept for the next request.
    """

    __slots__ = ("_given_up", "_wake", "connection", "error")

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._given_up = False
        self.connection: BackendConnection | None = None
        self.error: GatewayError | None = None

    def opened(self, connection: BackendConnection) -> None:
        if self._given_up:
            connection.keep()  # paid for: the next request takes it
            return
        self.connection = connection
        self._wake()

    def failed(self, error: GatewayError) -> None:
        self.error = error
        if not self._given_up:
            self._wake()

    def give_up(self) -> None:
        self._given_up = True


class BackendConnections:
    """Owns the connections to one backend: opens new ones, keeps idle ones, newest first, for `idle_s`."""

    def __init__(
        self, destination: Destination, *, idle_s: float, max_idle: int, spawn: Spawn, outbox: Outbox
    ) -> None:
        self.name = destination.name
        self.prefix = destination.prefix.encode()
        self.host_line = b" HTTP/1.1\r\nHost: %b\r\n" % destination.authority
        self.label_line = b"X-Gateway-Backend: %b\r\n" % destination.name.encode()
        self.heads: HeadMemo[ResponseHead] = HeadMemo(64)
        self.outbox = outbox
        self._destination = destination
        self._idle_s = idle_s
        self._max_idle = max_idle
        self._spawn = spawn
        self._idle: deque[BackendConnection] = deque()
        self.open = 0
        self.pieces = 0  # of streamed answers, relayed to clients
        #: Opens one connection; an attribute, so that tests can slow it down or let it fail.
        self.dial: Callable[[Connecting], Coroutine[Any, Any, None]] = self._open

    def __repr__(self) -> str:
        return f"<BackendConnections {self.name} {self.open} open, {len(self._idle)} idle>"

    @property
    def idle(self) -> int:
        return len(self._idle)

    def take(self) -> BackendConnection | None:
        """The most recently used idle connection that is still good, if any."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            transport = connection.transport
            if transport is None or transport.is_closing():
                continue
            if now() - connection.idle_since > self._idle_s:
                transport.abort()
                continue
            connection.reused = True
            return connection
        return None

    def keep(self, connection: BackendConnection) -> None:
        if self._max_idle <= 0:
            if connection.transport is not None:
                connection.transport.abort()
            return
        connection.idle_since = now()
        reader = connection.reader
        reader.begin(False, False)
        if reader.pieces:  # an answer nobody wanted, because the request went elsewhere
            reader.pieces = []
        self._idle.append(connection)
        if len(self._idle) > self._max_idle:
            self._close(self._idle.popleft())

    def lost(self, connection: BackendConnection) -> None:
        self.open -= 1
        with suppress(ValueError):
            self._idle.remove(connection)

    def watch(self, give_up: Callable[[], None]) -> None:
        """Call `give_up` when a backend that was left should have stopped."""
        asyncio.get_running_loop().call_later(LEFT_S, give_up)

    def expire(self) -> None:
        """Close what has been idle too long; called now and then."""
        limit = now() - self._idle_s
        while self._idle and self._idle[0].idle_since < limit:
            self._close(self._idle.popleft())

    def close(self) -> None:
        """Close what is idle, and keep nothing from now on."""
        self._max_idle = 0
        while self._idle:
            self._close(self._idle.popleft())

    @staticmethod
    def _close(connection: BackendConnection) -> None:
        if connection.transport is not None:
            connection.transport.close()

    def connect(self, wake: Callable[[], None]) -> Connecting:
        """Begin to open a new connection; `wake` is called when it is open or has failed."""
        attempt = Connecting(wake)
        self._spawn(f"connect {self.name}", self.dial(attempt))
        return attempt

    async def _open(self, attempt: Connecting) -> None:
        to = self._destination
        try:
            connection = BackendConnection(self)
            await asyncio.get_running_loop().create_connection(
                lambda: cast(asyncio.Protocol, connection),  # in all but name
                to.host,
                to.port,
                ssl=to.tls,
                server_hostname=to.host if to.tls is not None else None,
            )
        except (OSError, ssl.SSLError, ValueError) as error:
            attempt.failed(_connect_error(error))
        except asyncio.CancelledError:
            attempt.failed(GatewayError("shutting_down", "The gateway is shutting down.", close=True))
            raise
        else:
            attempt.opened(connection)


def _connect_error(error: Exception) -> GatewayError:
    if isinstance(error, OSError) and error.errno in (
        errno.EMFILE,
        errno.ENFILE,
        errno.EADDRNOTAVAIL,
        errno.ENOBUFS,
    ):
        return GatewayError(
            "out_of_sockets", "The gateway has no sockets left; try again soon.", retry_after_s=1.0
        )
    if isinstance(error, ssl.SSLError | ValueError):
        return GatewayError("connect_error", "The TLS handshake with the backend failed.")
    return GatewayError("connect_error", "The backend does not accept connections.")
