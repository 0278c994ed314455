"""Is an answer's usage found at its end, in every spelling, and nothing else taken for it?"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tokens.usage import LOOKED_AT, Usage, usage_in

COUNTED = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}


def said(usage: Usage | None) -> tuple[int, int, int] | None:
    return None if usage is None else (usage.prompt, usage.completion, usage.cached)


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\n", " :\n ")])
@pytest.mark.parametrize("behind", [{}, {"system_fingerprint": "fp", "kv_transfer_params": None}])
def test_usage_is_found_in_any_spelling(separators, behind):
    """With and without space, last or followed by other members, with objects of its own inside."""
    details = {"prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"a": 1}}
    body = json.dumps({"id": "x", "choices": [], "usage": COUNTED | details} | behind, separators=separators)
    assert said(usage_in(body.encode())) == (9, 12, 4)


@given(st.text(max_size=200), st.integers(0, 10**9), st.integers(0, 10**9))
def test_text_is_never_taken_for_usage(text, prompt, completion):
    """Whatever the answer says, what it says about itself is what counts."""
    fake = json.dumps({"usage": {"prompt_tokens": 1, "completion_tokens": 1}})
    answer = {"text": fake + text, "usage": {"prompt_tokens": prompt, "completion_tokens": completion}}
    assert said(usage_in(json.dumps(answer).encode())) == (prompt, completion, -1)
    for key in ("text", "usage"):
        assert usage_in(json.dumps({key: fake + text}).encode()) is None


def test_the_last_one_counts():
    """Streams that report after every chunk have said the whole in the last; null says nothing."""
    chunks = [{"usage": {"prompt_tokens": 9, "completion_tokens": n}} for n in (1, 2, 3)]
    body = b"\n\n".join(b"data: " + json.dumps(one).encode() for one in [*chunks, {"usage": None}])
    assert said(usage_in(body)) == (9, 3, -1)


def test_only_the_end_is_looked_at():
    """Usage before the last 4 KiB is not found, just within them it is."""
    usage = json.dumps({"usage": COUNTED}).encode()
    assert usage_in(usage + b" " * LOOKED_AT) is None
    assert said(usage_in(b"x" * 10_000_000 + usage + b" " * (LOOKED_AT - len(usage)))) == (9, 12, -1)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'"usage"',
        b'{"usage":',
        b'{"usage":{',
        b'{"usage":{"prompt_tokens":9',
        b'{"usage":{"prompt_tokens":9]}',
        b'{"usage":[{"prompt_tokens":9}]}',
        b'{"usage":"high"}',
        b'{"usage":{"prompt_tokens":9,"x":"}"}}',  # a brace in a text: it is not looked into further
        b'"usage":{"prompt_tokens":9,"a":{"b":{}}}',
        b'"usage":{"a":"' + b"x" * 2000 + b'","prompt_tokens":9}',
        b'"usage":{' * 400,
        b'"usage":{}' * 400,
        b'"usage":' + b" " * 9 + b'{"prompt_tokens":9}',
        b'"usage":{' + b'"a":{},' * 500,
    ],
)
def test_what_is_no_usage(body):
    """Cut, odd, too long, too deep or hostile: nothing is found, and nothing raised."""
    assert usage_in(body) is None


@given(st.lists(st.sampled_from([b'"usage"', b":", b"{", b"}", b'"prompt_tokens":1', b" ", b"\xff", b'"'])))
def test_any_bytes_can_be_searched(parts):
    """Nothing raises."""
    usage_in(b"".join(parts))
