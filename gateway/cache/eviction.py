"""Who has to go when the store is full? Three policies, each a cache of cachetools whose values are slots.

A cache answers None for a key it does not have, where a plain one raises KeyError.

Not among the compiled modules: a compiled class on top of an interpreted one (cachetools') breaks in the full
build, at the first look-up of an attribute.
"""

import cachetools

from gateway.cache.slot import Slot
from gateway.cache.worth import Worth


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
    """The one whose bytes save the fewest backend seconds; worth.py says in which order they go."""

    def __init__(self, maxsize: int) -> None:
        super().__init__(maxsize)
        self._worth = Worth(maxsize)
        self.admits = self._worth.admits

    @staticmethod
    def getsizeof(value: Slot | None) -> int:
        return 0 if value is None else value.size

    def __missing__(self, key: bytes) -> None:
        return None

    def __getitem__(self, key: bytes) -> Slot | None:
        slot = _find(self, key)
        if slot is not None:
            self._worth.use(slot)
        return slot

    def __setitem__(self, key: bytes, value: Slot | None) -> None:
        assert value is not None
        if key in self:
            del self[key]
        _set(self, key, value)
        self._worth.enter(value)

    def __delitem__(self, key: bytes) -> None:
        slot = _find(self, key)
        if slot is None:
            raise KeyError(key)
        self._worth.remove(slot)
        _delete(self, key)

    def popitem(self) -> tuple[bytes, Slot | None]:
        """Let one go. KeyError when there is none."""
        slot = self._worth.leave()
        if slot is None:
            raise KeyError("the cache is empty")
        _delete(self, slot.digest)
        return slot.digest, slot

    def clear(self) -> None:
        super().clear()
        self._worth.clear()

    @staticmethod
    def lasting(slot: Slot) -> tuple[float, int]:
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
