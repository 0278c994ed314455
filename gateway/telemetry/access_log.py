"""What was each request, in one line of JSON? Written far from the request's way."""

import logging
from asyncio import sleep, to_thread
from collections.abc import Callable

import msgspec

from gateway import clock
from gateway.messages import Exchange
from gateway.telemetry.lines import Lines
from gateway.telemetry.writer import Writer

log = logging.getLogger(__name__)

FLUSH_S = 0.1
#: Under load a slice is formatted as soon as so many wait: 0.2 ms of work, on objects still in the CPU's
#: cache. It also bounds what waits.
AT_ONCE = 128
#: Bytes that go to the thread together, unless there are fewer in `FLUSH_S`: each time it is woken, it takes
#: the interpreter lock from the loop and gives it back.
TOGETHER_BYTES = 256 << 10


class AccessLog:
    """Owns the requests not yet written. `add` appends; `run` formats in slices; a thread writes.

    Formatting stays on the loop: in another thread it would hold the interpreter lock just as long, for up
    to 5 ms at a time.
    """

    def __init__(self, write: Callable[[bytes], object], enabled: bool = True) -> None:
        self.enabled = enabled
        self._waiting: list[Exchange] = []
        self._overflowed = 0
        self._writer = Writer("access-log", write)
        self._made: list[bytes] = []  # lines that the thread has not been given yet
        self._made_bytes = self._made_lines = 0
        self._encode = msgspec.json.Encoder().encode_lines
        self._lines = Lines()

    def __repr__(self) -> str:
        return f"<AccessLog {len(self._waiting)} waiting, {self.dropped} dropped>"

    @property
    def dropped(self) -> int:
        """Lines that were not and will not be written."""
        return self._overflowed + self._writer.lost

    def add(self, exchange: Exchange) -> None:
        """Take a finished request; it must not change afterwards."""
        if not self.enabled:
            return
        waiting = self._waiting
        waiting.append(exchange)
        if len(waiting) >= AT_ONCE:
            self._flush_slice()

    async def run(self) -> None:
        """Write what has been added, every 100 ms, until cancelled."""
        while True:
            await sleep(FLUSH_S)
            while self._waiting:
                self._flush_slice()
                await sleep(0)
            self._hand_over()

    async def close(self, timeout_s: float = 1.0) -> None:
        """Write what is left; wait for the output no longer than `timeout_s`."""
        self.enabled = False
        while self._waiting:
            self._flush_slice()
        self._hand_over()
        await to_thread(self._writer.close, timeout_s)

    def _flush_slice(self) -> None:
        waiting = self._waiting
        if self._writer.full:  # no use in formatting what would be refused
            self._overflowed += len(waiting)
            waiting.clear()
            return
        batch = waiting[:AT_ONCE]
        del waiting[:AT_ONCE]  # first, so that one that cannot be written does not stand in the way for ever
        offset = clock.wall() - clock.now()
        try:
            data = self._encode(self._lines.of(batch, offset))
        except Exception:
            self._overflowed += len(batch)
            log.exception("%d access log lines could not be formatted and are lost", len(batch))
        else:
            self._made.append(data)
            self._made_bytes += len(data)
            self._made_lines += len(batch)
            if self._made_bytes >= TOGETHER_BYTES:
                self._hand_over()

    def _hand_over(self) -> None:
        """Give the thread what has been made."""
        if self._made:
            self._writer.offer(b"".join(self._made), self._made_lines)
            self._made.clear()
            self._made_bytes = self._made_lines = 0
