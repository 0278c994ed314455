"""Are reported tokens read as servers mean them, and chunks with content told from those without?"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tokens.shapes import has_content, is_delta, read_usage
from gateway.tokens.structs import MOST_TOKENS


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}, (9, 12, -1)),
        ({"prompt_tokens": 9, "completion_tokens": 0, "prompt_tokens_details": None}, (9, 0, -1)),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0}}, (9, -1, 8)),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": None}}, (9, -1, -1)),
        ({"input_tokens": 9, "output_tokens": 12, "input_tokens_details": {"cached_tokens": 4}}, (9, 12, 4)),
        ({"output_tokens": 15}, (-1, 15, -1)),
        # Anthropic's input_tokens are those that were neither read from its cache nor written to it.
        (
            {"input_tokens": 9, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20},
            (129, -1, 100),
        ),
        ({"input_tokens": 9, "cache_read_input_tokens": 0, "output_tokens": 1}, (9, 1, 0)),
    ],
)
def test_each_dialect_of_usage(said, expected):
    """Prompt, completion and cached tokens, -1 for what is not said."""
    assert read_usage(json.dumps(said).encode()) == expected


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"total_tokens": 3},
        {"seconds": 1.5, "type": "duration"},
        {"prompt_tokens": -1},
        {"prompt_tokens": "9"},
        {"prompt_tokens": MOST_TOKENS + 1},
        {"prompt_tokens": 10**400},
        {"prompt_tokens": 9, "prompt_tokens_details": []},
        {"prompt_tokens": 1.5},
    ],
)
def test_what_is_no_count_is_not_believed(said):
    """Something else under these names is no usage."""
    assert read_usage(json.dumps(said).encode()) is None


@given(st.binary(max_size=60))
def test_any_bytes_can_be_read(junk):
    """Nothing raises, whatever a backend sends; not even the deepest nesting."""
    for piece in (junk, b"[" * 200_000 + junk, b'{"choices":' * 50_000 + junk, b'{"type":"' + junk):
        read_usage(piece)
        has_content(piece)


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        ({"content": "Hi"}, True),
        ({"role": "assistant", "content": "Hi"}, True),
        ({"role": "assistant", "content": ""}, False),
        ({"role": "assistant", "content": None, "tool_calls": None}, False),
        ({"content": None, "reasoning_content": "Hm"}, True),
        ({"reasoning": "Hm"}, True),
        ({"tool_calls": [{"index": 0, "function": {"arguments": ""}}]}, True),
        ({"refusal": "No"}, True),
        ({"content": [{"type": "text", "text": "Hi"}]}, True),
        ({}, False),
    ],
)
def test_a_delta_with_text_is_content(delta, expected):
    """Text, thoughts, calls and refusals are pieces of the answer; a role and an end are none."""
    assert has_content(json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode()) is expected


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"choices": []}, False),
        ({"choices": [{"text": ""}, {"text": "b"}]}, True),
        ({"choices": [{"text": ""}]}, False),
        ({"type": "response.output_text.delta"}, True),
        ({"type": "response.created"}, False),
        ({"type": 7}, None),
        ({"choices": 7}, None),
        ({"tick": 1}, None),
        ([], None),
    ],
)
def test_events_of_other_shapes(event, expected):
    """Completions, typed events, and what is none of them."""
    assert has_content(json.dumps(event).encode()) is expected


def test_names_of_events():
    """Deltas of text, thoughts and arguments are content; those of sound are not counted in tokens."""
    assert is_delta("response.output_text.delta") and is_delta("content_block_delta")
    assert is_delta("response.function_call_arguments.delta")
    assert not is_delta("response.audio.delta") and not is_delta("message_delta")
