"""Which of the answers under one key is meant for this request? Told by the fields that Vary names."""

from hashlib import sha256

from gateway.messages import RequestHead

_ABSENT = b"\xff\xff\xff\xff"  # no length: an empty value is another thing than none


def vary_key(digest: bytes, names: tuple[bytes, ...], head: RequestHead) -> bytes:
    """32 bytes: the key of the variant under `digest` for the request's values of the fields `names`.

    Values are equal when they are after white space around them and around commas is gone, and lines are
    joined (RFC 9111 4.1). Every part is hashed with its length, so no two lists of values run together.
    """
    hashed = sha256(b"vary\x01")
    hashed.update(digest)
    for name in names:
        hashed.update(len(name).to_bytes(4, "big") + name)
        value = field_value(head, name)
        hashed.update(_ABSENT if value is None else len(value).to_bytes(4, "big") + value)
    return hashed.digest()


def field_value(head: RequestHead, name: bytes) -> bytes | None:
    """The request's normalised value of the field with this lower-case name; None when it has none."""
    values = [head.host] if name == b"host" else head.values(name)
    if not values:
        return None
    if name == b"accept-encoding":
        return _codings(values)
    if any(b'"' in value for value in values):
        return b", ".join([value.strip(b" \t") for value in values])  # a comma may be part of quoted text
    return b", ".join([member.strip(b" \t") for value in values for member in value.split(b",")])


def _codings(values: list[bytes]) -> bytes:
    """Codings as a sorted set, in lower case: their order says nothing, and a weight of 1 nothing either."""
    codings = set()
    for value in values:
        for member in value.split(b","):
            coding = b"".join(member.split()).lower()
            name, _, weight = coding.partition(b";q=")
            if weight in (b"1", b"1.", b"1.0", b"1.00", b"1.000"):
                coding = name
            if coding:
                codings.add(coding)
    return b", ".join(sorted(codings))
