"""What would a request cost at a backend of ordinary speed, with so much under way there already?

Fitted to all answers of the pool, as they come. A plain answer takes its time by its size, and longer with
more in flight. A streamed one takes a time to its first byte, by its size and by what waits there to be read,
and then `a + b n` seconds from piece to piece, when n streams are written at once (a decode step of
continuous batching).
"""

from typing import Final

from gateway.pool.line import Line, Own
from gateway.sizes import KINDS, STREAMED

#: The time constant is so many times what one unit of work takes, and long enough for so many samples of each
#: backend, within bounds in seconds: behind one of many gateways, or in a quiet pool, they are few.
TAU_UNITS: Final = 5.0
TAU_SAMPLES: Final = 12.0
LEAST_TAU_S: Final = 1.0
MOST_TAU_S: Final = 20.0
#: What is expected of a request before anything is known; the same for all backends, so it decides nothing.
UNKNOWN_S: Final = 1.0
#: What a streamed request costs, in pieces beside the first: the machine's speed at writing, against its
#: reading.
PIECES: Final = 20.0
#: How much a second of reading ahead of a prompt weighs: it also holds up those who write there.
AHEAD: Final = 3.0
_PACE_S: Final = 5.0  # over which the rate of samples is told
_SLOW: Final = 0.002  # of means over the pool, per sample


class WorkModel:
    """What a request takes at a backend of ordinary speed. Owned by the pool, fed by its backends' answers.

    `due` is when it is worth comparing the backends anew.
    """

    __slots__ = (
        "_first",
        "_near",
        "_rate",
        "_samples",
        "_seen",
        "crowd",
        "differ",
        "due",
        "gap",
        "level",
        "off_s",
        "queue",
        "tau_s",
        "unit_s",
    )

    REFRESH_S = 0.1  # sorting at every sample would cost more than the pick

    def __init__(self) -> None:
        self._first = [0.0] * KINDS  # seconds to the first body byte, by size class
        self._seen = [0] * KINDS
        self._near = [-1] * KINDS  # the class that stands for each; looked for once, as picks ask often
        self.crowd = Line()  # how that grows with what is in flight; plain answers
        self.queue = Line(supposed=1.0, ridge=30.0)  # and with what waits to be read, in units of it; streams
        self.gap = Line(least=0.0)  # seconds from piece to piece, by streams being written
        #: What is given is so many times what is fitted, so that the median backend's slowness stays 1: the
        #: fit follows slowly, and what is remembered of a backend must not mean something else tomorrow.
        self.level = 1.0
        self.due = 0.0
        self.differ = 0.0  # variance of slowness between backends
        self.off_s = 0.0  # by how much the last answer differed from what was given to it
        self._rate = 0.0  # samples of each backend per second
        self._samples = 0  # since the last refresh
        self.unit_s = 0.0
        self.tau_s = LEAST_TAU_S

    def __repr__(self) -> str:
        return f"<WorkModel crowd {self.crowd!r}, gap {self.gap!r}, level {self.level:.3g}>"

    def first_s(self, kind: int) -> float:
        """Seconds to the first byte for this size class; of the nearest one known, 0 where none is."""
        near = self._near[kind]
        if near < 0:
            self._near[kind] = near = self._nearest(kind)
        return self._first[near]

    def _nearest(self, kind: int) -> int:
        """The seen class nearest to it, of the same half; itself when there is none."""
        base = kind & STREAMED
        for away in range(STREAMED):
            for near in (kind - away, kind + away):
                if base <= near < base + STREAMED and self._seen[near]:
                    return near
        return kind

    def cost_s(self, kind: int, in_flight: int, ahead_s: float, streams: int) -> float:
        """Seconds a request takes when sent to an ordinary backend with so much under way already.

        Of a streamed answer, until its twentieth piece or so: how long it will become is nobody's knowledge
        and the same everywhere. Its prompt is read after those that are `ahead_s` seconds of reading ahead of
        it, then it is written together with `streams` others.
        """
        first = self.first_s(kind) or UNKNOWN_S
        if kind < STREAMED:
            return first * self.crowd.at(in_flight + 1) if self.crowd.seen else first
        queue = self.queue
        if queue.seen:
            first = first * queue.at(ahead_s / first) + (AHEAD - 1.0) * queue.slope * ahead_s
        return first + PIECES * self.gap.at(streams + 1)

    def answered(
        self, kind: int, own: "Own", in_flight: int, ahead_s: float, seconds: float, relative: float
    ) -> float:
        """Take in the seconds to a first byte, with so much under way when it was sent, itself included.

        Returns what the model gave to it. `relative` is the backend's slowness: seconds are divided by it.
        """
        ordinary = max(seconds / relative, 1e-6)
        seen = self._seen[kind]
        first = self._first[kind] if seen else ordinary
        line, n = (self.crowd, float(in_flight)) if kind < STREAMED else (self.queue, ahead_s / first)
        factor = line.at(n) if line.seen else 1.0
        if not seen:
            self._near = [-1] * KINDS
        self._seen[kind] = seen + 1
        first += (ordinary / factor - first) * max(_SLOW, 1.0 / (seen + 1))
        self._first[kind] = first
        line.observe(own, n, ordinary / first)
        given = self.level * first * factor
        self._unit(given, 1.0)
        self.off_s = ordinary - given
        return given

    def wrote(self, own: Own, n: float, pieces: float, gap_s: float, relative: float) -> float:
        """Take in `pieces` written with n streams at once, `gap_s` apart; returns what the model gave."""
        self.gap.observe(own, n, gap_s / relative)
        given = self.level * self.gap.at(n)
        self._unit(given, pieces)
        self.off_s = (gap_s / relative - given) * pieces
        return given * pieces

    def pace(self, now: float, backends: int) -> int:
        """Work out how far back the sums should reach, from what a unit takes and how often one comes.

        Returns how many samples have come since the last time.
        """
        dt = now - self.due + self.REFRESH_S  # since the last time
        self.due = now + self.REFRESH_S
        samples, self._samples = self._samples, 0
        if not backends:
            return samples
        self._rate += (samples / (max(dt, 1e-3) * backends) - self._rate) * min(1.0, dt / _PACE_S)
        wanted = max(TAU_UNITS * self.unit_s, TAU_SAMPLES / max(self._rate, 1e-3))
        self.tau_s = min(max(wanted, LEAST_TAU_S), MOST_TAU_S)
        return samples

    def _unit(self, seconds: float, count: float) -> None:
        """Follow how long one unit of work takes."""
        self._samples += 1
        if self.unit_s <= 0.0:
            self.unit_s = seconds
        else:
            self.unit_s += (seconds - self.unit_s) * min(0.05, 0.01 * count)
