"""Does the ranking let go whoever is worth least?"""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.ranking import MOST_USES, Ranking
from gateway.cache.slot import Slot
from tests.unit.cache.making import digest, entry


def slot(density: float, name: object = "") -> Slot:
    return Slot(digest(name), entry(), 1000, 0.0, density)


def test_the_least_dense_goes_first_and_of_equals_the_first() -> None:
    """Order by density where all were used as often, then by coming."""
    ranking = Ranking()
    dear, cheap, cheap_too = slot(5.0), slot(1.0), slot(1.0)
    for one in (dear, cheap, cheap_too):
        ranking.push(one, 1.0)
    assert [ranking.pop() for _ in range(3)] == [cheap, cheap_too, dear]
    with pytest.raises(IndexError):
        ranking.pop()


def test_a_use_keeps_it_longer() -> None:
    """Two uses of one second are worth more than one of three halves."""
    ranking = Ranking()
    used, other = slot(1.0), slot(1.5)
    ranking.push(used, 1.0)
    ranking.push(other, 1.0)
    used.uses = 1
    ranking.use(used)
    assert ranking.pop() is other


def test_what_is_not_used_again_loses_its_lead() -> None:
    """The floor rises with what is let go, so the dearest goes in the end."""
    ranking = Ranking()
    dear = slot(5.0)
    ranking.push(dear, 1.0)
    gone: list[Slot] = []
    while dear not in gone and len(gone) < 20:
        ranking.push(slot(1.0), 1.0)
        gone.append(ranking.pop())
    assert dear in gone
    assert 4 <= len(gone) <= 7


def test_uses_stop_counting() -> None:
    """However often it was used, it is worth so many uses at most."""
    ranking = Ranking()
    often = slot(1.0)
    for _ in range(100):
        ranking.use(often)
    assert often.uses == MOST_USES
    assert often.worth == MOST_USES


Steps = list[tuple[str, int]]
some_steps = st.lists(st.tuples(st.sampled_from(["push", "pop", "use", "remove"]), st.integers(0, 99)))


def test_a_long_walk_in_a_deep_heap() -> None:
    """The same as below with hundreds in the heap."""
    rng = random.Random(1)
    kinds = rng.choices(["push", "pop", "use", "remove"], weights=[5, 1, 3, 2], k=1500)
    walk([(kind, rng.randrange(10_000)) for kind in kinds])


@given(some_steps)
def test_pop_is_the_least_of_a_plain_list(steps: Steps) -> None:
    """The heap says what a plain list's least worth is, whatever was used or removed meanwhile."""
    walk(steps)


def walk(steps: Steps) -> None:
    ranking = Ranking()
    held: list[Slot] = []
    for step, number in steps:
        if step == "push":
            new = slot(1.0 + number % 97 / 7)
            ranking.push(new, 1.0)
            held.append(new)
        elif held and step == "pop":
            least = min(held, key=lambda one: one.worth)
            got = ranking.pop()
            assert got.worth == least.worth
            assert ranking.floor == got.worth
            held.remove(got)
        elif held:
            one = held[number % len(held)]
            if step == "use":
                ranking.use(one)
            else:
                ranking.remove(one)
                held.remove(one)
        assert len(ranking) == len(held)
        assert sorted(one.place for one in held) == list(range(len(held)))
