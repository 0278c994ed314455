"""A store that does not answer is left alone for a while that grows, then tried by one."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.breaker import Breaker


def opened(failures: int = 3, at: float = 0.0) -> Breaker:
    breaker = Breaker(failures)
    for _ in range(failures):
        breaker.failed(breaker.admit(at), at)
    assert breaker.state == "open"
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    """Two of three do not, and a success between begins the row anew."""
    breaker = Breaker(3)
    for outcome in "ff.ff":
        ticket = breaker.admit(0.0)
        assert ticket
        if outcome == "f":
            assert not breaker.failed(ticket, 0.0)
        else:
            breaker.succeeded(ticket)
    assert breaker.state == "closed"
    assert breaker.failed(breaker.admit(0.0), 0.0)
    assert breaker.state == "open"


def test_open_it_lets_nobody_through_until_its_pause_is_over_then_one() -> None:
    """0.5 s at first; the second who asks during the trial is refused."""
    breaker = opened()
    assert breaker.admit(0.49) == 0
    assert breaker.admit(0.5)
    assert breaker.state == "half_open"
    assert breaker.admit(0.5) == 0
    assert breaker.admit(100.0) == 0


def test_a_trial_that_succeeds_closes_it() -> None:
    """And the next pause is the first again."""
    breaker = opened()
    assert breaker.succeeded(breaker.admit(1.0))
    assert breaker.state == "closed"
    assert breaker.admit(1.0) and breaker.admit(1.0)
    for _ in range(3):
        breaker.failed(breaker.admit(2.0), 2.0)
    assert breaker.pause_s == 0.5


def test_pauses_double_up_to_the_longest() -> None:
    """0.5, 1, 2 ... 30 s."""
    breaker = opened()
    now, pauses = 0.0, [breaker.pause_s]
    for _ in range(8):
        now += breaker.pause_s
        assert breaker.failed(breaker.admit(now), now)
        pauses.append(breaker.pause_s)
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_many_that_fail_together_open_it_once() -> None:
    """Calls that were let through before it opened neither lengthen the pause nor close it."""
    breaker = Breaker(3)
    tickets = [breaker.admit(0.0) for _ in range(50)]
    assert sum(breaker.failed(ticket, 0.1) for ticket in tickets[:40]) == 1
    assert breaker.pause_s == 0.5
    assert not any(breaker.succeeded(ticket) for ticket in tickets[40:])
    assert breaker.state == "open"


def test_a_trial_that_was_left_lets_another_try() -> None:
    """A cancelled call says nothing of the store, and does not keep it shut for ever."""
    breaker = opened()
    breaker.left(breaker.admit(0.5))
    assert breaker.state == "open"
    assert breaker.succeeded(breaker.admit(0.5))


@given(st.lists(st.tuples(st.sampled_from("sfl"), st.integers(0, 4), st.floats(0.0, 3.0)), max_size=60))
def test_whatever_happens_it_can_be_asked_again(steps: list[tuple[str, int, float]]) -> None:
    """After any story in which every call ended, somebody is let through within the longest pause."""
    breaker, now = Breaker(), 0.0
    for outcome, more, passed in steps:
        now += passed
        tickets = [ticket for ticket in (breaker.admit(now) for _ in range(1 + more)) if ticket]
        assert len(tickets) <= 1 or breaker.state == "closed"
        for ticket in tickets:
            if outcome == "s":
                breaker.succeeded(ticket)
            elif outcome == "f":
                breaker.failed(ticket, now)
            else:
                breaker.left(ticket)
        assert breaker.state != "half_open"
        assert 0.0 <= breaker.pause_s <= 30.0
    assert breaker.admit(now + 30.0)
