"""The first look for a limit, by doubling and halving."""

from collections.abc import Callable
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission.reading import Reading
from gateway.admission.search import Search


def regular(slots: int, times: float = 1.0) -> Callable[[float], Reading]:
    """What a backend of so many slots shows, all of whose requests take the same."""
    return lambda n: Reading(log(times * max(1.0, n / slots)), 0.05, n)


def irregular(slots: int) -> Callable[[float], Reading]:
    """About what one shows whose requests vary by their own size."""

    def shows(n: float) -> Reading:
        beyond = max(1.0, n / slots)
        return Reading(log(beyond) - 0.58 / beyond, 1.2 / beyond, n)

    return shows


def search(shows: Callable[[float], Reading], limit: float = 8.0) -> tuple[Search, list[float]]:
    """A search that has ended, and the limits it has asked for."""
    found, asked = Search(), [limit]
    while found.reference is None:
        asked.append(found.step(shows(float(int(asked[-1]))), asked[-1]))
        assert len(asked) < 30
    return found, asked


@given(st.integers(1, 500), st.sampled_from([regular, irregular]))
def test_it_ends_within_a_factor_of_two(
    slots: int, kind: Callable[[int], Callable[[float], Reading]]
) -> None:
    """Of the number of slots; and the reference is one without waiting, or nearly."""
    found, asked = search(kind(slots))
    assert slots / 2 <= asked[-1] <= 2 * slots
    assert found.reference is not None
    assert found.reference.level <= 0.36


@pytest.mark.parametrize("times", [0.2, 5.0])
def test_how_long_requests_should_take_does_not_matter(times: float) -> None:
    """Five times what the pool expects, or a fifth: at worst the limit has to grow on from eight."""
    for slots in (1, 6, 40):
        assert min(slots / 2, 8) <= search(regular(slots, times))[1][-1] <= 2 * slots


def test_it_goes_up_by_doubling() -> None:
    """Until twice as many wait; the last number that was free is the limit."""
    assert search(regular(64))[1] == [8, 16, 32, 64, 128, 64]


def test_it_goes_down_by_halving() -> None:
    """Until that plainly helps no more; where halving did not help is the limit."""
    assert search(regular(2))[1] == [8, 4, 2, 1, 2]
    assert search(regular(1))[1] == [8, 4, 2, 1, 1]


def test_it_turns_when_the_first_step_up_was_wrong() -> None:
    """Eight did not look busy, sixteen show that they were."""
    assert search(regular(4))[1] == [8, 16, 4, 2, 4]
    assert search(regular(8))[1] == [8, 16, 4, 8]


def test_one_chance_reading_does_not_end_it() -> None:
    """Half of eight seemed to help hardly anybody, half of four plainly did: eight is out of the question."""
    levels = {8.0: 1.5, 4.0: 1.3, 2.0: 0.5, 1.0: 0.4}
    assert search(lambda n: Reading(levels[n], 0.05, n))[1] == [8, 4, 2, 1, 2]


def test_batching_counts_as_free() -> None:
    """Where twice as many take a third longer, more gets done."""
    _, asked = search(lambda n: Reading(0.4 * log(n) if n <= 100 else log(n), 0.3, n))
    assert asked[-1] >= 64


def test_it_stops_where_the_order_of_answers_shows_that_nobody_waits() -> None:
    """At the number of slots, not at a half or a quarter of it, where half of the work would wait outside."""

    def shows(n: float) -> Reading:
        reading = irregular(4)(n)
        return Reading(reading.level + 1.0, reading.spread, n, 0.8, 0.3 if n <= 4 else 0.0)

    found, asked = search(shows)
    assert asked == [8, 4, 4]
    assert found.reference is not None
    assert found.reference.in_flight == 4


def test_it_goes_up_while_few_are_unanswered() -> None:
    """Though each doubling makes first bytes as much later as waiting would: prompts are being read."""
    assert search(lambda n: Reading(log(n), 0.4, n, 0.05 if n <= 64 else 0.5, 1.0))[1][-1] == 64


def test_where_the_limit_cannot_move_it_ends() -> None:
    """At the ceiling, or while failures hold it."""
    found = Search()
    assert found.step(Reading(0.0, 0.3, 1000.0), 1000.0) == 2000.0
    assert found.step(Reading(0.1, 0.3, 1000.0), 1000.0) == 1000.0
    assert found.reference is not None


def test_it_can_be_logged() -> None:
    """With the last it saw."""
    found = Search()
    assert repr(found) == "<Search on, before None>"
    found.step(Reading(0.0, 0.3, 8.0), 8.0)
    assert repr(found) == "<Search on, before <Reading +0.00 ±0.30 at 8.0>>"
    assert repr(search(regular(1))[0]).startswith("<Search over")
