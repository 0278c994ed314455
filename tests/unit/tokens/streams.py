"""What model servers stream: events of several dialects, with and without content."""

import json
from typing import Any

DONE = b"data: [DONE]"
PING = b": keep-alive"


def data(value: Any, name: str = "", tight: bool = True) -> bytes:
    """One event, without the empty line that ends it."""
    separators = (",", ":") if tight else (", ", ": ")
    line = b"event: %b\n" % name.encode() if name else b""
    return line + b"data: " + json.dumps(value, separators=separators, ensure_ascii=False).encode()


def chunk(delta: dict[str, Any], index: int = 0, reason: str | None = None, **more: Any) -> dict[str, Any]:
    """A chat's chunk, as OpenAI, vLLM and most others write it."""
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return base | {"choices": [choice]} | more


def text_chunk(text: str) -> dict[str, Any]:
    base = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m"}
    return base | {"choices": [{"index": 0, "text": text, "finish_reason": None}]}


def sorted_chunk(text: str, created: int) -> dict[str, Any]:
    """As llama.cpp writes it: choices come first."""
    choice = {"finish_reason": None, "index": 0, "delta": {"content": text}}
    return {
        "choices": [choice],
        "created": created,
        "id": "x",
        "model": "m",
        "object": "chat.completion.chunk",
    }


def usage(prompt: int, completion: int, cached: int | None = None) -> dict[str, Any]:
    counted: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completion}
    counted["total_tokens"] = prompt + completion
    if cached is not None:
        counted["prompt_tokens_details"] = {"cached_tokens": cached}
    return counted


def messages(prompt: int, texts: list[str]) -> list[tuple[bytes, bool]]:
    """A whole stream of Anthropic's messages: its events, and whether each carries content."""
    begun = {"id": "msg_1", "role": "assistant", "usage": {"input_tokens": prompt, "output_tokens": 1}}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    end = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": len(texts)},
    }
    said = [{"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}} for text in texts]
    return [
        (data({"type": "message_start", "message": begun}, "message_start"), False),
        (data(block, "content_block_start"), False),
        (data({"type": "ping"}, "ping"), False),
        *[(data(one, "content_block_delta"), True) for one in said],
        (data({"type": "content_block_stop", "index": 0}, "content_block_stop"), False),
        (data(end, "message_delta"), False),
        (data({"type": "message_stop"}, "message_stop"), False),
    ]


def responses(prompt: int, texts: list[str]) -> list[tuple[bytes, bool]]:
    """A whole stream of the Responses API; sequence numbers stand before the text."""
    whole = {"id": "resp_1", "status": "in_progress", "usage": None}
    counted = {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": 3},
        "output_tokens": len(texts),
    }
    names = [
        ("response.created", {"response": whole}, False),
        ("response.in_progress", {"response": whole}, False),
    ]
    names += [("response.output_text.delta", {"delta": text}, True) for text in texts]
    names += [("response.output_text.done", {"text": "".join(texts)}, False)]
    done = whole | {"status": "completed", "usage": counted, "user": None, "metadata": {}}
    names += [("response.completed", {"response": done}, False)]
    return [
        (data({"type": name, "sequence_number": number} | more, name), content)
        for number, (name, more, content) in enumerate(names)
    ]
