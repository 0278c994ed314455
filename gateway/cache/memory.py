"""Which answers are in this process's memory? A store of so many bytes, whose policy says who has to go."""

from collections.abc import Iterator

from gateway.cache.entry import Entry
from gateway.cache.eviction import POLICIES, Evicting, peek
from gateway.cache.slot import Slot
from gateway.cache.store import Purge, StoreFigures
from gateway.cache.wheel import ExpiryWheel

#: Expired entries that one put takes away at most: more than it brings, so they cannot pile up.
SWEPT_AT_ONCE = 8
#: Seconds that are added to an entry's cost: an answer that cost nothing measurable still costs a request.
LEAST_COST_S = 0.001


class MemoryStore:
    """The entries in memory, `Entry.size` of all together at most `max_bytes`."""

    def __init__(self, max_bytes: int, eviction: str = "cost") -> None:
        """ValueError when there is no eviction policy of this name."""
        if eviction not in POLICIES:
            raise ValueError(f"no eviction policy {eviction!r}: there are {', '.join(POLICIES)}")
        self.max_bytes = max_bytes
        self.figures = StoreFigures()
        self._cache: Evicting = POLICIES[eviction](max_bytes)
        self._wheel = ExpiryWheel()
        self._turn = 0  # gets and puts that found or placed an entry

    def get(self, digest: bytes, now: float) -> Entry | None:
        """The entry, unless it is there no more or has expired; `now` is wall clock."""
        slot = self._cache[digest]
        figures = self.figures
        if slot is None:
            figures.misses += 1
            return None
        if slot.expires_at <= now:
            self._drop(slot, "expired")
            figures.misses += 1
            return None
        figures.hits += 1
        self._turn += 1
        slot.used = self._turn
        slot.hits += 1
        return slot.entry

    def put(self, digest: bytes, entry: Entry, now: float) -> bool:
        """Take it in, letting others go as needed; False when it is not taken.

        What was there under this digest goes in either case: it is no longer the last answer.
        """
        self._sweep(now)
        cache = self._cache
        if digest in cache:
            self.delete(digest, "replaced")
        figures = self.figures
        size, expires_at = entry.size, entry.expires_at
        if expires_at <= now:
            figures.evictions["expired"] += 1
            return False
        slot = Slot(digest, entry, size, expires_at, (entry.cost_s + LEAST_COST_S) / size)
        if size > self.max_bytes or not cache.admits(slot):
            figures.evictions["rejected"] += 1
            return False
        while figures.bytes + size > self.max_bytes:
            self._make_room()
        cache[digest] = slot
        self._wheel.add(slot, now)
        self._turn += 1
        slot.used = self._turn
        figures.entries += 1
        figures.bytes += size
        return True

    def delete(self, digest: bytes, reason: str) -> bool:
        """Let one go, for one of EVICTION_REASONS; False when it is not there."""
        slot = peek(self._cache, digest)
        if slot is None:
            return False
        self._drop(slot, reason)
        return True

    def purge(self, what: Purge) -> int:
        """How many went."""
        if what.digest is not None:
            found = peek(self._cache, what.digest)
            slots = [] if found is None else [found]
        else:
            slots = self._slots()
        going = [slot for slot in slots if what.matches(slot.digest, slot.entry.route, slot.entry.model)]
        for slot in going:
            self._drop(slot, "purged")
        return len(going)

    def items(self) -> Iterator[tuple[bytes, Entry]]:
        """All, those worth keeping most last, as they are at this moment; expired ones may be among them."""
        return iter([(slot.digest, slot.entry) for slot in sorted(self._slots(), key=self._cache.lasting)])

    def _slots(self) -> list[Slot]:
        cache = self._cache
        return [slot for digest in cache if (slot := peek(cache, digest)) is not None]

    def _sweep(self, now: float) -> None:
        wheel = self._wheel
        for _ in range(SWEPT_AT_ONCE):
            slot = wheel.next_due(now)
            if slot is None:
                return
            self._drop(slot, "expired")

    def _make_room(self) -> None:
        _, slot = self._cache.popitem()
        assert slot is not None
        self._wheel.remove(slot)
        self._count_out(slot, "size")

    def _drop(self, slot: Slot, reason: str) -> None:
        del self._cache[slot.digest]
        self._wheel.remove(slot)
        self._count_out(slot, reason)

    def _count_out(self, slot: Slot, reason: str) -> None:
        figures = self.figures
        figures.entries -= 1
        figures.bytes -= slot.size
        figures.evictions[reason] += 1
