"""What two answers of models say: the same whatever is random in them, and not the same otherwise."""

import base64
import json
import struct
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.meaning import same_events, same_json, same_lines


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def chat(text: str = "hi", **other: Any) -> dict[str, Any]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, "tool_calls": None},
        "finish_reason": "stop",
        "logprobs": None,
    }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        **other,
    }


def embedding(numbers: list[float]) -> dict[str, Any]:
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": numbers}],
        "model": "e",
    }


def packed(numbers: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def events(*values: Any, done: bool = True, end: str = "\n\n") -> bytes:
    lines = [f"data: {json.dumps(value)}{end}" for value in values]
    return "".join([*lines, f"data: [DONE]{end}" if done else ""]).encode()


def chunk(number: int, **delta: Any) -> dict[str, Any]:
    finish = delta.pop("finish_reason", None)
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion.chunk",
        "created": number,
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


def stream(number: int, *texts: str) -> bytes:
    return events(
        chunk(number, role="assistant", content=""),
        *(chunk(number, content=text) for text in texts),
        chunk(number, finish_reason="stop"),
        {"id": f"chatcmpl-{number}", "choices": [], "usage": {"total_tokens": number}},
    )


LONG = [0.1 * n for n in range(1, 17)]
NEAR = [x + 1e-5 for x in LONG]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (chat(), chat(id="chatcmpl-2", created=2, system_fingerprint="f", usage={"total_tokens": 3})),
        (chat(), chat(timings={"predicted_ms": 1.5}, prompt_logprobs=None)),
        (embedding(LONG), embedding([x * 1.0001 for x in LONG])),
        (embedding(LONG), embedding([x + 1e-5 for x in LONG])),
        ({"data": [{"embedding": packed(LONG)}]}, {"data": [{"embedding": packed(NEAR)}]}),
        ({"embeddings": [[1] * 10]}, {"embeddings": [[1] * 9 + [1]]}),
        ([LONG, LONG], [LONG, [x + 1e-6 for x in LONG]]),
        ({"results": [{"index": 1, "score": 0.5}]}, {"results": [{"index": 1, "score": 0.50001}]}),
        ({"generated_text": "a", "total_time": 3}, {"generated_text": "a", "total_time": 4}),
        ({"a": [1, {"b": None}], "c": 2.5}, {"c": 2.5, "a": [1, {"b": None}]}),
        ({"object": "list", "data": [{"id": "m", "object": "model", "created": 1}]},
         {"object": "list", "data": [{"id": "m", "object": "model", "created": 2}]}),
    ],
)  # fmt: skip
def test_what_is_random_makes_no_difference(one: Any, other: Any) -> None:
    """Ids, times, counts of tokens, order of members, last digits."""
    assert same_json(dumped(one), dumped(other))
    assert same_json(dumped(other), dumped(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (chat("hi"), chat("ho")),
        (chat(), chat(model="n")),
        (chat(), chat(choices=[])),
        (chat(), chat(choices=[*chat()["choices"], *chat()["choices"]])),
        (embedding(LONG), embedding(LONG[:-1])),
        (embedding(LONG), embedding([*LONG[:-1], -LONG[-1]])),
        (embedding(LONG), embedding([0.0] * 16)),
        ({"data": [{"embedding": packed(LONG)}]}, {"data": [{"embedding": packed(LONG[::-1])}]}),
        ({"data": [{"embedding": "!"}]}, {"data": [{"embedding": "?"}]}),
        (embedding([1.0] * 16), embedding([1.0] * 8 + [1.2] * 8)),
        ({"data": [], "total": 5000}, {"data": [], "total": 5001}),
        ({"output": [1] * 20}, {"output": [1] * 19 + [2]}),
        ({"results": [{"index": 1, "score": 0.5}]}, {"results": [{"index": 2, "score": 0.5}]}),
        ({"results": [{"score": 0.5}]}, {"results": [{"score": 0.6}]}),
        ({"id": 1, "name": "a"}, {"id": 2, "name": "a"}),
        ({"created": 1}, {"created": 2}),
        ({"x": 0.5}, {"x": 0.50001}),
        ({"x": True}, {"x": 1}),
        ({"data": [{"id": "m", "object": "model"}]}, {"data": [{"id": "n", "object": "model"}]}),
        ({"text": "1"}, {"text": 1}),
    ],
)
def test_another_answer_is_noticed(one: Any, other: Any) -> None:
    """Texts, numbers of things, directions, counts; and everything in JSON that is no model's answer."""
    assert not same_json(dumped(one), dumped(other))
    assert not same_json(dumped(other), dumped(one))


def test_numbers_that_are_none_are_equal_to_themselves() -> None:
    """Python's servers write NaN, which is not JSON."""
    assert same_json(b'{"data": [NaN, Infinity], "id": 1}', b'{"data": [NaN, Infinity], "id": 2}')
    assert not same_json(b'{"data": [NaN]}', b'{"data": [0.5]}')
    assert not same_json(b'{"data": [Infinity]}', b'{"data": [0.5]}')


@pytest.mark.parametrize("same", [same_json])
def test_what_is_no_json_is_refused(same: Callable[[bytes, bytes], bool]) -> None:
    with pytest.raises(ValueError):
        same(b"{", b"{}")


@given(st.text(min_size=1), st.lists(st.integers(0, 40)), st.lists(st.integers(0, 40)))
def test_streams_are_the_same_wherever_they_are_cut(text: str, one: list[int], other: list[int]) -> None:
    """A server sends what it has when it has it."""

    def cut(places: list[int]) -> list[str]:
        edges = [0, *sorted(place for place in places if place < len(text)), len(text)]
        return [text[a:b] for a, b in pairwise(edges)]

    assert same_events(stream(1, *cut(one)), stream(2, *cut(other)))
    assert not same_events(stream(1, *cut(one)), stream(2, *cut(other), "!"))


def tool(number: int, *arguments: str) -> bytes:
    calls = [
        {"index": 0, "id": f"call_{number}", "type": "function", "function": {"name": "f", "arguments": ""}}
    ]
    more = [[{"index": 0, "function": {"arguments": part}}] for part in arguments]
    return events(*(chunk(number, tool_calls=one) for one in (calls, *more)))


def anthropic(number: int, *texts: str) -> bytes:
    values = [
        {
            "type": "message_start",
            "message": {"id": f"msg_{number}", "content": [], "usage": {"input_tokens": 3}},
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": t}}
            for t in texts
        ),
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": number}},
    ]
    return b"".join(b"event: %b\r\ndata: %b\r\n\r\n" % (v["type"].encode(), dumped(v)) for v in values)


def responses(number: int, *texts: str) -> bytes:
    output = [
        {
            "type": "message",
            "id": f"msg_{number}",
            "content": [{"type": "output_text", "text": "".join(texts)}],
        }
    ]
    values = [
        {"type": "response.created", "sequence_number": 0, "response": {"id": f"resp_{number}"}},
        *(
            {"type": "response.output_text.delta", "sequence_number": n, "item_id": f"msg_{number}",
             "output_index": 0, "content_index": 0, "delta": text}
            for n, text in enumerate(texts)
        ),
        {"type": "response.completed", "response": {"id": f"resp_{number}", "output": output}},
    ]  # fmt: skip
    return events(*values, done=False)


def ollama(number: int, *texts: str) -> bytes:
    values = [
        {"created_at": str(number), "message": {"role": "assistant", "content": t}, "done": False}
        for t in texts
    ]
    return b"\n".join([*map(dumped, values), dumped({"done": True, "eval_duration": number}), b""])


@pytest.mark.parametrize(
    ("make", "same"),
    [
        (stream, same_events),
        (tool, same_events),
        (anthropic, same_events),
        (responses, same_events),
        (ollama, same_lines),
    ],
)
def test_streams_of_every_kind_are_put_together(
    make: Callable[..., bytes], same: Callable[[bytes, bytes], bool]
) -> None:
    """Whose texts come bit by bit, under ids and times that are never the same."""
    assert same(make(1, "ab", "c"), make(2, "a", "bc"))
    assert not same(make(1, "ab", "c"), make(1, "ab", "d"))
    assert not same(make(1, "ab", "c"), make(1, "ab"))


def test_choices_of_a_stream_are_told_apart() -> None:
    """Two that change places are another answer; their pieces may come in any order."""

    def both(*texts: tuple[int, str]) -> bytes:
        return events(*({"choices": [{"index": i, "delta": {"content": text}}]} for i, text in texts))

    assert same_events(both((0, "a"), (1, "b"), (0, "c")), both((0, "a"), (0, "c"), (1, "b")))
    assert not same_events(both((0, "a"), (1, "b")), both((1, "a"), (0, "b")))


def test_texts_of_several_kinds_are_told_apart() -> None:
    """By the type in the event; their pieces may come in any order too."""

    def typed(*texts: tuple[str, str]) -> bytes:
        return events(*({"type": kind, "delta": text} for kind, text in texts))

    assert same_events(typed(("r", "x"), ("o", "y"), ("r", "z")), typed(("r", "xz"), ("o", "y")))
    assert not same_events(typed(("r", "x"), ("o", "y")), typed(("r", "y"), ("o", "x")))


def test_how_a_stream_ended_counts() -> None:
    """Another reason, or no end."""
    assert not same_events(
        events(chunk(1, content="a"), chunk(1, finish_reason="stop")),
        events(chunk(1, content="a"), chunk(1, finish_reason="length")),
    )
    assert not same_events(events(chunk(1, content="a")), events(chunk(1, content="a"), done=False))


def test_a_role_said_with_every_piece_is_said_once() -> None:
    """Some servers do."""
    every = events(chunk(1, role="assistant", content="a"), chunk(1, role="assistant", content="b"))
    assert same_events(every, events(chunk(1, role="assistant", content="ab")))


def test_comments_and_fields_that_bring_nothing_are_left_out() -> None:
    """Such as those that keep connections alive."""
    assert same_events(b": ping\n\nid: 1\nretry: 5\ndata: x\n\n", b"data: x\n\n")
    assert same_events(b"data:x\n\n", b"data: x\n\n")
    assert not same_events(b"event: a\ndata: x\n\n", b"event: b\ndata: x\n\n")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "text", "data", "a"]), inner)
    ),
    max_leaves=8,
)


@given(json_values)
def test_everything_is_the_same_as_itself(value: Any) -> None:
    assert same_json(dumped(value), dumped(value))
    assert same_lines(dumped(value), dumped(value))


@given(st.binary())
def test_any_bytes_can_be_looked_at(body: bytes) -> None:
    """As streams: nothing raises, and each is the same as itself."""
    assert same_events(body, body)
    assert same_lines(body, body)
