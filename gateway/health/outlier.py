"""Has a backend failed its own traffic so often that it needs a rest, and how long a one?

Consecutive failures eject; the n-th ejection lasts n times as long, as in Envoy's outlier detection.
How many backends may be ejected at once is the pool's business.
"""

from dataclasses import dataclass
from math import floor


@dataclass(frozen=True, slots=True)
class OutlierRule:
    """When traffic ejects a backend. Times in seconds, `max_ejected` a share 0..1 of the pool.

    `consecutive_failures` 0 or `max_ejected` 0 turns ejection off.
    """

    consecutive_failures: int = 5
    ejection_s: float = 10.0
    max_ejection_s: float = 300.0
    max_ejected: float = 0.5

    def most_ejected(self, backends: int) -> int:
        """How many of so many may be ejected together: the share, but of two or more at least one."""
        if backends < 2 or self.max_ejected <= 0:
            return 0
        share = floor(backends * self.max_ejected + 1e-9)  # 0.29 * 100 is 28.999…
        return min(max(share, 1), backends)


class OutlierState:
    """Failures in a row and ejections of one backend.

    `until` is the end of the current ejection, 0.0 when there is none.
    """

    __slots__ = ("_returned", "_times", "failures", "rule", "until")

    def __init__(self, rule: OutlierRule) -> None:
        self.rule = rule
        self.failures = 0
        self.until = 0.0
        self._times = 0
        self._returned = 0.0

    def __repr__(self) -> str:
        ejected = f"ejected until {self.until:.1f}" if self.until else "in"
        return f"<OutlierState {ejected}, {self.failures} failures in a row, ejected {self._times} times>"

    def succeeded(self) -> None:
        """The backend answered: the run of failures is over."""
        self.failures = 0

    def failed(self) -> bool:
        """Count a failure; True when the backend has earned an ejection.

        Failures of attempts that end during an ejection are already paid for.
        """
        if self.until:
            return False
        self.failures += 1
        return 0 < self.rule.consecutive_failures <= self.failures

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
        self.failures = 0
        return length

    def release(self, now: float) -> None:
        """End the ejection; good behaviour counts from `now`."""
        self.until = 0.0
        self.failures = 0
        self._returned = now
