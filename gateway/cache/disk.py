"""Where do answers outlive the process? In one file of its machine, shared by all processes that open it.

SQLite does the work, in a thread of its own: the event loop hands over jobs and waits for each no longer than
`timeout_s`. The database file, its log and their slack together stay within `max_size_bytes`.
"""

import asyncio
import logging
import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gateway import clock
from gateway.cache import disk_file, disk_place
from gateway.cache.breaker import Breaker
from gateway.cache.disk_file import PAGE_BYTES, PURGED_AT_ONCE, DiskFile
from gateway.cache.entry import Entry, Key
from gateway.cache.store import Purge, StoreFigures

log = logging.getLogger(__name__)

#: Kinds in `figures.errors`.
ERRORS = (
    "open",  # the file cannot be opened or made
    "foreign",  # another program's database, or a later version's: left alone
    "io",
    "full",  # the file system is
    "locked",  # another process was writing for too long
    "corrupt",  # set aside, and a new file begun
    "timeout",
    "crowded",  # too many jobs were waiting
    "resting",  # not asked, because it has failed
    "too_large",  # an entry beyond `max_entry_bytes`
    "other",
)
#: After these it is asked again only after a pause; the rest concern one job.
_FAILURES = {"open", "foreign", "io", "timeout", "other"}
MIN_SIZE_BYTES = 1 << 20
_LOG_BYTES = 4 << 20
_PURGE_S = 30.0
_START_S = 5.0
_WATCH_EVERY_S = 0.5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DiskOptions:
    path: Path
    max_size_bytes: int  # the file and its log; at least MIN_SIZE_BYTES
    max_entry_bytes: int = 8 << 20  # and never more than a sixteenth of max_size_bytes
    timeout_s: float = 0.1
    max_waiting: int = 64


class DiskStore:
    """A SharedStore in a file. `wall` is where it takes the time for expiry from."""

    def __init__(self, options: DiskOptions, wall: Callable[[], float] = clock.wall) -> None:
        size = max(options.max_size_bytes, MIN_SIZE_BYTES)
        self.figures = StoreFigures(errors=dict.fromkeys(ERRORS, 0))
        self._options = options
        self._wall = wall
        self._max_entry = min(options.max_entry_bytes, size // 16)
        self._log_bytes = min(_LOG_BYTES, size // 16)
        # An entry is in the file before others have left, and in the log with what their leaving changed.
        self._file_bytes = size - self._log_bytes - 3 * self._max_entry - 64 * PAGE_BYTES
        self._breaker = Breaker()
        self._places = threading.Semaphore(options.max_waiting)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cache-disk")
        self._file: DiskFile | None = None  # the thread's own, as the next
        self._inode = (0, 0)

    def __repr__(self) -> str:
        return f"<DiskStore {self._options.path} {self._breaker.state}>"

    async def open(self) -> None:
        """Open the file, make it, set a damaged one aside; a failure is counted, and tried again later."""
        await self._run(_nothing, _START_S)

    async def get(self, key: Key) -> Entry | None:
        now = self._wall()
        entry = await self._run(lambda file: file.get(key.digest, now), self._options.timeout_s)
        if entry is None:
            self.figures.misses += 1
        else:
            self.figures.hits += 1
        return entry

    async def put(self, key: Key, entry: Entry, now: float) -> None:
        """As SharedStore says. When its time is over, the job may still be done later."""
        if entry.length > self._max_entry:
            self.figures.errors["too_large"] += 1
        elif entry.expires_at > now:
            await self._run(lambda file: self._put(file, key, entry, now), self._options.timeout_s)

    def _put(self, file: DiskFile, key: Key, entry: Entry, now: float) -> None:
        file.put(key, entry, now)
        try:
            length = os.stat(f"{self._options.path}-wal").st_size
        except FileNotFoundError:
            return
        if (
            length > self._log_bytes + 2 * self._max_entry
        ):  # others read all the time, so it was never begun anew
            file.shorten()

    async def delete(self, key: Key) -> None:
        await self._run(lambda file: file.delete(key.digest), self._options.timeout_s)

    async def purge(self, what: Purge) -> int:
        """How many went; other processes' `watch` hears of it. Takes up to 30 s, others' calls in between."""
        count, went = 0, None
        step_s = max(self._options.timeout_s, 1.0)
        try:
            async with asyncio.timeout(_PURGE_S):
                await self._run(lambda file: file.announce(what), step_s)
                while went := await self._run(lambda file: file.purge(what), step_s):
                    count += went
                    if went < PURGED_AT_ONCE:
                        break
                # Again: what others have taken from here meanwhile is to go, too.
                await self._run(lambda file: file.announce(what), step_s)
                while await self._run(lambda file: file.vacuum(), step_s):
                    pass
                await self._run(lambda file: file.shorten(), step_s)  # only then is the file shorter
        except TimeoutError:
            self.figures.errors["timeout"] += 1
        if went is None or went == PURGED_AT_ONCE:
            log.warning("cache file %s: a purge was not carried out in full", self._options.path)
        return count

    async def watch(self, on_purge: Callable[[Purge], None]) -> None:
        """Tell of every purge by any process that has the file open, this one included, until cancelled."""
        last: int | None = None
        while True:
            since = last
            found = await self._run(
                lambda file, since=since: file.announced(-1 if since is None else since),  # type: ignore[misc]
                max(self._options.timeout_s, 1.0),
            )
            if found is not None:
                if last is not None:
                    for what in found[1]:
                        on_purge(what)
                last = found[0]
            await asyncio.sleep(_WATCH_EVERY_S)

    async def close(self) -> None:
        """Write the log into the file; what waits is dropped."""
        closing = self._thread.submit(self._close)
        self._thread.shutdown(wait=False)
        try:
            async with asyncio.timeout(_START_S):
                await asyncio.wrap_future(closing)
        except (TimeoutError, *disk_file.ERRORS) as error:
            log.warning("cache file %s: not closed in order: %r", self._options.path, error)

    async def _run(self, job: Callable[[DiskFile], T], timeout_s: float) -> T | None:
        """What `job` returns in the thread; None when it is not done in time, or fails."""
        ticket = self._breaker.admit(clock.now())
        if not ticket:
            self.figures.errors["resting"] += 1
            return None
        if not self._places.acquire(blocking=False):
            self._breaker.left(ticket)
            self.figures.errors["crowded"] += 1
            return None
        try:
            future = self._thread.submit(self._in_thread, job)
        except RuntimeError as error:  # closed
            self._places.release()
            self._failed(ticket, "other", error)
            return None
        future.add_done_callback(self._leave)
        try:
            async with asyncio.timeout(timeout_s):
                done = await asyncio.wrap_future(future)
        except TimeoutError as error:
            self._failed(ticket, "timeout", error)
        except asyncio.CancelledError:
            self._breaker.left(ticket)
            raise
        except Exception as error:
            self._failed(ticket, kind(error), error)
        else:
            self._breaker.succeeded(ticket)
            return done
        return None

    def _leave(self, future: Future[T]) -> None:
        self._places.release()

    def _failed(self, ticket: int, kind: str, error: Exception) -> None:
        self.figures.errors[kind] += 1
        if kind not in _FAILURES:
            self._breaker.succeeded(ticket)
        elif self._breaker.failed(ticket, clock.now()):
            log.warning(
                "cache file %s: %s (%r); not asked for %.1f s",
                self._options.path,
                kind,
                error,
                self._breaker.pause_s,
            )

    # In the thread.

    def _in_thread(self, job: Callable[[DiskFile], T]) -> T:
        if self._file is not None and disk_place.inode(self._options.path) != self._inode:
            self._close()  # deleted by hand, or set aside by another process
        try:
            return job(self._file or self._opened())
        except disk_file.ERRORS as error:
            if disk_place.is_damage(error):
                log.warning("cache file %s is damaged (%s); setting it aside", self._options.path, error)
                disk_place.set_aside(self._options.path, self._inode)
                self._close()  # only now: SQLite cleans up after a file's last connection by the file's name
            elif _code(error) == sqlite3.SQLITE_IOERR:
                self._close()
            raise

    def _opened(self) -> DiskFile:
        path, busy_s = self._options.path, 0.8 * self._options.timeout_s
        try:
            connection = disk_place.opened(path, self._log_bytes, busy_s)
        except (*disk_file.ERRORS, OSError) as error:
            raise OpenError(str(error)) from error
        self._inode = disk_place.inode(path)
        self._file = DiskFile(connection, self._file_bytes, self._max_entry, self.figures)
        self._file.count()
        return self._file

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


class OpenError(Exception):
    """The file cannot be opened."""


def kind(error: BaseException) -> str:
    """Which of ERRORS it is."""
    if isinstance(error, OpenError):
        return "open"
    if isinstance(error, disk_place.ForeignError):
        return "foreign"
    if disk_place.is_damage(error):
        return "corrupt"
    if isinstance(error, OSError):
        return "io"
    by_code = {
        sqlite3.SQLITE_FULL: "full",
        sqlite3.SQLITE_BUSY: "locked",
        sqlite3.SQLITE_LOCKED: "locked",
        sqlite3.SQLITE_IOERR: "io",
        sqlite3.SQLITE_READONLY: "io",
        sqlite3.SQLITE_CANTOPEN: "io",
    }
    return by_code.get(_code(error), "other")


def _code(error: BaseException) -> int:
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def _nothing(file: DiskFile) -> None:
    """A job that only has the file opened."""
