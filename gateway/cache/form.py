"""Which parts does a multipart body have, whatever its boundary is?

Pure. Every client draws a new boundary for each request; two bodies that differ in nothing else are the same
form. Parts count in their order and byte by byte, their header lines included. A body whose parts another
reader could cut elsewhere is no form here, and `why` says so.
"""

import re
from hashlib import sha256

from gateway.cache.sampling import is_sampled

MAX_PARTS = 1000
MAX_TEXT = 64  # bytes of a part that may be a number

_NAME = re.compile(
    rb"""^content-disposition:[ \t]*form-data;[ \t]*name="?(temperature|n|best_of|seed)"?[ \t]*(?:;|\r|$)""",
    re.IGNORECASE | re.MULTILINE,
)


class Form:
    """`digest` over its parts, b"" when `why` says that it is not to be read as a form."""

    def __init__(self, digest: bytes, sampled: bool, why: str) -> None:
        self.digest = digest
        self.sampled = sampled
        self.why = why


def read_form(body: bytes, boundary: bytes) -> Form:
    """What the form in `body` is. Never raises."""
    parts = cut(body, boundary)
    if parts is None:
        return Form(b"", b"temperature" in body, "its parts cannot be told apart without doubt")
    hashed = sha256(b"m")
    numbers: dict[str, object] = {}
    for part in parts:
        hashed.update(len(part).to_bytes(8, "big"))
        hashed.update(part)
        head, _, value = part[:2048].partition(b"\r\n\r\n")
        if len(value) <= MAX_TEXT:
            name = _NAME.search(head)
            if name is not None:
                numbers[name[1].decode().lower()] = value.strip().decode("latin-1")
    return Form(hashed.digest(), bool(numbers) and is_sampled(numbers), "")


def cut(body: bytes, boundary: bytes) -> list[bytes] | None:
    """What stands after each `--boundary`; all but the last begin with CRLF, the last with `--`.

    None where that is not so, where something stands before the first, or where the boundary stands
    anywhere but at the beginning of a line: some readers take LF alone for a line's end.
    """
    dashed = b"--" + boundary
    if not body.startswith(dashed):
        return None
    count = body.count(dashed)
    if count > MAX_PARTS:
        return None
    parts = body[len(dashed) :].split(b"\r\n" + dashed)
    if len(parts) != count or not parts[-1].startswith(b"--"):
        return None
    for part in parts[:-1]:
        if not part.startswith(b"\r\n"):
            return None
    return parts
