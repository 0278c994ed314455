"""How is a reply written? Its head with the first body bytes, then pieces, chunked or counted."""

import asyncio
from typing import Protocol

from gateway import clock
from gateway.errors import GatewayError
from gateway.http.headers import STATUS_LINES, status_line
from gateway.http.listener import Listener
from gateway.messages import Request

_CLOSE = b"Connection: close\r\n"
_KEEP_ALIVE = b"Connection: keep-alive\r\n"

now = clock.now


class Source(Protocol):
    """Where a response body comes from; paused while the client does not keep up."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...


class ReplyWriter:
    """The writing half of a client's connection; owns its transport and what waits to be written."""

    __slots__ = (
        "_chunked",
        "_corked",
        "_head",
        "_listener",
        "_source",
        "bytes_out",
        "closing",
        "lost",
        "refused",
        "replying",
        "stalled_at",
        "stalled_bytes",
        "transport",
        "writable",
    )

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.transport: asyncio.Transport | None = None
        self._source: Source | None = None
        self._head: bytes | None = None
        self._chunked = False
        self._corked: bytes | None = None  # written, but held until the end of this turn
        self.refused: GatewayError | None = None  # what is wrong with what the client has sent
        self.stalled_at = 0.0  # since when the client takes nothing
        self.stalled_bytes = 0
        self.bytes_out = 0
        self.lost = False
        self.closing = False
        self.replying = False  # part of the current reply has been written
        self.writable = True

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
        if self._corked is None and self._listener.outbox.takes(self):
            self._corked = data
        else:
            self._write(data)

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
        """Whether the client has taken nothing since `stalled_at`; if it has, that moves to `at`."""
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

    def abort(self) -> None:
        """Break the connection."""
        self.lost = True
        if self.transport is not None:
            self.transport.abort()
