"""Who asks a backend when no client waits? A client that takes everything, and stays.

What stands behind refreshed entries and audits: the request of a client that has its answer already is made
once more, by a script of its own, and the answer goes nowhere but through its capture.
"""

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Protocol

from gateway import clock
from gateway.errors import ClientGone, GatewayError
from gateway.http.script import Alarm, Script
from gateway.messages import Request, RequestHead

now = clock.now


class Source(Protocol):
    def pause(self) -> None: ...
    def resume(self) -> None: ...


class Upload(Protocol):
    writable: bool


class DetachedClient:
    """A client of the gateway's own; owns one script, whose end `on_end` hears."""

    __slots__ = (
        "_alarm", "_script", "bytes_out", "closing", "forwarding", "lost", "needed", "peer", "refused",
        "replying", "stalled_at", "waited_s", "wake", "writable",
    )  # fmt: skip

    def __init__(
        self, loop: asyncio.AbstractEventLoop, peer: str, on_end: Callable[[BaseException | None], None]
    ) -> None:
        self._script = Script(on_end)
        self.wake = self._script.wake
        self._alarm = Alarm(loop, now, self.wake)
        self.peer = peer
        self.forwarding: tuple[bytes, RequestHead | None] = (b"", None)
        self.bytes_out = 0
        self.waited_s = 0.0
        self.closing = False
        self.replying = False
        self.writable = True
        self.lost = False
        self.needed = False
        self.stalled_at = 0.0
        self.refused: GatewayError | None = None

    def __repr__(self) -> str:
        return f"<DetachedClient for {self.peer}>"

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._script.start(coroutine)

    def abort(self) -> None:
        """What it asked for is not wanted any more: its script ends at its next wait, which is now."""
        self.lost = True
        self.wake()

    def end(self) -> None:
        """Let go of the loop's timer; the script is over."""
        self._alarm.close()

    @types.coroutine
    def pause(self, at: float, until: float) -> Generator[None, None, float]:
        """As a client's connection does it. Raises ClientGone after `abort`."""
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

    # A reply: nobody takes it.

    def reply_whole(self, request: Request, status: int, fields: bytes, body: bytes) -> None:
        self.replying = True

    def begin_reply(
        self, request: Request, status: int, fields: bytes, length: int | None, body: bool
    ) -> None:
        self.replying = True

    def relay(self, data: bytes) -> None:
        self.bytes_out += len(data)

    def relay_from(self, source: Source) -> None: ...
    def end_reply(self) -> None: ...
    def cut_reply(self) -> None:
        """Its time is over; the script goes on only for those who wait as well."""
        self.lost = True

    def write_interim(self, head: bytes) -> None: ...
    def stalled(self, at: float) -> bool:
        return False

    # A request: it is held already.

    def take_request(self) -> Request | None:
        return None

    async def next_request(self) -> Request | None:
        return None

    async def read_body(self, request: Request, limit: int) -> bool:
        return request.complete

    async def linger(self) -> None: ...
    def say_continue(self, request: Request) -> None: ...
    def upload_to(self, sink: Upload, request: Request) -> None: ...
    def on_upload_room(self, room: bool) -> None: ...
    def end_upload(self) -> None: ...
    def tunnel_to(self, other: object) -> None: ...
    def tunnel_write(self, data: bytes) -> None: ...
    def tunnel_close(self) -> None: ...
