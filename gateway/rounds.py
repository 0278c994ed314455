"""Who asks each backend something again and again? A loop for each, and one session for all of them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Generic, TypeVar

import aiohttp

from gateway.tasks import Tasks

#: (pool, name of the backend)
Key = tuple[str, str]
Target = TypeVar("Target")


class Rounds(Generic[Target]):
    """Keeps `ask(session, target)` running for every target; `what` names the loops.

    `open_session` makes the connections, which are not those of the traffic: these may lead to a process that
    is about to leave.
    """

    def __init__(
        self,
        tasks: Tasks,
        what: str,
        open_session: Callable[[], aiohttp.ClientSession],
        ask: Callable[[aiohttp.ClientSession, Target], Awaitable[None]],
    ) -> None:
        self._tasks = tasks
        self._what = what
        self._open_session = open_session
        self._ask = ask
        self._session: aiohttp.ClientSession | None = None
        self._loops: dict[Key, tuple[Target, asyncio.Task[None]]] = {}

    def __len__(self) -> int:
        return len(self._loops)

    def __contains__(self, key: Key) -> bool:
        return key in self._loops

    def start(self) -> None:
        """Make the session; call it in the event loop, before there are targets."""
        self._session = self._open_session()

    def update(self, wanted: Mapping[Key, Target]) -> tuple[list[Key], list[Key]]:
        """Ask exactly these from now on; (those that went, those that come), by their keys.

        A target that is as before goes on undisturbed. RuntimeError before `start`.
        """
        session = self._session
        if session is None:
            raise RuntimeError(f"{self._what}: start before there are targets")
        gone = [key for key, (target, _) in self._loops.items() if wanted.get(key) != target]
        for key in gone:
            self._loops.pop(key)[1].cancel()
        come = [key for key in wanted if key not in self._loops]
        for key in come:
            work = partial(self._ask, session, wanted[key])
            self._loops[key] = wanted[key], self._tasks.service(f"{self._what} {key[0]}/{key[1]}", work)
        return gone, come

    async def close(self) -> None:
        """Stop asking and close the connections."""
        running = [task for _, task in self._loops.values()]
        self._loops.clear()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None
