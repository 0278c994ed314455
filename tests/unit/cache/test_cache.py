"""What the cache remembers beside entries, which versions answer, and how the shared store is asked."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from gateway.cache.cache import MAX_HEADS, MAX_WRITES, Cache
from gateway.cache.entry import Entry, Key
from gateway.cache.memory import MemoryStore
from gateway.cache.store import Purge, StoreFigures
from gateway.messages import ResponseHead
from tests.unit.cache.heads import head

NOW = 1_700_000_000.0
KEY = Key(b"k" * 32, "route", "model")


def entry(body: bytes = b"body", fingerprint: str = "", pool: str = "pool") -> Entry:
    return Entry(
        200, b"", body, NOW, 0.0, 60.0, 0.0, 0.0, 0.1, "route", pool, "model", "a", fingerprint
    )  # fmt: skip


class Shared:
    """A shared store in a dict."""

    def __init__(self) -> None:
        self.figures = StoreFigures()
        self.entries: dict[bytes, Entry] = {}
        self.fails = False

    async def open(self) -> None: ...
    async def close(self) -> None: ...

    async def get(self, key: Key) -> Entry | None:
        if self.fails:
            raise asyncio.CancelledError
        return self.entries.get(key.digest)

    async def put(self, key: Key, entry: Entry, now: float) -> None:
        self.entries[key.digest] = entry

    async def delete(self, key: Key) -> None:
        self.entries.pop(key.digest, None)

    async def purge(self, what: Purge) -> int:
        gone = len(self.entries)
        self.entries.clear()
        return gone


class Tasks:
    """Coroutines that wait until they are run."""

    def __init__(self) -> None:
        self.waiting: list[Coroutine[Any, Any, None]] = []

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self.waiting.append(work)

    def run(self) -> None:
        waiting, self.waiting = self.waiting, []
        for work in waiting:
            try:
                work.send(None)
            except (StopIteration, asyncio.CancelledError):
                continue


def made(shared: Shared | None = None) -> tuple[Cache, Tasks]:
    tasks = Tasks()
    return Cache(MemoryStore(10_000_000), shared, tasks.spawn, 1000), tasks


def test_an_entry_is_kept_in_every_store() -> None:
    """At once in memory, by a task in the shared store."""
    shared = Shared()
    cache, tasks = made(shared)
    cache.put(KEY, entry(), NOW)
    assert cache.get(KEY.digest, NOW) == entry()
    assert shared.entries == {}
    tasks.run()
    assert shared.entries == {KEY.digest: entry()}
    cache.delete(KEY, "purged")
    tasks.run()
    assert cache.get(KEY.digest, NOW) is None
    assert shared.entries == {}


def test_a_shared_store_that_is_too_slow_is_written_less() -> None:
    """At most MAX_WRITES are on their way; what comes on top is counted."""
    shared = Shared()
    cache, tasks = made(shared)
    for number in range(MAX_WRITES + 3):
        cache.put(Key(b"%032d" % number, "route", ""), entry(), NOW)
    assert shared.figures.errors["crowded"] == 3
    assert len(tasks.waiting) == MAX_WRITES
    tasks.run()
    cache.put(KEY, entry(), NOW)
    assert shared.figures.errors["crowded"] == 3
    tasks.run()
    assert len(shared.entries) == MAX_WRITES + 1


def test_a_fetch_wakes_whoever_waits() -> None:
    """With what the store had; also when the question was cancelled."""
    shared = Shared()
    shared.entries[KEY.digest] = entry()
    cache, tasks = made(shared)
    for fails, found in ((False, entry()), (True, None)):
        shared.fails = fails
        woken: list[bool] = []
        fetch = cache.fetch(KEY, lambda woken=woken: woken.append(True))  # type: ignore[misc]
        assert not fetch.done
        tasks.run()
        assert (fetch.done, fetch.entry, woken) == (True, found, [True])


def test_without_a_shared_store_a_fetch_is_done_at_once() -> None:
    """Nobody is woken, because nobody need wait."""
    fetch = made()[0].fetch(KEY, lambda: None)
    assert fetch.done
    assert fetch.entry is None


def test_an_entry_goes_when_its_version_answers_no_more() -> None:
    """As long as one backend of its pool still is that version, it stays; another pool's say nothing."""
    cache, _ = made()
    cache.put(KEY, entry(fingerprint="v1"), NOW)
    assert cache.get(KEY.digest, NOW) is None  # nothing is known of the pool yet: it is not given, and stays
    cache.noted("pool", "a", "v1")
    cache.noted("pool", "b", "v1")
    cache.noted("other", "a", "v2")
    cache.noted("pool", "a", "v2")
    assert cache.get(KEY.digest, NOW) is not None
    cache.noted("pool", "b", "v2")
    assert cache.get(KEY.digest, NOW) is None
    assert cache.memory.figures.evictions["model"] == 1


def test_a_backend_that_is_gone_has_no_version() -> None:
    """What only a removed backend had given goes."""
    cache, _ = made()
    cache.put(KEY, entry(fingerprint="v1"), NOW)
    cache.noted("pool", "a", "v1")
    cache.noted("pool", "b", "v2")
    cache.forgotten("pool", {"b": None})
    cache.forgotten("unheard of", {})
    assert cache.get(KEY.digest, NOW) is None


def test_an_old_version_in_the_shared_store_is_a_miss() -> None:
    """Another gateway may have written it."""
    shared = Shared()
    shared.entries[KEY.digest] = entry(fingerprint="v1")
    cache, tasks = made(shared)
    cache.noted("pool", "a", "v2")
    fetch = cache.fetch(KEY, lambda: None)
    tasks.run()
    assert fetch.done
    assert fetch.entry is None


def test_what_is_remembered_of_heads_is_bounded() -> None:
    """Wishes and meanings, at most so many each."""
    cache, _ = made()
    for number in range(MAX_HEADS * 2):
        cache.wishes(head((b"X-Number", b"%d" % number)))
        response = ResponseHead()
        response.status, response.has_date = 200, True
        cache.meaning(response, b"", NOW)
        assert cache.remembered <= 2 * MAX_HEADS


def test_a_head_without_a_date_is_read_each_time() -> None:
    """The date that stands in belongs to one answer."""
    cache, _ = made()
    response = ResponseHead()
    response.status = 200
    for line in (b"Date: one\r\n", b"Date: two\r\n"):
        assert cache.meaning(response, line, NOW).fields == line
    assert cache.remembered == 0


def test_a_purge_reaches_every_store() -> None:
    """It says how many went: the most of any store."""
    shared = Shared()
    cache, tasks = made(shared)
    cache.put(KEY, entry(), NOW)
    tasks.run()
    shared.entries[b"another"] = entry()
    assert asyncio.run(cache.purge(Purge())) == 2
    assert shared.entries == {}
    assert cache.get(KEY.digest, NOW) is None
