"""Does each target have one loop, as long as it is wanted and no longer?"""

import asyncio

import aiohttp
import pytest

from gateway.rounds import Rounds
from gateway.tasks import Tasks


class Asked:
    """What the loops did: who began, who was cancelled, on how many sessions."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.ended: list[str] = []
        self.sessions: set[aiohttp.ClientSession] = set()

    async def ask(self, session: aiohttp.ClientSession, target: str) -> None:
        self.began.append(target)
        self.sessions.add(session)
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.append(target)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_targets_come_go_and_stay() -> None:
    """One that is as before goes on undisturbed, another under its key begins anew."""
    asked = Asked()
    rounds = Rounds(Tasks(), "test", aiohttp.ClientSession, asked.ask)
    rounds.start()
    assert rounds.update({("p", "a"): "a", ("p", "b"): "b"}) == ([], [("p", "a"), ("p", "b")])
    await settle()
    gone, come = rounds.update({("p", "a"): "a", ("p", "b"): "other b", ("q", "a"): "c"})
    await settle()
    assert (gone, come) == ([("p", "b")], [("p", "b"), ("q", "a")])
    assert asked.began == ["a", "b", "other b", "c"]
    assert asked.ended == ["b"]
    assert len(rounds) == 3
    assert ("q", "a") in rounds and ("q", "b") not in rounds
    await rounds.close()


async def test_closing_ends_all_and_the_session() -> None:
    """All loops had the same one; closing twice does no harm."""
    asked, tasks = Asked(), Tasks()
    rounds = Rounds(tasks, "test", aiohttp.ClientSession, asked.ask)
    rounds.start()
    rounds.update({("p", name): name for name in "abc"})
    await settle()
    await rounds.close()
    await rounds.close()
    assert sorted(asked.ended) == ["a", "b", "c"]
    (session,) = asked.sessions
    assert session.closed
    assert repr(tasks) == "<Tasks []>"


async def test_targets_before_the_start_are_a_mistake() -> None:
    """There is no session to ask them on."""
    rounds = Rounds(Tasks(), "test", aiohttp.ClientSession, Asked().ask)
    with pytest.raises(RuntimeError, match="test: start before"):
        rounds.update({("p", "a"): "a"})
