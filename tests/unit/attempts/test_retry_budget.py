"""Retries cost; the budget says how many a pool can afford."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.attempts.budget import RetryBudget


def withdrawals(budget: RetryBudget, now: float) -> int:
    count = 0
    while budget.withdraw(now):
        count += 1
    return count


def test_a_fifth_of_the_requests_may_be_retried() -> None:
    """Without a floor, 100 requests pay for 20 retries and not one more."""
    budget = RetryBudget(ratio=0.2, min_per_second=0.0)
    assert not budget.withdraw(1.0)
    for _ in range(100):
        budget.deposit(1.0)
    assert withdrawals(budget, 1.0) == 20


def test_a_quiet_pool_may_retry_too() -> None:
    """The floor is a rate over the window: 10 a second are 100 in ten seconds."""
    assert withdrawals(RetryBudget(ratio=0.0), 5.0) == 100


def test_deposits_and_withdrawals_are_forgotten_after_the_window() -> None:
    """What was paid and spent ten seconds ago no longer counts, and within the window it does."""
    budget = RetryBudget(ratio=0.5, min_per_second=1.0)
    for _ in range(20):
        budget.deposit(0.0)
    assert withdrawals(budget, 0.0) == 20
    assert withdrawals(budget, 9.9) == 0
    assert withdrawals(budget, 10.0) == 10
    assert withdrawals(budget, 1e6) == 10


def test_rounding_does_not_eat_a_retry() -> None:
    """0.2 x 5 is one whole retry."""
    budget = RetryBudget(ratio=0.2, min_per_second=0.0)
    for _ in range(5):
        budget.deposit(0.0)
    assert budget.withdraw(0.0)
    assert not budget.withdraw(0.0)


@given(st.floats(0, 1), st.integers(0, 300))
def test_never_more_than_the_share(ratio: float, requests: int) -> None:
    """Retries within one window stay at or below ratio x requests."""
    budget = RetryBudget(ratio, 0.0)
    for _ in range(requests):
        budget.deposit(3.0)
    assert withdrawals(budget, 3.0) <= ratio * requests + 1e-6


class BudgetMachine(RuleBasedStateMachine):
    """Against a plain list of events, over any course of time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.budget = RetryBudget(0.5, 0.2, 10.0)
        self.events: list[tuple[int, str]] = []

    def left(self) -> float:
        recent = [kind for second, kind in self.events if second > int(self.now) - 10]
        return max(0.0, 2.0 + 0.5 * recent.count("request") - recent.count("retry"))

    @rule(count=st.integers(1, 5))
    def request(self, count: int) -> None:
        for _ in range(count):
            self.budget.deposit(self.now)
            self.events.append((int(self.now), "request"))

    @rule()
    def retry(self) -> None:
        expected = self.left() >= 1.0
        assert self.budget.withdraw(self.now) == expected
        if expected:
            self.events.append((int(self.now), "retry"))

    @rule(seconds=st.sampled_from([0.25, 1.0, 3.5, 9.0, 10.0, 11.0, 1000.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def agrees_with_the_list(self) -> None:
        assert abs(self.budget.retries_left(self.now) - self.left()) < 1e-6


TestBudgetMachine = BudgetMachine.TestCase
TestBudgetMachine.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
