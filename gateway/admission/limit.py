"""How many requests at once keep a backend busy without making them wait there?

`concurrency.limit: auto`. Beyond some number in flight, the knee, a backend gets nothing more done: one more
request only means more waiting inside it, where nobody can reorder it, cancel it or send it elsewhere. The
limiter learns the knee from how long answers take to begin, and keeps the limit slightly above it.

How much waiting there is has to be told from chance, from a backend that became slower (its knee is where it
was), and from batching (many at once slow each other down, and yet more gets done). Where answers are
irregular their spread tells (reading.py): no slowness changes it, and a queue shrinks it more plainly than it
raises any average. Where they are regular there is nothing to shrink, but then their level is sharp: it is
compared with that of slightly fewer in flight, and a rise less than in proportion to their number counts as
batching. What is between regular and irregular is judged by both. Whatever these say, no more can be waiting
than have no answer yet, and nobody who overtakes: that bounds it. What was tried before, and lost, is in
docs/overload.md.
"""

from math import exp, log, sqrt

from gateway.admission.reading import WINDOW_S, Reading, Window, narrowing
from gateway.admission.search import Search

START = 8
CEILING = 1000

#: Samples in a window of a regular backend, and how many more of an irregular one.
_FEWEST = 15.0
_MORE = 45.0
#: Shares of the limit: with so much in use a sample speaks for it, with so little nothing should wait.
_USED = 0.85
_BELOW = 0.7
#: A rise of the level that is looked into at once, and after how many windows it is done anyhow.
_ALARM = 0.5
_EVERY = 20
#: A level so far below the reference's, with no fewer in flight, that the reference must be out of date.
_FASTER = 0.15
#: In a dip: what is left of the waiting if it was not deep enough; a fall of x that has the knee in between.
_STILL = 0.85
_STEEP = 1.3
#: So few against the reference's, a number in flight is plainly fewer. How far its spread follows readings.
_FEWER = 0.8
_NO_MORE = 1.05  # what chance may add
_BLEND = 0.25
#: Steps of ln(limit): part of what lacks, largest down and up, windows without waiting before a run up
#: and without growth after a dip that was not deep enough.
_GAIN = 0.6
_MOST_DOWN = -0.7
_MOST_UP = 0.4
_RUN = 3
#: The share of failures that cuts the limit, to what part of it, and windows without growth after that.
_FAILING = 0.05
_MEMORY = 100.0  # of outcomes, or four times the limit
_CUT = 0.7
_HOLD = 10


class AutoLimit:
    """The limit of one backend: `limit` attempts at once, from 1 to 1000.

    The reference says what answers look like while nothing waits. It comes from a search at the start, later
    from samples far below the limit whenever there are any, and under constant load from a dip: for one
    window in twenty the limit is 0.7 of itself, just below the knee.
    """

    __slots__ = (
        "_age",
        "_alarmed",
        "_answers",
        "_busy",
        "_cut_at",
        "_exact",
        "_failures",
        "_free",
        "_high",
        "_hold",
        "_low",
        "_lower",
        "_normal",
        "_reference",
        "_search",
        "_stale",
        "_upper",
        "limit",
    )

    def __init__(self, start: int = START) -> None:
        self._search: Search | None = Search()
        self._reference = Reading(0.0, 1.0, 1.0)  # what to expect before anything was seen
        self._normal: Reading | None = None  # while in a dip: the reading at the limit proper
        self._upper = Window()
        self._lower = Window()
        self._alarmed = False
        self._age = 0  # windows since the reference was measured
        self._free = 0  # windows in a row without waiting
        self._hold = 0  # windows to come without growth
        self._answers = 0.0  # and failures, in recent memory
        self._failures = 0.0
        self._busy = 1  # in flight, as last heard
        self._cut_at = -WINDOW_S
        self._stale = 0  # outcomes to come of attempts begun before the last cut
        self._set(float(start))

    def __repr__(self) -> str:
        state = (
            "searching" if self._search is not None else "dipping" if self._normal is not None else "found"
        )
        return f"<AutoLimit {self.limit}, {state}, reference {self._reference!r}>"

    def observe(self, x: float, in_flight: int, now: float, passed: int = -1) -> None:
        """An answer began: `x` >= 0 is its time to the first body byte over what is expected at low load.

        `in_flight` is the number of attempts under way when this one began, itself included; `passed` how
        many others ceased to wait for an answer while this one did, below 0 where that is not known.
        """
        self._answers += 1.0
        self._busy = in_flight
        if self._stale:
            self._stale -= 1
        if passed < 0:
            passed = in_flight
        if in_flight > self.limit:
            return  # begun under a higher limit
        if in_flight <= self._low and self._search is None:
            self._lower.add(x, in_flight, self._reference.level, now, passed)
            if self._full(self._lower, now):
                self._measured(_take(self._lower))
        if in_flight >= self._high and self._normal is None:
            self._upper.add(x, in_flight, self._reference.level, now, passed)
            if self._full(self._upper, now):
                self._judge(_take(self._upper))

    def failed(self, now: float) -> None:
        """An attempt timed out, or was refused for overload.

        More than 5 % of failures cut the limit to 0.7 of itself: once for all that was under way then, and
        at most once a second.
        """
        memory = max(_MEMORY, 4.0 * self.limit)
        if self._answers > memory:
            self._failures *= memory / self._answers
            self._answers = memory
        self._failures += 1.0
        if self._stale:
            self._stale -= 1
        elif now - self._cut_at >= WINDOW_S and self._failures > _FAILING * (self._failures + self._answers):
            self._cut_at = now
            self._stale = min(self.limit, self._busy) - 1
            self._answers = self._failures = 0.0
            self._hold = _HOLD
            self._normal = None
            self._set(_CUT * self._exact)

    def _full(self, window: Window, now: float) -> bool:
        """Whether a window has enough samples for how irregular they are."""
        if window.count < _FEWEST or not window.lasts(now):
            return False
        if window.writing:  # what counts then is sharp: how many are unanswered
            return True
        known = self._reference if self._search is None else window.read()
        return window.count >= _FEWEST + _MORE * known.irregular

    def _set(self, exact: float) -> None:
        self._exact = min(max(exact, 1.0), float(CEILING))
        self.limit = int(self._exact)
        self._low = max(1, int(_BELOW * self.limit + 0.5))
        self._high = _USED * self.limit

    # -- at the limit ----------------------------------------------------------------------------------

    def _judge(self, reading: Reading) -> None:
        """A window at the limit is full: move the limit toward the wanted amount of waiting."""
        search = self._search
        if search is not None:
            limit = search.step(reading, self._exact)
            self._set(min(limit, self._exact) if self._hold else limit)
            if search.reference is not None:
                self._reference = search.reference
                self._search = None
            return
        self._mend(reading)
        self._age += 1
        waiting, wanted = self._waiting(reading), self._wanted(reading)
        risen = (1.0 - self._reference.irregular) * (reading.level - self._reference.level)
        alarm = risen > _ALARM and reading.most_waiting > wanted
        due = self._age >= _EVERY and waiting > wanted / 2.0
        if self.limit > 1 and (due or (alarm and self._alarmed)):
            self._dip(reading)
        elif not alarm:  # the first may be half of before and half of after whatever has happened
            self._move(reading, waiting, wanted)
        self._alarmed = alarm

    def _move(self, reading: Reading, waiting: float, wanted: float) -> None:
        free = waiting < wanted / 2.0
        self._free = self._free + 1 if free else 0
        step = wanted - waiting
        if self._hold:
            self._hold -= 1
            step = min(step, 0.0)
        elif self._free > _RUN:
            step = _MOST_UP
        elif abs(step) < _MOST_UP:
            step *= _GAIN
        exact = self._exact * exp(min(max(step, _MOST_DOWN), _MOST_UP))
        if free and step > 0.0:
            exact = max(exact, self.limit + 1.2)  # a small limit must get to the next number too
        if self.limit == 3:
            exact = max(exact, 2.0)  # not past two: where that was right, one would long be half of it
        self._set(exact)

    def _mend(self, reading: Reading) -> None:
        """Let the reference follow where a reading at the limit shows that it is out of date."""
        reference = self._reference
        below = reference.level - reading.level
        no_more = reading.in_flight <= _NO_MORE * reference.in_flight
        faster = (1.0 - reference.irregular) * below > _FASTER
        if reading.in_flight <= _FEWER * reference.in_flight and below >= 0.0:
            reference.blend(reading, 1.0, 1.0)  # fewer, and no slower: nobody waits here either
        elif reading.most_waiting <= 0.0 or (no_more and (faster or reading.free)):
            reference.blend(reading, 1.0, _BLEND)
        elif faster:
            reference.level = reading.level - self._wanted(reading)  # the backend has become faster

    def _waiting(self, reading: Reading) -> float:
        """ln(1 + waiting / work) where answers are regular, else something that grows faster."""
        weight = self._reference.irregular
        rise = reading.level - self._reference.level
        seen = weight * narrowing(self._reference, reading) + (1.0 - weight) * rise
        return min(seen, reading.most_waiting)

    def _wanted(self, reading: Reading) -> float:
        """About a fifth on top of the work; more where one request more is not a lot."""
        return 0.2 + (0.05 + 0.15 * self._reference.irregular) * max(0.0, 1.0 - 2.0 / reading.in_flight)

    # -- far below it ----------------------------------------------------------------------------------

    def _dip(self, normal: Reading) -> None:
        self._normal = normal
        self._lower.clear()
        self.limit = self._low

    def _measured(self, reading: Reading) -> None:
        """A window far below the limit is full: mend the reference, or learn that this was not far enough."""
        reference, normal = self._reference, self._normal
        self._normal = None
        self._upper.clear()
        self._age = 0
        if normal is None:
            reference.blend(reading, 1.0, _BLEND)
            return
        self._set(self._exact)
        weight, wanted = reference.irregular, self._wanted(reading)
        fall = (1.0 - weight) * (normal.level - reading.level)
        fall /= log(normal.in_flight / reading.in_flight)
        if fall > _STEEP:
            reference.blend(reading, 1.0, _BLEND)
            self._set(sqrt(self._exact * reading.in_flight))
        elif fall + weight * narrowing(reference, reading) / wanted > _STILL:
            self._age = _EVERY // 2
            self._set(reading.in_flight)
            if fall > _STILL / 2.0:  # a regular backend: that was no chance
                self._hold = _RUN
                if self.limit > 1:
                    self._dip(reading)
        else:
            reference.blend(reading, 1.0, _BLEND)


def _take(window: Window) -> Reading:
    reading = window.read()
    window.clear()
    return reading
