"""Does the outbox hold the writes of a busy turn, and none when there are few?"""

from collections.abc import Callable

from gateway.http.outbox import DIRECT, FEW, Outbox


class Connection:
    """Counts how often it was uncorked."""

    def __init__(self) -> None:
        self.uncorked = 0

    def uncork(self) -> None:
        self.uncorked += 1


def turn(outbox: Outbox, soon: list[Callable[[], None]], writes: int) -> list[bool]:
    """One turn of the loop with so many writes; which of them were held."""
    connections = [Connection() for _ in range(writes)]
    held = [outbox.takes(connection) for connection in connections]
    assert len(soon) == (1 if any(held) else 0)
    while soon:
        soon.pop()()
    assert [connection.uncorked for connection in connections] == [int(taken) for taken in held]
    return held


def test_the_first_writes_are_direct() -> None:
    """Nothing is known yet of how busy a turn is: writes leave at once, then one turn is tried."""
    soon: list[Callable[[], None]] = []
    outbox = Outbox(soon.append)
    assert turn(outbox, soon, DIRECT) == [False] * DIRECT
    assert turn(outbox, soon, 1) == [True]


def test_a_busy_turn_is_held_and_the_next_one_too() -> None:
    """With many writes a turn they leave together at its end, turn after turn, each connection once."""
    soon: list[Callable[[], None]] = []
    outbox = Outbox(soon.append)
    turn(outbox, soon, DIRECT)
    for _ in range(3):
        assert turn(outbox, soon, FEW) == [True] * FEW


def test_a_quiet_turn_ends_the_holding() -> None:
    """A turn with few writes makes the next ones direct again, as many as before."""
    soon: list[Callable[[], None]] = []
    outbox = Outbox(soon.append)
    turn(outbox, soon, DIRECT)
    assert turn(outbox, soon, FEW - 1) == [True] * (FEW - 1)
    assert turn(outbox, soon, DIRECT) == [False] * DIRECT
    assert turn(outbox, soon, 1) == [True]
