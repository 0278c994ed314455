"""How do bytes reach a backend and come back? One connection to a backend.

A connection serves one exchange at a time and tells its `Listener` (the waiting script) what happened.
Body bytes that arrive after the head was taken go straight to the `Sink`, with back-pressure; they
are never collected. Data on an idle connection, bytes behind an answer, or any doubt about framing end it.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from gateway import clock
from gateway.errors import GatewayError
from gateway.http.memo import HeadMemo
from gateway.http.outbox import Outbox
from gateway.http.response_reader import ResponseReader
from gateway.messages import ResponseHead

HIGH_WATER = 64 * 1024  # bytes waiting in a transport's write buffer before its source is paused

now = clock.now


class Sink(Protocol):
    """Where body bytes go: the client's connection."""

    def relay(self, data: bytes) -> None: ...


class Tunnel(Protocol):
    """The other end of an upgraded connection."""

    def tunnel_write(self, data: bytes) -> None: ...
    def tunnel_close(self) -> None: ...


class Keeper(Protocol):
    """Whoever keeps the connections of one backend."""

    name: str
    open: int
    heads: HeadMemo[ResponseHead]
    outbox: Outbox
    pieces: int

    def keep(self, connection: "BackendConnection") -> None: ...
    def lost(self, connection: "BackendConnection") -> None: ...
    def watch(self, give_up: Callable[[], None]) -> None:
        """Call `give_up` in a second."""


class BackendConnection:
    """One connection to a backend, an `asyncio.Protocol` in all but name.

    Owns its transport and the state of the exchange on it.
    """

    __slots__ = (
        "_chunked_upload",
        "_corked",
        "_metered",
        "_on_end",
        "_on_write_room",
        "_paused",
        "_pool",
        "_sink",
        "_tunnel",
        "_uploading",
        "_wake",
        "error",
        "idle_since",
        "reader",
        "reused",
        "touched",
        "transport",
        "writable",
    )

    def __init__(self, pool: Keeper) -> None:
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
        self._uploading = False  # the request's body has not ended
        self._metered = False  # its pieces are counted
        self._on_end: Callable[[bool], None] | None = None  # hears whether the backend stopped when left

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
            if self._pool.outbox.takes(self):
                self._corked = head + body[0]
            else:
                transport.write(head + body[0])
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

    def stream_to(self, sink: Sink, metered: bool) -> None:
        """From now on body bytes go to `sink`; those held so far go first, in one piece.

        With `metered` each piece is counted: their rate tells how fast the backend writes.
        """
        self._sink = sink
        self._metered = metered
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
        self._uploading = True
        if not self.writable:
            on_write_room(False)

    def end_upload(self) -> None:
        if self._chunked_upload and self.error is None and self.transport is not None:
            self.transport.write(b"0\r\n\r\n")
        self._on_write_room = None
        self._chunked_upload = False
        self._uploading = False

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
        self._metered = False
        transport = self.transport
        if transport is None:
            return
        sound = self.error is None and self.writable and not self._uploading
        if reuse and sound and self.reader.complete and self.reader.reusable:
            if self._paused:
                self.resume()
            self._pool.keep(self)
        else:
            transport.abort()

    def leave(self, on_end: Callable[[bool], None]) -> None:
        """Give up the exchange and see whether the backend stops: `on_end(True)` if it closes in time.

        Only the sending side is closed at first: a server that minds its clients notices, stops and closes.
        One that answers all the same, or keeps the connection for a second, goes on computing.
        """
        self._wake = self._sink = self._on_write_room = self._corked = None
        transport = self.transport
        if transport is None or not transport.can_write_eof():
            if transport is not None:
                transport.abort()
            return
        self._on_end = on_end
        transport.write_eof()
        self._pool.watch(self._give_up)

    def _give_up(self) -> None:
        """The time in which a backend that was left should have stopped is over."""
        self._stopped(False)
        if self.transport is not None:
            self.transport.abort()

    def _stopped(self, freed: bool) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(freed)

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
        if self._on_end is not None:  # left, and it answers all the same
            self._give_up()
            return
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
            if self._metered:
                self._pool.pieces += 1
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
        self._stopped(True)
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
