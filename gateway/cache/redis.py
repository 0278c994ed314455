"""Where do several gateways share answers? In Redis or Valkey, which may fail at any time and delays nobody.

One server, not a cluster. What it holds, and who has to go when it is full, is its own affair: set
`maxmemory` and `maxmemory-policy allkeys-lfu` there.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway import clock
from gateway.cache import codec, redis_names
from gateway.cache.breaker import Breaker
from gateway.cache.entry import Entry, Key
from gateway.cache.redis_client import ERRORS, Client, address, kind
from gateway.cache.store import Purge, StoreFigures

log = logging.getLogger(__name__)

#: After these it is asked again only after a pause; the rest are answers, if to one command.
_FAILURES = {"connect", "timeout", "auth", "loading", "other"}
_SLOW_S = 1.0
_SLOW_CONNECTIONS = 4
_PURGE_S = 30.0
_NAMES_AT_ONCE = 1000
_PURGES_KEPT = 1000
_PURGES_AT_ONCE = 100
_WATCH_EVERY_S = 0.5
_FIRST = b"0-0"


@dataclass(frozen=True, slots=True)
class RedisOptions:
    url: str = field(repr=False)  # redis:// or rediss://, [user]:password@host:port/db, redis-py's ?options
    namespace: str = "gateway"
    max_entry_bytes: int = 8 << 20
    connect_timeout_s: float = 0.05
    timeout_s: float = 0.05
    max_connections: int = 64


class RedisStore:
    """A SharedStore in Redis. `figures.entries` and `.bytes` stay 0: the server is also others'.

    Raises ImportError without redis-py, ValueError with an URL that is none; neither shows the password.
    """

    def __init__(
        self, options: RedisOptions, rng: random.Random, wall: Callable[[], float] = clock.wall
    ) -> None:
        self.figures = StoreFigures(errors=dict.fromkeys(ERRORS, 0))
        self._options = options
        self._rng = rng
        self._wall = wall
        self._address = address(options.url)
        self._stream = redis_names.of_purges(options.namespace)
        self._breaker = Breaker()
        self._under_way = 0
        self._fast = Client(
            options.url, options.connect_timeout_s, options.timeout_s, options.max_connections
        )
        # For what may take its time, so that it neither waits for requests nor they for it.
        self._slow = Client(options.url, _SLOW_S, _SLOW_S, _SLOW_CONNECTIONS)
        self._purging = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<RedisStore {self._address} {self._breaker.state}>"

    async def open(self) -> None:
        """Ask once, so that a mistake shows at the start; a failure is counted."""
        await self._slowly("PING")

    async def get(self, key: Key) -> Entry | None:
        entry = self._read(key, await self._call("GET", redis_names.of_key(self._options.namespace, key)))
        if entry is None:
            self.figures.misses += 1
        else:
            self.figures.hits += 1
        return entry

    def _read(self, key: Key, data: Any) -> Entry | None:
        if data is None:
            return None
        try:
            entry = codec.decode(key.digest, data)
        except codec.UnreadableError:
            self.figures.errors["corrupt"] += 1
            return None  # it stays until it is written anew: that is what follows a miss
        return entry if entry.expires_at > self._wall() else None

    async def put(self, key: Key, entry: Entry, now: float) -> None:
        life_ms = redis_names.life_ms(entry, now, self._rng)
        if life_ms <= 0:
            return
        data = codec.encode(key.digest, entry) if len(entry.body) <= self._options.max_entry_bytes else b""
        if not data:
            self.figures.errors["too_large"] += 1
            return
        await self._call("SET", redis_names.of_key(self._options.namespace, key), data, "PX", life_ms)

    async def delete(self, key: Key) -> None:
        await self._call("UNLINK", redis_names.of_key(self._options.namespace, key))

    async def purge(self, what: Purge) -> int:
        """How many went; other gateways' `watch` hears of it. Takes up to 30 s, others' calls in between."""
        count = 0
        whole = False
        try:
            async with asyncio.timeout(_PURGE_S), self._purging:
                await self._announce(what)
                cursor: Any = 0
                match = redis_names.pattern(self._options.namespace, what)
                while not whole:
                    found = await self._slowly("SCAN", cursor, "MATCH", match, "COUNT", _NAMES_AT_ONCE)
                    if found is None:
                        break
                    cursor, names = found
                    gone = await self._slowly("UNLINK", *names) if names else 0
                    if gone is None:
                        break
                    count += gone
                    whole = int(cursor) == 0
                # Again: what others have taken from here meanwhile is to go, too.
                whole = await self._announce(what) and whole
        except TimeoutError:
            self.figures.errors["timeout"] += 1
        if not whole:
            log.warning("cache at %s: a purge was not carried out in full", self._address)
        self.figures.evictions["purged"] += count
        return count

    async def _announce(self, what: Purge) -> bool:
        written = redis_names.written(what)
        return None is not await self._slowly(
            "XADD", self._stream, "MAXLEN", "~", _PURGES_KEPT, "*", "purge", written
        )

    async def watch(self, on_purge: Callable[[Purge], None]) -> None:
        """Tell of every purge by any gateway, this one included; runs until cancelled.

        After a loss of the connection it goes on where it stopped; when what came next is no longer there, it
        tells of a purge of everything.
        """
        last: bytes | None = None
        while True:
            if last is None:
                newest = await self._slowly("XREVRANGE", self._stream, "+", "-", "COUNT", 1)
                if newest is not None:
                    last = newest[0][0] if newest else _FIRST
            else:
                last = await self._heard(last, on_purge)
            await asyncio.sleep(_WATCH_EVERY_S)

    async def _heard(self, last: bytes, on_purge: Callable[[Purge], None]) -> bytes:
        """Tell of what followed `last`; the last one then."""
        while True:
            # From `last` itself on: as long as it is there, nothing behind it has been trimmed.
            found = await self._slowly("XRANGE", self._stream, last, "+", "COUNT", _PURGES_AT_ONCE)
            if found is None:
                return last
            if last == _FIRST:
                lost = len(found) == _PURGES_AT_ONCE
            else:
                lost = not found or found[0][0] != last
                found = found[1:]
            if lost:
                on_purge(Purge())
                newest = await self._slowly("XREVRANGE", self._stream, "+", "-", "COUNT", 1)
                return last if newest is None else newest[0][0] if newest else _FIRST
            for _, fields in found:
                on_purge(redis_names.read(fields[1] if len(fields) == 2 else None))
            if not found:
                return last
            last = found[-1][0]
            if len(found) < _PURGES_AT_ONCE - 1:
                return last

    async def close(self) -> None:
        for client in (self._fast, self._slow):
            await client.close()

    async def _call(self, *command: Any) -> Any:
        """The reply; None when there is none in time, or an error."""
        ticket = self._breaker.admit(clock.now())
        if not ticket:
            self.figures.errors["resting"] += 1
            return None
        if self._under_way >= self._options.max_connections:
            self._breaker.left(ticket)
            self.figures.errors["crowded"] += 1
            return None
        self._under_way += 1
        try:
            reply = await self._fast.ask(*command)
        except asyncio.CancelledError:
            self._breaker.left(ticket)
            raise
        except Exception as error:
            self._failed(ticket, kind(error), error)
            return None
        finally:
            self._under_way -= 1
        if self._breaker.succeeded(ticket):
            log.info("cache at %s answers again", self._address)
        return reply

    def _failed(self, ticket: int, kind: str, error: Exception) -> None:
        self.figures.errors[kind] += 1
        if kind not in _FAILURES:
            self._breaker.succeeded(ticket)
        elif self._breaker.failed(ticket, clock.now()):
            # Not the error's own words: what they repeat is not known.
            log.warning(
                "cache at %s: %s (%s); not asked for %.1f s",
                self._address,
                kind,
                type(error).__name__,
                self._breaker.pause_s,
            )

    async def _slowly(self, *command: Any) -> Any:
        """As `_call`, with a longer time and no regard to requests' bad luck."""
        try:
            return await self._slow.ask(*command)
        except Exception as error:
            self.figures.errors[kind(error)] += 1
            return None
