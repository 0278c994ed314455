"""How many events of a stream carry a piece of the answer? Counted as the stream's bytes come.

Pure. Events of one stream begin alike up to the text that they carry, so the first such event is decoded, and
those that begin like it are known by a comparison of bytes; whatever does not is decoded again. A stream of
unknown shape is left alone after some events.
"""

from typing import Final

from gateway.tokens.shapes import has_content, is_delta

MAX_EVENT: Final = 16 * 1024  # bytes of an event that are looked at, and held while it is not all here
MAX_STRANGE: Final = 64  # events of unknown shape, after which the others are not looked at
_MAX_PREFIX: Final = 1024
_QUOTE: Final = 34
_LF, _CRLF = b"\n\n", b"\r\n\r\n"
#: Where a chunk's text begins; an empty one is followed by a quote.
_MARKS: Final = tuple(
    f'"{name}":{space}"'.encode()
    for space in ("", " ")
    for name in ("content", "text", "reasoning_content", "reasoning", "arguments")
)
#: Events with these names say something else than a piece of the answer; they can be long.
_SILENT: Final = (b"response.", b"message_", b"content_block_", b"ping", b"error")


class Events:
    """The events of one stream. `opening` is Anthropic's first one, which has the prompt's tokens.

    `lost`: the stream has no known shape, and its events are no longer counted.
    """

    __slots__ = ("_end", "_prefix", "_rest", "_skipping", "_strange", "lost", "opening")

    def __init__(self) -> None:
        self._end = b""  # what ends an event, once one has ended
        self._prefix = b""  # how events begin up to their text
        self._rest = b""  # of an event that is not all here
        self._skipping = False  # that event is too long
        self._strange = 0
        self.lost = False
        self.opening = b""

    def __repr__(self) -> str:
        return f"<Events {self._prefix!r}{' lost' if self.lost else ''}>"

    def count(self, data: bytes) -> int:
        """How many events with content end in these bytes, the stream's next ones. Never raises."""
        searched = 0  # up to here nothing ends
        if self._rest:
            searched = max(0, len(self._rest) - len(_CRLF) + 1)
            data = self._rest + data
            self._rest = b""
        prefix, mark = self._prefix, self._end or self._ending(data)
        at, size, width, found = 0, len(data), len(prefix), 0
        while at < size:
            known = width > 0 and data.startswith(prefix, at)
            text = at + width if known else at
            end = data.find(mark, text if text > searched else searched) if mark else -1
            if end < 0:
                self._hold(data[at:])
                break
            if self._skipping:
                self._skipping = False
            elif known and data[text] != _QUOTE:
                found += 1
            elif end - at <= MAX_EVENT:
                if self._carries(data[at:end]):
                    found += 1
                elif self.lost:
                    break
                prefix = self._prefix
                width = len(prefix)
            at = end + len(mark)
        return found

    def _ending(self, data: bytes) -> bytes:
        """What ends the events, when one ends here: an empty line, written in one way or the other."""
        lf, crlf = data.find(_LF), data.find(_CRLF)
        if lf >= 0 or crlf >= 0:
            self._end = _CRLF if lf < 0 or 0 <= crlf < lf else _LF
        return self._end

    def _hold(self, rest: bytes) -> None:
        """Keep the beginning of an event, or if that is too long only what may be part of its end."""
        if self._skipping or len(rest) > MAX_EVENT:
            self._skipping = True
            rest = rest[-len(_CRLF) + 1 :]
        self._rest = rest

    def _carries(self, event: bytes) -> bool:
        """Whether one event carries a piece of the answer; if so, what such events begin with is learned."""
        if event.startswith(b"event:"):
            line = event.find(b"\n") + 1
            if line == 0:  # a name alone; and compiled, a slice that ends before it begins is an error
                return False
            name = event[6:line].strip()
            if is_delta(name.decode("latin-1")):
                self._prefix = event[:line] if line <= _MAX_PREFIX else b""
                return True
            if name == b"message_start":
                self.opening = event
            if name.startswith(_SILENT):
                return False
        data = _data_of(event)
        if data in (b"", b"[DONE]"):
            return False
        content = has_content(data) if data.startswith(b"{") else None
        if content:
            self._learn(event)
        elif content is None:
            self._strange += 1
            self.lost = self._strange > MAX_STRANGE
        return content is True

    def _learn(self, event: bytes) -> None:
        """An event with the same bytes up to its text, and no quote behind them, carries some as well."""
        self._prefix = b""
        choices = event.find(b'"choices"')
        if choices < 0:
            return
        for mark in _MARKS:
            text = event.find(mark, choices, _MAX_PREFIX) + len(mark)
            if text >= len(mark) and text < len(event) and event[text] != _QUOTE:
                self._prefix = event[:text]
                return


def _data_of(event: bytes) -> bytes:
    """The event's first line of data; b"" for a comment, or a field that stands alone."""
    begin = 0 if event.startswith(b"data:") else event.find(b"\ndata:") + 1
    if begin == 0 and not event.startswith(b"data:"):
        return b""
    end = event.find(b"\n", begin)
    return (event[begin + 5 :] if end < 0 else event[begin + 5 : end]).strip()
