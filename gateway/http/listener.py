"""What do the connections of one gateway share? Its bounds, who is connected, the bytes held for bodies."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from gateway.http.memo import HeadMemo
from gateway.http.outbox import Outbox
from gateway.messages import RequestHead


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


class Connection(Protocol):
    """A client's connection, as far as all of them are told something."""

    def close_if_idle(self) -> None: ...
    def abort(self) -> None: ...


class Listener:
    """Owns what the connections of one gateway share. `serve` makes the script of a new connection."""

    def __init__(
        self,
        bounds: Bounds,
        serve: Callable[[Any], Coroutine[Any, Any, None]],
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
        self.connections: set[Connection] = set()
        self.held_bytes = 0
        self.draining = False

    def __repr__(self) -> str:
        return f"<Listener {len(self.connections)} connections, {self.held_bytes} bytes held>"

    def drain(self) -> None:
        """Take no further request on any connection; those without a request under way are closed."""
        self.draining = True
        for connection in list(self.connections):
            connection.close_if_idle()

    def abort(self) -> None:
        for connection in list(self.connections):
            connection.abort()
