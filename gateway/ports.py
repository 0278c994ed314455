"""What does the proxy need of sockets and of whoever keeps count? The protocols it is written against."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from gateway.errors import GatewayError
from gateway.messages import Exchange, Request, RequestHead, ResponseHead


class Reader(Protocol):
    """What has arrived of a backend's answer."""

    complete: bool
    content_length: int | None
    head: ResponseHead | None
    interim: list[ResponseHead] | None
    switched: bool
    until_close: bool  # its body ends where the connection does: nobody can tell an end from a break
    rest: bytes


class Upstream(Protocol):
    """One connection to a backend, lent for one exchange."""

    error: GatewayError | None
    reused: bool
    touched: float
    writable: bool

    @property
    def reader(self) -> Reader: ...
    def answered(self) -> ResponseHead | None: ...
    def send(
        self,
        head: bytes,
        body: list[bytes],
        without_body: bool,
        wants_upgrade: bool,
        wake: Callable[[], None],
    ) -> None: ...
    def take_body(self) -> bytes: ...
    def stream_to(self, sink: "Sink", metered: bool) -> None: ...
    def write_body(self, data: bytes) -> None: ...
    def begin_upload(self, chunked: bool, on_write_room: Callable[[bool], None]) -> None: ...
    def end_upload(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def tunnel_to(self, other: "Client") -> None: ...
    def tunnel_write(self, data: bytes) -> None: ...
    def tunnel_close(self) -> None: ...
    def release(self, reuse: bool) -> None: ...
    def leave(self, on_end: Callable[[bool], None]) -> None:
        """Give up an exchange; `on_end` hears whether the backend was seen to stop within a second."""


class Sink(Protocol):
    """Where an answer's pieces go."""

    def relay(self, data: bytes) -> None: ...


class Source(Protocol):
    """Where pieces come from; paused while they are not taken."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...


class Capture(Protocol):
    """Whoever is told of an answer on its way to the client, to keep it. Seconds of `clock.now()`.

    Told in this order: `declines`, `head`, then `whole`, or `begin`, `relay` for each piece, and `finish` or
    `broke`; of the body only if it is `active` after `head`.
    """

    active: bool
    conditional: bytes | None  # the fields to forward in place of the request's own

    def declines(self, head: ResponseHead) -> bool: ...
    def head(self, head: ResponseHead, length: int | None, until_close: bool, sent: float) -> bytes: ...
    def whole(self, body: bytes, took_s: float) -> None: ...
    def begin(self, upstream: Upstream) -> None: ...
    def relay(self, data: bytes) -> None: ...
    def paused(self) -> bool:
        """Whether the backend is paused, because nobody takes anything."""

    def stalled(self, at: float) -> bool:
        """Whether nobody has taken anything since this was asked last."""

    def finish(self, took_s: float) -> None: ...
    def broke(self) -> None: ...


class Dialing(Protocol):
    """A connection being opened."""

    @property
    def connection(self) -> Upstream | None: ...
    @property
    def error(self) -> GatewayError | None: ...
    def give_up(self) -> None: ...


class Connections(Protocol):
    """The connections to one backend, and the parts of heads that name it."""

    prefix: bytes
    host_line: bytes
    label_line: bytes
    pieces: int

    def take(self) -> Upstream | None: ...
    def connect(self, wake: Callable[[], None]) -> Dialing: ...


class Client(Protocol):
    """One client's connection."""

    peer: str
    forwarding: tuple[bytes, RequestHead | None]  # the lines about this client, and for which head
    bytes_out: int
    waited_s: float
    closing: bool
    replying: bool
    writable: bool
    lost: bool
    needed: bool  # others wait for what its script does: it goes on although the client has left
    stalled_at: float
    wake: Callable[[], None]
    refused: GatewayError | None

    def pause(self, at: float, until: float) -> Awaitable[float]:
        """Wait from `at` for news, at most until `until`; what time it is then. Raises ClientGone."""

    def take_request(self) -> Request | None: ...
    async def next_request(self) -> Request | None: ...
    async def read_body(self, request: Request, limit: int) -> bool: ...
    async def linger(self) -> None: ...
    def say_continue(self, request: Request) -> None: ...
    def upload_to(self, sink: Upstream, request: Request) -> None: ...
    def on_upload_room(self, room: bool) -> None: ...
    def end_upload(self) -> None: ...
    def begin_reply(
        self, request: Request, status: int, fields: bytes, length: int | None, body: bool
    ) -> None: ...
    def reply_whole(self, request: Request, status: int, fields: bytes, body: bytes) -> None: ...
    def write_interim(self, head: bytes) -> None: ...
    def relay(self, data: bytes) -> None: ...
    def relay_from(self, source: Source) -> None: ...
    def stalled(self, at: float) -> bool: ...
    def end_reply(self) -> None: ...
    def cut_reply(self) -> None: ...
    def tunnel_to(self, other: Upstream) -> None: ...
    def tunnel_write(self, data: bytes) -> None: ...
    def tunnel_close(self) -> None: ...


class RouteCount(Protocol):
    """One route's gauge of requests under way."""

    in_flight: int


class Observer(Protocol):
    """Whoever keeps count of exchanges: metrics, access log, decisions."""

    def route(self, name: str) -> RouteCount: ...
    def wants_decision(self, now: float) -> bool:
        """Whether the decision about to be made should be recorded with all its terms."""

    def finished(self, exchange: Exchange) -> None: ...
