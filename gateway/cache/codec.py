"""How is an entry written as bytes, so that whatever else is read back is noticed?

Four bytes say format and version; then eight bytes of SHA-256 over the version, the entry's key and the rest;
the rest is MessagePack. The key is part of the checksum, so that bytes found under another key, as after a
mix-up of pages or of answers on a connection, do not pass for that key's entry. The checksum is against
damage: who may write into a store can put any entry there.
"""

from hashlib import sha256

import msgspec

from gateway.cache.entry import Entry

#: To be raised whenever the same bytes would mean another entry: fields of `Entry` moved, dropped or reread.
VERSION = 1
PREFIX = b"MGC" + bytes((VERSION,))
_CHECKSUM_BYTES = 8
_HEAD_BYTES = len(PREFIX) + _CHECKSUM_BYTES

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


class UnreadableError(ValueError):
    """These bytes are not an entry of this version under this key."""


def encode(digest: bytes, entry: Entry) -> bytes:
    """`entry` under the key `digest`, as bytes for `decode`."""
    payload = _encoder.encode(entry)
    return b"".join((PREFIX, _checksum(digest, payload), payload))


def decode(digest: bytes, data: bytes) -> Entry:
    """What `encode(digest, ...)` was given; anything else raises UnreadableError."""
    if data[: len(PREFIX)] != PREFIX:
        raise UnreadableError("not an entry of this version")
    payload = data[_HEAD_BYTES:]
    if data[len(PREFIX) : _HEAD_BYTES] != _checksum(digest, payload):
        raise UnreadableError("the checksum differs")
    try:
        entry = _decoder.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UnreadableError(str(error)) from None
    if entry.expires_at != entry.expires_at:  # not a number: it would never expire
        raise UnreadableError("a time that is none")
    return entry


def _checksum(digest: bytes, payload: bytes) -> bytes:
    hashed = sha256(PREFIX)
    hashed.update(len(digest).to_bytes(4, "big"))
    hashed.update(digest)
    hashed.update(payload)
    return hashed.digest()[:_CHECKSUM_BYTES]
