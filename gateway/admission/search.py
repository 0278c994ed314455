"""Roughly how many at once does a backend take about which nothing is known?

By doubling and halving: up while twice as many make nobody wait, else down until half as many make nobody's
wait shorter, plainly or twice in a row. That takes a few readings, each compared with the one before only, so
that neither a slow backend nor a wrong idea of how long a request should take misleads. Where the order of
the answers alone shows that nobody waits, it goes no further down: below the knee, work waits outside for
nothing, and the fewer are under way the longer it takes to see.
"""

from gateway.admission.reading import WRITING, Reading, elasticity

#: Below this level the first step goes up: answers take less than e times what they should.
_BUSY = 1.0
#: The elasticity from which on more in flight means more waiting.
_WAITING = 0.5
#: The elasticity below which fewer in flight have not made waits shorter.
_NO_HELP = 0.35
#: Below this it is so plain that going further down, where little gets done, would only cost.
_PLAIN = 0.15


class Search:
    """Takes one reading at each limit it asks for; over once `reference`, one without waiting, is set."""

    __slots__ = ("_before", "_climbed", "_top", "reference")

    def __init__(self) -> None:
        self.reference: Reading | None = None
        self._before: Reading | None = None
        self._climbed = False
        self._top = 0.0  # a limit half of which has not helped; 0: none yet

    def __repr__(self) -> str:
        return f"<Search {'over' if self.reference else 'on'}, before {self._before!r}>"

    def step(self, reading: Reading, limit: float) -> float:
        """The limit to go on with after `reading` at `limit`."""
        before = self._before
        self._before = reading
        if before is not None and 0.9 < reading.in_flight / before.in_flight < 1.1:
            return self._found(reading, limit)  # the limit cannot be what was asked for
        if before is None:
            return limit * 2.0 if reading.level < _BUSY or reading.free else self._down(reading, limit)
        if reading.in_flight > before.in_flight:
            return self._up(before, reading, limit)
        return self._fewer(before, reading, limit)

    def _fewer(self, before: Reading, reading: Reading, limit: float) -> float:
        grown = elasticity(reading, before)
        if grown > _NO_HELP:
            if reading.free:
                return self._found(reading, limit)
            self._top = 0.0
            return self._down(reading, limit)
        reading.blend(before, 0.5, 0.5)
        if self._top or grown < _PLAIN:
            return self._found(reading, self._top or limit * 2.0)
        self._top = limit * 2.0
        return self._down(reading, limit)

    def _up(self, before: Reading, reading: Reading, limit: float) -> float:
        if reading.unanswered < WRITING or elasticity(before, reading) < _WAITING:
            self._climbed = True
            return limit * 2.0
        if self._climbed or before.free:
            return self._found(before, limit / 2.0)
        self._before = before
        return self._down(before, limit / 2.0)

    def _down(self, reading: Reading, limit: float) -> float:
        if limit < 2.0:  # one alone waits for nobody
            return self._found(reading, max(limit, self._top))
        return limit / 2.0

    def _found(self, reference: Reading, limit: float) -> float:
        self.reference = reference
        return limit
