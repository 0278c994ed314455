"""A file that is damaged, cut, full or held is a cache that misses: never an error, never a stall."""

import asyncio
import os
import random
import resource
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.cache import disk_file
from gateway.cache.disk import DiskOptions, DiskStore
from gateway.cache.store import Purge
from tests.unit.cache.stored import entry, key

NOW = 1000.0
SIZE = 4 << 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache.db"


@asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[DiskStore]:
    """With times that a busy machine keeps."""
    store = DiskStore(
        DiskOptions(path, **({"max_size_bytes": SIZE, "timeout_s": 10.0} | options)), lambda: NOW
    )
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def errors(store: DiskStore) -> dict[str, int]:
    return {kind: count for kind, count in store.figures.errors.items() if count}


def size(path: Path) -> int:
    """All files of the store together, but for the index of the log, which has 32 KB at least."""
    return sum(
        one.stat().st_size for one in path.parent.glob(path.name + "*") if not one.name.endswith("-shm")
    )


async def fill(store: DiskStore, count: int, bytes_each: int = 3000) -> None:
    for n in range(count):
        await store.put(key(str(n)), entry(random.Random(n).randbytes(bytes_each)), NOW)


async def readable(store: DiskStore, count: int, bytes_each: int = 3000) -> int:
    """How many of `fill`'s can be read; each that can is what was written."""
    found = 0
    for n in range(count):
        one = await store.get(key(str(n)))
        if one is not None:
            assert one.body == random.Random(n).randbytes(bytes_each)
            found += 1
    return found


# Keeping.


async def test_entries_survive_a_restart(path: Path) -> None:
    """All of them, the figures too; the files are for their owner alone."""
    async with opened(path) as store:
        await fill(store, 50)
        files = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
        assert set(files.values()) == {0o600}, files
    async with opened(path) as store:
        assert store.figures.entries == 50
        assert store.figures.bytes > 50 * 3000
        assert await readable(store, 50) == 50
        assert not errors(store)


WRITER = """
import asyncio, random, sys
from pathlib import Path
from gateway.cache.disk import DiskOptions, DiskStore
from tests.unit.cache.stored import entry, key

async def main():
    store = DiskStore(DiskOptions(Path(sys.argv[1]), int(sys.argv[2]), timeout_s=10.0), lambda: 1000.0)
    await store.open()
    for n in range(int(sys.argv[3]), 100000):
        await store.put(key(str(n)), entry(random.Random(n).randbytes(3000)), 1000.0)
        print(n, *(kind for kind, count in store.figures.errors.items() if count), flush=True)

asyncio.run(main())
"""


def writer(
    path: Path, size: int, first: int = 0, setup: Callable[[], None] | None = None
) -> "subprocess.Popen[str]":
    """A process that puts one entry after the other and says which it has put."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(size), str(first)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=setup,
    )


def told(process: "subprocess.Popen[str]", lines: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(lines)]


ROOMY = 256 << 20  # whatever the writers put before they are stopped


@pytest.mark.parametrize(("after", "size"), [(1, ROOMY), (150, ROOMY), (1600, SIZE)])
async def test_a_writer_that_is_killed_leaves_a_sound_file(path: Path, after: int, size: int) -> None:
    """SIGKILL in the middle of writing: what it had put is there, sums agree, and it goes on."""
    process = writer(path, size)
    put = [int(line) for line in told(process, after)]
    process.kill()
    process.communicate()
    async with opened(path, max_size_bytes=size) as store:
        assert not path.with_name("cache.db.corrupt").exists()
        if size == ROOMY:  # else later ones have pushed earlier ones out
            assert await readable(store, len(put)) == len(put)
        else:
            assert await readable(store, 1700) > 300
        await fill(store, 20)
        assert not errors(store)
    check(path)


def check(path: Path) -> None:
    """SQLite finds nothing wrong, and the sums are those of the rows."""
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    summed = connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM entries").fetchone()
    assert connection.execute("SELECT entries, bytes FROM totals").fetchall() == [summed]
    connection.close()


async def test_processes_share_a_file(path: Path) -> None:
    """Two write at once, killed at last: this one sees what they put, and all sums agree."""
    processes = [writer(path, ROOMY, 0), writer(path, ROOMY, 50000)]
    try:
        async with opened(path, max_size_bytes=ROOMY) as store:
            for process in processes:
                assert told(process, 100)[-1].split()[1:] == []
            assert await store.get(key("99")) is not None
            assert await store.get(key("50099")) is not None
            await store.put(key("mine"), entry(), NOW)
            assert store.figures.entries >= 201
            assert not errors(store)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    async with opened(path, max_size_bytes=ROOMY) as store:
        assert await store.get(key("mine")) is not None
    check(path)


# Bounds.


@pytest.mark.parametrize("bytes_each", [10, 900, 3000, 4090, 20_000, 250_000])
async def test_the_files_stay_within_their_bound(path: Path, bytes_each: int) -> None:
    """Database and log together, at any moment, whatever the entries' size; and most of it is put to use."""
    largest = 0
    async with opened(path, max_size_bytes=SIZE) as store:
        for n in range(max(100, min(2500, 3 * SIZE // bytes_each))):
            await store.put(key(str(n)), entry(os.urandom(bytes_each), cost_s=1.0 + n % 7), NOW)
            largest = max(largest, size(path))
        assert largest <= SIZE
        if bytes_each >= 900:
            assert store.figures.evictions["size"] > 0
            assert store.figures.bytes > SIZE * 0.4
        assert not errors(store)
    check(path)


async def test_a_bound_that_was_lowered_is_reached(path: Path) -> None:
    """Bit by bit, as entries come in."""
    async with opened(path, max_size_bytes=16 << 20) as store:
        await fill(store, 3000)
        before = size(path)
    assert before > 8 << 20
    async with opened(path, max_size_bytes=2 << 20) as store:
        await fill(store, 100)
    assert size(path) <= 2 << 20
    check(path)


async def test_what_is_purged_gives_its_room_back(path: Path) -> None:
    """The file gets small again."""
    async with opened(path) as store:
        await fill(store, 600)
        assert await store.purge(Purge()) == 600
        assert size(path) < 200_000
    assert size(path) < 200_000


async def test_what_is_dear_stays_before_what_is_large(path: Path) -> None:
    """Of entries of one size those that cost backends more stay; of one cost, the smaller."""
    async with opened(path) as store:
        for n in range(1000):
            await store.put(key(f"cheap{n}"), entry(os.urandom(3000), cost_s=0.1), NOW)
            if n < 100:
                await store.put(key(f"dear{n}"), entry(os.urandom(3000), cost_s=10.0), NOW)
        kept = [[await store.get(key(f"{kind}{n}")) for n in range(100)] for kind in ("dear", "cheap")]
        assert None not in kept[0]
        assert kept[1].count(None) > 50


async def test_what_is_not_asked_for_goes_at_last(path: Path) -> None:
    """However dear it once was."""
    async with opened(path, max_size_bytes=1 << 20) as store:
        await store.put(key("dear"), entry(os.urandom(3000), cost_s=20.0), NOW)
        for n in range(3000):
            await store.put(key(str(n)), entry(os.urandom(3000), cost_s=1.0), NOW)
        assert await store.get(key("dear")) is None


async def test_the_expired_go_first(path: Path) -> None:
    """Before anything that can still be given."""
    async with opened(path) as store:
        for n in range(100):
            await store.put(key(f"old{n}"), entry(fresh_s=10.0, cost_s=1000.0), NOW)
        await fill(store, 50)
        for n in range(20):
            await store.put(key(f"new{n}"), entry(), NOW + 20.0)
        assert store.figures.evictions["expired"] == 100
        assert store.figures.evictions["size"] == 0
        assert await readable(store, 50) == 50


async def test_too_large_is_not_stored(path: Path) -> None:
    """Never more than a sixteenth of all."""
    async with opened(path) as store:
        await store.put(key(), entry(bytes(SIZE // 16)), NOW)
        assert await store.get(key()) is None
        assert errors(store) == {"too_large": 1}


# Damage.


def content(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def overwrite(path: Path) -> None:
    """With noise, under whoever has it open."""
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2 + 100]


def garbage_head(content: bytes) -> bytes:
    return os.urandom(200) + content[200:]


def noise(content: bytes) -> bytes:
    return os.urandom(len(content))


def text(content: bytes) -> bytes:
    return b"not a database, but longer than a header of one would be " * 40


def other_schema(content: bytes) -> bytes:
    return content.replace(b"worth REAL", b"w0rth REAL")


def no_sums(content: bytes) -> bytes:
    return content.replace(b"CREATE TABLE totals", b"CREATE TABLE tot4ls")


@pytest.mark.parametrize("damage", [cut, garbage_head, noise, text, other_schema, no_sums])
async def test_a_damaged_file_is_set_aside_and_a_new_one_begun(
    path: Path, damage: Callable[[bytes], bytes]
) -> None:
    """At the start or when it is met; nothing wrong is given, and soon it stores again."""
    async with opened(path) as store:
        await fill(store, 300)
    write(path, damage(content(path)))
    async with opened(path) as store:
        await readable(store, 300)
        await fill(store, 300)
        await fill(store, 300)
        assert await readable(store, 300) == 300
        assert set(errors(store)) <= {"corrupt", "other"}
    assert path.with_name("cache.db.corrupt").exists()
    check(path)


@pytest.mark.parametrize("seed", range(12))
async def test_flipped_bytes_give_no_wrong_answer(path: Path, seed: int) -> None:
    """Anywhere in the pages, a few or many: what is read is what was written, and it goes on storing."""
    rng = random.Random(seed)
    async with opened(path) as store:
        await fill(store, 300)
    flipped = bytearray(content(path))
    for _ in range(rng.choice((1, 10, 300, 3000))):
        flipped[rng.randrange(100, len(flipped))] ^= rng.randrange(1, 256)
    write(path, bytes(flipped))
    async with opened(path) as store:
        await readable(store, 300)
        await store.purge(Purge(route="chat"))
        for _ in range(3):
            await fill(store, 300)
        assert await readable(store, 300) > 250
        assert set(errors(store)) <= {"corrupt", "other"}, errors(store)


async def test_a_damaged_entry_goes_alone(path: Path) -> None:
    """Bytes within a value: that one is deleted, the file stays."""
    async with opened(path) as store:
        await store.put(key("a"), entry(b"A" * 100), NOW)
        await store.put(key("b"), entry(b"B" * 100), NOW)
    write(path, content(path).replace(b"A" * 100, b"A" * 99 + b"X"))
    async with opened(path) as store:
        assert await store.get(key("a")) is None
        assert await store.get(key("b")) == entry(b"B" * 100)
        assert store.figures.evictions["corrupt"] == 1
        assert store.figures.entries == 1
        assert not errors(store)


async def test_two_at_a_damaged_file_set_it_aside_once(path: Path) -> None:
    """Whoever notices second finds the new file, and takes nothing from under the first."""
    async with opened(path) as store:
        await fill(store, 300)
    async with opened(path) as one, opened(path) as two:
        await one.get(key("0"))
        await two.get(key("0"))
        overwrite(path)
        for _ in range(3):
            for store in (one, two):
                await readable(store, 300)
                await fill(store, 100)
        assert await readable(one, 100) == 100
        assert await readable(two, 100) == 100
        await one.put(key("from one"), entry(), NOW)
        assert await two.get(key("from one")) is not None
        aside = path.with_name("cache.db.corrupt")
        assert content(aside)[:100] != content(path)[:100]
    check(path)


async def test_a_file_that_was_deleted_is_made_anew(path: Path) -> None:
    """By hand, under a running gateway."""
    async with opened(path) as store:
        await fill(store, 10)
        os.unlink(path)
        await fill(store, 20)
        assert await readable(store, 20) == 20
        assert not errors(store)
    check(path)


# Where there is no file to be had.


async def useless(path: Path, kind: str) -> None:
    async with opened(path) as store:
        for _ in range(5):
            await store.put(key(), entry(), NOW)
            assert await store.get(key()) is None
        assert await store.purge(Purge()) == 0
        assert set(errors(store)) == {kind, "resting"}


async def test_a_folder_in_its_place_is_no_cache(path: Path) -> None:
    """Counted, left alone, and asked again later."""
    os.mkdir(path)
    await useless(path, "open")
    assert stat.S_ISDIR(os.stat(path).st_mode)


async def test_a_folder_that_cannot_be_written_is_no_cache(tmp_path: Path) -> None:
    """Nor one that is not there."""
    await useless(tmp_path / "nowhere" / "cache.db", "open")
    os.chmod(tmp_path, 0o500)
    try:
        # An administrator may write anywhere but where the kernel says what there is.
        await useless((Path("/proc/self") if os.geteuid() == 0 else tmp_path) / "cache.db", "open")
    finally:
        os.chmod(tmp_path, 0o700)


async def test_another_program_s_database_is_left_as_it_is(path: Path) -> None:
    """So is one of a later version: a mistake in the configuration costs nobody his data."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE accounts (name)")
    connection.commit()
    connection.close()
    before = content(path)
    await useless(path, "foreign")
    assert content(path) == before
    os.unlink(path)
    async with opened(path) as store:
        await fill(store, 1)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {disk_file.VERSION + 1}")
    connection.close()
    await useless(path, "foreign")


async def test_an_earlier_version_s_file_is_set_aside(path: Path) -> None:
    """Its entries are lost, nothing else."""
    async with opened(path) as store:
        await fill(store, 1)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 0")
    connection.close()
    async with opened(path) as store:
        await fill(store, 10)
        assert await readable(store, 10) == 10
        assert not errors(store)


def test_a_full_disk_is_counted(path: Path) -> None:
    """No more room: nothing is stored, nothing ends."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    process = writer(path, SIZE, setup=limited)
    try:
        lines = told(process, 400)
    finally:
        process.kill()
        process.communicate()
    assert lines[0] == "0"
    assert {word for line in lines for word in line.split()[1:]} & {"full", "io"}
    assert lines[-1].startswith("399 ")


# Waiting.


async def test_a_writer_that_holds_the_file_costs_only_its_time(path: Path) -> None:
    """Another process in the middle of writing, for long: puts fail by then, gets go on."""
    async with opened(path) as store:
        await fill(store, 1)
    async with opened(path, timeout_s=0.3) as store:
        await until_got(store)
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        try:
            for _ in range(3):
                await store.put(key("x"), entry(), NOW)
                assert store.figures.errors["locked"] + store.figures.errors["timeout"] > 0
                await until_got(store)
        finally:
            holder.execute("ROLLBACK")
            holder.close()
        async with asyncio.timeout(20.0):
            while await store.get(key("x")) is None:
                await store.put(key("x"), entry(), NOW)


async def until_got(store: DiskStore) -> None:
    async with asyncio.timeout(20.0):
        found = None
        while found is None:
            found = await store.get(key("0"))
            await asyncio.sleep(0.02)


async def test_a_disk_that_hangs_is_left_alone(path: Path) -> None:
    """Timeouts at first, then refusals; the loop goes on, and so does the store when the disk does."""
    async with opened(path, timeout_s=0.05, max_waiting=8) as store:
        async with asyncio.timeout(20.0):
            while await store.get(key("0")) is None:
                await store.put(key("0"), entry(), NOW)
        hanging = threading.Event()
        stuck = asyncio.create_task(store._run(lambda file: hanging.wait(60.0), 0.01))
        try:
            calls = await asyncio.gather(*(store.get(key("0")) for _ in range(30)))
            assert calls == [None] * 30
            assert store.figures.errors["crowded"] > 0
            assert store.figures.errors["timeout"] > 0
            async with asyncio.timeout(20.0):
                while not store.figures.errors["resting"]:
                    assert await store.get(key("0")) is None
        finally:
            hanging.set()
        await stuck
        await until_got(store)


async def test_a_closed_store_misses(path: Path) -> None:
    """Nothing is raised afterwards."""
    async with opened(path) as store:
        await fill(store, 1)
    assert await store.get(key("0")) is None
    assert not path.with_name("cache.db-wal").exists()


async def test_others_hear_of_a_purge(path: Path) -> None:
    """Each process's watch tells of all; what came before it began is not told."""
    heard: list[Purge] = []
    async with opened(path) as one, opened(path) as two:
        await one.purge(Purge(route="earlier"))
        watch = asyncio.create_task(two.watch(heard.append))
        what = Purge("chat", "small", key().digest)
        deadline = time.monotonic() + 20.0
        while what not in heard:
            await one.purge(what)
            await asyncio.sleep(0.05)
            assert time.monotonic() < deadline
        watch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watch
    assert set(heard) == {what}
