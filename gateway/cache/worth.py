"""In which order do entries go that are ranked by what their bytes save? The young, the ranked, and a memory.

As in S3-FIFO, whoever is new waits in a short queue, so that what is asked for only once, most of all in many
workloads, passes through a twentieth of the memory. At its end an entry is ranked if it was used, or if it is
so dear that even a small chance of a use brings more per byte than what is let go at present; else it goes,
but its digest is remembered, and if it comes again while it is, it is ranked at once. Among the ranked the
one with the lowest worth goes.
"""

from typing import Final

from gateway.cache.ghost import Ghost, part_of
from gateway.cache.ranking import Ranking
from gateway.cache.slot import Slot

#: Share of the bytes for those who have not been asked for a second time. S3-FIFO has 0.1: less saves more
#: backend seconds, but hits less where popularity moves fast. This one is tuned by benchmarks/cache_ratio.py.
YOUNG_SHARE: Final = 0.05
#: What an entry without a use counts as: so many uses. Tuned likewise; from 0.4 on much less is saved.
UNUSED: Final = 0.2


class Worth:
    """Where each slot of a cache of `max_bytes` stands; the cache itself holds the slots by their digests."""

    __slots__ = ("_ghost", "_newest", "_oldest", "_ranking", "_young", "_young_bytes", "_young_share")

    def __init__(self, max_bytes: int) -> None:
        self._ranking = Ranking()
        self._ghost = Ghost()
        self._young_share = int(max_bytes * YOUNG_SHARE)
        self._young = 0
        self._young_bytes = 0
        self._oldest: Slot | None = None
        self._newest: Slot | None = None

    def __len__(self) -> int:
        return self._young + len(self._ranking)

    def use(self, slot: Slot) -> None:
        """Count a hit."""
        self._ranking.use(slot)

    def enter(self, slot: Slot) -> None:
        """A slot comes that is nowhere."""
        slot.part = part_of(slot.digest)
        if self._ghost.take(slot.part):
            slot.uses = 1
            self._ranking.push(slot, 1.0)
            return
        newest = self._newest
        slot.older = newest
        if newest is None:
            self._oldest = slot
        else:
            newest.newer = slot
        self._newest = slot
        self._young += 1
        self._young_bytes += slot.size

    def leave(self) -> Slot | None:
        """Take out the one that goes first; None when there is none."""
        ranking = self._ranking
        while True:
            slot = self._oldest
            if slot is None or (self._young_bytes <= self._young_share and len(ranking)):
                return ranking.pop() if len(ranking) else None
            self._unlink(slot)
            if slot.uses:
                ranking.push(slot, float(slot.uses))
            elif len(ranking) and UNUSED * slot.density > ranking.rate:
                ranking.push(slot, UNUSED)
            else:
                self._ghost.add(slot.part, len(self))
                return slot

    def remove(self, slot: Slot) -> None:
        """Take out a slot that is here."""
        if slot.place < 0:
            self._unlink(slot)
        else:
            self._ranking.remove(slot)
        if slot.uses:  # expired, or replaced: when it is fetched anew, it need not prove itself
            self._ghost.add(slot.part, len(self))

    def admits(self, slot: Slot) -> bool:
        """Whether it may come in: what is too big for the queue of the young has to be worth it at once."""
        if slot.size <= self._young_share or UNUSED * slot.density > self._ranking.rate:
            return True
        slot.part = part_of(slot.digest)
        known = self._ghost.take(slot.part)
        self._ghost.add(slot.part, len(self))  # for when it is put in, now or later
        return known

    def clear(self) -> None:
        slot = self._oldest
        while slot is not None:  # else they would hold one another
            newer = slot.newer
            slot.older = slot.newer = None
            slot = newer
        self._oldest = self._newest = None
        self._young = self._young_bytes = 0
        self._ranking.clear()
        self._ghost.clear()

    def _unlink(self, slot: Slot) -> None:
        older, newer = slot.older, slot.newer
        if older is None:
            self._oldest = newer
        else:
            older.newer = newer
        if newer is None:
            self._newest = older
        else:
            newer.older = older
        slot.older = slot.newer = None
        self._young -= 1
        self._young_bytes -= slot.size
