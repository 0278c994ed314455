"""Whose turn is it?

Each backend's next turn is due at a moment of virtual time, and the earliest is served: a turn later it is
due again after 1 / weight. This is the earliest deadline first scheduler of Envoy's and gRPC's weighted round
robin, with one difference: who comes in starts somewhere within its first interval, spread as evenly as may
be (by the golden ratio), so that weights 5, 1, 1 give a a c a a b a and not a a a a a b c.
"""

from collections.abc import Sequence
from heapq import heappop, heappush, heapreplace

from gateway.balancing.policy import BackendView, PickContext, Row, row
from gateway.balancing.sample import find

#: Multiples of it, less their whole part, divide an interval more evenly than those of any other number.
GOLDEN = 0.6180339887498949
#: How many candidates each pick looks at, going round, for names it does not know yet.
NEWCOMERS = 8


class RoundRobin:
    """Turns in proportion to weight; a pick costs O(log n).

    Its only state is, per name, when its next turn is due. A backend that is absent when its turn comes is
    forgotten, and starts anew when it is seen again; so nobody is remembered for longer than a round.
    """

    __slots__ = ("_cursor", "_due", "_heap", "_joined", "_time")

    patient = False
    by_slowness = False

    def __init__(self) -> None:
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._time = 0.0  # of the latest turn
        self._joined = 0
        self._cursor = 0

    def __repr__(self) -> str:
        return f"<RoundRobin {len(self._due)} names>"

    def pick(self, candidates: Sequence[BackendView], context: PickContext) -> BackendView:
        self._meet(candidates)
        if context.tried:  # a retry is nobody's turn: it would bring the one that failed back too soon
            return min(candidates, key=lambda backend: self._due.get(backend.name, self._time))
        heap = self._heap
        while True:
            due, name = heap[0]
            backend = find(candidates, name)
            if backend is not None:
                self._time = due
                self._due[name] = due = due + 1.0 / backend.weight
                heapreplace(heap, (due, name))
                return backend
            heappop(heap)
            del self._due[name]

    def scores(self, candidates: Sequence[BackendView], context: PickContext) -> list[Row]:
        """The score is how far off a candidate's turn is: in intervals of a weight of 1."""
        rows, joined = [], self._joined
        for backend in candidates:
            due = self._due.get(backend.name)
            if due is None:
                due = self._first_due(joined, backend)
                joined += 1
            rows.append(row(due - self._time, backend, backend.latency_s(context.now)))
        return rows

    def _meet(self, candidates: Sequence[BackendView]) -> None:
        """Give newcomers a turn: all when there must be some, else those among the few looked at."""
        known, count = self._due, len(candidates)
        looked_at = candidates
        if count <= len(known):
            at = self._cursor if self._cursor < count else 0
            self._cursor = at + NEWCOMERS
            looked_at = candidates[at : at + NEWCOMERS]
        for backend in looked_at:
            name = backend.name
            if name not in known:
                known[name] = due = self._first_due(self._joined, backend)
                heappush(self._heap, (due, name))
                self._joined += 1

    def _first_due(self, joined: int, backend: BackendView) -> float:
        return self._time + joined * GOLDEN % 1.0 / backend.weight
