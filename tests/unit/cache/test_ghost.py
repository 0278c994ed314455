"""Does the ghost remember the last ones, and only those?"""

import random

from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.ghost import WAYS, Ghost, part_of
from tests.unit.cache.making import digest

parts = st.integers(0, 2**56 - 1)


def test_what_was_added_is_remembered_once() -> None:
    """Asking for it forgets it; what was never added is not known."""
    ghost = Ghost()
    ghost.add(part_of(digest("a")), 10)
    assert not ghost.take(part_of(digest("b")))
    assert ghost.take(part_of(digest("a")))
    assert not ghost.take(part_of(digest("a")))


@given(st.lists(parts, max_size=200))
def test_the_last_few_are_always_remembered(added: list[int]) -> None:
    """However parts fall together, the last ones added are there: as many as a word has prints."""
    ghost = Ghost()
    for part in added:
        ghost.add(part, 200)
    last = list(dict.fromkeys(reversed(added)))
    # Twice the same part takes two places, so look no further back than a word is long.
    for part in [one for one in last if one in added[-WAYS:]]:
        assert ghost.take(part)


@given(parts, st.lists(parts, max_size=WAYS - 1))
def test_taking_one_leaves_the_others(part: int, others: list[int]) -> None:
    """The prints of a word are independent, the one that is 0 in its low bits too."""
    ghost = Ghost()
    for other in others:
        ghost.add(other, 1)
    ghost.add(part, 1)
    assert ghost.take(part)
    for other in set(others) - {part}:
        assert ghost.take(other)


def test_about_as_many_are_remembered_as_asked_for() -> None:
    """Of those half the span ago nearly all, a span ago most, three spans ago hardly any."""
    rng = random.Random(1)
    span = 10_000
    added = [rng.getrandbits(56) for _ in range(4 * span)]
    ghost = Ghost()
    for part in added:
        ghost.add(part, span)

    def share(back: int) -> float:
        return sum(ghost.take(part) for part in added[-back - 500 : -back or None]) / 500

    assert share(span // 2) > 0.85
    assert 0.55 < share(span) < 0.8
    assert share(3 * span) < 0.12


def test_hardly_any_other_is_taken_for_one() -> None:
    """Of 50,000 that were never added at most two look as if they had been."""
    rng = random.Random(2)
    ghost = Ghost()
    for _ in range(20_000):
        ghost.add(rng.getrandbits(56), 10_000)
    assert sum(ghost.take(rng.getrandbits(56)) for _ in range(50_000)) <= 2


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_its_memory_follows_the_span(first: int, second: int) -> None:
    """Five bytes for each at most, beside half a kilobyte."""
    ghost = Ghost()
    ghost.add(1, first)
    ghost.add(2, second)
    assert ghost.size_bytes <= 512 + 5 * max(first, second)


def test_clear_forgets_all() -> None:
    """Nothing is remembered afterwards."""
    ghost = Ghost()
    ghost.add(7, 10)
    ghost.clear()
    assert not ghost.take(7)
