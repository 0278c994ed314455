"""How slow is a backend, whatever it was asked and however much at once?

Its *slowness*, 1 for the pool's median, is

    slowness = seconds its requests have spent there / seconds the model (work.py) gives to what was answered

both sums forgotten with a time constant. Requests that have not been answered yet count in the first sum, so
a backend that stands still is noticed while it does, not when it has failed. A pseudo-count at what was last
known stands for what is not known now; that in turn returns to the pool's median, more slowly. So a new
backend starts at the median, and one that was found slow is asked again after a while, but not soon and not
often.

The work done is counted in two ways, which add up: until the first body byte once per answer, and then, where
a stream was asked for, by the pieces it came in. So neither the length of an answer nor the batch it was
written in is taken for slowness.
"""

from collections.abc import Sequence
from math import exp
from typing import Final

from gateway.pool.line import Own
from gateway.pool.work import WorkModel
from gateway.sizes import STREAMED

#: The pseudo-count, as a share of the time constant.
PRIOR: Final = 0.25
#: In what time a backend that is not heard of is thought to have become an ordinary one; seconds.
MEMORY_S: Final = 10.0
#: Chance explains distances up to about the root of this many standard deviations: two.
STANDS_OUT: Final = 4.0
#: Who is further off than this many times the median stands for himself, and says nothing of the others.
FAR: Final = 2.2
_FAULT_S: Final = 0.5  # of failures that still count; one counts for five when it happens
_DIFFER: Final = 0.01  # of the variance between backends, at each comparison: some ten seconds are remembered
_LEAST_GAP_S: Final = 0.05  # gaps between pieces are read off over at least so long


class Speed:
    """One backend's slowness; told of every attempt's start, first byte and end. Times from outside.

    `waiting` attempts have no first byte yet, `streaming` ones write a stream.
    """

    __slots__ = (
        "_area_s", "_at", "_fault_s", "_gap_area_s", "_gap_at", "_gap_pieces", "_heard", "_noise",
        "_own_crowd", "_own_gap", "_own_queue", "_usual", "_value", "_work_s", "ahead_s", "chance", "model",
        "streaming", "trust", "waiting",
    )  # fmt: skip

    def __init__(self, model: WorkModel) -> None:
        self.model = model
        self.waiting = 0
        self.ahead_s = 0.0  # what the model expects of those that wait, to their first bytes
        self.streaming = 0
        self._area_s = 0.0  # request seconds spent, forgotten with tau
        self._work_s = 0.0  # seconds of work done, likewise
        self._fault_s = 0.0  # what failures count as, likewise
        self._usual = -1.0  # slowness when last heard of, without failures; below 0: never
        self._heard = 0.0  # when that was
        self._at = 0.0  # of the sums
        self._value = -1.0  # slowness at `_at`; below 0: as the median
        self._gap_at = 0.0  # since when, and over how many stream seconds and pieces, gaps are read off
        self._gap_area_s = 0.0
        self._gap_pieces = 0
        self._noise = 0.0  # squared seconds by which answers were off what was given to them, likewise
        self.trust = 0.0  # how much of its distance from the median is believed, 0..1
        self.chance = 0.0  # variance of the estimate by chance
        self._own_crowd = Own()
        self._own_queue = Own()
        self._own_gap = Own()

    def __repr__(self) -> str:
        return f"<Speed {self._value:.3g}, {self.waiting} waiting, {self.streaming} streaming>"

    def believed(self, now: float, pieces: int) -> float:
        """Slowness at `now` as far as it stands out from chance; as `value`."""
        return 1.0 + self.trust * (self.value(now, pieces) - 1.0)

    def variance(self) -> float:
        """Of the slowness, by chance, relative to its square: answers differ, and few of them say little."""
        work_s = self._work_s + PRIOR * self.model.tau_s
        return self._noise / (work_s * work_s)

    def value(self, now: float, pieces: int) -> float:
        """Slowness at `now`, when so many pieces have come by then in all. Writes nothing."""
        if self._at == 0.0:
            return 1.0
        dt = now - self._at
        if dt <= self.model.tau_s * 0.01:
            return self._value
        return self._read(now, pieces, self._fault_s)

    def plain(self, now: float, pieces: int) -> float:
        """As `value`, with failures left out."""
        return 1.0 if self._at == 0.0 else self._read(now, pieces, 0.0)

    def _read(self, now: float, pieces: int, fault_s: float) -> float:
        model = self.model
        tau = model.tau_s
        kept = _decay(max(0.0, now - self._at) / tau)
        area = (self._area_s + fault_s) * kept + (self.waiting + self.streaming) * tau * (1.0 - kept)
        work = self._work_s * kept
        new = pieces - self._gap_pieces
        if new > 0 and self.streaming:
            span = max(now - self._gap_at, 1e-6)
            gap_s = model.level * model.gap.at(self.streaming)
            work += new * gap_s * tau * (1.0 - _decay(span / tau)) / span
        prior = PRIOR * tau
        return (area + prior * self._known(now)) / (work + prior)

    def _known(self, now: float) -> float:
        """What it is thought to be when nothing new is known."""
        if self._usual < 0.0:
            return 1.0
        return 1.0 + (self._usual - 1.0) * _decay((now - self._heard) / MEMORY_S)

    def rescale(self, median: float) -> None:
        """What was `median` times an ordinary backend's slowness is ordinary from now on."""
        self._work_s *= median
        self._noise *= median * median
        self._value /= median
        self._usual /= median

    def opened(self, now: float, pieces: int, first_s: float) -> None:
        """An attempt starts, whose first byte the model expects in `first_s` seconds."""
        self._advance(now, pieces)
        self.waiting += 1
        self.ahead_s += first_s
        self._settle()

    def first_byte(
        self,
        now: float,
        pieces: int,
        kind: int,
        first_s: float,
        in_flight: int,
        ahead_s: float,
        seconds: float,
    ) -> None:
        """A good answer begins, `seconds` after its start, which was with so much under way."""
        self._advance(now, pieces)
        self._waited(first_s)
        own = self._own_crowd
        if kind >= STREAMED:
            own = self._own_queue
            if not self.streaming:  # gaps are read off from here on
                self._gap_at = now
                self._gap_area_s = 0.0
                self._gap_pieces = pieces
            self.streaming += 1
        relative = self._relative()
        model = self.model
        self._work_s += model.answered(kind, own, in_flight, ahead_s, seconds, relative)
        self._noise += model.off_s * model.off_s
        self._settle()
        self._hear()

    def stream_ended(self, now: float, pieces: int, penalty_s: float) -> None:
        """A stream is over; a penalty where it was the backend's failure."""
        self._advance(now, pieces)
        self.streaming -= 1
        self._fault_s += penalty_s
        self._settle()

    def gone(self, now: float, pieces: int, first_s: float, seconds: float, penalty_s: float) -> None:
        """An attempt ended without a good answer after `seconds`: no sample, but for a failure's penalty."""
        self._advance(now, pieces)
        self._waited(first_s)
        tau = self.model.tau_s
        spent = tau * (1.0 - _decay(seconds / tau))
        self._work_s += spent / max(self._standing(0.0), 1e-3)  # so that the ratio stays what it is
        self._fault_s += penalty_s
        self._settle()

    def failing(self, now: float) -> bool:
        """Do failures still count against it? One does for some two time constants."""
        return self._fault_s * _decay(max(0.0, now - self._at) / self.model.tau_s) > _FAULT_S

    def forgive(self) -> None:
        """It has come back: its failures were those of before."""
        self._fault_s = 0.0
        self._settle()

    def _waited(self, first_s: float) -> None:
        """One that was expected in `first_s` waits no longer."""
        self.waiting -= 1
        ahead_s = self.ahead_s - first_s
        self.ahead_s = ahead_s if self.waiting and ahead_s > 0.0 else 0.0  # rounding must not pile up

    def _relative(self) -> float:
        return self._value if self._value > 0.0 else 1.0

    def _settle(self) -> None:
        self._value = self._standing(self._fault_s)

    def _hear(self) -> None:
        """It has answered: what it is now will be remembered, but for failures."""
        self._usual = self._standing(0.0)
        self._heard = self._at

    def _standing(self, fault_s: float) -> float:
        """Slowness at `_at`."""
        prior = PRIOR * self.model.tau_s
        return (self._area_s + fault_s + prior * self._known(self._at)) / (self._work_s + prior)

    def _advance(self, now: float, pieces: int) -> None:
        """Bring the sums up to `now`. `pieces` matter only while streams are written."""
        dt = now - self._at
        if self._at == 0.0 or dt < 0.0:
            self._at = now
            return
        tau = self.model.tau_s
        kept = _decay(dt / tau)
        self._area_s = self._area_s * kept + (self.waiting + self.streaming) * tau * (1.0 - kept)
        self._work_s *= kept
        self._fault_s *= kept
        self._noise *= kept * kept
        self._at = now
        if self.streaming:
            self._gap_area_s += self.streaming * dt
            if now - self._gap_at >= _LEAST_GAP_S:
                self._read_gap(now, pieces)

    def _read_gap(self, now: float, pieces: int) -> None:
        """Take in what has been written since the last time."""
        model, new = self.model, pieces - self._gap_pieces
        if new > 0:
            span, tau = now - self._gap_at, model.tau_s
            gap_s = self._gap_area_s / new
            done = model.wrote(self._own_gap, self._gap_area_s / span, new, gap_s, self._relative())
            # Spread over that time and forgotten since, as the seconds spent were.
            self._work_s += done * tau * (1.0 - _decay(span / tau)) / span
            self._noise += model.off_s * model.off_s
            self._hear()
        self._gap_at = now
        self._gap_area_s = 0.0
        self._gap_pieces = pieces


def compare(model: WorkModel, speeds: Sequence[Speed], pieces: Sequence[int], now: float) -> None:
    """Make the pool's median slowness 1 again, and say how far each backend's own estimate can be trusted.

    `pieces` are those of each at `now`. Estimates of equal backends differ too, by chance, and to act on that
    is worse than to count requests. So an estimate is drawn to the median the more, the less its distance
    stands out from what chance explains: empirical Bayes, with the variance between backends measured, and
    for a single one that is far off the positive part of James and Stein's estimator.
    """
    answers = model.pace(now, len(speeds))
    if not speeds:
        return
    plain = [speed.plain(now, count) for speed, count in zip(speeds, pieces, strict=True)]
    if answers:  # where nobody answers, what is usual is not what is
        median = sorted(plain)[(len(plain) - 1) // 2]
        model.level *= median
        for speed in speeds:
            speed.rescale(median)
        plain = [value / median for value in plain]
    apart = chance = 0.0
    for speed, value in zip(speeds, plain, strict=True):
        speed.chance = speed.variance()
        if value <= FAR:  # who is far off stands for himself, and says nothing of the others
            chance += speed.chance
            apart += (value - 1.0) ** 2
    model.differ += ((apart - chance) / len(speeds) - model.differ) * _DIFFER
    differ = model.differ if model.differ > 0.0 else 0.0
    for speed, count in zip(speeds, pieces, strict=True):
        off = (speed.value(now, count) - 1.0) ** 2
        trust = differ / (differ + speed.chance + 1e-9)
        if off > 0.0:
            trust = max(trust, 1.0 - STANDS_OUT * speed.chance / off)
        speed.trust = trust


def _decay(x: float) -> float:
    """e^-x; for the small x that most are without the call, to a few millionths."""
    return 1.0 - x * (1.0 - x * (0.5 - x * 0.16666666666666666)) if x < 0.05 else exp(-x)
