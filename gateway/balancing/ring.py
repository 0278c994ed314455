"""Where does a key belong? A ring of names on which few keys move when one comes, goes or changes weight.

Consistent hashing after Karger et al. (1997). Every name has points on a circle, in proportion to its
weight; a key belongs to the name whose point comes next, and after that to the following ones. Points come
from BLAKE2b of the name, so gateways that do not know of one another agree.

A name keeps its points while it is no candidate (full for a moment, ejected, drained): whoever walks the
ring passes it by, and its keys are its own again when it returns. Weights decide how many of a name's points
count, always the first so many; so a weight that rises, as in slow start, takes over keys bit by bit.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from struct import Struct

from gateway.balancing.policy import BackendView

#: Points for a name of average weight. The shares of equal names then differ by a tenth (1 / √100).
POINTS = 100
#: Most points of one name; also what the number of a point has room for, below.
MOST_POINTS = 1023
#: A change of weight by less than this share is not worth a look at the ring: it is less than two points.
NOTICEABLE = 0.02
#: How long a name that is seen no more keeps its points, and how often such names are looked for.
KEPT_S = 300.0
SWEEP_S = 60.0

# A point is one number, so that a ring is one sorted list: 36 bits of hash, 18 of the owner's slot, 10 of
# the point's number among its owner's.
_HASH_SHIFT = 28
_SLOT_SHIFT = 10
_SLOT_MASK = (1 << (_HASH_SHIFT - _SLOT_SHIFT)) - 1
_NUMBER_MASK = (1 << _SLOT_SHIFT) - 1
_digest = Struct(">8Q")


class _Member:
    """One name: `made` of its points are on the ring, the first `active` of them count."""

    __slots__ = ("active", "made", "name", "seen", "slot", "weight")

    def __init__(self, name: str, slot: int) -> None:
        self.name = name
        self.slot = slot
        self.weight = 0.0
        self.seen = 0.0
        self.active = 0
        self.made = 0


class Ring:
    """Names on a circle. Holds names, never backends; those not seen for five minutes are dropped."""

    __slots__ = ("_free", "_members", "_points", "_slots", "_sweep_at")

    def __init__(self) -> None:
        self._members: dict[str, _Member] = {}
        self._slots: list[_Member] = []
        self._free: list[int] = []
        self._points: list[int] = []
        self._sweep_at = 0.0

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def __repr__(self) -> str:
        return f"<Ring {len(self._members)} names, {len(self._points)} points>"

    def see(self, backends: Sequence[BackendView], now: float) -> None:
        """Take in the names and weights of `backends`; costs little where nothing is new."""
        members = self._members
        changed = False
        for backend in backends:
            member = members.get(backend.name)
            if member is None:
                member = members[backend.name] = self._member(backend.name)
            weight = backend.weight
            if abs(weight - member.weight) > NOTICEABLE * member.weight:
                member.weight = weight
                changed = True
            member.seen = now
        if changed:
            self._arrange()

    def walk(self, key: int, steps: int) -> Iterator[str]:
        """The names after the 64-bit `key`, nearest first, over `steps` points; neighbours may repeat."""
        points, slots = self._points, self._slots
        at = bisect_left(points, key)
        for _ in range(min(steps, len(points))):
            if at == len(points):
                at = 0
            point = points[at]
            member = slots[point >> _SLOT_SHIFT & _SLOT_MASK]
            if point & _NUMBER_MASK < member.active:
                yield member.name
            at += 1

    def sweep(self, now: float) -> None:
        """Drop names long unseen, at most once a minute."""
        if now < self._sweep_at:
            return
        self._sweep_at = now + SWEEP_S
        gone = {member.slot for member in self._members.values() if now - member.seen > KEPT_S}
        if gone:
            self._members = {m.name: m for m in self._members.values() if m.slot not in gone}
            self._points = [p for p in self._points if p >> _SLOT_SHIFT & _SLOT_MASK not in gone]
            self._free += gone
            self._arrange()

    def _member(self, name: str) -> _Member:
        if self._free:
            member = _Member(name, self._free.pop())
            self._slots[member.slot] = member
        else:
            member = _Member(name, len(self._slots))
            self._slots.append(member)
        return member

    def _arrange(self) -> None:
        """Work out how many points each name deserves, and make those that are missing."""
        members = self._members.values()
        per_weight = POINTS * len(members) / sum([member.weight for member in members], 0.0)
        made = len(self._points)
        for member in members:
            member.active = min(MOST_POINTS, max(1, round(member.weight * per_weight)))
            if member.active > member.made:
                self._points += _points_of(member, member.active)
                member.made = member.active
        if len(self._points) > made:
            self._points.sort()


def _points_of(member: _Member, count: int) -> list[int]:
    """The member's points from the first that is not made yet up to `count`."""
    made: list[int] = []
    name = member.name.encode("utf-8", "surrogatepass")
    for block in range(member.made // 8, (count + 7) // 8):
        digest = blake2b(name, salt=block.to_bytes(2, "big")).digest()
        made += [
            (value >> _HASH_SHIFT << _HASH_SHIFT) | member.slot << _SLOT_SHIFT | number
            for number, value in enumerate(_digest.unpack(digest), 8 * block)
            if member.made <= number < count
        ]
    return made
