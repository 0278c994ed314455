"""An attempt is counted in once, out once, and judged by how it ended."""

import random

import pytest

from gateway.admission.limit import AutoLimit
from gateway.balancing.least_latency import LeastLatency
from gateway.health.faults import FAILURES
from gateway.health.outlier import OutlierRule
from gateway.messages import Outcome
from gateway.pool.backend import BackendRules, BackendSpec
from gateway.pool.pool import Pool
from gateway.pool.roster import PoolRules
from tests.unit.pool.asking import take, take_from


def pool_of(backends: int = 2, consecutive: int = 3) -> Pool:
    return Pool(
        "chat",
        [BackendSpec(f"http://10.0.0.{i}", f"b{i}") for i in range(backends)],
        "least_latency",
        LeastLatency(),
        random.Random(1),
        PoolRules(BackendRules(outlier=OutlierRule(consecutive_failures=consecutive))),
    )


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_gives_the_place_back(outcome: Outcome) -> None:
    """In flight is 1 while the lease is open and 0 after, and exactly that outcome is counted."""
    pool = pool_of()
    lease = take(pool, 1.0)
    assert lease.backend.in_flight == pool.in_flight_total == 1
    lease.close(outcome, 2.0)
    assert lease.backend.in_flight == pool.in_flight_total == 0
    assert lease.backend.outcomes == [int(each is outcome) for each in Outcome]
    assert lease.backend.selected == 1


def test_closing_twice_is_an_error_and_counts_nothing() -> None:
    """The second close raises and in flight does not go below zero."""
    lease = take(pool_of(), 1.0)
    lease.close(Outcome.OK, 2.0)
    with pytest.raises(RuntimeError, match="close a lease once"):
        lease.close(Outcome.CANCELLED, 3.0)
    assert lease.backend.in_flight == 0
    assert sum(lease.backend.outcomes) == 1
    assert repr(lease) == f"<Lease chat/{lease.backend.name} closed>"


def test_the_first_body_byte_is_the_latency() -> None:
    """The first call counts; later ones and the length of the stream do not."""
    lease = take(pool_of(), 1.0)
    lease.first_body_byte(1.2)
    lease.first_body_byte(9.0)
    lease.close(Outcome.OK, 61.0)
    backend = lease.backend
    assert backend.latency.value_s == pytest.approx(0.2)
    assert (backend.first_byte.total, backend.first_byte.sum) == (1, pytest.approx(0.2))
    assert (backend.duration.total, backend.duration.sum) == (1, 60.0)


def test_an_answer_without_a_body_counts_at_its_end() -> None:
    """A 204 has no first body byte: its whole time is the sample."""
    lease = take(pool_of(), 1.0)
    lease.close(Outcome.OK, 1.3)
    assert lease.backend.latency.value_s == pytest.approx(0.3)


class Noted(AutoLimit):
    """A limiter that remembers what it was told: in flight, and how many ceased to wait meanwhile."""

    def __init__(self) -> None:
        super().__init__(100)
        self.told: list[tuple[int, int]] = []

    def observe(self, x: float, in_flight: int, now: float, passed: int = -1) -> None:
        self.told.append((in_flight, passed))


def test_the_limiter_is_told_who_was_answered_before_whom() -> None:
    """Who has left, or failed, waits no longer either; streams under way were answered."""
    pool = pool_of(backends=1)
    backend = pool.backends[0]
    backend.limiter = noted = Noted()
    first = take(pool, 1.0, stream=True)
    first.first_body_byte(1.5)
    second, left, failed, last = (take(pool, 2.0) for _ in range(4))
    last.close(Outcome.OK, 3.0)
    left.close(Outcome.CANCELLED, 3.0)
    failed.close(Outcome.TIMEOUT, 3.0)
    second.close(Outcome.OK, 4.0)
    first.close(Outcome.OK, 5.0)
    assert noted.told == [(1, 0), (5, 0), (2, 3)]


def test_a_client_that_leaves_gives_no_sample() -> None:
    """Cancelled: neither latency nor duration, and the run of failures goes on."""
    lease = take(pool_of(), 1.0)
    lease.backend.outlier.failures = 2
    lease.close(Outcome.CANCELLED, 90.0)
    assert lease.backend.latency.value_s is None
    assert lease.backend.duration.total == 0
    assert lease.backend.outlier.failures == 2


def test_a_callers_mistake_is_no_sample_and_no_failure() -> None:
    """A quick 400 makes nobody fast, is held against nobody and shows that the backend works."""
    lease = take(pool_of(), 1.0)
    lease.backend.outlier.failures = 2
    lease.close(Outcome.CLIENT_ERROR, 1.001)
    assert lease.backend.latency.value_s is None
    assert lease.backend.outlier.failures == 0


@pytest.mark.parametrize("outcome", sorted(FAILURES))
def test_a_quick_failure_is_slow_and_counts(outcome: Outcome) -> None:
    """2 ms of failure are observed as 5 s and add to the run of failures."""
    lease = take(pool_of(), 1.0)
    lease.close(outcome, 1.002)
    assert lease.backend.latency.value_s == 5.0
    assert lease.backend.outlier.failures == 1


def test_a_cut_stream_does_not_count_its_length_as_latency() -> None:
    """Cut after ten minutes, first byte after 0.2 s: the penalty is the sample, not 600 s."""
    lease = take(pool_of(), 1.0)
    lease.first_body_byte(1.2)
    lease.close(Outcome.RESET, 601.0)
    assert lease.backend.latency.value_s == 5.0


def test_overload_cools_but_never_ejects() -> None:
    """429s penalise by Retry-After and leave the run of failures as it was, however many come."""
    pool = pool_of(consecutive=3)
    backend = pool.backends[0]
    backend.outlier.failures = 2
    for times in range(10):  # each time it has rested for as long as it asked
        lease = take_from(pool, "b0", 1.0 + 31.0 * times)
        lease.close(Outcome.OVERLOADED, 1.01 + 31.0 * times, retry_after_s=30.0)
    assert backend.latency.value_s == 30.0
    assert (backend.state, backend.outlier.failures) == ("up", 2)


def test_failures_in_a_row_eject_and_a_success_between_does_not() -> None:
    """fail fail ok fail fail leaves it in, one more failure takes it out."""
    pool = pool_of(consecutive=3)
    backend = pool.backends[0]
    ends = [Outcome.TIMEOUT, Outcome.RESET, Outcome.OK, Outcome.SERVER_ERROR, Outcome.CONNECT_ERROR]
    for outcome in ends:
        take_from(pool, "b0", 1.0).close(outcome, 1.1)
    assert backend.state == "up"
    take_from(pool, "b0", 1.0).close(Outcome.TIMEOUT, 1.1)
    assert (backend.state, backend.ejections["consecutive_failures"]) == ("ejected", 1)
