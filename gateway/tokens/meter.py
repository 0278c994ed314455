"""Which tokens does one answer have, and when do they come? Looked at on its way to the client."""

from typing import Final

from gateway.messages import EVENTS, Exchange
from gateway.pool.stats import TokenStats
from gateway.ports import Sink, Upstream
from gateway.tokens.events import Events
from gateway.tokens.usage import Usage, usage_in

#: Of an answer in pieces its end is held for `usage`: the last KiB at least, and never much more than two.
_KEPT: Final = 1024
_MOST: Final = 2048
_TOTALS: Final = b"message_delta"  # in which Anthropic's streams report what was written


class Meter:
    """Stands between a backend's answer and `sink`, who is given each piece as it is.

    `sent`: when the backend was asked, `media`: JSON or EVENTS. What it finds is counted in `stats`: times as
    they come, tokens in `end`, which is called once.
    """

    __slots__ = (
        "_events",
        "_kept",
        "_last",
        "_sent",
        "_sink",
        "_size",
        "_stats",
        "_upstream",
        "count",
        "first",
    )

    def __init__(self, stats: TokenStats, upstream: Upstream, sink: Sink, media: int, sent: float) -> None:
        self._stats = stats
        self._upstream = upstream
        self._sink = sink
        self._sent = sent
        self._events = Events() if media == EVENTS else None
        self._kept: list[bytes] = []  # the answer's end
        self._size = 0  # of those
        self._last = 0.0  # when content came last
        self.first = 0.0  # and when first; 0.0 while none has
        self.count = 0  # events with content

    def __repr__(self) -> str:
        return f"<Meter {self.count} events>"

    def relay(self, data: bytes) -> None:
        """One piece, on to the sink."""
        self.take(data, self._upstream.touched)
        self._sink.relay(data)

    def take(self, data: bytes, at: float) -> None:
        """One piece, which came at `at`."""
        self._kept.append(data)
        self._size += len(data)
        if self._size > _MOST:
            self._forget()
        events = self._events
        if events is not None and not events.lost:
            found = events.count(data)
            if found:
                self._came(found, at)

    def _forget(self) -> None:
        """Hold no more than the answer's end."""
        kept, size = self._kept, 0
        first = len(kept)
        while size < _KEPT:
            first -= 1
            size += len(kept[first])
        del kept[:first]
        if size > _MOST:  # a copy, so that the long piece is let go
            kept[0] = kept[0][size - _MOST :]
            size = _MOST
        self._size = size

    def _came(self, found: int, at: float) -> None:
        """So many events with content came at once. Their gaps are equal, and add up to the time passed."""
        stats = self._stats
        if self.first:
            gap = (at - self._last) / found
            stats.gaps.observe_times(gap if gap > 0.0 else 0.0, found)
        else:
            self.first = at
            wait = at - self._sent
            stats.first.observe(wait if wait > 0.0 else 0.0)
            if found > 1:
                stats.gaps.observe_times(0.0, found - 1)
        self._last = at
        self.count += found

    def end(self, record: Exchange) -> None:
        """No more will come, whether or not that was all; tokens are counted, and noted in the record."""
        count_usage(self._stats, self._usage(), record)
        self._kept = []
        if self.first:  # bytes come some microseconds before the script that waits for the first notes when
            record.first_token = self.first if self.first > record.first_byte else record.first_byte

    def _usage(self) -> Usage | None:
        """What the answer reports, or as far as that has not come what was seen."""
        end, events = b"".join(self._kept), self._events
        usage = usage_in(end)
        if events is None:
            return usage
        before = usage_in(events.opening) if events.opening else None
        if before is None:
            return Usage(-1, self.count, -1) if usage is None and self.count else usage
        if usage is None or _TOTALS not in end:  # it broke off; what was found is the opening's
            return Usage(before.prompt, self.count, before.cached)
        if usage.prompt < 0:
            usage.prompt, usage.cached = before.prompt, before.cached
        return usage


def count_usage(stats: TokenStats, usage: Usage | None, record: Exchange) -> None:
    """Count what is known of one answer's tokens, and note it in the record."""
    if usage is None:
        return
    record.prompt_tokens, record.completion_tokens = usage.prompt, usage.completion
    if usage.prompt > 0:
        stats.prompt += usage.prompt
    if usage.completion > 0:
        stats.completion += usage.completion
    if usage.cached > 0:
        stats.cached += usage.cached
