"""May this log line be written, or has its like been written too often just now?"""

#: Lines of one kind that are written in a window.
ALLOWED = 5
WINDOW_S = 1.0
#: Kinds told apart; further ones share one allowance until some have been quiet for a window.
MAX_KINDS = 512

Kind = tuple[str, int, str]  # logger, level, template
_REST: Kind = ("gateway", 30, "many different messages")


class Repeats:
    """Counts log lines by kind, in windows of a second; `suppressed` is how many were left out in all."""

    __slots__ = ("_kinds", "suppressed")

    def __init__(self) -> None:
        self._kinds: dict[Kind, list[float]] = {}  # [start of window, allowed in it, left out since]
        self.suppressed = 0

    def allow(self, kind: Kind, now: float) -> tuple[bool, int]:
        """(may it be written, how many of its kind were left out before it)."""
        entry = self._kinds.get(kind)
        if entry is None:
            if len(self._kinds) >= MAX_KINDS:
                self._forget(now)
            if len(self._kinds) >= MAX_KINDS:
                kind = _REST
            entry = self._kinds.setdefault(kind, [now, 0, 0])
        if now - entry[0] >= WINDOW_S:
            before = int(entry[2])
            entry[:] = [now, 1, 0]
            return True, before
        if entry[1] < ALLOWED:
            entry[1] += 1
            return True, 0
        entry[2] += 1
        self.suppressed += 1
        return False, 0

    def sweep(self, now: float) -> list[tuple[Kind, int]]:
        """Kinds whose window is over with lines left out, and how many; they begin afresh."""
        over = [(kind, entry) for kind, entry in self._kinds.items() if now - entry[0] >= WINDOW_S]
        for kind, _ in over:
            del self._kinds[kind]
        return [(kind, int(entry[2])) for kind, entry in over if entry[2]]

    def _forget(self, now: float) -> None:
        """Make room among the kinds that left nothing unsaid."""
        for kind in [k for k, e in self._kinds.items() if now - e[0] >= WINDOW_S and not e[2]]:
            del self._kinds[kind]
