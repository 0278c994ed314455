"""Keys on the ring: each at home somewhere, and few of them move, whatever else does."""

import random
from collections import Counter

from gateway.balancing.ring import KEPT_S, Ring
from tests.unit.balancing.views import View, fleet

KEYS = [random.Random(number).getrandbits(64) for number in range(4000)]


def ring(views: list[View], now: float = 0.0) -> Ring:
    made = Ring()
    made.see(views, now)
    return made


def homes(on: Ring) -> list[str]:
    """Each key's first name."""
    return [next(on.walk(key, 10_000)) for key in KEYS]


def moved(before: list[str], after: list[str]) -> Counter[tuple[str, str]]:
    return Counter((old, new) for old, new in zip(before, after, strict=True) if old != new)


def test_gateways_agree() -> None:
    """Whatever order the names came in, and in another process: these are the homes of three keys."""
    one, other = ring(fleet(20)), Ring()
    for view in reversed(fleet(20)):
        other.see([view], 0.0)
    assert homes(one) == homes(other)
    assert [next(one.walk(key, 10_000)) for key in (0, 1 << 62, 1 << 63)] == ["b0017", "b0016", "b0007"]


def test_equal_names_have_equal_shares() -> None:
    """Of ten each has a tenth of the keys, give or take a third of it."""
    shares = Counter(homes(ring(fleet(10))))
    assert len(shares) == 10
    assert all(0.067 < times / len(KEYS) < 0.133 for times in shares.values()), shares


def test_shares_follow_weights() -> None:
    """Weights 1, 2, 5 of 8, whatever the unit they are written in."""
    for unit in (0.01, 1.0, 300.0):
        shares = Counter(
            homes(ring([View("a", weight=unit), View("b", weight=2 * unit), View("c", weight=5 * unit)]))
        )
        for name, part in (("a", 0.125), ("b", 0.25), ("c", 0.625)):
            assert abs(shares[name] / len(KEYS) - part) < 0.05, shares


def test_only_the_newcomers_keys_move() -> None:
    """An eleventh name takes about an eleventh of the keys, and no key moves between the others."""
    on = ring(fleet(10))
    before = homes(on)
    on.see([View("new")], 0.0)
    changes = moved(before, homes(on))
    assert {new for _, new in changes} == {"new"}
    assert 0.06 < changes.total() / len(KEYS) < 0.13


def test_a_rising_weight_takes_over_bit_by_bit() -> None:
    """As in slow start: with each step some keys move to it, never one away from it."""
    views = fleet(5)
    views[0].weight = 0.1
    on = ring(views)
    before, had = homes(on), 0
    for weight in (0.2, 0.4, 0.7, 1.0):
        views[0].weight = weight
        on.see(views, 0.0)
        after = homes(on)
        assert not [1 for old, new in zip(before, after, strict=True) if old == "b0000" != new]
        share = after.count("b0000")
        assert had < share
        before, had = after, share
    assert after == homes(ring(fleet(5)))
    assert len(on._points) == len(set(on._points))


def test_a_name_keeps_its_points_while_it_is_away() -> None:
    """What is not seen for a while still is on the ring; what is not seen for long leaves it."""
    views = fleet(10)
    on = ring(views)
    before = homes(on)
    on.see(views[1:], KEPT_S)
    on.sweep(KEPT_S)
    assert homes(on) == before
    on.see(views[1:], 2 * KEPT_S)
    on.sweep(2 * KEPT_S)
    assert len(on) == 9
    assert set(homes(on)) == {view.name for view in views[1:]}
    on.see(views, 2 * KEPT_S)
    assert homes(on) == before


def test_names_that_come_and_go_do_not_fill_the_memory() -> None:
    """Thousands of them, a second each: those of the last minutes are there, slots are used again."""
    on = Ring()
    for second in range(3000):
        on.see([View(f"pod-{second}")], float(second))
        on.sweep(float(second))
    assert len(on) <= KEPT_S + 61
    assert len(on._slots) <= KEPT_S + 62
    assert len(on._points) <= 1.1 * 100 * len(on)


def test_a_walk_goes_round_once() -> None:
    """From any key every name is met, and each of its points once."""
    on = ring(fleet(7))
    for key in KEYS[:50]:
        assert len(set(on.walk(key, 10_000))) == 7
        assert len(list(on.walk(key, 10_000))) == 700
        assert len(list(on.walk(key, 5))) == 5


def test_small_changes_of_weight_are_let_be() -> None:
    """One and a half per cent is a point or two; what adds up to more is taken in."""
    view = View("a")
    on = ring([view, View("b")])
    before = homes(on)
    view.weight = 1.015
    on.see([view], 0.0)
    assert homes(on) == before
    view.weight = 1.3
    on.see([view], 0.0)
    assert homes(on) != before
