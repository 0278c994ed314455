"""What does one gateway keep of answers, and where? Memory in front, perhaps a shared store behind.

Owns the stores, the flights, what heads say of caching, and which version of each model answers now. Lookups
in memory are plain calls; the shared store is asked by a task of its own, whose end wakes whoever waits.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from gateway.bounded import forget_half
from gateway.cache.deletions import Deletions
from gateway.cache.endings import shape_of
from gateway.cache.entry import Entry, Key
from gateway.cache.flights import Flights
from gateway.cache.held import HeldKeys
from gateway.cache.lines import stored_fields
from gateway.cache.model_list import MODELS
from gateway.cache.store import LocalStore, Purge, SharedStore
from gateway.cache.traits import Traits, traits_of
from gateway.cache.versions import Standing, Versions
from gateway.cache.wishes import Wishes, wishes_of
from gateway.messages import RequestHead, ResponseHead

MAX_HEADS = 1024  # heads whose meaning is remembered
MAX_WRITES = 256  # entries on their way to the shared store; what comes on top is not written there

Spawn = Callable[[str, Coroutine[Any, Any, None]], object]


class Fetch:
    """A question to the shared store under way; `done` once `entry` says what it had."""

    __slots__ = ("done", "entry")

    def __init__(self) -> None:
        self.done = False
        self.entry: Entry | None = None


class Meaning:
    """What one backend's head says about keeping its answers: traits, the lines to keep, what ends them."""

    __slots__ = ("fields", "shape", "traits")

    def __init__(self, traits: Traits, fields: bytes) -> None:
        self.traits = traits
        self.fields = fields
        self.shape = shape_of(fields)


class Cache:
    """Owns all that is kept. `spawn` runs a coroutine in the background."""

    def __init__(self, memory: LocalStore, shared: SharedStore | None, spawn: Spawn, bound: int) -> None:
        self.memory = memory
        self.shared = shared
        self.flights = Flights(bound)
        self.held = HeldKeys()
        self.deletions = Deletions()
        self.bound = bound  # bytes that answers under way may take together
        self.refreshing = 0  # answers that are asked for anew behind a stale one
        self.refreshes: dict[str, int] = {"stored": 0, "refused": 0, "failed": 0}
        self._spawn = spawn
        self._writes = 0
        self._wishes: dict[RequestHead, Wishes] = {}
        self._meanings: dict[ResponseHead, Meaning] = {}
        self.versions = Versions()  # what backends say when they are asked
        self.on_purge: list[Callable[[Purge], None]] = []
        self._versions: dict[str, dict[str, str]] = {}  # what their answers say

    def __repr__(self) -> str:
        return f"<Cache {self.memory!r} in front of {self.shared!r}, {self.flights!r}>"

    def wishes(self, head: RequestHead) -> Wishes:
        """What a request's head asks of the cache."""
        known = self._wishes.get(head)
        if known is None:
            known = wishes_of(head)
            if len(self._wishes) >= MAX_HEADS:
                forget_half(self._wishes)
            self._wishes[head] = known
        return known

    def meaning(self, head: ResponseHead, date_line: bytes, now: float) -> Meaning:
        """What an answer's head says; remembered, where the head brings its own date."""
        known = self._meanings.get(head)
        if known is None:
            traits = traits_of(head, now)
            known = Meaning(traits, stored_fields(head, traits, date_line))
            if head.has_date:
                if len(self._meanings) >= MAX_HEADS:
                    forget_half(self._meanings)
                self._meanings[head] = known
        return known

    # Which version of a model answers.

    def noted(self, pool: str, backend: str, version: str) -> None:
        """A backend's answer names the version of its model."""
        self._versions.setdefault(pool, {})[backend] = version

    def forgotten(self, pool: str, present: Mapping[str, object]) -> None:
        """Only these backends of a pool are there still."""
        versions = self._versions.get(pool)
        for name in [] if versions is None else [name for name in versions if name not in present]:
            del self._versions[pool][name]

    def version_of(self, pool: str, backend: str, sent: float, now: float) -> str:
        """What a backend says it is that was sent a request at `sent`; "" when that is not certain."""
        return self.versions.version_of(pool, backend, sent, now)

    def current(self, entry: Entry) -> bool:
        """Whether a version that still answers gave it."""
        return not entry.fingerprint or self.standing(entry) is Standing.CURRENT

    def standing(self, entry: Entry) -> Standing:
        """What becomes of an entry that has a version."""
        if entry.fingerprint.startswith(MODELS):
            return self.versions.standing(entry)
        versions = self._versions.get(entry.pool)
        if not versions:  # it outlived the process that kept it: the next answer says what is true now
            return Standing.ABSENT
        return Standing.CURRENT if entry.fingerprint in versions.values() else Standing.GONE

    # Entries.

    def get(self, digest: bytes, now: float) -> Entry | None:
        """What memory has; an entry of a version that answers no more goes."""
        entry = self.memory.get(digest, now)
        if entry is None or not entry.fingerprint:
            return entry
        standing = self.standing(entry)
        if standing is Standing.GONE:
            self.memory.delete(digest, "model")
        return entry if standing is Standing.CURRENT else None

    def variant(self, marker: Entry, digest: bytes, now: float) -> Entry | None:
        """The answer under a key that `marker` tells apart.

        An older one than the marker is of a time before that one's last deletion: it went with that.
        """
        entry = self.get(digest, now)
        return None if entry is not None and entry.stored_at < marker.stored_at else entry

    def put(self, key: Key, entry: Entry, now: float) -> None:
        """Keep an answer, in every store."""
        self.memory.put(key.digest, entry, now)
        if self.shared is None:
            return
        if self._writes >= MAX_WRITES:
            errors = self.shared.figures.errors
            errors["crowded"] = errors.get("crowded", 0) + 1
            return
        self._writes += 1
        self._spawn("cache write", self._write(self.shared, key, entry, now))

    async def _write(self, shared: SharedStore, key: Key, entry: Entry, now: float) -> None:
        try:
            await shared.put(key, entry, now)
        finally:
            self._writes -= 1

    def fetch(self, key: Key, wake: Callable[[], None]) -> Fetch:
        """Ask the shared store; `wake` is called at its answer."""
        fetch = Fetch()
        if self.shared is None:
            fetch.done = True
        else:
            self._spawn("cache read", self._fetch(self.shared, key, fetch, wake))
        return fetch

    async def _fetch(self, shared: SharedStore, key: Key, fetch: Fetch, wake: Callable[[], None]) -> None:
        try:
            entry = await shared.get(key)
            if entry is not None and self.current(entry):
                fetch.entry = entry
        finally:
            fetch.done = True
            wake()

    def delete(self, key: Key, reason: str) -> None:
        """Let what is kept under a key go, in every store, and all that is told apart under it.

        "purged": what is under way for it may be as old, and is not kept either.
        """
        if reason == "purged":
            self.flights.spoil(key.digest)
            self.deletions.note(key.digest)
        self.memory.delete(key.digest, reason)
        if self.shared is not None:
            self._spawn("cache delete", self.shared.delete(key))

    async def purge(self, what: Purge) -> int:
        """Let all that matches go, in every store, and let what is under way now not be kept.

        Returns how many were in memory, or shared if that is more.
        """
        gone = self.purged(what)
        if self.shared is not None:
            gone = max(gone, await self.shared.purge(what))
        return gone

    def purged(self, what: Purge) -> int:
        """Let what matches go from memory, here or by another gateway that shares the store.

        What is under way now is not kept, whether or not it matches: nobody knows its age.
        """
        self.flights.spoil(what.digest)
        self.deletions.note_all()
        gone = self.memory.purge(what)
        for tell in self.on_purge:
            tell(what)
        return gone

    @property
    def remembered(self) -> int:
        """Heads whose meaning is remembered."""
        return len(self._wishes) + len(self._meanings)
