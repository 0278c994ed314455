"""Who has to go when the store is full? Three policies, each a cache of cachetools whose values are slots.

A cache answers None for a key it does not have, where a plain one raises KeyError.
"""

from collections import OrderedDict

import cachetools

from gateway.cache.ghost import Ghost, part_of
from gateway.cache.ranking import Ranking
from gateway.cache.slot import Slot

#: Share of the bytes for those who have not been asked for a second time. S3-FIFO has 0.1: less saves more
#: backend seconds, but hits less where popularity moves fast. This one is tuned by benchmarks/cache_ratio.py.
YOUNG_SHARE = 0.05
#: What an entry without a use counts as: so many uses. Tuned likewise; from 0.4 on much less is saved.
UNUSED = 0.2


class LruCache(cachetools.LRUCache[bytes, Slot | None]):
    """The one that was not used for longest."""

    @staticmethod
    def getsizeof(value: Slot | None) -> int:
        return 0 if value is None else value.size

    def __missing__(self, key: bytes) -> None:
        return None

    def admits(self, slot: Slot) -> bool:
        return True

    @staticmethod
    def lasting(slot: Slot) -> tuple[float, int]:
        """Sorts those to be kept longest last."""
        return 0.0, slot.used


class LfuCache(cachetools.LFUCache[bytes, Slot | None]):
    """The one that was used least often."""

    @staticmethod
    def getsizeof(value: Slot | None) -> int:
        return 0 if value is None else value.size

    def __missing__(self, key: bytes) -> None:
        return None

    def admits(self, slot: Slot) -> bool:
        return True

    @staticmethod
    def lasting(slot: Slot) -> tuple[float, int]:
        return slot.hits, slot.used


class CostCache(cachetools.Cache[bytes, Slot | None]):
    """The one whose bytes save the fewest backend seconds.

    As in S3-FIFO, whoever is new waits in a short queue, so that what is asked for only once, most of all in
    many workloads, passes through a twentieth of the memory. At its end an entry is ranked if it was used, or
    if it is so dear that even a small chance of a use brings more per byte than what is let go at present;
    else it goes, but its digest is remembered, and if it comes again while it is, it is ranked at once. Among
    the ranked the one with the lowest worth goes.
    """

    def __init__(self, maxsize: int) -> None:
        super().__init__(maxsize)
        self._ranking = Ranking()
        self._young: OrderedDict[bytes, Slot] = OrderedDict()
        self._young_bytes = 0
        self._young_share = int(maxsize * YOUNG_SHARE)
        self._ghost = Ghost()

    @staticmethod
    def getsizeof(value: Slot | None) -> int:
        return 0 if value is None else value.size

    def __missing__(self, key: bytes) -> None:
        return None

    def __getitem__(self, key: bytes) -> Slot | None:
        slot = _find(self, key)
        if slot is not None:
            self._ranking.use(slot)
        return slot

    def __setitem__(self, key: bytes, value: Slot | None) -> None:
        assert value is not None
        if key in self:
            del self[key]
        _set(self, key, value)
        value.part = part_of(key)
        ranking = self._ranking
        if self._ghost.take(value.part):
            value.uses = 1
            ranking.push(value, 1.0)
        else:
            self._young[key] = value
            self._young_bytes += value.size

    def __delitem__(self, key: bytes) -> None:
        slot = _find(self, key)
        if slot is None:
            raise KeyError(key)
        if slot.place < 0:
            del self._young[key]
            self._young_bytes -= slot.size
        else:
            self._ranking.remove(slot)
        if slot.uses:  # expired, or replaced: when it is fetched anew, it need not prove itself
            self._ghost.add(slot.part, self._span())
        _delete(self, key)

    def popitem(self) -> tuple[bytes, Slot | None]:
        """Let one go. KeyError when there is none."""
        ranking = self._ranking
        while self._young and (self._young_bytes > self._young_share or not len(ranking)):
            key, slot = self._young.popitem(last=False)
            self._young_bytes -= slot.size
            if slot.uses:
                ranking.push(slot, float(slot.uses))
            elif len(ranking) and UNUSED * slot.density > ranking.rate:
                ranking.push(slot, UNUSED)
            else:
                self._ghost.add(slot.part, self._span())
                _delete(self, key)
                return key, slot
        if not len(ranking):
            raise KeyError("the cache is empty")
        slot = ranking.pop()
        _delete(self, slot.digest)
        return slot.digest, slot

    def admits(self, slot: Slot) -> bool:
        """Whether it may come in: what is too big for the queue of the young has to be worth it at once."""
        if slot.size <= self._young_share or UNUSED * slot.density > self._ranking.rate:
            return True
        slot.part = part_of(slot.digest)
        known = self._ghost.take(slot.part)
        self._ghost.add(slot.part, self._span())  # for when it is put in, now or later
        return known

    def clear(self) -> None:
        super().clear()
        self._ranking.clear()
        self._young.clear()
        self._young_bytes = 0
        self._ghost.clear()

    def _span(self) -> int:
        """As many are remembered as are here."""
        return len(self._young) + len(self._ranking)

    def lasting(self, slot: Slot) -> tuple[float, int]:
        return (slot.worth if slot.place >= 0 else -1.0), slot.used


_find = cachetools.Cache.__getitem__
_set = cachetools.Cache.__setitem__
_delete = cachetools.Cache.__delitem__

Evicting = CostCache | LruCache | LfuCache
POLICIES: dict[str, type[CostCache] | type[LruCache] | type[LfuCache]] = {
    "cost": CostCache,
    "lru": LruCache,
    "lfu": LfuCache,
}


def peek(cache: Evicting, digest: bytes) -> Slot | None:
    """Look without it counting as a use."""
    return _find(cache, digest)
