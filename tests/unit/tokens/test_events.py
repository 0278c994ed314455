"""Are the events that carry content counted, in every dialect and however a stream is cut into pieces?"""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tokens import shapes
from gateway.tokens.events import MAX_EVENT, MAX_STRANGE, Events
from tests.unit.tokens.streams import (
    DONE,
    PING,
    chunk,
    data,
    messages,
    responses,
    sorted_chunk,
    text_chunk,
    usage,
)

texts = st.text(min_size=1, max_size=12) | st.sampled_from(
    ['"', "\\", '"content":"', "data: x", "\n\n", "[DONE]"]
)


def chat(said: list[str], tight: bool = True, opening: bool = True) -> list[tuple[bytes, bool]]:
    """A whole chat: its events, and whether each carries content."""
    made = [(data(chunk({"role": "assistant", "content": ""}), tight=tight), False)] if opening else []
    made += [(data(chunk({"content": text}), tight=tight), True) for text in said]
    made += [
        (data(chunk({}, reason="stop"), tight=tight), False),
        (data(chunk({}) | {"choices": [], "usage": usage(9, len(said))}, tight=tight), False),
        (DONE, False),
    ]
    return made


DIALECTS = {
    "chat": chat,
    "spaced": lambda said: chat(said, tight=False),
    "without role": lambda said: chat(said, opening=False),
    "completion": lambda said: [
        *[(data(text_chunk(t)), True) for t in said],
        (data(text_chunk("")), False),
        (DONE, False),
    ],
    "changing second": lambda said: [(data(sorted_chunk(t, n // 2)), True) for n, t in enumerate(said)],
    "created first": lambda said: [
        (data({"created": n // 2} | {"choices": [{"delta": {"content": t}}]}), True)
        for n, t in enumerate(said)
    ],
    "thinking": lambda said: [
        (data(chunk({"content": "", "reasoning": t} if n % 3 else {"content": t, "reasoning": ""})), True)
        for n, t in enumerate(said)
    ],
    "calls": lambda said: [
        (data(chunk({"tool_calls": [{"index": 0, "function": {"arguments": t if n % 3 else ""}}]})), True)
        for n, t in enumerate(said)
    ],
    "two choices": lambda said: [
        (data(chunk({"content": t}, index=n % 2)), True) for n, t in enumerate(said)
    ],
    "nulls": lambda said: (
        [
            (data(chunk({"role": None, "content": t, "reasoning_content": None, "tool_calls": None})), True)
            for t in said
        ]
        + [(data(chunk({"role": None, "content": None, "tool_calls": None}, reason="stop")), False)]
    ),
    "messages": lambda said: messages(9, said),
    "responses": lambda said: responses(9, said),
    "responses without names": lambda said: [(e.partition(b"\n")[2], c) for e, c in responses(9, said)],
}


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """The stream in pieces."""
    edges = [0, *sorted({place % (len(stream) + 1) for place in places} - {0, len(stream)}), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(edges)]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"], ids=["LF", "CRLF"])
@given(
    said=st.lists(texts, max_size=12),
    places=st.lists(st.integers(0, 10_000), max_size=12),
    pings=st.lists(st.integers(0, 20), max_size=3),
)
def test_content_is_counted_however_it_is_cut(dialect, end, said, places, pings):
    """Each event with content counts once, when its end is there; comments in between change nothing."""
    made = DIALECTS[dialect](said)
    for place in pings:
        made.insert(place, (PING, False))
    lines = [event.replace(b"\n", end[:-2] or b"\n") if end == b"\r\n\r\n" else event for event, _ in made]
    stream = b"".join(line + end for line in lines)
    expected = sum(content for _, content in made)
    assert Events().count(stream) == expected
    events = Events()
    assert sum(events.count(piece) for piece in cut(stream, places)) == expected
    events = Events()
    arrived, so_far = 0, 0
    for (_, content), line in zip(made, lines, strict=True):
        arrived += events.count(line + end)
        so_far += content
        assert arrived == so_far
    assert not events.lost


def test_byte_by_byte():
    """A stream in pieces of one byte counts as one in one piece."""
    made = chat(["a", "b", "c"])
    events = Events()
    stream = b"".join(event + b"\n\n" for event, _ in made)
    assert sum(events.count(stream[i : i + 1]) for i in range(len(stream))) == 3


def test_events_alike_are_decoded_once(monkeypatch):
    """What makes it cheap: a thousand chunks alike are one decoded chunk."""
    decoded = []
    real = shapes.decode_chunk  # not of a compiled module, so that it can be replaced there too
    monkeypatch.setattr(shapes, "decode_chunk", lambda data: decoded.append(data) or real(data))
    events = Events()
    assert sum(events.count(data(chunk({"content": "a"})) + b"\n\n") for _ in range(1000)) == 1000
    assert len(decoded) == 1


def test_what_a_longer_answer_begins_with_is_not_trusted_blindly():
    """Beginning alike, but with an empty text: looked at again."""
    events = Events()
    stream = [chunk({"content": "a"}), chunk({"content": ""}), chunk({"content": "", "reasoning": "b"})]
    assert [events.count(data(one) + b"\n\n") for one in stream] == [1, 0, 1]


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"\n\n", b"data:", b"event:", b"{", b"\r\n"])))
def test_any_bytes_can_be_counted(pieces):
    """Nothing raises, and no more is held than an event may have."""
    events = Events()
    for piece in pieces:
        assert events.count(piece) >= 0
        assert len(events._rest) <= MAX_EVENT


@pytest.mark.parametrize("size", [100, 5000, 70_000])
def test_a_long_event_is_skipped_not_held(size):
    """An event without end holds no memory; what follows it is counted again."""
    events = Events()
    held = 0
    long = b'data: {"choices":[{"delta":{"content":"' + b"x" * 100_000
    for at in range(0, len(long), size):
        assert events.count(long[at : at + size]) == 0
        held = max(held, len(events._rest))
    assert held <= MAX_EVENT
    assert events.count(b'"}}]}\n') == 0
    assert events.count(b"\n" + data(chunk({"content": "a"})) + b"\n\n") == 1


def test_a_long_event_in_one_piece_is_not_decoded():
    """Decoding megabytes would hold up everybody else."""
    long = data(chunk({"content": "x" * MAX_EVENT}))
    assert Events().count(long + b"\n\n" + data(chunk({"content": "a"})) + b"\n\n") == 1


def test_a_stream_of_another_kind_is_left_alone():
    """After some events of unknown shape none is looked at any more; a few of them do not matter."""
    events = Events()
    for n in range(MAX_STRANGE + 1):
        assert not events.lost
        assert events.count(b'data: {"tick": %d}\n\n' % n) == 0
    assert events.lost
    events = Events()
    assert events.count(b"data: tick\n\n" * MAX_STRANGE + data(chunk({"content": "a"})) + b"\n\n") == 1
    assert not events.lost


def test_the_opening_of_messages_is_kept():
    """Anthropic's streams tell the prompt's tokens in their first event."""
    events = Events()
    for event, _ in messages(9, ["a"]):
        events.count(event + b"\n\n")
    opening = json.loads(events.opening.partition(b"data: ")[2])
    assert opening["message"]["usage"]["input_tokens"] == 9


def test_named_events_of_others_are_looked_into():
    """A name that says nothing, such as `message`, does not hide a chunk."""
    assert Events().count(data(chunk({"content": "a"}), "message") + b"\n\n") == 1
    assert Events().count(b"id: 7\n" + data(chunk({"content": "a"})) + b"\n\n") == 1
    assert Events().count(b"event: done\n\nid: 7\n\n\n\n") == 0
