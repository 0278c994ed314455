"""What does one client connection do? Reads requests, writes replies, knows when the client has left.

The connection's script (see `proxy.py`) asks for requests and gives replies; between the two, body bytes
pass by plain calls: a request body that is streamed goes from `data_received` straight to its sink, a
response body comes in through `relay`. Each side is paused while the other's write buffer is full.
"""

import asyncio
import types
from collections.abc import Callable, Generator
from typing import Protocol, cast

from gateway import clock
from gateway.errors import ClientGone, GatewayError, body_too_large
from gateway.http.listener import Listener
from gateway.http.replies import ReplyWriter
from gateway.http.request_reader import RequestReader
from gateway.http.script import Alarm, Script
from gateway.messages import Request, RequestHead

HIGH_WATER = 64 * 1024
MAX_BACKLOG = 64 * 1024  # pipelined bytes held while a request is served; then reading pauses
LINGER_BYTES = 64 * 1024
LINGER_S = 2.0

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

now = clock.now


class UploadSink(Protocol):
    """Where a streamed request body goes: the backend's connection."""

    writable: bool

    def write_body(self, data: bytes) -> None: ...
    def end_upload(self) -> None: ...


class Tunnel(Protocol):
    """The other end of an upgraded connection."""

    def tunnel_write(self, data: bytes) -> None: ...
    def tunnel_close(self) -> None: ...


class ClientConnection(ReplyWriter):
    """One client's connection, an `asyncio.Protocol` in all but name; owns its reader and its script."""

    __slots__ = (
        "_alarm",
        "_backlog",
        "_held",
        "_linger_left",
        "_on_data",
        "_paused",
        "_reader",
        "_request",
        "_script",
        "_sink",
        "_tunnel",
        "forwarding",
        "needed",
        "peer",
        "waited_s",
        "wake",
    )

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener)
        self._reader = RequestReader(listener.bounds.max_header, listener.heads)
        self._script = Script(self._ended)
        self.wake = self._script.wake
        self._alarm = Alarm(listener.loop, now, self.wake)
        self._on_data: Callable[[bytes], None] = self._keep_backlog
        self._backlog = b""
        self._paused = False
        self._request: Request | None = None
        self._sink: UploadSink | None = None
        self._tunnel: Tunnel | None = None
        self._held = 0  # this request's share of the listener's held_bytes
        self._linger_left = 0
        self.peer = ""
        self.needed = False
        #: Field lines about this client, kept by the proxy with the head they were made for.
        self.forwarding: tuple[bytes, RequestHead | None] = (b"", None)
        self.waited_s = 0.0  # how long the current request's script has waited for others

    def __repr__(self) -> str:
        state = "lost" if self.lost else "closing" if self.closing else "idle" if self.idle else "busy"
        return f"<ClientConnection {self.peer} {state}>"

    @property
    def idle(self) -> bool:
        return self._request is None and not self._reader.started

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's own class is no subclass
        listener = self._listener
        self.transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if isinstance(peer, tuple) else "unix"
        listener.connections.add(self)
        if len(listener.connections) > listener.bounds.max_connections:
            self.refused = GatewayError(
                "too_many_connections", "Too many connections; try again soon.", retry_after_s=1.0, close=True
            )
        self._script.start(listener.serve(self))

    def data_received(self, data: bytes) -> None:
        self._on_data(data)

    def eof_received(self) -> bool:
        # Whoever closes its sending side has left: a GPU must not work for nobody (nginx does the same).
        self.uncork()
        self.lost = True
        if self._tunnel is not None:
            self._tunnel.tunnel_close()
        self.wake()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self._listener.connections.discard(self)
        if self._tunnel is not None:
            self._tunnel.tunnel_close()
        self.transport = None
        self.writable = True  # as far as others wait for the answer, it is not this client that holds it up
        if self._source is not None and self.needed:
            self._source.resume()
        self.wake()
        if not self.needed:
            self._alarm.close()

    def pause_writing(self) -> None:
        self.writable = False
        self.stalled_at = now()
        self.stalled_bytes = self.transport.get_write_buffer_size() if self.transport is not None else 0
        if self._source is not None:
            self._source.pause()
            self.wake()  # it now also waits for the client

    def resume_writing(self) -> None:
        self.writable = True
        if self._source is not None:
            self._source.resume()
        self.wake()

    # Waiting, as the script does it.

    @types.coroutine
    def pause(self, at: float, until: float) -> Generator[None, None, float]:
        """Wait from `at` for news, at most until `until` (clock.now() seconds); returns what time it is then.

        Raises ClientGone once the client has left.
        """
        if self.lost and not self.needed:
            raise ClientGone
        alarm, script = self._alarm, self._script
        alarm.at = until
        if until < alarm.armed_for:
            alarm.arm(until)
        if script.again:
            script.again = False
        else:
            yield
        after = now()
        self.waited_s += after - at
        if self.lost and not self.needed:
            raise ClientGone
        return after

    # Requests.

    def take_request(self) -> Request | None:
        """The next request, if it has been pipelined behind the last one or is here already."""
        self._begin_next()
        return self._request

    def _begin_next(self) -> None:
        if self._held:
            self._let_go()
        self.waited_s = 0.0
        self.bytes_out = 0
        self.replying = False
        self._request = None
        self._sink = None
        self._on_data = self._read_head
        if self._backlog:
            data, self._backlog = self._backlog, b""
            self._read_head(data)
        if self._paused:
            self._resume_reading()

    async def next_request(self) -> Request | None:
        """The next request's head, with as much of its body as came along; None when there is none to come.

        Raises GatewayError for one that is refused (answer it, then close) and ClientGone.
        """
        bounds = self._listener.bounds
        at = since = now()
        started = self._reader.started
        while self._request is None:
            if self.refused is not None:
                raise self.refused
            if self.closing or (self._listener.draining and not self._reader.started):
                return None
            if started is not self._reader.started:
                started, since = True, at
            until = since + (bounds.header_timeout if started else bounds.keepalive_timeout)
            if at >= until:
                if not started:
                    return None
                raise GatewayError("header_timeout", "The request head did not arrive in time.", close=True)
            at = await self.pause(at, until)
        self.waited_s = 0.0
        return self._request

    def _read_head(self, data: bytes) -> None:
        started = self._reader.started
        try:
            request = self._reader.feed_head(data, now())
        except GatewayError as error:
            self._refuse(error)
            return
        if request is not None:
            self._request = request
            if request.received:
                self._hold(request.received)
            self._on_data = self._keep_backlog if request.complete else self._read_body
            if request.complete and self._reader.rest:
                self._keep_backlog(self._reader.rest)
            self.wake()
        elif not started:
            self.wake()  # the header timeout begins

    def _read_body(self, data: bytes) -> None:
        request = self._request
        assert request is not None
        before, received = len(request.body), request.received
        try:
            self._reader.feed_body(data)
            if request.received > self._listener.bounds.max_body:
                raise body_too_large(self._listener.bounds.max_body)
        except GatewayError as error:
            request.complete = False  # whatever has arrived is not to be used
            self._refuse(error)
            return
        if self._sink is not None:
            for piece in request.body[before:]:
                self._sink.write_body(piece)
            del request.body[before:]
        else:
            self._hold(request.received - received)
            if request.streamed:  # nowhere to go yet
                self._pause_reading()
        if request.complete:
            self._on_data = self._keep_backlog
            if self._reader.rest:
                self._keep_backlog(self._reader.rest)
            if self._sink is not None:
                self._sink.end_upload()
                self._sink = None
        self.wake()

    def _hold(self, size: int) -> None:
        self._held += size
        self._listener.held_bytes += size

    def _let_go(self) -> None:
        self._listener.held_bytes -= self._held
        self._held = 0

    def _keep_backlog(self, data: bytes) -> None:
        self._backlog = self._backlog + data if self._backlog else data
        if len(self._backlog) > MAX_BACKLOG:
            self._pause_reading()

    def _refuse(self, error: GatewayError) -> None:
        self.refused = error
        self._on_data = self._discard
        self.wake()

    def _discard(self, data: bytes) -> None:
        self._linger_left -= len(data)
        if self._linger_left <= 0 and self.closing:
            self.abort()

    async def read_body(self, request: Request, limit: int) -> bool:
        """Hold the body until it is whole; False when it exceeds `limit` bytes or the room for held bodies.

        Raises GatewayError: 408 for a stall, 413, 400, and ClientGone.
        """
        if request.content_length is not None and request.content_length > limit:
            return False
        self.say_continue(request)
        timeout = self._listener.bounds.body_timeout
        at = since = now()
        received = request.received
        while not request.complete:
            if self.refused is not None:
                raise self.refused
            if request.received > limit or self._listener.held_bytes > self._listener.bounds.buffer_total:
                return False
            if request.received != received:
                received, since = request.received, at
            elif at >= since + timeout:
                raise GatewayError("body_timeout", "The request body stalled.", close=True)
            at = await self.pause(at, since + timeout)
        return True

    def say_continue(self, request: Request) -> None:
        """Answer `Expect: 100-continue`, unless the body is on its way already."""
        if request.head.expects_continue and not (request.continued or request.received or request.complete):
            request.continued = True
            if request.head.minor:
                self._write(_CONTINUE)

    def upload_to(self, sink: UploadSink, request: Request) -> None:
        """From now on body pieces go to `sink`; those held so far go first."""
        pieces, request.body = request.body, []
        self._let_go()
        for piece in pieces:
            sink.write_body(piece)
        if request.complete:
            sink.end_upload()
        else:
            self._sink = sink
            if sink.writable:  # else it resumes reading itself, once it has room
                self._resume_reading()

    def on_upload_room(self, room: bool) -> None:
        """The upload's sink is full (False), or has room again."""
        if room:
            self._resume_reading()
        else:
            self._pause_reading()

    def end_upload(self) -> None:
        self._sink = None

    def _pause_reading(self) -> None:
        if self.transport is not None and not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self.transport is not None and self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    # The end.

    def tunnel_to(self, other: Tunnel) -> None:
        """After a 101: every byte goes to `other` as it is, those that waited first."""
        self._tunnel = other
        self._on_data = other.tunnel_write
        self.closing = True
        if self._backlog:
            data, self._backlog = self._backlog, b""
            other.tunnel_write(data)
        self._resume_reading()

    def tunnel_write(self, data: bytes) -> None:
        self.bytes_out += len(data)
        self._write(data)

    def tunnel_close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def close_if_idle(self) -> None:
        if self.idle:
            self.closing = True
            self.wake()

    def abort(self) -> None:
        """Break the connection; the script ends at its next wait, which is now."""
        super().abort()
        self.wake()

    async def linger(self) -> None:
        """Close after a reply, reading on for a moment while the client still sends.

        Closing with unread bytes would make the kernel reset the connection and take the reply with it.
        """
        transport = self.transport
        unread = self.refused is not None or (self._request is not None and not self._request.complete)
        if transport is None or self.lost or not unread:
            return
        self.closing = True
        self._linger_left = LINGER_BYTES
        self._on_data = self._discard
        self._resume_reading()
        self.uncork()
        if transport.can_write_eof():
            transport.write_eof()
        at = now()
        until = at + LINGER_S
        while at < until:
            at = await self.pause(at, until)

    def _ended(self, error: BaseException | None) -> None:
        """The script is over: close, flushing what was written."""
        if self.lost:
            self._alarm.close()
        if error is not None:
            self._listener.on_crash(error)
            self.abort()
        self.closing = True
        self._let_go()
        self._on_data = self._discard
        self.uncork()
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        transport.close()
        if transport.get_write_buffer_size():  # a client that does not read must not hold it for ever
            self._listener.loop.call_later(self._listener.bounds.body_timeout, transport.abort)
