"""A Redis that fails, in every way it can, is a cache that misses: never an error, never a stall."""

import asyncio
import logging
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.cache import codec, redis_names
from gateway.cache.redis import RedisOptions, RedisStore
from gateway.cache.redis_client import address
from gateway.cache.store import Purge
from tests import redis_server
from tests.unit.cache.stored import entry, key

pytestmark = redis_server.needs_redis

NOW = 1000.0
PASSWORD = "s3cret%2Fword"


@pytest.fixture(scope="module")
def shared() -> Iterator[redis_server.Server]:
    with redis_server.server() as running:
        yield running


@pytest.fixture
def server(shared: redis_server.Server) -> redis_server.Server:
    """For tests that leave it running; empty."""
    shared.command("FLUSHALL")
    return shared


@pytest.fixture
def own() -> Iterator[redis_server.Server]:
    """For tests that stop it."""
    with redis_server.server() as running:
        yield running


def made(url: str, **options: Any) -> RedisStore:
    return RedisStore(RedisOptions(url, **options), random.Random(1), lambda: NOW)


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[RedisStore]:
    """With times that a busy machine keeps."""
    store = made(url, **({"connect_timeout_s": 5.0, "timeout_s": 5.0} | options))
    try:
        yield store
    finally:
        await store.close()


async def until(claim: Any, what: str) -> None:
    deadline = time.monotonic() + 20.0
    while not claim():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.01)


def errors(store: RedisStore) -> dict[str, int]:
    return {kind: count for kind, count in store.figures.errors.items() if count}


async def test_a_server_that_is_not_there_is_a_miss_and_then_left_alone() -> None:
    """Three refusals, then it is not asked any more."""
    port = redis_server.free_port()
    async with opened(f"redis://127.0.0.1:{port}") as store:
        for _ in range(10):
            assert await store.get(key()) is None
        assert store.figures.errors["connect"] == 3
        assert store.figures.errors["resting"] == 7
        assert store.figures.misses == 10
        await store.put(key(), entry(), NOW)
        await store.delete(key())


async def test_a_socket_that_never_answers_costs_its_time_and_no_more() -> None:
    """It accepts and says nothing: a timeout each, until it is left alone."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        async with opened(url, connect_timeout_s=0.05, timeout_s=0.05) as store:
            async with asyncio.timeout(20.0):
                for _ in range(50):
                    assert await store.get(key()) is None
            assert store.figures.errors["timeout"] >= 3
            assert store.figures.errors["resting"] > 0
            assert sum(store.figures.errors.values()) == 50


async def test_a_server_that_hangs_is_a_miss_and_is_asked_again_when_it_runs(
    own: redis_server.Server,
) -> None:
    """SIGSTOP, then SIGCONT: misses in between, and the entry afterwards, without help."""
    async with opened(own.url, timeout_s=0.1) as store:
        await store.open()
        await until_stored(store)
        own.pause()
        try:
            async with asyncio.timeout(20.0):
                while not store.figures.errors["resting"]:
                    assert await store.get(key()) is None
        finally:
            own.resume()
        assert store.figures.errors["timeout"] >= 3
        await until_stored(store)


async def until_stored(store: RedisStore) -> None:
    async with asyncio.timeout(20.0):
        while await store.get(key()) is None:
            await store.put(key(), entry(), NOW)
            await asyncio.sleep(0.02)


async def test_a_server_that_dies_and_returns_is_used_again(own: redis_server.Server) -> None:
    """Kept connections are cut; the loss is counted, nobody sees it."""
    async with opened(own.url) as store:
        await store.put(key(), entry(), NOW)
        own.stop()
        assert await store.get(key()) is None
        assert store.figures.errors["connect"] >= 1
        own.start()
        await until_stored(store)
        assert set(errors(store)) <= {"connect", "resting"}


async def test_calls_cut_off_in_the_middle_are_misses(own: redis_server.Server) -> None:
    """The server is killed while twenty calls wait for it."""
    async with opened(own.url) as store:
        await store.put(key(), entry(), NOW)
        own.pause()
        calls = [asyncio.create_task(store.get(key())) for _ in range(20)]
        await asyncio.sleep(0)
        own.stop()
        assert await asyncio.gather(*calls) == [None] * 20
        assert set(errors(store)) <= {"connect", "timeout", "resting"}


@pytest.mark.parametrize("given", ["", "user:wrong@", ":wrong@"])
async def test_a_wrong_password_is_counted_and_never_shown(given: str, caplog: Any) -> None:
    """Nor is the right one, anywhere."""
    caplog.set_level(logging.DEBUG)
    with redis_server.server("--requirepass", "right") as running:
        async with opened(f"redis://{given}127.0.0.1:{running.port}") as store:
            await store.open()
            for _ in range(5):
                assert await store.get(key()) is None
                await store.put(key(), entry(), NOW)
            assert set(errors(store)) <= {"auth", "resting"}
            assert store.figures.errors["auth"] >= 3
        async with opened(f"redis://:right@127.0.0.1:{running.port}/2") as store:
            await until_stored(store)
            assert not errors(store)
    assert "wrong" not in caplog.text


def test_the_password_is_nowhere(caplog: Any) -> None:
    """Not in what is printed of a store or its options, nor in the words of a refused URL."""
    store_options = RedisOptions(f"redis://user:{PASSWORD}@cache.example:6380/1")
    store = RedisStore(store_options, random.Random(1))
    shown = f"{store!r} {store!s} {store_options!r} {store.figures!r}"
    assert "cache.example:6380" in shown
    for bad in (
        "http://:s3cret@h",
        "redis://:s3cret/word@h",
        "redis://",
        "redis://:s3cret@h?db=s3cret",
        "s3cret",
    ):
        with pytest.raises(ValueError, match="not an URL of Redis") as raised:
            made(bad)
        shown += f"{raised.value!r} {raised.value.__cause__!r}"
    assert "s3cret" not in shown
    assert address("redis://h") == "h:6379"


async def test_a_full_server_keeps_answering_what_it_has() -> None:
    """`maxmemory` reached, `noeviction`: what is put is refused and counted, gets go on."""
    with redis_server.server("--maxmemory-policy", "noeviction") as running:
        async with opened(running.url) as store:
            await store.put(key("a"), entry(b"a"), NOW)
            running.command("CONFIG", "SET", "maxmemory", "1")
            for _ in range(5):
                await store.put(key("b"), entry(b"b"), NOW)
                found = await store.get(key("a"))
                assert found is not None and found.body == b"a"
            assert errors(store) == {"memory": 5}


async def scripted(reply: bytes) -> asyncio.Server:
    """A server that gives the same reply to every command."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(reply * len(re.findall(rb"(?:^|\n)\*", data)))
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("reply", "kinds"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", {"loading", "resting"}),
        (b"-READONLY You can't write against a read only replica.\r\n", {"reply"}),
        (b"-NOPERM this user has no permissions\r\n", {"auth", "resting"}),
        (b"-ERR whatever\r\n", {"reply"}),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", {"connect", "reply", "other", "resting"}),
        (b"$5\r\nhello\r\n" * 3, {"connect", "reply", "other", "corrupt", "resting"}),
    ],
    ids=str,
)
async def test_strange_replies_are_misses(reply: bytes, kinds: set[str]) -> None:
    """A server that is loading, not allowed, or no Redis at all."""
    async with (
        await scripted(reply) as running,
        opened(f"redis://127.0.0.1:{running.sockets[0].getsockname()[1]}", timeout_s=0.5) as store,
    ):
        for _ in range(6):
            assert await store.get(key()) is None
        found = errors(store)
        assert found and set(found) <= kinds | {"timeout"}, found


async def test_something_else_under_the_name_is_a_miss(server: redis_server.Server) -> None:
    """A list, bytes that are no entry, another key's entry."""
    name = redis_names.of_key("gateway", key())
    async with opened(server.url) as store:
        server.command("RPUSH", name, "x")
        assert await store.get(key()) is None
        assert errors(store) == {"type": 1}
        server.command("DEL", name)
        for other in (
            b"noise",
            codec.encode(key("other").digest, entry()),
            codec.encode(key().digest, entry())[:-1],
        ):
            server.command("SET", name, other)
            assert await store.get(key()) is None
        assert errors(store) == {"type": 1, "corrupt": 3}
        await store.put(key(), entry(), NOW)
        assert await store.get(key()) == entry()


async def test_entries_live_as_long_as_they_may_be_given(server: redis_server.Server) -> None:
    """The server's time to live is theirs, ± 10 %, and not the same for all; too large ones are not sent."""
    async with opened(server.url, max_entry_bytes=2000) as store:
        lives = set()
        for n in range(20):
            await store.put(key(str(n)), entry(fresh_s=1000.0), NOW)
            lives.add(int(server.command("PTTL", redis_names.of_key("gateway", key(str(n))))[1:]))
        assert all(890_000 <= life <= 1_100_000 for life in lives)
        assert len(lives) > 10
        await store.put(key("large"), entry(bytes(2001)), NOW)
        await store.put(key("ever"), entry(fresh_s=float("inf")), NOW)
        assert server.command("EXISTS", redis_names.of_key("gateway", key("large"))) == b":0\r\n"
        assert server.command("EXISTS", redis_names.of_key("gateway", key("ever"))) == b":1\r\n"
        assert errors(store) == {"too_large": 1}


async def test_no_more_calls_than_connections(own: redis_server.Server) -> None:
    """Beyond the cap a call is a miss at once; the number of connections keeps to it."""
    async with opened(own.url, max_connections=4) as store:
        await store.open()
        own.pause()
        try:
            calls = [asyncio.create_task(store.get(key())) for _ in range(20)]
            await until(lambda: store.figures.errors["crowded"] == 16, "the rest is refused")
        finally:
            own.resume()
        await asyncio.gather(*calls)
        assert errors(store) == {"crowded": 16}


async def test_cancelled_calls_leave_connections_in_order(server: redis_server.Server) -> None:
    """Cancelled at any moment, in their hundreds: no answer goes to another, no connection is lost."""
    async with opened(server.url, max_connections=8) as store:
        for n in range(8):
            await store.put(key(str(n)), entry(str(n).encode()), NOW)
        rng = random.Random(5)
        for _ in range(100):
            calls = [asyncio.create_task(store.get(key(str(n)))) for n in range(8)]
            await asyncio.sleep(rng.random() * 0.002)
            for call in rng.sample(calls, 4):
                call.cancel()
            for n, found in enumerate(await asyncio.gather(*calls, return_exceptions=True)):
                if not isinstance(found, asyncio.CancelledError):
                    assert found == entry(str(n).encode())
        assert not errors(store)
        # With the one that asks; those that were given up may take the server a moment.
        await until(lambda: server.command("CLIENT", "LIST").count(b"\nid=") <= 9, "no connection is left")


# Purges and who hears of them.


class Ear:
    """A gateway that watches, in a task of the test's own."""

    def __init__(self, store: RedisStore) -> None:
        self.heard: list[Purge] = []
        self._task = asyncio.create_task(store.watch(self.heard.append))

    async def hears(self, what: Purge) -> None:
        await until(lambda: what in self.heard, f"{what} is heard")

    async def close(self) -> None:
        self._task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self._task


@asynccontextmanager
async def listening(store: RedisStore, server: redis_server.Server) -> AsyncIterator[Ear]:
    """Once it has found where the stream ends."""

    def looks() -> int:
        return int(
            server.command("INFO", "commandstats").partition(b"xrange:calls=")[2].partition(b",")[0] or 0
        )

    before = looks()
    ear = Ear(store)
    await until(lambda: looks() > before, "the watch has begun")
    try:
        yield ear
    finally:
        await ear.close()


async def test_others_hear_of_a_purge(server: redis_server.Server) -> None:
    """Its every part, and only what came after they began."""
    what = Purge("chat", "small", key().digest)
    async with (
        opened(server.url) as one,
        opened(server.url) as other,
        opened(server.url, namespace="x") as foreign,
    ):
        await one.purge(Purge(route="earlier"))
        async with listening(other, server) as ear, listening(foreign, server) as deaf:
            await one.purge(what)
            await ear.hears(what)
            await one.purge(Purge())
            await ear.hears(Purge())
            assert set(ear.heard) == {what, Purge()}
            assert deaf.heard == []


async def test_a_watch_ends_when_it_is_cancelled(server: redis_server.Server, monkeypatch: Any) -> None:
    """At whatever moment: a cancellation that is lost would hold up the end of the gateway for ever."""
    monkeypatch.setattr("gateway.cache.redis._WATCH_EVERY_S", 0.0)
    rng = random.Random(9)
    async with opened(server.url) as store:
        for _ in range(300):
            watch = asyncio.create_task(store.watch(lambda what: None))
            await asyncio.sleep(rng.random() * 0.003)
            watch.cancel()
            done, _ = await asyncio.wait([watch], timeout=20.0)
            assert done and watch.cancelled()


async def test_what_was_missed_while_away_is_heard_later(own: redis_server.Server) -> None:
    """Connections lost, purges meanwhile: each is told, in its order."""
    async with opened(own.url) as one, opened(own.url) as other:
        await one.purge(Purge(route="0"))
        async with listening(other, own) as ear:
            for n in range(250):
                await one._announce(Purge(route=str(n)))
                if n % 50 == 0:
                    own.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await one._slowly("PING")
            await ear.hears(Purge(route="249"))
            routes = [int(what.route) for what in ear.heard if what.route is not None]
            assert routes == sorted(routes)
            assert Purge() not in ear.heard
            assert len(set(routes)) >= 244  # an announcement on a connection that was killed is not made


@pytest.mark.parametrize("how", ["XTRIM", "DEL"])
async def test_what_can_no_longer_be_heard_is_a_purge_of_everything(
    own: redis_server.Server, how: str
) -> None:
    """Trimmed past the last one seen, or a server that has forgotten: rather too much than too little."""
    stream = redis_names.of_purges("gateway")
    async with opened(own.url) as one, opened(own.url) as other:
        await one.purge(Purge(route="first"))
        async with listening(other, own) as ear:
            await one.purge(Purge(route="second"))
            await ear.hears(Purge(route="second"))
            await until(lambda: ear.heard.count(Purge(route="second")) == 2, "both announcements")
            words = [how, stream] + (["MAXLEN", "0"] if how == "XTRIM" else [])
            own.command(*words)
            await ear.hears(Purge())
            await one.purge(Purge(route="third"))
            await ear.hears(Purge(route="third"))
            assert ear.heard.count(Purge()) == 1


async def test_a_server_that_starts_anew_where_nothing_was_purged_purges_nothing(
    own: redis_server.Server,
) -> None:
    """A restart of Redis does not empty every gateway's memory."""
    async with opened(own.url) as one, opened(own.url) as other, listening(other, own) as ear:
        own.stop()
        await until(lambda: other.figures.errors["connect"], "the loss is noticed")
        own.start()
        await one.purge(Purge(route="chat"))
        await ear.hears(Purge(route="chat"))
        assert Purge() not in ear.heard


async def test_a_purge_without_a_server_says_so(caplog: Any) -> None:
    """0, a line in the log, and counted."""
    async with opened(f"redis://127.0.0.1:{redis_server.free_port()}") as store:
        assert await store.purge(Purge()) == 0
        assert store.figures.errors["connect"] > 0
    assert "not carried out in full" in caplog.text


async def test_the_stream_of_purges_is_bounded(server: redis_server.Server) -> None:
    """About a thousand are kept."""
    async with opened(server.url) as store:
        for _ in range(1500):
            await store._announce(Purge(route="x"))
        kept = int(server.command("XLEN", redis_names.of_purges("gateway"))[1:])
        assert 1000 <= kept <= 1200


def test_without_redis_py_it_says_what_to_install() -> None:
    """The module can be imported; the store cannot be made."""
    program = (
        "import sys, random; sys.modules['redis'] = None; sys.modules['redis.asyncio'] = None\n"
        "from gateway.cache.redis import RedisOptions, RedisStore\n"
        "try: RedisStore(RedisOptions('redis://h'), random.Random(1))\n"
        "except ImportError as error: print(error)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert "pip install 'model-gateway[redis]'" in ran.stdout
