"""Has a backend failed its own traffic so often that it needs a rest, and how long a one?

Failures in a row, or a share of failures within a window, eject; the n-th ejection lasts n times as long, as
in Envoy's outlier detection. How many backends may be ejected at once is the pool's business.
"""

from dataclasses import dataclass
from math import floor
from typing import Literal

from gateway.messages import Outcome

#: Why a backend has earned an ejection; `would_…` where the rule only watches.
Reason = Literal["consecutive_failures", "failure_ratio", "would_consecutive_failures", "would_failure_ratio"]
REASONS: tuple[Reason, ...] = (
    "consecutive_failures",
    "failure_ratio",
    "would_consecutive_failures",
    "would_failure_ratio",
)
_WATCHED: dict[Reason, Reason] = {
    "consecutive_failures": "would_consecutive_failures",
    "failure_ratio": "would_failure_ratio",
}

BUCKETS = 10
_ROUNDING = 1e-9  # 0.07 * 100 is 7.000000000000001


@dataclass(frozen=True, slots=True)
class OutlierRule:
    """When traffic ejects a backend. Times in seconds, ratios as shares 0..1; `max_ejected` is of the pool.

    `consecutive_failures` 0 or `failure_ratio` 0 turns that test off, `max_ejected` 0 ejection as a whole.
    The ratio is looked at from `min_requests` attempts within `window_s` on. With `enforce` False nobody is
    ejected: what would have been is only reported.
    """

    consecutive_failures: int = 5
    ejection_s: float = 10.0
    max_ejection_s: float = 300.0
    max_ejected: float = 0.5
    failure_ratio: float = 0.5
    min_requests: int = 20
    window_s: float = 30.0
    enforce: bool = True

    def most_ejected(self, backends: int) -> int:
        """How many of so many may be ejected together: the share, but of two or more at least one."""
        if backends < 2 or self.max_ejected <= 0:
            return 0
        share = floor(backends * self.max_ejected + 1e-9)  # 0.29 * 100 is 28.999…
        return min(max(share, 1), backends)


class Window:
    """How many attempts ended, and how many of them failed, in the last `window_s` seconds.

    Exact counts in tenths of the window, which leave it a tenth at a time. An average weighted by time would
    be cheaper, but its weight depends on the rate of requests: a burst of failures after a quiet spell would
    count for almost nothing, or for everything.
    """

    __slots__ = ("_failures", "_slot", "_slot_s", "_totals", "failures", "total")

    def __init__(self, window_s: float) -> None:
        self._slot_s = window_s / BUCKETS
        self._slot = 0  # number of the current tenth
        self._totals = [0] * BUCKETS
        self._failures = [0] * BUCKETS
        self.total = 0  # sums over the window, as of the last `add`
        self.failures = 0

    def __repr__(self) -> str:
        return f"<Window {self.failures} of {self.total} failed>"

    def add(self, failed: bool, now: float) -> None:
        """Count an attempt that ended at `now`."""
        slot = int(now / self._slot_s)
        if slot > self._slot:
            self._advance(slot)
        index = slot % BUCKETS
        self._totals[index] += 1
        self.total += 1
        if failed:
            self._failures[index] += 1
            self.failures += 1

    def clear(self) -> None:
        """Forget everything."""
        self._totals = [0] * BUCKETS
        self._failures = [0] * BUCKETS
        self.total = self.failures = 0

    def _advance(self, slot: int) -> None:
        """Empty the tenths between the last one used and this one."""
        for gone in range(self._slot + 1, min(slot, self._slot + BUCKETS) + 1):
            index = gone % BUCKETS
            self.total -= self._totals[index]
            self.failures -= self._failures[index]
            self._totals[index] = self._failures[index] = 0
        self._slot = slot


class OutlierState:
    """Failures in a row, failures within the window, and ejections of one backend.

    `until` is the end of the current ejection, 0.0 when there is none. `absent`: it is ejected because nobody
    was there, so that being there again, which probes can tell, ends it.
    """

    __slots__ = (
        "_proofs", "_refused", "_returned", "_times", "_window", "_wrong", "absent", "failures", "rule",
        "until",
    )  # fmt: skip

    def __init__(self, rule: OutlierRule) -> None:
        self.rule = rule
        self.failures = 0
        self.until = 0.0
        self.absent = False
        self._refused = 0  # of the failures in a row, those that found nobody
        self._wrong = 0  # and those of a server that was there
        self._proofs = 0
        self._window = Window(rule.window_s)
        self._times = 0
        self._returned = 0.0

    def __repr__(self) -> str:
        ejected = f"ejected until {self.until:.1f}" if self.until else "in"
        return f"<OutlierState {ejected}, {self.failures} failures in a row, ejected {self._times} times>"

    def succeeded(self, now: float) -> None:
        """The backend answered: the run of failures is over."""
        self.failures = self._refused = self._wrong = 0
        self._window.add(False, now)

    def failed(self, now: float, outcome: Outcome = Outcome.SERVER_ERROR) -> Reason | None:
        """Count a failure, `outcome`; why the backend has earned an ejection, None when it has not.

        Failures of attempts that end during an ejection are already paid for. Where the rule only watches,
        counting starts again after each ejection that would have been.
        """
        if self.until:
            return None
        self.failures += 1
        if outcome is Outcome.CONNECT_ERROR:
            self._refused += 1
        elif outcome is not Outcome.RESET:  # whoever is being stopped resets
            self._wrong += 1
        self._window.add(True, now)
        reason = self._verdict()
        if reason is None or self.rule.enforce:
            return reason
        self._forget()
        return _WATCHED[reason]

    def evidence(self, reason: Reason) -> str:
        """What speaks for the ejection that `failed` has just found earned, in a few words."""
        if reason == "consecutive_failures":
            return f"consecutive failures: {self.failures}"
        window = self._window
        return f"failures: {window.failures} of {window.total} in {self.rule.window_s:g} s"

    def times_at(self, now: float) -> int:
        """Ejections still remembered at `now`: one is forgiven per ejection length since the last return."""
        if self.until or not self._times:
            return self._times
        if self.rule.ejection_s <= 0:
            return 0
        return max(0, self._times - int((now - self._returned) / self.rule.ejection_s))

    def eject(self, now: float) -> float:
        """Begin an ejection and return its length in seconds: base x times ejected, at most the maximum."""
        self._times = self.times_at(now) + 1
        length = min(self.rule.ejection_s * self._times, self.rule.max_ejection_s)
        self.until = now + length
        self.absent = self._refused > 0 and not self._wrong
        self._proofs = 0
        self._forget()
        return length

    def refuted(self, good: bool, rise: int) -> bool:
        """Count a probe made during an ejection; True when `rise` good ones in a row refute its reason.

        Probes only tell that a server is there. One that is ejected for what it answered has answered them
        all the time: of that they are no cure.
        """
        if not self.until or not self.absent:
            return False
        self._proofs = self._proofs + 1 if good else 0
        return self._proofs >= rise

    def release(self, now: float) -> None:
        """End the ejection; good behaviour counts from `now`."""
        self.until = 0.0
        self.absent = False
        self._forget()
        self._returned = now

    def adopt(self, rule: OutlierRule) -> None:
        """Go on under another rule; a window of another length starts empty."""
        if rule.window_s != self.rule.window_s:
            self._window = Window(rule.window_s)
        self.rule = rule

    def _verdict(self) -> Reason | None:
        rule, window = self.rule, self._window
        if 0 < rule.consecutive_failures <= self.failures:
            return "consecutive_failures"
        if rule.failure_ratio <= 0 or window.total < rule.min_requests:
            return None
        return "failure_ratio" if window.failures + _ROUNDING >= rule.failure_ratio * window.total else None

    def _forget(self) -> None:
        self.failures = self._refused = self._wrong = 0
        self._window.clear()
