"""What was written is read back, and nothing else passes for it."""

import math
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache import codec
from gateway.cache.entry import Entry
from tests.unit.cache.stored import digests, entries, entry, key


@given(digests, entries)
def test_an_entry_comes_back_as_it_was(digest: bytes, given_entry: Entry) -> None:
    """decode undoes encode."""
    assert codec.decode(digest, codec.encode(digest, given_entry)) == given_entry


@given(digests, entries, st.data())
def test_any_changed_byte_is_noticed(digest: bytes, given_entry: Entry, data: st.DataObject) -> None:
    """Whichever byte is whatever else, it is either noticed or the same entry; so are several."""
    written = bytearray(codec.encode(digest, given_entry))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(written) - 1))
        written[place] ^= data.draw(st.integers(1, 255))
    with suppress(codec.UnreadableError):
        assert codec.decode(digest, bytes(written)) == given_entry


def test_every_byte_counts() -> None:
    """Each byte of one entry, each bit of it flipped: always noticed."""
    digest = key().digest
    written = codec.encode(digest, entry(pieces=((0.5, 3),), vary=(b"accept",)))
    for place in range(len(written)):
        for bit in range(8):
            changed = bytearray(written)
            changed[place] ^= 1 << bit
            with pytest.raises(codec.UnreadableError):
                codec.decode(digest, bytes(changed))


@given(digests, entries, st.data())
def test_cut_or_longer_is_noticed(digest: bytes, given_entry: Entry, data: st.DataObject) -> None:
    """A part of it is not it, nor is it with something behind."""
    written = codec.encode(digest, given_entry)
    for other in (
        written[: data.draw(st.integers(0, len(written) - 1))],
        written + data.draw(st.binary(min_size=1)),
    ):
        with pytest.raises(codec.UnreadableError):
            codec.decode(digest, other)


@given(digests, st.binary(max_size=300))
def test_anything_else_is_no_entry(digest: bytes, noise: bytes) -> None:
    """Nor with a head that would be one's."""
    for data in (noise, codec.PREFIX + noise, codec.PREFIX + codec._checksum(digest, noise) + noise):
        with pytest.raises(codec.UnreadableError):
            codec.decode(digest, data)


@given(digests, digests, entries)
def test_another_key_s_entry_is_not_this_key_s(digest: bytes, other: bytes, given_entry: Entry) -> None:
    """What was written under one key is unreadable under every other."""
    written = codec.encode(digest, given_entry)
    if digest != other:
        with pytest.raises(codec.UnreadableError):
            codec.decode(other, written)


def test_a_time_that_is_none_is_refused() -> None:
    """An entry that compares with no time would never expire."""
    digest = key().digest
    with pytest.raises(codec.UnreadableError):
        codec.decode(digest, codec.encode(digest, entry(stored_at=math.nan)))


def test_unreadable_is_a_value_error() -> None:
    """Who knows nothing of codecs can catch it."""
    assert issubclass(codec.UnreadableError, ValueError)


def test_the_version_stands_for_these_fields() -> None:
    """Entries are written by position: when these change, so must VERSION, or old bytes are misread."""
    fields = [field.name for field in msgspec.structs.fields(Entry)]
    assert codec.VERSION == 1
    assert fields == [
        "status",
        "fields",
        "body",
        "stored_at",
        "age_s",
        "fresh_s",
        "stale_while_s",
        "stale_if_error_s",
        "cost_s",
        "route",
        "pool",
        "model",
        "backend",
        "fingerprint",
        "etag",
        "last_modified",
        "vary",
        "pieces",
        "keep_s",
    ]
