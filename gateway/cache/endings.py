"""Is an answer that says it is complete really all there? What model servers write when they break off.

Pure. An engine that fails in mid-stream has sent its 200 long ago: the server then writes an error as an
event and ends the stream in good form, or ends it without the last event. Neither is an answer to keep.
"""

import enum
import re
from collections.abc import Sequence
from typing import Final

_LOOKED_AT = 4096  # bytes at the beginning in which a stream shows its kind
_TAIL = 256
_ERROR = re.compile(rb'\s*\{\s*(?:"error"\s*:\s*[{"]|"object"\s*:\s*"error")')
_ERROR_EVENTS = (b'\ndata: {"error"', b'\ndata:{"error"', b"\nevent: error", b"\nevent:error")


class Shape(enum.IntEnum):
    """What ends an answer: its last event, its last line, or nothing that could be told."""

    EVENTS = 0
    LINES = 1
    OTHER = 2


_EVENTS: Final = Shape.EVENTS
_LINES: Final = Shape.LINES


def shape_of(fields: bytes) -> Shape:
    """The shape of an answer with these header lines."""
    lower = fields.lower()
    if b"text/event-stream" in lower:
        return Shape.EVENTS
    return Shape.LINES if b"ndjson" in lower else Shape.OTHER


def is_whole(shape: Shape, pieces: Sequence[bytes]) -> bool:
    """Whether `pieces`, the body of a 200 of this shape, are an answer from its first to its last.

    An OpenAI-shaped stream ends with `data: [DONE]`, Anthropic's with `message_stop`, Ollama's with a line
    that says `done`; no event of a stream is an error; a JSON object is no error object.
    """
    first = _beginning(pieces)
    if _ERROR.match(first) is not None:
        return False
    if shape is _EVENTS:
        return _is_whole_stream(first, b"".join(pieces))
    if shape is _LINES:
        return _are_whole_lines(first, b"".join(pieces))
    return True


def _beginning(pieces: Sequence[bytes]) -> bytes:
    first, size = [], 0
    for piece in pieces:
        first.append(piece[:_LOOKED_AT])
        size += len(piece)
        if size >= _LOOKED_AT:
            break
    return b"".join(first)


def _is_whole_stream(first: bytes, body: bytes) -> bool:
    begun = b"\n" + first[:_TAIL]
    for error in _ERROR_EVENTS:
        if error in body or begun.startswith(error):
            return False
    if b"chat.completion.chunk" in first or b'"text_completion"' in first:
        return b"data: [DONE]" in body[-_TAIL:]
    if b"event: response.created" in first:
        return b"event: response.completed" in body
    if b"event: message_start" in first:
        return b"event: message_stop" in body[-_TAIL:]
    return True


def _are_whole_lines(first: bytes, body: bytes) -> bool:
    if b'\n{"error"' in body:
        return False
    return b'"done":false' not in first or b'"done":true' in body.rstrip().rpartition(b"\n")[2]
