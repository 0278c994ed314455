"""Is an answer that broke off in good form told from one that is whole?"""

import pytest

from gateway.cache.endings import is_whole, shape_of

SSE = b"Content-Type: text/event-stream\r\n"
JSON = b"Content-Type: application/json\r\n"
LINES = b"Content-Type: application/x-ndjson\r\n"
CHUNK = b'data: {"object":"chat.completion.chunk","choices":[]}\n\n'
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (JSON, b""),
        (JSON, b'{"choices":[]}'),
        (JSON, b'{"choices":[],"error":null}'),
        (JSON, b'{"error":null,"choices":[]}'),
        (SSE, b""),
        (SSE, b"data: 1\n\n"),
        (SSE, CHUNK + DONE),
        (SSE, CHUNK + b"data: [DONE]\r\n\r\n: bye\n\n"),
        (SSE, b'data: {"object":"text_completion"}\n\n' + DONE),
        (SSE, b"event: response.created\ndata: {}\n\nevent: response.completed\ndata: {}\n\n"),
        (SSE, b"event: message_start\ndata: {}\n\nevent: message_stop\ndata: {}\n\n"),
        (LINES, b'{"done":false}\n{"done":true,"context":[' + b"1," * 500 + b"1]}\n"),
        (LINES, b'{"a":1}\n{"a":2}\n'),
        (b"Content-Type: audio/wav\r\n", b"\0" * 100),
        (b"content-type: TEXT/EVENT-STREAM; charset=utf-8\r\n", CHUNK + DONE),
    ],
)
def test_what_is_whole_is_seen_to_be(fields: bytes, body: bytes) -> None:
    """In one piece, and byte by byte."""
    assert is_whole(shape_of(fields), (body,))
    assert is_whole(shape_of(fields), [body[at : at + 1] for at in range(len(body))] or ())


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (JSON, b'{"error":{"message":"out of memory"}}'),
        (JSON, b'{"error": {"message":"out of memory"}}'),
        (JSON, b'{"object":"error","message":"no"}'),
        (SSE, b'{"error":{"message":"out of memory"}}'),
        (SSE, CHUNK),
        (SSE, CHUNK + b'data: {"error":{"message":"died"}}\n\n' + DONE),
        (SSE, b'data: {"error":{"message":"died"}}\n\n' + DONE),
        (SSE, CHUNK + b"event: error\ndata: {}\n\n" + DONE),
        (SSE, b"event: response.created\ndata: {}\n\nevent: response.output_text.delta\ndata: {}\n\n"),
        (SSE, b'data: {"object":"text_completion"}\n\n'),
        (SSE, CHUNK + b'data:{"error":"died"}\n\n' + DONE),
        (SSE, b"event: message_start\ndata: {}\n\nevent: content_block_delta\ndata: {}\n\n"),
        (JSON, b'{\n  "error": {\n    "message": "no"'),
        (JSON, b'{"error":"no such model"}'),
        (LINES, b'{"done":false}\n{"done":false}\n'),
        (LINES, b'{"done":false}\n{"error":"died"}\n'),
        (b"content-type: TEXT/EVENT-STREAM; charset=utf-8\r\n", CHUNK),
    ],
)
def test_what_has_broken_off_is_seen_to_have(fields: bytes, body: bytes) -> None:
    """However it was cut into pieces."""
    assert not is_whole(shape_of(fields), (body,))
    assert not is_whole(shape_of(fields), [body[at : at + 1] for at in range(len(body))])
