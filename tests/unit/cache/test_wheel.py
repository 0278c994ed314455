"""Does the wheel find what has expired, nothing else, and in bounded steps?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.slot import Slot
from gateway.cache.wheel import BUCKETS, ExpiryWheel
from tests.unit.cache.making import NOW, digest, entry


def slot(expires_at: float) -> Slot:
    return Slot(digest(expires_at), entry(), 1000, expires_at, 1.0)


def due(wheel: ExpiryWheel, now: float, calls: int = 200) -> list[Slot]:
    """What that many calls find and take out."""
    found = []
    for _ in range(calls):
        one = wheel.next_due(now)
        if one is not None:
            wheel.remove(one)
            found.append(one)
    return found


def test_found_within_a_second_of_expiring() -> None:
    """Not before, and no later than in the next second."""
    wheel = ExpiryWheel()
    one = slot(NOW + 10.5)
    wheel.add(one, NOW)
    assert due(wheel, NOW + 10.4) == []
    assert due(wheel, NOW + 11.5) == [one]


@pytest.mark.parametrize("later_s", [BUCKETS - 1.0, BUCKETS, 3.5 * BUCKETS, 1e6])
def test_later_than_the_wheel_is_wide(later_s: float) -> None:
    """Such a slot moves on with the hand until its time has come."""
    wheel = ExpiryWheel()
    one = slot(NOW + later_s)
    wheel.add(one, NOW)
    for now in (NOW + BUCKETS / 2, NOW + 0.9 * later_s):
        assert due(wheel, now) == []
    assert due(wheel, NOW + later_s + 1.0) == [one]


def test_never() -> None:
    """An entry without an end is filed, and not found."""
    wheel = ExpiryWheel()
    wheel.add(slot(float("inf")), NOW)
    assert due(wheel, NOW + 5 * BUCKETS) == []


def test_removed_twice_is_removed_once() -> None:
    """A slot that is nowhere is left alone; its neighbours stay."""
    wheel = ExpiryWheel()
    first, second, third = (slot(NOW + 5.0 + number / 10) for number in range(3))
    for one in (first, second, third):
        wheel.add(one, NOW)
    wheel.remove(second)
    wheel.remove(second)
    assert set(due(wheel, NOW + 7.0)) == {first, third}


@given(
    st.lists(
        st.tuples(
            st.floats(-3 * BUCKETS, 3 * BUCKETS, allow_nan=False),  # how the clock moves
            st.lists(
                st.floats(0.001, 4 * BUCKETS, allow_nan=False), max_size=4
            ),  # entries: how long each lasts
        ),
        max_size=12,
    )
)
def test_only_what_has_expired_and_all_of_it(steps: list[tuple[float, list[float]]]) -> None:
    """Wherever the clock jumps to, back too: nothing is found early, and in the end everything."""
    wheel, now = ExpiryWheel(), NOW
    filed: set[Slot] = set()
    for moved, lives in steps:
        now += moved
        for one in due(wheel, now, calls=20):
            assert one.expires_at <= now
            filed.remove(one)
        for life in lives:
            one = slot(now + life)
            wheel.add(one, now)
            filed.add(one)
    end = max([now, *(one.expires_at for one in filed)]) + 2.0
    assert set(due(wheel, end)) == filed
