"""Has a backend that still answers become so slow that it should get less work?

A gray failure: a throttled GPU, a neighbour on the machine, a disk that dies. Checks pass and nothing fails,
so neither probes nor ejection see it. It shows in comparison only, and each comparison alone misleads: next
to its peers a small GPU always looks slow, and next to its own past every backend looks slow when the load
rises. So it takes both. The answer is less weight, not none: what is slow still works, and only a backend
that is asked can show that it has recovered (Dean and Barroso, The Tail at Scale, 2013: latency-induced
probation).

The numbers: Envoy's success-rate ejection takes 1.9 standard deviations, which needs five hosts to mean
anything; a multiple of the median works from two on, and one slow backend cannot move it. Twice is within
what load and prompts do to a good backend from one second to the next; fail-slow hardware is slower by more.
"""

from dataclasses import dataclass

#: Slow from this many times the pool's median and this many times its own past on …
PEERS = 3.0
PAST = 2.0
#: … and until it is below this many times one of them: the distance keeps it from flapping.
BACK = 1.5
#: Judgements in a row that change the verdict; about a second apart.
JUDGEMENTS = 3
#: The past is a mean over about this long.
MEMORY_S = 300.0
#: No verdict before so much of it is known.
LEARN_S = 60.0
#: A longer gap between two judgements counts as this: one value after an hour is not an hour of past.
LONGEST_GAP_S = 5.0


@dataclass(frozen=True, slots=True)
class DegradedRule:
    """The share 0..1 of its weight that a degraded backend keeps; 1 turns degrading off."""

    share: float = 0.3


class DegradedState:
    """What is usual of one backend, and whether it is far from that.

    `degraded` is the verdict, `past` the usual value, None when never judged.
    """

    __slots__ = ("_at", "_learned_s", "_median", "_streak", "degraded", "past", "rule")

    def __init__(self, rule: DegradedRule) -> None:
        self.rule = rule
        self.degraded = False
        self.past: float | None = None
        self._median = 0.0  # what was usual of the pool at the same times
        self._learned_s = 0.0
        self._at = 0.0
        self._streak = 0  # judgements in a row that speak against the verdict

    def __repr__(self) -> str:
        usual = "nothing known" if self.past is None else f"usually {self.past:.4g}"
        return f"<DegradedState {'degraded' if self.degraded else 'well'}, {usual}>"

    @property
    def factor(self) -> float:
        """What the weight is multiplied with."""
        return self.rule.share if self.degraded else 1.0

    def judge(self, value: float, median: float, now: float) -> bool:
        """Take the backend's slowness at `now` and the pool's median of it; True while degraded.

        Both above 0, in any one unit, smoothed (a single slow request must not show for seconds), and the
        lower median, so that of two backends the better one is the measure. To be called about once a
        second for backends that take work: a cold or an absent one has no usual speed. When most of a pool
        is slow the median is, and nobody is degraded: that is the load.
        """
        slow = self._slow(value, median)
        self._streak = self._streak + 1 if slow is not self.degraded else 0
        if self._streak >= JUDGEMENTS:
            self.degraded = slow
            self._streak = 0
        if not slow:
            self._learn(value, median, now)
        self._at = now
        return self.degraded

    def _slow(self, value: float, median: float) -> bool:
        past = self.past
        if past is None or self._learned_s < LEARN_S or self.rule.share >= 1.0:
            return False
        # What the whole pool has slowed down by is the load's doing and expected of this one too.
        expected = past * max(1.0, median / self._median)
        if self.degraded:
            return value >= BACK * median and value >= BACK * expected
        return value >= PEERS * median and value >= PAST * expected

    def _learn(self, value: float, median: float, now: float) -> None:
        """Move the usual values: a plain mean at first, later one over the last minutes."""
        if self.past is None:
            self.past, self._median = value, median
            return
        elapsed = min(max(0.0, now - self._at), LONGEST_GAP_S)
        self._learned_s += elapsed
        if elapsed > 0.0:
            weight = elapsed / min(self._learned_s, MEMORY_S)
            self.past += weight * (value - self.past)
            self._median += weight * (median - self._median)
