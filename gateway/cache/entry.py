"""What is one stored answer, and under which name? The values that flow between the cache's rooms.

All times are wall-clock seconds since the epoch, because entries outlive the process that made them.
"""

from typing import NamedTuple

import msgspec

#: What an entry costs beside its bytes and texts: objects, the key, the store's share. Bytes, measured.
OVERHEAD_BYTES = 1400
#: What one of `pieces` costs: a tuple, its two numbers, its place.
PIECE_BYTES = 152


class Key(NamedTuple):
    """An entry's name: `digest` (SHA-256 over everything that decides the answer), and what purges go by."""

    digest: bytes  # 32 bytes
    route: str
    model: str  # as the request names it; "" for none


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One complete answer, ready to be sent again; never changed once made.

    An entry of status 0 holds no answer: it says by which request fields (`vary`) the answers under its key
    are told apart, each under a key of its own.
    """

    status: int
    fields: bytes  # header lines as they are sent again, each with its CRLF
    body: bytes
    stored_at: float  # when it was complete
    age_s: float  # how old it was then (RFC 9111 4.2.3)
    fresh_s: float  # freshness lifetime: fresh while its age is below
    stale_while_s: float  # how long beyond that it may be given while it is asked for anew
    stale_if_error_s: float  # how long beyond that it may be given when backends fail
    cost_s: float  # backend seconds that it took
    route: str
    pool: str
    model: str
    backend: str
    fingerprint: str = ""  # which version of the model gave it; "" where that is not told apart
    etag: bytes = b""
    last_modified: bytes = b""
    vary: tuple[bytes, ...] = ()  # lower-case names of request fields
    pieces: tuple[tuple[float, int], ...] = ()  # a stream's: seconds after the first, bytes
    keep_s: float = 0.0  # how long beyond freshness it is kept to ask the backend whether it still holds

    def age(self, now: float) -> float:
        """How old it is, seconds, never below 0."""
        return max(0.0, self.age_s + now - self.stored_at)

    @property
    def length(self) -> int:
        """Bytes of the answer, as it is sent."""
        return len(self.body) + len(self.fields)

    @property
    def size(self) -> int:
        """Bytes of memory it is taken to need, its place in a table included."""
        data = self.length
        # Malloc leaves holes where the long-lived lie between the short-lived: measured.
        data += data // 8
        texts = len(self.model) + len(self.fingerprint) + len(self.etag) + len(self.last_modified)
        lists = PIECE_BYTES * len(self.pieces) + 128 * len(self.vary)
        return data + texts + lists + OVERHEAD_BYTES

    @property
    def expires_at(self) -> float:
        """From when on nobody may be given it."""
        beyond = max(self.stale_while_s, self.stale_if_error_s, self.keep_s)
        return self.stored_at - self.age_s + self.fresh_s + beyond
