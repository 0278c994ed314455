"""What does a generation look like on the wire? OpenAI's answer objects and stream chunks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.demo.requests import ApiError, Work

JSON = dict[str, Any]

encode = msgspec.json.encode
DONE = b"data: [DONE]\n\n"


def event(chunk: JSON) -> bytes:
    """`chunk` as one server-sent event."""
    return b"data: " + encode(chunk) + b"\n\n"


def error_body(error: ApiError) -> JSON:
    kind = "server_error" if error.status >= 500 else "invalid_request_error"
    if error.status == 429:
        kind = "rate_limit_error"
    return {"error": {"message": error.message, "type": kind, "param": error.param, "code": error.code}}


def usage(prompt_tokens: int, completion_tokens: int) -> JSON:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def model_card(model: str, created: int) -> JSON:
    return {"id": model, "object": "model", "created": created, "owned_by": "gateway-demo"}


@dataclass(frozen=True, slots=True)
class Answer:
    """Makes the objects of one answer; `texts` are (index, text, finish reason)."""

    work: Work
    id: str
    created: int  # seconds since the epoch
    model: str

    def whole(self, texts: Iterable[tuple[int, str, str | None]], completion_tokens: int) -> JSON:
        chat = self.work.kind == "chat"
        made = self._base("chat.completion" if chat else "text_completion")
        made["choices"] = [
            self._choice(index, {"message": {"role": "assistant", "content": text, "refusal": None}}, reason)
            if chat
            else self._choice(index, {"text": text}, reason)
            for index, text, reason in texts
        ]
        made["usage"] = usage(self.work.prompt_tokens, completion_tokens)
        return made

    def opening(self, indexes: Iterable[int]) -> Iterator[JSON]:
        """Chunks before the first token: in a chat, the role of each choice."""
        if self.work.kind == "chat":
            for index in indexes:
                yield self._chunk(index, {"delta": {"role": "assistant", "content": ""}}, None)

    def pieces(self, index: int, text: str, reason: str | None) -> Iterator[JSON]:
        """Chunks for one token: its text, then, at the end of a choice, why it ended."""
        chat = self.work.kind == "chat"
        if text:
            yield self._chunk(index, {"delta": {"content": text}} if chat else {"text": text}, None)
        if reason is not None:
            yield self._chunk(index, {"delta": {}} if chat else {"text": ""}, reason)

    def closing(self, completion_tokens: int) -> Iterator[JSON]:
        """The chunk after the last choice, when usage was asked for."""
        if self.work.include_usage:
            made = self._base(self._chunk_object)
            made["choices"] = []
            made["usage"] = usage(self.work.prompt_tokens, completion_tokens)
            yield made

    @property
    def _chunk_object(self) -> str:
        return "chat.completion.chunk" if self.work.kind == "chat" else "text_completion"

    def _chunk(self, index: int, content: JSON, reason: str | None) -> JSON:
        made = self._base(self._chunk_object)
        made["choices"] = [self._choice(index, content, reason)]
        if self.work.include_usage:
            made["usage"] = None
        return made

    def _base(self, kind: str) -> JSON:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    @staticmethod
    def _choice(index: int, content: JSON, reason: str | None) -> JSON:
        return {"index": index, **content, "logprobs": None, "finish_reason": reason}
