"""Under which keys was nothing found to be cacheable, so that nobody waits for another in vain?"""

from gateway.bounded import forget_half
from gateway.cache.rules import HOLD_S

MAX_HELD = 8192  # keys that are remembered


class HeldKeys:
    """Owns the keys whose last answer was for one client only; at most `MAX_HELD`, the oldest go."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: dict[bytes, float] = {}

    def __repr__(self) -> str:
        return f"<HeldKeys {len(self._until)}>"

    def __len__(self) -> int:
        return len(self._until)

    def hold(self, digest: bytes, now: float) -> None:
        """Remember for `HOLD_S` that nothing under this key is to be kept; `now`: wall clock."""
        if len(self._until) >= MAX_HELD:
            forget_half(self._until)
        self._until[digest] = now + HOLD_S

    def holds(self, digest: bytes, now: float) -> bool:
        until = self._until.get(digest)
        if until is None:
            return False
        if now < until:
            return True
        del self._until[digest]
        return False

    def release(self, digest: bytes) -> None:
        """An answer under this key was kept after all."""
        self._until.pop(digest, None)
