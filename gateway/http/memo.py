"""Has this very head been read before? Remembers what heads mean, whatever their Content-Length.

A client on a kept connection repeats its head byte for byte, but for the length; so does a backend within
one second. What a head means is a pure function of its bytes, so it is worked out once. The length is cut
out of the key and checked on its own. Bounded: at `limit` entries the older half is forgotten.
"""

from typing import Generic, TypeVar

from gateway.bounded import forget_half

MAX_HEAD = 4096  # longer heads are not remembered
MAX_DIGITS = 15

Head = TypeVar("Head")

_FIELD = b"\r\nContent-Length: "
_FIELD_LOWER = b"\r\ncontent-length: "


class HeadMemo(Generic[Head]):
    """Remembers up to `limit` heads."""

    __slots__ = ("_known", "_limit")

    def __init__(self, limit: int = 1024) -> None:
        self._known: dict[tuple[bytes, bytes], Head] = {}
        self._limit = limit

    def __len__(self) -> int:
        return len(self._known)

    def find(self, head: bytes) -> tuple[Head | None, int | None]:
        """What `head` (with its empty line) means and its Content-Length; (None, None) when not known."""
        before, found, after = head.partition(_FIELD)
        if not found:
            before, found, after = head.partition(_FIELD_LOWER)
            if not found:
                return self._known.get((head, b"")), None
        digits, _, rest = after.partition(b"\r\n")
        known = self._known.get((before, rest))
        if known is None or not digits.isdigit() or len(digits) > MAX_DIGITS:
            return None, None
        return known, int(digits)

    def learn(self, head: bytes, meaning: Head, has_length: bool) -> None:
        """Remember what a head means that was read in full, without a doubt."""
        if len(head) > MAX_HEAD:
            return
        cut = _FIELD in head or _FIELD_LOWER in head
        if cut is not has_length:
            return  # a spelling that `find` would not see
        if len(self._known) >= self._limit:
            forget_half(self._known)
        before, found, after = head.partition(_FIELD)
        if not found:
            before, found, after = head.partition(_FIELD_LOWER)
        if not found:
            self._known[head, b""] = meaning
            return
        self._known[before, after.partition(b"\r\n")[2]] = meaning
