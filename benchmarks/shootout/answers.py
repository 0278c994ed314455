"""What does a model server say? The bytes of its answers, written once. Pure."""

import json

from benchmarks.shootout.plan import MODEL

TOKEN = "tok "


def _response(status: str, body: bytes, extra: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
    )
    return head.encode() + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _event(delta: dict[str, str], reason: str | None) -> bytes:
    """One server-sent event as vLLM writes it, framed as a chunk."""
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    document = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": MODEL,
        "choices": [choice],
    }
    return _chunk(b"data: " + json.dumps(document, separators=(",", ":")).encode() + b"\n\n")


def _answer(extra: str = "") -> bytes:
    """A whole chat answer of about 0.7 KB."""
    message = {"role": "assistant", "content": "The answer is here. " * 20}
    document = {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1700000000,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 256, "completion_tokens": 100, "total_tokens": 356},
    }
    return _response("200 OK", json.dumps(document).encode(), extra)


def _error(status: str, message: str, extra: str = "") -> bytes:
    document = {"error": {"message": message, "type": "server_error", "code": status[:3]}}
    return _response(status, json.dumps(document).encode(), extra)


ANSWER = _answer()
LAST_ANSWER = _answer("connection: close\r\n")
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
STREAM_TOKEN = _event({"content": TOKEN}, None)
STREAM_END = _event({}, "stop") + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
FAILING = _error("503 Service Unavailable", "out of order")
LOADING = _error("503 Service Unavailable", "loading the model")
LIMITED = _error("429 Too Many Requests", "over the limit", "retry-after: 1\r\n")
MODELS = _response(
    "200 OK",
    json.dumps(
        {
            "object": "list",
            "data": [{"id": MODEL, "object": "model"}],
            "model_path": MODEL,
            "is_generation": 1,
        }
    ).encode(),
)
HEALTHY = _response("200 OK", b'{"status":"ok"}')
LOOKS = {
    b"/health": HEALTHY,
    b"/v1/models": MODELS,
    b"/get_model_info": MODELS,
    b"/model_info": MODELS,
}
UNKNOWN = _error("404 Not Found", "no such path")
NO_WORK = _error("400 Bad Request", "no work in the prompt")
