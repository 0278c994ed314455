"""Can the pool afford another retry?

Finagle's retry budget: every request deposits a share of a retry, every retry withdraws one, both are
forgotten after a window; a floor lets a quiet pool retry at all. When everything fails, retries add that
share to the load and not a multiple of it.
"""

BUCKETS = 10


class RetryBudget:
    """At most `ratio` x requests + `min_per_second` x window retries within the last `window_s` seconds.

    The window moves in tenths; `retries_left` never counts more than the current window.
    """

    __slots__ = ("_deposits", "_requests", "_retries", "_slot", "_slot_s", "_withdrawals", "floor", "ratio")

    def __init__(self, ratio: float = 0.2, min_per_second: float = 10.0, window_s: float = 10.0) -> None:
        self.ratio = ratio
        self.floor = min_per_second * window_s
        self._slot_s = window_s / BUCKETS
        self._slot: int | None = None  # number of the current tenth
        self._deposits = [0] * BUCKETS
        self._withdrawals = [0] * BUCKETS
        self._requests = 0  # sums over the window
        self._retries = 0

    def __repr__(self) -> str:
        return f"<RetryBudget {self._retries} retries, {self._requests} requests in the window>"

    def deposit(self, now: float) -> None:
        """Count one request, whatever becomes of it."""
        slot = int(now / self._slot_s)
        if slot != self._slot:
            self._advance(slot)
        self._deposits[slot % BUCKETS] += 1
        self._requests += 1

    def withdraw(self, now: float) -> bool:
        """Take one retry out; False, taking nothing, when the budget does not cover it."""
        if self.retries_left(now) < 1.0:
            return False
        self._withdrawals[int(now / self._slot_s) % BUCKETS] += 1
        self._retries += 1
        return True

    def retries_left(self, now: float) -> float:
        """Retries the window can still pay for, in fractions; never below 0."""
        slot = int(now / self._slot_s)
        if slot != self._slot:
            self._advance(slot)
        # Rounding must not eat a whole retry: 0.2 * 5 requests are one.
        return max(0.0, self.floor + self.ratio * self._requests - self._retries + 1e-9)

    def _advance(self, slot: int) -> None:
        """Empty the tenths between the last one used and this one."""
        if self._slot is None:
            self._slot = slot
        for gone in range(self._slot + 1, min(slot, self._slot + BUCKETS) + 1):
            index = gone % BUCKETS
            self._requests -= self._deposits[index]
            self._retries -= self._withdrawals[index]
            self._deposits[index] = self._withdrawals[index] = 0
        self._slot = slot
