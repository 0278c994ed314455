"""Which versions of a model do a pool's backends have now, and may an older answer be given still?

Pure, but for the state it owns: what each backend said when it was asked. A version is believed for storing
only without a gap, from the answer that first named it to the last one, since a process may be replaced
between two questions. Times are wall-clock seconds, as in entries.
"""

import enum
from collections.abc import Iterable

from gateway.cache.entry import Entry

#: How long after its last word a backend's answers are kept under its version; seconds.
TRUST_S = 60.0
MAX_DOUBTFUL = 256  # stretches of time that are remembered


class Standing(enum.IntEnum):
    """What becomes of an entry, by its version."""

    CURRENT = 0  # it may be given
    ABSENT = 1  # not now, but its version may still turn out to be there
    GONE = 2  # nobody has its version any more


class Said:
    """What one backend said last. `version` "": nothing yet; `sure`: nothing has happened to it since."""

    __slots__ = ("asked", "live", "since", "sure", "version")

    def __init__(self) -> None:
        self.version = ""
        self.since = 0.0  # from when on it has had that version without a gap
        self.asked = 0.0  # when the last question was sent that it answered
        self.sure = False
        self.live = True

    def __repr__(self) -> str:
        return f"<Said {self.version or 'nothing'}{'' if self.sure else ', in doubt'}>"


class Fleet:
    """What a pool's backends have said, by name, and what follows; worked out when it changes, not per hit.

    `given`: versions whose entries may be given; `held`: all that were named last by anybody.
    """

    __slots__ = ("given", "held", "said", "unknown")

    def __init__(self, said: dict[str, Said]) -> None:
        self.said = said
        self.given: set[str] = set()
        self.held: set[str] = set()
        self.unknown = False  # somebody has not said yet what it is
        self.settle()

    def __repr__(self) -> str:
        return f"<Fleet {self.said}>"

    def settle(self) -> None:
        """What counts is what those say who take requests; when nobody does, what all have said last."""
        self.held = set()
        self.unknown = anybody = False
        sure: set[str] = set()
        for said in self.said.values():
            anybody = anybody or said.live
            if said.version == "":
                self.unknown = True
                continue
            self.held.add(said.version)
            if said.live and said.sure:
                sure.add(said.version)
        self.given = sure if anybody else self.held


class Versions:
    """Owns what the backends have said, by pool and name."""

    __slots__ = ("_doubtful", "_pools")

    def __init__(self) -> None:
        self._pools: dict[str, Fleet] = {}
        self._doubtful: dict[tuple[str, str, str], tuple[float, float]] = {}

    def __repr__(self) -> str:
        return f"<Versions {self._pools}>"

    # What is heard.

    def expect(self, pool: str, names: Iterable[str]) -> None:
        """These are the pool's backends; what others have said is forgotten."""
        before = self._pools.get(pool)
        said: dict[str, Said] = {}
        for name in names:
            known = None if before is None else before.said.get(name)
            said[name] = Said() if known is None else known
        self._pools[pool] = Fleet(said)

    def noted(self, pool: str, backend: str, version: str, asked: float, now: float) -> bool:
        """A backend has said at `now` which version it is, being asked at `asked`; whether it is another."""
        said = self._said(pool, backend)
        if said is None:
            return False
        changed = said.version not in ("", version)
        if changed:
            self._doubt((pool, backend, said.version), said.asked, now)
        if changed or not said.sure:
            said.since = now
        settled = not changed and said.sure and said.live
        said.version, said.asked, said.sure, said.live = version, asked, True, True
        if not settled:
            self._pools[pool].settle()
        return changed

    def doubted(self, pool: str, backend: str) -> None:
        """It answers, but what it is may have changed since it was asked."""
        said = self._said(pool, backend)
        if said is not None:
            said.sure, said.live = False, True
            self._pools[pool].settle()

    def lost(self, pool: str, backend: str) -> None:
        """It takes no requests now. What it said counts as long as nobody is there to say otherwise."""
        said = self._said(pool, backend)
        if said is not None:
            said.sure, said.live = False, False
            self._pools[pool].settle()

    def _said(self, pool: str, backend: str) -> Said | None:
        known = self._pools.get(pool)
        return None if known is None else known.said.get(backend)

    def _doubt(self, what: tuple[str, str, str], first: float, last: float) -> None:
        """What a backend answered between two words that differ may be of either version."""
        before = self._doubtful.pop(what, None)
        if before is not None:
            first = min(first, before[0])
        elif len(self._doubtful) >= MAX_DOUBTFUL:
            del self._doubtful[next(iter(self._doubtful))]
        self._doubtful[what] = (first, last)

    # What follows from it.

    def known(self, pool: str, backend: str) -> bool:
        """Whether it has said what it is, and nothing has happened to it since."""
        said = self._said(pool, backend)
        return said is not None and said.sure

    def version_of(self, pool: str, backend: str, sent: float, now: float) -> str:
        """The version that answers a request sent to it at `sent`; "" when that is not certain."""
        said = self._said(pool, backend)
        if said is None or not said.sure or sent < said.since or now - said.asked > TRUST_S:
            return ""
        return said.version

    def standing(self, entry: Entry) -> Standing:
        """Whether a version that still answers gave this entry."""
        fleet = self._pools.get(entry.pool)
        if fleet is None:
            return Standing.ABSENT
        if entry.fingerprint in fleet.given:
            return Standing.GONE if self._is_doubtful(entry) else Standing.CURRENT
        return Standing.ABSENT if fleet.unknown or entry.fingerprint in fleet.held else Standing.GONE

    def _is_doubtful(self, entry: Entry) -> bool:
        if not self._doubtful:
            return False
        span = self._doubtful.get((entry.pool, entry.backend, entry.fingerprint))
        return span is not None and span[0] <= entry.stored_at <= span[1]
