"""What every store of answers keeps to: those beyond the process as they are, others through an adapter."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.cache.disk import DiskOptions, DiskStore
from gateway.cache.entry import Entry, Key
from gateway.cache.redis import RedisOptions, RedisStore
from gateway.cache.store import EVICTION_REASONS, LocalStore, Purge, SharedStore
from tests import redis_server
from tests.unit.cache.stored import entry, key

NOW = 1000.0


class Wall:
    """The time of day that a store is given."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Adapter:
    """A LocalStore as a SharedStore, so that one suite holds for both."""

    def __init__(self, store: LocalStore, wall: Wall) -> None:
        self.store = store
        self.figures = store.figures
        self.wall = wall

    async def open(self) -> None: ...
    async def get(self, key: Key) -> Entry | None:
        return self.store.get(key.digest, self.wall())

    async def put(self, key: Key, entry: Entry, now: float) -> None:
        self.store.put(key.digest, entry, now)

    async def delete(self, key: Key) -> None:
        self.store.delete(key.digest, "purged")

    async def purge(self, what: Purge) -> int:
        return self.store.purge(what)

    async def close(self) -> None: ...


@dataclass
class Ground:
    """What a store under test may use."""

    folder: Path
    wall: Wall
    redis_url: str | None


def disk(ground: Ground) -> SharedStore:
    return DiskStore(DiskOptions(ground.folder / "cache.db", 64 << 20, timeout_s=10.0), ground.wall)


def redis(ground: Ground) -> SharedStore:
    if ground.redis_url is None:
        pytest.skip("no redis-server (Debian: apt install redis-server)")
    options = RedisOptions(
        ground.redis_url, namespace=str(ground.folder), connect_timeout_s=10.0, timeout_s=10.0
    )
    return RedisStore(options, random.Random(1), ground.wall)


#: Each takes at least MAX_ENTRY bytes in one entry, and a thousand small ones.
STORES: dict[str, Callable[[Ground], SharedStore]] = {"disk": disk, "redis": redis}
MAX_ENTRY = 4 << 20


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str | None]:
    if redis_server.PROGRAM is None:
        yield None
    else:
        with redis_server.server() as running:
            yield running.url


@pytest.fixture
def ground(tmp_path: Path, redis_url: str | None) -> Ground:
    return Ground(tmp_path, Wall(), redis_url)


@pytest.fixture(params=STORES.values(), ids=STORES.keys())
async def store(request: pytest.FixtureRequest, ground: Ground) -> AsyncIterator[SharedStore]:
    opened: SharedStore = request.param(ground)
    await opened.open()
    yield opened
    assert sum(opened.figures.errors.values()) == 0, opened.figures
    await opened.close()


async def test_what_was_put_is_got(store: SharedStore) -> None:
    """Every field of it, under its key alone."""
    given = entry(
        os.urandom(10_000),
        fingerprint="v1",
        etag=b'"1"',
        vary=(b"accept",),
        pieces=((0.25, 9_000), (0.5, 1_000)),
    )
    await store.put(key("a"), given, NOW)
    assert await store.get(key("a")) == given
    assert await store.get(key("b")) is None
    assert (store.figures.hits, store.figures.misses) == (1, 1)


async def test_a_newer_answer_takes_its_place(store: SharedStore) -> None:
    """Under the same key, the last one put counts."""
    await store.put(key(), entry(b"old" * 5000), NOW)
    await store.put(key(), entry(b"new"), NOW)
    found = await store.get(key())
    assert found is not None and found.body == b"new"


async def test_what_was_deleted_is_gone(store: SharedStore) -> None:
    """It alone; and deleting what is not there is no mistake."""
    await store.put(key("a"), entry(b"a"), NOW)
    await store.put(key("b"), entry(b"b"), NOW)
    await store.delete(key("a"))
    await store.delete(key("c"))
    assert await store.get(key("a")) is None
    assert await store.get(key("b")) is not None


async def test_nobody_is_given_what_has_expired(store: SharedStore, ground: Ground) -> None:
    """From `expires_at` on, and not a moment before."""
    await store.put(key(), entry(fresh_s=60.0, stale_if_error_s=30.0), NOW)
    ground.wall.now = NOW + 89.9
    assert await store.get(key()) is not None
    ground.wall.now = NOW + 90.0
    assert await store.get(key()) is None


async def test_what_has_expired_is_not_taken(store: SharedStore, ground: Ground) -> None:
    """Nor kept for a clock that is behind."""
    await store.put(key(), entry(fresh_s=10.0), NOW + 10.0)
    ground.wall.now = NOW
    assert await store.get(key()) is None


async def test_a_large_entry_is_kept(store: SharedStore) -> None:
    """Byte for byte."""
    given = entry(os.urandom(MAX_ENTRY - 10_000))
    await store.put(key(), given, NOW)
    assert await store.get(key()) == given


PLACES = [("chat", "a"), ("chat", "b"), ("chat:x", "a"), ("c*", "a"), ("embed", "")]


@pytest.mark.parametrize(
    "what",
    [
        Purge(),
        Purge(route="chat"),
        Purge(route="c*"),
        Purge(model="a"),
        Purge(model=""),
        Purge(route="chat", model="b"),
        Purge(digest=key("chat/b/0").digest),
        Purge("chat", "b", key("chat/b/0").digest),
        Purge("chat", "a", key("chat/b/0").digest),
        Purge(route="nobody's"),
    ],
    ids=str,
)
async def test_a_purge_takes_what_it_names_and_nothing_else(store: SharedStore, what: Purge) -> None:
    """By route, model, digest, any of them together; nothing named is everything."""
    keys = [key(f"{route}/{model}/{count}", route, model) for route, model in PLACES for count in range(3)]
    for one in keys:
        await store.put(one, entry(route=one.route, model=one.model), NOW)
    matching = [one for one in keys if what.matches(*one)]
    assert await store.purge(what) == len(matching)
    for one in keys:
        assert (await store.get(one) is None) == (one in matching), one
    assert store.figures.evictions["purged"] == len(matching)


async def test_a_purge_is_not_limited_to_one_batch(store: SharedStore) -> None:
    """More than any step takes."""
    for count in range(1200):
        await store.put(key(str(count)), entry(b"x"), NOW)
    assert await store.purge(Purge(route="chat")) == 1200
    assert await store.purge(Purge()) == 0


async def test_many_at_once_each_get_their_own(store: SharedStore) -> None:
    """Whatever the order in which they are served."""
    await asyncio.gather(*(store.put(key(str(n)), entry(str(n).encode() * n), NOW) for n in range(40)))
    for _ in range(3):
        found = await asyncio.gather(*(store.get(key(str(n))) for n in range(40)))
        assert [one and one.body for one in found] == [str(n).encode() * n for n in range(40)]


async def test_who_is_cancelled_leaves_no_trace(store: SharedStore) -> None:
    """Callers that give up at any moment neither break it nor have their answers given to others."""
    for n in range(20):
        await store.put(key(str(n)), entry(str(n).encode()), NOW)
    rng = random.Random(3)
    for _ in range(10):
        tasks = [asyncio.create_task(store.get(key(str(n)))) for n in range(20)]
        for _ in range(rng.randrange(6)):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        for n, found in enumerate(await asyncio.gather(*tasks, return_exceptions=True)):
            if not isinstance(found, asyncio.CancelledError):
                assert isinstance(found, Entry) and found.body == str(n).encode()
    assert await store.get(key("7")) is not None


def test_figures_are_complete_from_the_start(ground: Ground) -> None:
    """Every reason and every kind of error has its number before the first happens: closed sets."""
    for make in STORES.values():
        figures = make(ground).figures
        assert tuple(figures.evictions) == EVICTION_REASONS
        assert figures.errors and not any(figures.errors.values())
