"""How fast is a machine when? A speed that is constant between changes, and work done by it."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from math import inf
from random import Random


class Schedule:
    """A piecewise constant function of time, from 0 on: `values[i]` holds from `times[i]` to the next.

    As a speed, its unit is seconds of work per second; 0 stands still. The last value holds for ever.
    """

    __slots__ = ("_areas", "times", "values")

    def __init__(self, value: float = 1.0, changes: Iterable[tuple[float, float]] = ()) -> None:
        """`changes` are (time, value), in order of time; a value must not be negative."""
        self.times = [0.0]
        self.values = [value]
        for when, then in changes:
            if when <= self.times[-1]:
                self.values[-1] = then
            else:
                self.times.append(when)
                self.values.append(then)
        if min(self.values) < 0:
            raise ValueError(f"a speed below 0: {min(self.values)}")
        self._areas = [0.0]  # work done by times[i]
        for i in range(1, len(self.times)):
            self._areas.append(self._areas[-1] + (self.times[i] - self.times[i - 1]) * self.values[i - 1])

    def __repr__(self) -> str:
        return f"<Schedule {self.values[0]:g}, {len(self.times) - 1} changes>"

    def at(self, when: float) -> float:
        """The value at `when`; at a change the new one."""
        if len(self.times) == 1:
            return self.values[0]
        return self.values[bisect_right(self.times, when) - 1]

    def finish(self, start: float, work: float) -> float:
        """When `work` begun at `start` is done; infinity when never."""
        times = self.times
        if len(times) == 1:
            return start + work / self.values[0] if self.values[0] else inf
        i = bisect_right(times, start) - 1
        goal = self._areas[i] + (start - times[i]) * self.values[i] + work
        if i + 1 < len(times) and goal > self._areas[i + 1]:
            i = bisect_left(self._areas, goal) - 1
        speed = self.values[i]
        if not speed:  # the work ends with this stretch or not at all
            return start if not work else inf
        return times[i] + (goal - self._areas[i]) / speed

    def mean(self, until: float) -> float:
        """The average value from 0 to `until`."""
        i = bisect_right(self.times, until) - 1
        return (self._areas[i] + (until - self.times[i]) * self.values[i]) / until

    def changes(self) -> list[tuple[float, float]]:
        """(time, value) of each change after 0."""
        return list(zip(self.times[1:], self.values[1:], strict=True))


def product(parts: Sequence[Schedule]) -> Schedule:
    """The schedule whose value is at every moment the product of the parts' values."""
    if len(parts) == 1:
        return parts[0]
    moments = sorted({when for part in parts for when in part.times})
    values = []
    for when in moments:
        value = 1.0
        for part in parts:
            value *= part.at(when)
        values.append(value)
    return Schedule(values[0], list(zip(moments[1:], values[1:], strict=True)))


def window(factor: float, start: float, end: float) -> Schedule:
    """`factor` from `start` until `end`, 1 before and after."""
    return Schedule(1.0, [(start, factor)] if end == inf else [(start, factor), (end, 1.0)])


def antagonist(factor: float, on_s: float, off_s: float, until: float, rng: Random) -> Schedule:
    """A neighbour that comes and goes: `factor` while on, 1 while off, exponential times of those means.

    Whether it is on at 0 is drawn by its share of the time. It is off for good from `until`.
    """
    on = rng.random() < on_s / (on_s + off_s)
    first = factor if on else 1.0
    when, changes = 0.0, []
    while True:
        when += rng.expovariate(1.0 / (on_s if on else off_s))
        if when >= until:
            break
        on = not on
        changes.append((when, factor if on else 1.0))
    changes.append((until, 1.0))
    return Schedule(first, changes)
