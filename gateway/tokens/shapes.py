"""Which members of an answer tell of its tokens? The shapes of `usage` and of a stream's chunks.

Pure. msgspec decodes the members named here; it checks and skips all others.
"""

from typing import Annotated, Any

import msgspec

#: More tokens than any answer has: who reports more is not believed.
MOST_TOKENS = 1_000_000_000

Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)]


class _Details(msgspec.Struct):
    cached_tokens: Count | None = None


class Usage(msgspec.Struct):
    """The object `usage` of chats and completions, of the Responses API, and of Anthropic's messages."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: _Details | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    input_tokens_details: _Details | None = None
    cache_read_input_tokens: Count | None = None  # Anthropic's: not among input_tokens
    cache_creation_input_tokens: Count | None = None


class _Delta(msgspec.Struct):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    text: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    type: Any = None


#: What decoding raises for bytes that are something else.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_usage = msgspec.json.Decoder(Usage).decode
_chunk = msgspec.json.Decoder(_Chunk).decode


def read_usage(data: bytes) -> tuple[int, int, int] | None:
    """(prompt tokens, completion tokens, those of the prompt that were cached), -1 for what is not said.

    None when `data`, one JSON object, tells nothing of tokens. Cached ones are among the prompt's.
    """
    try:
        usage = _usage(data)
    except UNREADABLE:
        return None
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    details = usage.prompt_tokens_details
    cached = None
    if prompt is None and usage.input_tokens is not None:
        cached = usage.cache_read_input_tokens
        prompt = usage.input_tokens + (cached or 0) + (usage.cache_creation_input_tokens or 0)
        details = usage.input_tokens_details
    if completion is None:
        completion = usage.output_tokens
    if prompt is None and completion is None:
        return None
    if details is not None:
        cached = details.cached_tokens
    return (
        -1 if prompt is None else prompt,
        -1 if completion is None else completion,
        -1 if cached is None else cached,
    )


def has_content(data: bytes) -> bool | None:
    """Whether a stream's event with this JSON carries a piece of the answer; None when it has no known shape.

    A chunk that only names a role, a reason for the end or the usage carries none.
    """
    try:
        chunk = _chunk(data)
    except UNREADABLE:
        return None
    if chunk.choices is None:
        kind = chunk.type
        return is_delta(kind) if isinstance(kind, str) else None
    for choice in chunk.choices:
        delta = choice.delta
        if choice.text or (
            delta is not None
            and (
                delta.content
                or delta.reasoning_content
                or delta.reasoning
                or delta.tool_calls
                or delta.refusal
                or delta.function_call
            )
        ):
            return True
    return False


def is_delta(kind: str) -> bool:
    """Whether events of this type carry a piece of the answer; sound is counted by nobody in tokens."""
    return (kind.endswith(".delta") and not kind.endswith("audio.delta")) or kind == "content_block_delta"
