"""Who watches background work? The only module that creates tasks: named, kept, failures reported.

A `TaskGroup` would end everything when one probe crashes; a gateway must go on, so a failed task is
logged and, where it is a service, started again after a pause that grows.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.1
MAX_PAUSE_S = 30.0


class Tasks:
    """Owns the background tasks of one application; `close` cancels them and waits for their end."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def __repr__(self) -> str:
        return f"<Tasks {sorted(task.get_name() for task in self._running)}>"

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` once in the background; an exception is logged, never lost."""
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """As `service`, for what runs until `close`."""
        self.service(name, work).set_name(name)

    def service(self, name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Keep `work()` running: when it ends or fails it is started again after a growing pause."""
        return self.spawn(name, self._supervise(name, work))

    async def _supervise(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        pause = FIRST_PAUSE_S
        while True:
            try:
                await work()
            except Exception:
                log.exception("service %s failed; starting it again in %.1f s", name, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, MAX_PAUSE_S)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task %s failed", task.get_name(), exc_info=error)

    async def close(self) -> None:
        """Cancel all and wait until each has ended."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
