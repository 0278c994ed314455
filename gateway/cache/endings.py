"""Is an answer that says it is complete really all there? What model servers write when they break off.

Pure. An engine that fails in mid-stream has sent its 200 long ago: the server then writes an error as an
event and ends the stream in good form, or ends it without the last event. Neither is an answer to keep.
"""

from collections.abc import Sequence

_LOOKED_AT = 4096  # bytes at the beginning in which a stream shows its kind
_TAIL = 256


def is_whole(fields: bytes, pieces: Sequence[bytes]) -> bool:
    """Whether `pieces`, the body of a 200 with these header lines, are an answer from its first to its last.

    An OpenAI-shaped stream ends with `data: [DONE]`; no event of a stream is an error; a JSON object is no
    error object.
    """
    first = pieces[0][:_LOOKED_AT] if pieces else b""
    if first.startswith(b"{"):
        return not first.startswith(
            (b'{"error":{', b'{"error": {', b'{"object":"error"', b'{"object": "error"')
        )
    if b"text/event-stream" not in fields.lower():
        return True
    return _is_whole_stream(first, pieces[0] if len(pieces) == 1 else b"".join(pieces))


def _is_whole_stream(first: bytes, body: bytes) -> bool:
    if (
        b'\ndata: {"error"' in body
        or b"\nevent: error" in body
        or body.startswith((b'data: {"error"', b"event: error"))
    ):
        return False
    if b"chat.completion.chunk" in first or b'"text_completion"' in first:
        return b"data: [DONE]" in body[-_TAIL:]
    if b"event: response.created" in first:
        return b"event: response.completed" in body
    return True
