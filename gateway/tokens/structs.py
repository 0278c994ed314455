"""What is decoded of `usage` and of a stream's chunks? Values only.

msgspec decodes the members named here; it checks and skips all others. Not compiled: it makes the classes.
"""

from typing import Annotated, Any

import msgspec

#: More tokens than any answer has: who reports more is not believed.
MOST_TOKENS = 1_000_000_000

Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)]


class Details(msgspec.Struct):
    cached_tokens: Count | None = None


class Usage(msgspec.Struct):
    """The object `usage` of chats and completions, of the Responses API, and of Anthropic's messages."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: Details | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    input_tokens_details: Details | None = None
    cache_read_input_tokens: Count | None = None  # Anthropic's: not among input_tokens
    cache_creation_input_tokens: Count | None = None


class Delta(msgspec.Struct):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None


class Choice(msgspec.Struct):
    delta: Delta | None = None
    text: str | None = None


class Chunk(msgspec.Struct):
    choices: list[Choice] | None = None
    type: Any = None


#: What decoding raises for bytes that are something else.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

decode_usage = msgspec.json.Decoder(Usage).decode
decode_chunk = msgspec.json.Decoder(Chunk).decode
