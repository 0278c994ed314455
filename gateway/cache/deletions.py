"""Was what is kept under a key deleted while an answer for it was under way? Then that may be the old one."""

MAX_DELETED = 8192  # keys that are remembered


class Deletions:
    """Owns the order of deletions, of single keys and of many; `count` is how many there have been.

    Remembers at most `MAX_DELETED` keys; of those before them it says that they were deleted.
    """

    __slots__ = ("_all", "_keys", "count")

    def __init__(self) -> None:
        self.count = 0
        self._keys: dict[bytes, int] = {}  # which deletion was its last, in their order
        self._all = 0  # up to this one any key may have been deleted

    def __repr__(self) -> str:
        return f"<Deletions {self.count}, {len(self._keys)} keys>"

    def __len__(self) -> int:
        return len(self._keys)

    def note(self, digest: bytes) -> None:
        """What is kept under this key has been deleted."""
        self.count += 1
        self._keys.pop(digest, None)
        if len(self._keys) >= MAX_DELETED:
            for old in list(self._keys)[: MAX_DELETED // 2]:
                self._all = self._keys.pop(old)
        self._keys[digest] = self.count

    def note_all(self) -> None:
        """Much has been deleted: what, is not remembered."""
        self.count += 1
        self._all = self.count
        self._keys.clear()

    def since(self, count: int, digest: bytes) -> bool:
        """Whether what is kept under this key may have been deleted since there were `count` deletions."""
        return self._all > count or self._keys.get(digest, 0) > count
