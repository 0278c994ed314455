"""Are keys whose answers are for one client remembered for their time, and no more of them than fit?"""

from gateway.cache.held import MAX_HELD, HeldKeys
from gateway.cache.rules import HOLD_S


def test_a_key_is_held_for_its_time() -> None:
    """Up to HOLD_S and not at it; then it is forgotten."""
    keys = HeldKeys()
    keys.hold(b"a", 100.0)
    assert keys.holds(b"a", 100.0 + HOLD_S - 0.1)
    assert not keys.holds(b"b", 100.0)
    assert not keys.holds(b"a", 100.0 + HOLD_S)
    assert len(keys) == 0


def test_a_key_can_be_let_go() -> None:
    """Also one that is not there."""
    keys = HeldKeys()
    keys.hold(b"a", 100.0)
    keys.release(b"a")
    keys.release(b"a")
    assert not keys.holds(b"a", 100.0)


def test_the_oldest_go_where_there_are_too_many() -> None:
    """Never more than MAX_HELD; the newest is there."""
    keys = HeldKeys()
    for number in range(MAX_HELD + 10):
        keys.hold(b"%d" % number, 100.0)
        assert len(keys) <= MAX_HELD
    assert not keys.holds(b"0", 100.0)
    assert keys.holds(b"%d" % (MAX_HELD + 9), 100.0)
