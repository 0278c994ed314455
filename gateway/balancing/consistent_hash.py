"""Which backend does this request's key belong to, as long as that one is not overloaded?

Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, 2016), as in HAProxy's
`hash-balance-factor`: a key goes to the first backend on the ring that has room,

    in flight + 1 <= ceil(balance x (all in flight + 1) x share of weight)

so nobody has more than `balance` times its part, and the keys of a busy backend go on to its neighbours.
"""

from collections.abc import Sequence
from math import ceil

from gateway.balancing.least_requests import LeastRequests
from gateway.balancing.policy import BackendView, PickContext, Row, row
from gateway.balancing.ring import Ring
from gateway.balancing.sample import find, sampled

#: Most points of the ring that a pick looks at. With a balance of 1.25 a few names are enough to find room;
#: hundreds of points are passed only where most names on the ring are no candidates.
STEPS = 4096


class ConsistentHash:
    """The key's own backend, else the next with room; without a key the one with the fewest requests.

    `balance` > 1 bounds the load: 1.25 lets nobody have more than a quarter above its part. Its only state
    is a ring of names and their weights.
    """

    __slots__ = ("_keyless", "_ring", "balance")

    patient = False
    by_slowness = False

    def __init__(self, balance: float = 1.25) -> None:
        self.balance = balance
        self._ring = Ring()
        self._keyless = LeastRequests()

    def __repr__(self) -> str:
        return f"<ConsistentHash balance {self.balance:g}, {self._ring!r}>"

    def pick(self, candidates: Sequence[BackendView], context: PickContext) -> BackendView:
        key = context.key
        if key is None:
            return self._keyless.pick(candidates, context)
        looked_at = sampled(candidates, context.rng)
        ring = self._ring
        # More candidates than names: look at all, once. Else a newcomer is met as soon as it is looked at.
        ring.see(candidates if len(candidates) > len(ring) else looked_at, context.now)
        if len(ring) > 2 * len(candidates) + 64:
            ring.sweep(context.now)
        room = self._room(looked_at, len(candidates))
        for name in ring.walk(key, STEPS):
            backend = find(candidates, name)
            if backend is not None and backend.in_flight < ceil(room * backend.weight):
                return backend
        return self._keyless.pick(candidates, context)

    def scores(self, candidates: Sequence[BackendView], context: PickContext) -> list[Row]:
        """The score is the place in the key's order, 0 for its own; behind all places when without room."""
        key, count = context.key, len(candidates)
        if key is None:
            return self._keyless.scores(candidates, context)
        ring = self._ring
        if any([backend.name not in ring for backend in candidates]):
            ring = Ring()  # the pick will meet the newcomers; asking writes nothing
            ring.see(candidates, context.now)
        places: dict[str, int] = {}
        for name in ring.walk(key, STEPS):
            if name not in places and find(candidates, name) is not None:
                places[name] = len(places)
        room = self._room(candidates, count)
        rows = []
        for backend in candidates:
            place, most = places.get(backend.name, count), ceil(room * backend.weight)
            score = place if backend.in_flight < most else place + count + 1
            rows.append(row(float(score), backend, backend.latency_s(context.now)) | {"room_for": most})
        return rows

    def _room(self, looked_at: Sequence[BackendView], count: int) -> float:
        """Requests that may be in flight for each unit of weight, going by those looked at of `count`."""
        part = len(looked_at) / count
        in_flight = sum([backend.in_flight for backend in looked_at])
        return self.balance * (in_flight + part) / sum([backend.weight for backend in looked_at], 0.0)
