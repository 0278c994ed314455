"""When is a second attempt worth making before the first has failed?

Dean and Barroso, The Tail at Scale (2013): once the first has taken longer than requests of its class do at
the 95th percentile, a second one cuts the tail for about 5 % more load. Two things keep it from harm. It is
made only where a backend is free and nobody waits, so it takes nobody's place; and it is paid for, from a
budget of its own and from that of retries. Where servers are seen not to stop when they are left, a second
attempt costs a whole one, and hedging turns itself off.
"""

from dataclasses import dataclass
from math import exp

from gateway.sizes import KINDS

#: Answers of a size class before its percentile is believed.
LEAST_SAMPLES = 20
#: Second attempts that may be saved up: Finagle's backup filter lets none pile up beyond a moment's either.
MOST_SAVED = 10.0
#: How far one answer moves the percentile, in logarithm: about a tenth of noise, and half a minute to follow.
STEP = 0.05
#: Cancelled attempts that are remembered, the share that must have stopped, and how long hedging is off else.
CANCELS = 8
FREED_SHARE = 0.5
OFF_S = 60.0


@dataclass(frozen=True, slots=True)
class HedgeRule:
    """`after`: percentile 0..1 of the time to the first body byte; `budget`: second attempts per request."""

    after: float = 0.95
    budget: float = 0.05


class Hedger:
    """Knows how long answers of each size class take, and what may be spent; off before `off_until`."""

    __slots__ = ("_freed", "_percentile_s", "_saved", "_seen", "_stuck", "off_until", "rule")

    def __init__(self, rule: HedgeRule) -> None:
        self.rule = rule
        self.off_until = 0.0
        self._percentile_s = [0.0] * KINDS
        self._seen = [0] * KINDS
        self._saved = 0.0
        self._freed = 0
        self._stuck = 0

    def __repr__(self) -> str:
        return f"<Hedger after p{self.rule.after * 100:g}, {self._saved:.1f} saved>"

    def observe(self, kind: int, seconds: float) -> None:
        """The first body byte of an answer to a request of size class `kind` took so long.

        Robbins-Monro in logarithm: up by p and down by 1 - p in steps, at rest where a share p lies below.
        """
        seen = self._seen[kind]
        self._seen[kind] = seen + 1
        at = self._percentile_s[kind]
        if not seen or at <= 0.0:
            self._percentile_s[kind] = max(seconds, 1e-6)
            return
        step = max(STEP, 1.0 / (seen + 1))
        after = self.rule.after
        self._percentile_s[kind] = at * exp(step * after if seconds > at else step * (after - 1.0))

    def deposit(self) -> None:
        """A request comes: it pays its share."""
        saved = self._saved + self.rule.budget
        self._saved = saved if saved < MOST_SAVED else MOST_SAVED

    def delay_s(self, kind: int, now: float) -> float | None:
        """Seconds after which a request of this size class is worth a second attempt; None: never now."""
        if self._seen[kind] < LEAST_SAMPLES or now < self.off_until:
            return None
        return self._percentile_s[kind]

    def affordable(self) -> bool:
        """Is there a second attempt left to spend?"""
        return self._saved >= 1.0

    def spend(self) -> None:
        """A second attempt is made."""
        self._saved -= 1.0

    def cancelled(self, freed: bool, now: float) -> None:
        """An attempt was given up; whether the server was seen to stop within a second."""
        if freed:
            self._freed += 1
        else:
            self._stuck += 1
        known = self._freed + self._stuck
        if known < CANCELS:
            return
        if self._freed < FREED_SHARE * known:
            self.off_until = now + OFF_S
            self._freed = self._stuck = 0
        else:
            self._freed //= 2
            self._stuck //= 2
