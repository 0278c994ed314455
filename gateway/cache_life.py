"""What does the cache do at the start and at the end? Opens what is shared, brings back what was kept."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from gateway import clock
from gateway.cache import snapshot
from gateway.cache.cache import Cache
from gateway.cache.entry import Entry
from gateway.cache.store import Purge

log = logging.getLogger(__name__)

_AT_ONCE = 1000  # entries that are taken in before others have a turn


class CacheLife:
    """The beginning and end of one cache; `path` is where memory is kept meanwhile, None for nowhere."""

    def __init__(self, cache: Cache, path: Path | None) -> None:
        self._cache = cache
        self._path = path

    def __repr__(self) -> str:
        return f"<CacheLife of {self._cache!r}>"

    async def begin(self, start: Callable[[str, Callable[[], Awaitable[None]]], None]) -> None:
        """Before the first request; `start` keeps a service running.

        Nothing of it fails the start of the gateway: what cannot be had is not there.
        """
        shared = self._cache.shared
        if shared is not None:
            await shared.open()
            start("cache purges", lambda: shared.watch(self._purged))
        if self._path is None:
            return
        path, now = self._path, clock.wall()
        entries = await asyncio.to_thread(lambda: list(snapshot.read(path, now)))
        for index, (digest, entry) in enumerate(entries):
            self._cache.memory.put(digest, entry, now)
            if index % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
        if entries:
            log.info("cache: %d answers are back from %s", len(entries), path)

    def _purged(self, what: Purge) -> None:
        """Another gateway has purged what this one may have in memory."""
        self._cache.purged(what)

    async def end(self) -> None:
        """After the last request."""
        if self._cache.shared is not None:
            await self._cache.shared.close()
        if self._path is None:
            return
        path, now = self._path, clock.wall()
        entries: list[tuple[bytes, Entry]] = list(self._cache.memory.items())
        try:
            count = await asyncio.to_thread(snapshot.write, path, entries, now)
        except OSError as error:
            log.warning("cache: %s cannot be written, the next start begins with none: %s", path, error)
        else:
            log.info("cache: %d answers are kept in %s", count, path)
