"""Server-sent events, however they are cut into pieces."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.top.events import Events, TooLong

STREAM = (
    b"retry: 1000\n\nevent: overview\ndata: {\"a\":1}\n\n: a comment\n\n"
    b"event: decisions\r\ndata:first\r\ndata: second\r\n\r\ndata: unnamed\n\n"
)  # fmt: skip
EVENTS = [("overview", b'{"a":1}'), ("decisions", b"first\nsecond"), ("message", b"unnamed")]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_pieces_do_not_matter(cuts: list[int]) -> None:
    """Cut anywhere, between a carriage return and its line feed too, the events are the same."""
    reader, found = Events(), []
    ends = [0, *sorted(cuts), len(STREAM)]
    for start, end in pairwise(ends):
        found += reader.feed(STREAM[start:end])
    assert found == EVENTS


def test_an_unfinished_event_is_kept_back() -> None:
    """Until its empty line has come."""
    reader = Events()
    assert reader.feed(b"event: x\ndata: 1\n") == []
    assert reader.feed(b"\n") == [("x", b"1")]


def test_an_event_has_an_end() -> None:
    """What never ends does not fill the memory."""
    reader = Events(max_bytes=100)
    with pytest.raises(TooLong):
        for _ in range(20):
            reader.feed(b"data: ----------")
