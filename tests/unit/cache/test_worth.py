"""Is every slot in one place, and does each leave once? What the order saves: test_eviction.py."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.slot import Slot
from gateway.cache.worth import Worth
from tests.unit.cache.making import NOW, digest, entry


def slot(name: object, size: int = 10, density: float = 1.0) -> Slot:
    return Slot(digest(name), entry(), size, NOW + 600.0, density)


def linked(one: Slot) -> bool:
    return one.older is not None or one.newer is not None or one.place >= 0


def test_the_young_leave_in_the_order_they_came() -> None:
    """Those that nobody asked for; one that is taken out of their middle leaves no gap."""
    worth = Worth(100)
    slots = [slot(number) for number in range(6)]
    for one in slots:
        worth.enter(one)
    for gone in (2, 0, 5):
        worth.remove(slots[gone])
    assert [worth.leave() for _ in range(4)] == [slots[1], slots[3], slots[4], None]


def test_who_was_asked_for_is_ranked_in_place_of_leaving() -> None:
    """At the end of the queue of the young."""
    worth = Worth(100)
    used, unused = slot("used"), slot("unused")
    worth.enter(used)
    worth.enter(unused)
    worth.use(used)
    assert worth.leave() is unused
    assert used.place == 0
    assert worth.leave() is used


@given(st.lists(st.tuples(st.sampled_from("euxl"), st.integers(0, 7)), max_size=60), st.integers(10, 400))
def test_each_slot_is_here_once_or_not_at_all(steps: list[tuple[str, int]], max_bytes: int) -> None:
    """Whatever comes, is used, is taken out or leaves: what is left leaves at the end, each once."""
    worth, here = Worth(max_bytes), dict[int, Slot]()
    for step, number in steps:
        one = here.get(number)
        if step == "e" and one is None:
            here[number] = one = slot(number, size=1 + number, density=1.0 + number)
            worth.enter(one)
        elif step == "u" and one is not None:
            worth.use(one)
        elif step == "x" and one is not None:
            worth.remove(here.pop(number))
            assert not linked(one)
        elif step == "l":
            left = worth.leave()
            assert (left is None) == (not here)
            if left is not None:
                (name,) = [name for name, other in here.items() if other is left]
                assert not linked(here.pop(name))
        assert len(worth) == len(here)
    while (left := worth.leave()) is not None:
        assert left in here.values()
        here = {name: other for name, other in here.items() if other is not left}
    assert not here
    assert len(worth) == 0


def test_nothing_is_left_after_clearing() -> None:
    """Not even among the slots themselves, which would keep one another in memory."""
    worth = Worth(100)
    slots = [slot(number) for number in range(5)]
    for one in slots:
        worth.enter(one)
    worth.clear()
    assert len(worth) == 0
    assert worth.leave() is None
    assert not any(one.older or one.newer for one in slots)
