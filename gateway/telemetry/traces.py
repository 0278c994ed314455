"""How do spans leave the process without a request waiting for them? A bounded backlog, and a thread.

The thread turns requests into spans a few at a time: while it does, the event loop cannot run.
"""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Event, Thread
from typing import Protocol

from gateway import clock
from gateway.messages import Exchange, Trace
from gateway.telemetry.spans import Span, spans_of

log = logging.getLogger(__name__)

FLUSH_S = 0.5
#: Requests whose spans leave together: some 2 ms of work.
BATCH = 16
#: Requests that wait before further ones are dropped; some 8 MB.
BACKLOG = 4096


class Exporter(Protocol):
    """Where spans go. Both are called by the thread, but for a `close` that ends an export under way."""

    def export(self, spans: Sequence[tuple[Trace, Span]], offset_s: float) -> bool:
        """Send spans; False when that failed. `offset_s`: from `clock.now()` to the wall clock."""

    def close(self) -> None: ...


class Traces:
    """Owns the traced requests not yet exported. `add` and `close` are for the event loop's thread."""

    def __init__(self, exporter: Exporter, patterns: Mapping[str, str], backlog: int = BACKLOG) -> None:
        self._exporter = exporter
        self._patterns = patterns
        self._backlog = backlog
        self._waiting: deque[Exchange] = deque()
        self._wake = Event()
        self._closed = False
        self._thread: Thread | None = None
        # Each of these is written by one thread only, so none needs a lock.
        self._refused = self._failed = self._abandoned = 0
        self.exported = 0
        self._under_way = 0

    def __repr__(self) -> str:
        return (
            f"<Traces {len(self._waiting)} waiting, {self.exported} spans exported, {self.dropped} dropped>"
        )

    @property
    def dropped(self) -> int:
        """Spans that did not arrive; once it is closed, those of an export under way among them."""
        return self._refused + self._failed + self._abandoned + (self._under_way if self._closed else 0)

    def add(self, exchange: Exchange) -> None:
        """Take a finished request, if it is sampled; it must not change afterwards. Never waits."""
        trace = exchange.trace
        if trace is None or not trace.sampled:
            return
        waiting = self._waiting
        if self._closed or len(waiting) >= self._backlog:
            self._refused += trace.size
            return
        waiting.append(exchange)
        if self._thread is None:
            self._thread = Thread(target=self._run, name="traces", daemon=True)
            self._thread.start()
        elif len(waiting) == BATCH:
            self._wake.set()

    def close(self, timeout_s: float = 2.0) -> None:
        """Export what is left, taking no longer than `timeout_s`; blocks. What is left then is dropped."""
        if self._closed:
            return
        self._closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            self._abandoned = sum(map(_size, self._take(self._backlog)))
        self._exporter.close()

    def _run(self) -> None:
        while True:
            self._wake.wait(FLUSH_S)
            self._wake.clear()
            closed = self._closed  # read first: what came before it was set is exported
            while batch := self._take(BATCH):
                self._export(batch)
            if closed:
                return

    def _take(self, most: int) -> list[Exchange]:
        """Up to so many of those that wait. Two threads may take: each request goes to one of them."""
        taken: list[Exchange] = []
        with suppress(IndexError):
            while len(taken) < most:
                taken.append(self._waiting.popleft())
        return taken

    def _export(self, batch: list[Exchange]) -> None:
        size = self._under_way = sum(map(_size, batch))
        try:
            spans = [
                (exchange.trace, span)
                for exchange in batch
                if exchange.trace is not None
                for span in spans_of(exchange, self._patterns)
            ]
            done = self._exporter.export(spans, clock.wall() - clock.now())
        except Exception:
            log.exception("spans could not be exported and are lost")
            done = False
        self._under_way = 0
        if done:
            self.exported += size
        else:
            self._failed += size


def _size(exchange: Exchange) -> int:
    return 0 if exchange.trace is None else exchange.trace.size
