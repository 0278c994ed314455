"""Entries for the tests of the cache, by example and by hypothesis."""

from hashlib import sha256
from typing import Any

from hypothesis import strategies as st

from gateway.cache.entry import Entry, Key


def key(name: str = "a", route: str = "chat", model: str = "small") -> Key:
    return Key(sha256(name.encode()).digest(), route, model)


def entry(body: bytes = b"hello", **others: Any) -> Entry:
    """Stored at 1000.0, fresh for 100 s and given to nobody beyond, unless told otherwise."""
    values: dict[str, Any] = {
        "status": 200,
        "fields": b"content-type: application/json\r\n",
        "body": body,
        "stored_at": 1000.0,
        "age_s": 0.0,
        "fresh_s": 100.0,
        "stale_while_s": 0.0,
        "stale_if_error_s": 0.0,
        "cost_s": 1.0,
        "route": "chat",
        "pool": "main",
        "model": "small",
        "backend": "b1",
    }
    return Entry(**(values | others))


_times = st.floats(-1e12, 1e12)
_spans = st.floats(0.0, 1e9)
_texts = st.text(max_size=8)

digests = st.binary(min_size=32, max_size=32)
entries = st.builds(
    Entry,
    st.integers(0, 999),
    st.binary(max_size=64),
    st.binary(max_size=256),
    _times,
    _spans,
    _spans,
    _spans,
    _spans,
    _spans,
    _texts,
    _texts,
    _texts,
    _texts,
    _texts,
    st.binary(max_size=8),
    st.binary(max_size=8),
    st.lists(st.binary(max_size=8), max_size=3).map(tuple),
    st.lists(st.tuples(_spans, st.integers(0, 1 << 40)), max_size=4).map(tuple),
)
