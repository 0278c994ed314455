"""Which members of an answer tell of its tokens? The shapes of `usage` and of a stream's chunks.

Pure.
"""

from gateway.tokens.structs import UNREADABLE, decode_chunk, decode_usage


def read_usage(data: bytes) -> tuple[int, int, int] | None:
    """(prompt tokens, completion tokens, those of the prompt that were cached), -1 for what is not said.

    None when `data`, one JSON object, tells nothing of tokens. Cached ones are among the prompt's.
    """
    try:
        usage = decode_usage(data)
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
        chunk = decode_chunk(data)
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
