"""Has this very body been read before? Remembers what short ones say, where repeats are to be expected.

What a body says is a function of its bytes and its type, and finding it again by its bytes is half the work
of reading it. Those that come once are not held for that: of their first time only a hash is remembered.
Bounded: at `MOST` the older half is forgotten.
"""

from gateway.bounded import forget_half
from gateway.routing.body import read_body
from gateway.routing.members import BodyFacts

MAX_KNOWN = 2048  # bytes of a body that is remembered
MOST = 4096


class KnownBodies:
    """What bodies of at most `MAX_KNOWN` bytes say, but for forms."""

    __slots__ = ("_known", "_once")

    def __init__(self) -> None:
        self._known: dict[bytes, BodyFacts] = {}
        self._once: dict[int, None] = {}  # hashes of bodies that were read once

    def __len__(self) -> int:
        return len(self._known) + len(self._once)

    def facts(self, body: bytes, content_type: bytes) -> BodyFacts:
        """As `read_body` reads it."""
        if content_type[:10].lower() == b"multipart/":
            return read_body(body, content_type)
        known = self._known.get(body)
        if known is not None:
            return known
        facts, mark = read_body(body, content_type), hash(body)
        if mark not in self._once:
            if len(self._once) >= MOST:
                forget_half(self._once)
            self._once[mark] = None
            return facts
        del self._once[mark]
        if len(self._known) >= MOST:
            forget_half(self._known)
        self._known[body] = facts
        return facts
