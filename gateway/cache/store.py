"""Where do stored answers live? The protocols of the stores, and what every store counts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from gateway.cache.entry import Entry, Key

#: Why entries leave a store, or are not taken into it. A closed set: the label of a metric.
EVICTION_REASONS = (
    "size",  # to make room
    "expired",
    "replaced",  # by a newer answer under the same key
    "purged",
    "rejected",  # not taken in: worth less than what would have to go
    "corrupt",  # could not be read back
    "model",  # another version of the model answers now
)


def _no_evictions() -> dict[str, int]:
    return dict.fromkeys(EVICTION_REASONS, 0)


@dataclass(slots=True)
class StoreFigures:
    """What a store counts, read by metrics and the admin side."""

    entries: int = 0
    bytes: int = 0
    evictions: dict[str, int] = field(default_factory=_no_evictions)
    errors: dict[str, int] = field(default_factory=dict)  # by kind, a closed set of the store's own
    hits: int = 0
    misses: int = 0


@dataclass(frozen=True, slots=True)
class Purge:
    """Which entries are to go: all that match everything given; nothing given is everything."""

    route: str | None = None
    model: str | None = None
    digest: bytes | None = None

    def matches(self, digest: bytes, route: str, model: str) -> bool:
        return (
            (self.route is None or self.route == route)
            and (self.model is None or self.model == model)
            and (self.digest is None or self.digest == digest)
        )


class LocalStore(Protocol):
    """Entries in this process's memory: plain calls, no waiting."""

    max_bytes: int
    figures: StoreFigures

    def get(self, digest: bytes, now: float) -> Entry | None:
        """The entry, unless it is there no more or has expired (`Entry.expires_at`)."""

    def put(self, digest: bytes, entry: Entry, now: float) -> bool:
        """Take it in, letting others go as needed; False when it is not taken."""

    def delete(self, digest: bytes, reason: str) -> bool: ...
    def purge(self, what: Purge) -> int:
        """How many went."""

    def items(self) -> Iterator[tuple[bytes, Entry]]:
        """All, those worth keeping most last; for a snapshot and the admin side."""


class SharedStore(Protocol):
    """Entries beyond this process: on its machine's disk, or on the network.

    Nothing here raises but CancelledError, and nothing takes longer than the store's own bound: what fails
    is a miss, or not stored, and counted in `figures.errors`.
    """

    figures: StoreFigures

    async def open(self) -> None:
        """Get ready; called once before the rest, and never fails the start."""

    async def get(self, key: Key) -> Entry | None: ...
    async def put(self, key: Key, entry: Entry, now: float) -> None: ...
    async def delete(self, key: Key) -> None: ...
    async def purge(self, what: Purge) -> int: ...
    async def watch(self, on_purge: Callable[[Purge], None]) -> None:
        """Tell of every purge by anybody who shares the store; runs until cancelled."""

    async def close(self) -> None: ...
