"""Has this very body been read before? Remembers what short ones say, where repeats are to be expected.

What a body says is a function of its bytes and its type, and finding it again by its bytes is half the work
of reading it. Bounded: at `MOST` bodies the older half is forgotten.
"""

from gateway.bounded import forget_half
from gateway.routing.body import BodyFacts, read_body

MAX_KNOWN = 2048  # bytes of a body that is remembered
MOST = 4096


class KnownBodies:
    """What bodies of at most `MAX_KNOWN` bytes say, but for forms."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[bytes, BodyFacts] = {}

    def __len__(self) -> int:
        return len(self._known)

    def facts(self, body: bytes, content_type: bytes) -> BodyFacts:
        """As `read_body` reads it."""
        if content_type[:10].lower() == b"multipart/":
            return read_body(body, content_type)
        known = self._known.get(body)
        if known is None:
            known = read_body(body, content_type)
            if len(self._known) >= MOST:
                forget_half(self._known)
            self._known[body] = known
        return known
