"""How do bytes reach a backend and come back? One connection to a backend, and the idle ones kept for reuse.

A connection serves one exchange at a time and tells its `Listener` (the waiting script) what happened.
Body bytes that arrive after the head was taken go straight to the `Sink`, with back-pressure; they
are never collected. Data on an idle connection, bytes behind an answer, or any doubt about framing end it.
"""

import asyncio
import errno
import ssl
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol, cast

from gateway import clock
from gateway.errors import GatewayError
from gateway.http.memo import HeadMemo
from gateway.http.outbox import Outbox
from gateway.http.response_reader import ResponseReader
from gateway.messages import ResponseHead

Spawn = Callable[[str, Coroutine[Any, Any, None]], object]
HIGH_WATER = 64 * 1024  # bytes waiting in a transport's write buffer before its source is paused

now = clock.now


class Sink(Protocol):
    """Where body bytes go: the client's connection."""

    def relay(self, data: bytes) -> None: ...


class Tunnel(Protocol):
    """The other end of an upgraded connection."""

    def tunnel_write(self, data: bytes) -> None: ...
    def tunnel_close(self) -> None: ...


class BackendConnection(asyncio.Protocol):
    """One connection to a backend; owns its transport and the state of the exchange on it."""

    __slots__ = (
        "_chunked_upload",
        "_corked",
        "_on_write_room",
        "_paused",
        "_pool",
        "_sink",
        "_tunnel",
        "_wake",
        "error",
        "idle_since",
        "reader",
        "reused",
        "touched",
        "transport",
        "writable",
    )

    def __init__(self, pool: "BackendConnections") -> None:
        self._pool = pool
        self.reader = ResponseReader(pool.heads)
        self.transport: asyncio.Transport | None = None
        self.error: GatewayError | None = None
        self.reused = False
        self.idle_since = 0.0
        self.touched = 0.0  # when bytes last arrived
        self.writable = True
        self._paused = False
        self._wake: Callable[[], None] | None = None
        self._sink: Sink | None = None
        self._tunnel: Tunnel | None = None
        self._chunked_upload = False
        self._corked: bytes | None = None  # a request held until the end of this turn
        self._on_write_room: Callable[[bool], None] | None = None

    def __repr__(self) -> str:
        state = "idle" if self._wake is None else "busy"
        return f"<BackendConnection {self._pool.name} {state}{' reused' if self.reused else ''}>"

    # The exchange, as the script drives it.

    def send(
        self,
        head: bytes,
        body: list[bytes],
        without_body: bool,
        wants_upgrade: bool,
        wake: Callable[[], None],
    ) -> None:
        """Send a request; `wake` is called when there is news: head, end, error or room to write."""
        self._wake = wake
        if without_body or wants_upgrade:
            self.reader.begin(without_body, wants_upgrade)
        transport = self.transport
        if transport is None:
            self.error = GatewayError("reset", "The backend closed the connection.")
        elif len(body) == 1 and len(body[0]) < HIGH_WATER:
            outbox = self._pool.outbox
            if outbox.direct:
                outbox.direct -= 1
                transport.write(head + body[0])
            else:
                self._corked = head + body[0]
                outbox.add(self)
        elif body:
            transport.writelines([head, *body])
        else:
            transport.write(head)

    def uncork(self) -> None:
        """Send what was held until the end of the turn."""
        data, self._corked = self._corked, None
        if data is not None and self.transport is not None:
            self.transport.write(data)

    def answered(self) -> ResponseHead | None:
        """The response head, once there is something to go on with: a body byte, the end, or a switch."""
        reader = self.reader
        if reader.head is not None and (reader.pieces or reader.complete or reader.switched):
            return reader.head
        return None

    def take_body(self) -> bytes:
        """The body of an answer that is complete before anything of it was sent on."""
        pieces, self.reader.pieces = self.reader.pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def stream_to(self, sink: Sink) -> None:
        """From now on body bytes go to `sink`; those held so far go first, in one piece."""
        self._sink = sink
        self._deliver()

    def write_body(self, data: bytes) -> None:
        """Send on one piece of a request body that is streamed through."""
        transport = self.transport
        if transport is None or transport.is_closing() or self.error is not None:
            return
        transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked_upload else data)

    def begin_upload(self, chunked: bool, on_write_room: Callable[[bool], None]) -> None:
        """Expect pieces by `write_body`; `on_write_room(False)` asks the source to pause, True to go on."""
        self._chunked_upload = chunked
        self._on_write_room = on_write_room
        if not self.writable:
            on_write_room(False)

    def end_upload(self) -> None:
        if self._chunked_upload and self.error is None and self.transport is not None:
            self.transport.write(b"0\r\n\r\n")
        self._on_write_room = None
        self._chunked_upload = False

    def pause(self) -> None:
        """The sink is full: stop reading."""
        self._paused = True
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume(self) -> None:
        self._paused = False
        self.touched = now()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def tunnel_to(self, other: Tunnel) -> None:
        """After a 101: every byte goes to `other` as it is."""
        self._tunnel = other
        if self.reader.rest:
            other.tunnel_write(self.reader.rest)

    def tunnel_write(self, data: bytes) -> None:
        self.touched = now()
        if self.transport is not None:
            self.transport.write(data)

    def tunnel_close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def release(self, reuse: bool) -> None:
        """End of the exchange: back to the idle connections, or closed."""
        self._wake = None
        self._sink = None
        self._on_write_room = None
        self._chunked_upload = False
        self._corked = None
        transport = self.transport
        if transport is None:
            return
        if reuse and self.error is None and self.reader.complete and self.reader.reusable and self.writable:
            if self._paused:
                self.resume()
            self._pool.keep(self)
        else:
            transport.abort()

    def keep(self) -> None:
        """Wait among the idle connections, never used yet."""
        self._pool.keep(self)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's own class is no subclass
        self.transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER)
        self._pool.open += 1

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel.tunnel_write(data)
            self.touched = now()
            return
        wake, reader = self._wake, self.reader
        if wake is None:  # idle: nobody asked for this
            self._fail(GatewayError("bad_response", "The backend sent bytes nobody asked for."))
            return
        self.touched = now()
        try:
            reader.feed(data)
        except GatewayError as error:
            if self._sink is not None and reader.pieces:
                self._deliver()
            self._fail(error)
            wake()
            return
        if self._sink is None:
            if reader.pieces or reader.complete or reader.switched or reader.interim:
                wake()
        else:
            if reader.pieces:
                self._deliver()
            if reader.complete:
                wake()

    def _deliver(self) -> None:
        pieces = self.reader.pieces
        if pieces and self._sink is not None:
            self.reader.pieces = []
            self._sink.relay(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def eof_received(self) -> bool:
        wake = self._wake
        if self._tunnel is not None:
            self._end_tunnel()
        elif wake is not None and not self.reader.complete:
            if not self.reader.feed_eof():
                self.error = GatewayError(
                    "reset", "The backend closed the connection before its answer was whole."
                )
            wake()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._pool.lost(self)
        self.transport = None
        if self._tunnel is not None:
            self._end_tunnel()
            return
        wake, self._wake = self._wake, None
        if wake is not None and not self.reader.complete:
            if self.error is None:
                self.error = GatewayError(
                    "reset", "The backend's connection broke before its answer was whole."
                )
            wake()

    def _end_tunnel(self) -> None:
        tunnel, self._tunnel = self._tunnel, None
        if tunnel is not None:
            tunnel.tunnel_close()
        if self._wake is not None:
            self._wake()

    def pause_writing(self) -> None:
        self.writable = False
        if self._on_write_room is not None:
            self._on_write_room(False)

    def resume_writing(self) -> None:
        self.writable = True
        if self._on_write_room is not None:
            self._on_write_room(True)

    def _fail(self, error: GatewayError) -> None:
        self.error = error
        self.reader.reusable = False
        if self.transport is not None:
            self.transport.abort()


class BackendConnections:
    """Owns the connections to one backend: opens new ones, keeps idle ones, newest first, for `idle_s`."""

    def __init__(
        self,
        name: str,
        address: tuple[str, int],
        *,
        authority: bytes,
        prefix: str,
        tls: ssl.SSLContext | None,
        idle_s: float,
        max_idle: int,
        spawn: Spawn,
        outbox: Outbox,
    ) -> None:
        self.name = name
        self.prefix = prefix.encode()
        self.host_line = b" HTTP/1.1\r\nHost: %b\r\n" % authority
        self.label_line = b"X-Gateway-Backend: %b\r\n" % name.encode()
        self.heads: HeadMemo[ResponseHead] = HeadMemo(64)
        self.outbox = outbox
        self._address = address
        self._tls = tls
        self._idle_s = idle_s
        self._max_idle = max_idle
        self._spawn = spawn
        self._idle: deque[BackendConnection] = deque()
        self.open = 0

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

    def expire(self) -> None:
        """Close what has been idle too long; called now and then."""
        limit = now() - self._idle_s
        while self._idle and self._idle[0].idle_since < limit:
            self._close(self._idle.popleft())

    def close(self) -> None:
        while self._idle:
            self._close(self._idle.popleft())

    @staticmethod
    def _close(connection: BackendConnection) -> None:
        if connection.transport is not None:
            connection.transport.close()

    def connect(self, wake: Callable[[], None]) -> "Connecting":
        """Begin to open a new connection; `wake` is called when it is open or has failed."""
        attempt = Connecting(wake)
        self._spawn(f"connect {self.name}", self._open(attempt))
        return attempt

    async def _open(self, attempt: "Connecting") -> None:
        host, port = self._address
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: BackendConnection(self),
                host,
                port,
                ssl=self._tls,
                server_hostname=host if self._tls is not None else None,
            )
        except (OSError, ssl.SSLError, ValueError) as error:
            attempt.failed(_connect_error(error))
        except asyncio.CancelledError:
            attempt.failed(GatewayError("shutting_down", "The gateway is shutting down.", close=True))
            raise
        else:
            attempt.opened(connection)


class Connecting:
    """A connection being opened. `connection` or `error` is set when it ends; `give_up` before that drops it."""

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
