"""What does one client connection do? Reads requests, writes replies, knows when the client has left.

The connection's script (see `proxy.py`) asks for requests and gives replies; between the two, body bytes
pass by plain calls: a request body that is streamed goes from `data_received` straight to its sink, a
response body comes in through `relay`. Each side is paused while the other's write buffer is full.
"""

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Protocol, cast

from gateway import clock
from gateway.errors import ClientGone, GatewayError
from gateway.http.headers import STATUS_LINES, status_line
from gateway.http.memo import HeadMemo
from gateway.http.outbox import Outbox
from gateway.http.request_reader import RequestReader
from gateway.http.script import Alarm, Script
from gateway.messages import Request, RequestHead

HIGH_WATER = 64 * 1024
MAX_BACKLOG = 64 * 1024  # pipelined bytes held while a request is served; then reading pauses
LINGER_BYTES = 64 * 1024
LINGER_S = 2.0

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = b"Connection: close\r\n"
_KEEP_ALIVE = b"Connection: keep-alive\r\n"

now = clock.now


class UploadSink(Protocol):
    """Where a streamed request body goes: the backend's connection."""

    def write_body(self, data: bytes) -> None: ...
    def end_upload(self) -> None: ...


class Tunnel(Protocol):
    """The other end of an upgraded connection."""

    def tunnel_write(self, data: bytes) -> None: ...
    def tunnel_close(self) -> None: ...


class Source(Protocol):
    """Where a response body comes from; paused while the client does not keep up."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...


class Bounds(Protocol):
    """The limits of one listener; sizes in bytes, times in seconds."""

    @property
    def max_body(self) -> int: ...
    @property
    def buffer_total(self) -> int: ...
    @property
    def max_header(self) -> int: ...
    @property
    def max_connections(self) -> int: ...
    @property
    def header_timeout(self) -> float: ...
    @property
    def body_timeout(self) -> float: ...
    @property
    def keepalive_timeout(self) -> float: ...


class Listener:
    """Owns what the connections of one gateway share: bounds, open connections, bytes held, draining."""

    def __init__(
        self,
        bounds: Bounds,
        serve: Callable[["ClientConnection"], Coroutine[Any, Any, None]],
        on_crash: Callable[[BaseException], None],
        loop: asyncio.AbstractEventLoop,
        outbox: Outbox,
    ) -> None:
        self.bounds = bounds
        self.serve = serve
        self.on_crash = on_crash
        self.loop = loop
        self.outbox = outbox
        self.heads: HeadMemo[RequestHead] = HeadMemo()
        self.connections: set[ClientConnection] = set()
        self.held_bytes = 0
        self.draining = False

    def __repr__(self) -> str:
        return f"<Listener {len(self.connections)} connections, {self.held_bytes} bytes held>"

    def accept(self) -> "ClientConnection":
        return ClientConnection(self)

    def drain(self) -> None:
        """Take no further request on any connection; those without a request under way are closed."""
        self.draining = True
        for connection in list(self.connections):
            connection.close_if_idle()

    def abort(self) -> None:
        for connection in list(self.connections):
            connection.abort()


class ClientConnection(asyncio.Protocol):
    """One client's connection; owns its transport, its reader and the script that serves it."""

    __slots__ = (
        "_alarm",
        "_backlog",
        "_chunked",
        "_corked",
        "_head",
        "_held",
        "_linger_left",
        "_listener",
        "_on_data",
        "_paused",
        "_reader",
        "_request",
        "_script",
        "_sink",
        "_source",
        "_tunnel",
        "bytes_out",
        "closing",
        "refused",
        "stalled_at",
        "stalled_bytes",
        "wake",
        "forwarding",
        "lost",
        "peer",
        "replying",
        "transport",
        "waited_s",
        "writable",
    )

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._reader = RequestReader(listener.bounds.max_header, listener.heads)
        self._script = Script(self._ended)
        self.wake = self._script.wake
        self._alarm = Alarm(listener.loop, now, self.wake)
        self.transport: asyncio.Transport | None = None
        self._on_data: Callable[[bytes], None] = self._keep_backlog
        self._backlog = b""
        self._paused = False
        self._request: Request | None = None
        self.refused: GatewayError | None = None
        self._sink: UploadSink | None = None
        self._source: Source | None = None
        self._tunnel: Tunnel | None = None
        self._head: bytes | None = None
        self._chunked = False
        self._corked: bytes | None = None  # written, but held until the end of this turn
        self._held = 0  # this request's share of the listener's held_bytes
        self._linger_left = 0
        self.stalled_at = 0.0  # since when the client takes nothing
        self.stalled_bytes = 0
        self.peer = ""
        #: Field lines about this client, kept by the proxy with the head they were made for.
        self.forwarding: tuple[bytes, RequestHead | None] = (b"", None)
        self.bytes_out = 0
        self.waited_s = 0.0  # how long the current request's script has waited for others
        self.lost = False
        self.closing = False
        self.replying = False  # part of the current reply has been written
        self.writable = True

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
        self.wake()
        self._alarm.close()
        self.transport = None

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
        if self.lost:
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
        if self.lost:
            raise ClientGone
        return after

    # Requests.

    def take_request(self) -> Request | None:
        """The next request, if it has been pipelined behind the last one or is here already."""
        if self._held:
            self._let_go()
        self._request = None
        self._on_data = self._read_head
        if self._backlog:
            data, self._backlog = self._backlog, b""
            self._read_head(data)
        if self._paused:
            self._resume_reading()
        self.waited_s = 0.0
        self.bytes_out = 0
        self.replying = False
        return self._request

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
                raise too_large(self._listener.bounds.max_body)
        except GatewayError as error:
            self._refuse(error)
            return
        if self._sink is not None:
            for piece in request.body[before:]:
                self._sink.write_body(piece)
            del request.body[before:]
        else:
            self._hold(request.received - received)
        if request.complete:
            self._on_data = self._keep_backlog
            if self._reader.rest:
                self._keep_backlog(self._reader.rest)
            if self._sink is not None:
                self._sink.end_upload()
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
        self._sink = sink
        pieces, request.body = request.body, []
        self._let_go()
        for piece in pieces:
            sink.write_body(piece)
        if request.complete:
            sink.end_upload()

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

    # Replies.

    def reply_whole(self, request: Request, status: int, fields: bytes, body: bytes) -> None:
        """Write a reply whose body is all there, in one piece."""
        self.replying = True
        self.bytes_out += len(body)
        data = b"%b%bContent-Length: %d\r\n%b\r\n%b" % (
            STATUS_LINES.get(status) or status_line(status),
            fields,
            len(body),
            self._persistence(request),
            body,
        )
        outbox = self._listener.outbox
        if outbox.direct or self._corked is not None:
            outbox.direct -= 1
            self._write(data)
        else:
            self._corked = data
            outbox.add(self)

    def uncork(self) -> None:
        """Write what was held until the end of the turn."""
        if self._corked is not None:
            self._write(b"")

    def _write(self, data: bytes) -> None:
        """Every write goes through here: what is held goes first."""
        if self._corked is not None:
            data = self._corked + data
            self._corked = None
        if self.transport is not None and not self.lost:
            self.transport.write(data)

    def begin_reply(
        self, request: Request, status: int, fields: bytes, length: int | None, body: bool
    ) -> None:
        """Start a reply: `fields` are whole lines, `length` None when unknown, `body` whether one follows.

        The head is held back until the first body bytes or the end, and written together with them.
        """
        self.replying = True
        self._chunked = False
        framing = b""
        if length is not None:
            framing = b"Content-Length: %d\r\n" % length
        elif body and request.head.minor:
            self._chunked = True
            framing = b"Transfer-Encoding: chunked\r\n"
        elif body:
            self.closing = True
        self._head = b"%b%b%b%b\r\n" % (
            STATUS_LINES.get(status) or status_line(status),
            fields,
            framing,
            self._persistence(request),
        )

    def _persistence(self, request: Request) -> bytes:
        """The Connection line: whether another request may follow on this connection."""
        if (
            self.closing
            or not request.keep_alive
            or not request.complete
            or self._listener.draining
            or self.refused is not None
        ):
            self.closing = True
            return _CLOSE
        return b"" if request.head.minor else _KEEP_ALIVE

    def write_interim(self, head: bytes) -> None:
        """Send a 1xx head at once."""
        self._write(head)

    def relay(self, data: bytes) -> None:
        """Write body bytes; called by the source for each piece as it arrives."""
        self.bytes_out += len(data)
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._head is not None:
            data = self._head + data
            self._head = None
        if self._corked is not None:
            self._write(data)
        elif self.transport is not None and not self.lost:
            self.transport.write(data)

    def relay_from(self, source: Source) -> None:
        """Body bytes now come from `source`, which is paused while the client does not keep up."""
        self._source = source
        if not self.writable:
            source.pause()

    def stalled(self, at: float) -> bool:
        """Whether the client has taken nothing since `stalled_at`; if it has, the count starts again at `at`."""
        if self.writable or self.transport is None:
            return False
        waiting = self.transport.get_write_buffer_size()
        stalled = waiting >= self.stalled_bytes
        self.stalled_at, self.stalled_bytes = at, waiting
        return stalled

    def end_reply(self) -> None:
        """The body is whole: write what ends it."""
        self._source = None
        tail = b"0\r\n\r\n" if self._chunked else b""
        if self._head is not None:
            tail = self._head + tail
            self._head = None
        if tail:
            self._write(tail)

    def cut_reply(self) -> None:
        """The body cannot be finished: break the connection, so that it is seen to be cut."""
        self._source = None
        self.abort()

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
        self.lost = True
        if self.transport is not None:
            self.transport.abort()
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


def too_large(max_body: int) -> GatewayError:
    return GatewayError(
        "body_too_large", f"The request body is over the limit of {max_body} bytes.", close=True
    )
