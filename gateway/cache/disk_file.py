"""What stands in the file of the disk store, and who has to go? SQLite, for the one thread that calls this.

Several processes may have the file open. Reading never waits for writing (WAL). Nothing is forced to the
platter (`synchronous=OFF`): a killed process loses nothing that was committed; a machine that loses its power
may damage the file, which is noticed and costs a cache, while waiting for a platter would cost every request
that queues.

Evicted are first the expired, then the lowest in `uses x cost / size + age` (GDSF), where `age`, kept in the
file, is the highest that was evicted so far: what was good long ago and is not asked for sinks below what
comes in. Counted are whole pages, so the bound is that of the file and not of a sum that may have drifted.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gateway.cache import codec
from gateway.cache.entry import Entry, Key
from gateway.cache.store import Purge, StoreFigures

APPLICATION_ID = 0x4D474341
VERSION = 1
PAGE_BYTES = 4096
TABLES = {"entries", "totals", "purges"}
_MIN_COST_S = 0.001  # what cost nothing, by a clock, is still worth more the smaller it is
_EXPIRED_AT_ONCE = 16
_EVICTED_AT_ONCE = 256  # many only where the bound was lowered; then others' turns come between
_TOUCHED_AT_ONCE = 256
PURGED_AT_ONCE = 500
_VACUUM_PAGES = 1024
_PURGES_KEPT = 1000

# The row's number is the digest's first bytes: neighbours in the file are then strangers, so that new rows
# fill the gaps of evicted ones, and no index of digests is needed.
SCHEMA = """
CREATE TABLE entries (
  id INTEGER PRIMARY KEY, digest BLOB NOT NULL, route TEXT NOT NULL, model TEXT NOT NULL,
  expires REAL NOT NULL, worth REAL NOT NULL, uses INTEGER NOT NULL, priority REAL NOT NULL,
  size INTEGER NOT NULL, value BLOB NOT NULL
);
CREATE INDEX by_expiry ON entries (expires);
CREATE INDEX by_priority ON entries (priority);
CREATE INDEX by_model ON entries (route, model);
CREATE TABLE totals (entries INTEGER NOT NULL, bytes INTEGER NOT NULL, age REAL NOT NULL);
INSERT INTO totals VALUES (0, 0, 0.0);
CREATE TRIGGER came AFTER INSERT ON entries BEGIN
  UPDATE totals SET entries = entries + 1, bytes = bytes + NEW.size;
END;
CREATE TRIGGER went AFTER DELETE ON entries BEGIN
  UPDATE totals SET entries = entries - 1, bytes = bytes - OLD.size;
END;
CREATE TABLE purges (id INTEGER PRIMARY KEY AUTOINCREMENT, route TEXT, model TEXT, digest BLOB);
"""


#: What SQLite raises; the second when a damaged schema is not even text that its message could show.
ERRORS = (sqlite3.Error, UnicodeDecodeError)


def damage(what: str) -> sqlite3.DatabaseError:
    """As SQLite says that a file is damaged, for what only this program can see."""
    error = sqlite3.DatabaseError(what)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def number(digest: bytes) -> int:
    """A key's row."""
    return int.from_bytes(digest[:8], "big", signed=True)


class DiskFile:
    """One connection to a file that has the schema. Raises any of ERRORS.

    `max_bytes` is what the pages in use may be; the file has room for one entry more, up to `slack_bytes`.
    `figures.evictions`, `.entries` and `.bytes` are kept here.
    """

    def __init__(
        self, connection: sqlite3.Connection, max_bytes: int, slack_bytes: int, figures: StoreFigures
    ) -> None:
        self._db = connection
        self._max_pages = max_bytes // PAGE_BYTES
        self._most_pages = (max_bytes + slack_bytes) // PAGE_BYTES
        self._figures = figures
        self._touched: dict[int, int] = {}

    def get(self, digest: bytes, now: float) -> Entry | None:
        """The entry unless it has expired; one that is damaged is deleted."""
        id = number(digest)
        found = self._db.execute("SELECT digest, value FROM entries WHERE id = ?", (id,)).fetchone()
        if found is None or found[0] != digest:
            return None
        try:
            entry = codec.decode(digest, found[1] if isinstance(found[1], bytes) else b"")
        except codec.UnreadableError:
            self._delete(id, "corrupt")
            return None
        if entry.expires_at <= now:
            return None  # it goes with the next that comes in: reading stays reading
        self._touched[id] = self._touched.get(id, 0) + 1
        if len(self._touched) >= _TOUCHED_AT_ONCE:
            with self._writing():
                self._touch()
        return entry

    def put(self, key: Key, entry: Entry, now: float) -> None:
        """Take it in, and let others go until all are within the bound; it may be the one that goes."""
        data = codec.encode(key.digest, entry)
        id = number(key.digest)
        size = len(data)
        worth = max(entry.cost_s, _MIN_COST_S) / size
        went: dict[str, int] = {}
        with self._writing():
            self._touch()
            if self._db.execute("DELETE FROM entries WHERE id = ?", (id,)).rowcount:
                went["replaced"] = 1
            age: float = self._one("SELECT age + 0.0 FROM totals")[0]  # a number even in a damaged file
            self._db.execute(
                "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?)",
                (id, key.digest, key.route, key.model, entry.expires_at, worth, age + worth, size, data),
            )
            self._evict(id, now, went)
        self._went(went)
        if self._pages() > self._most_pages:
            self.vacuum()  # the bound was lowered since the file grew

    def _evict(self, id: int, now: float, went: dict[str, int]) -> None:
        gone = self._db.execute(
            "DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE expires <= ? LIMIT ?)",
            (now, _EXPIRED_AT_ONCE),
        ).rowcount
        went["expired"] = max(gone, 0)
        for _ in range(_EVICTED_AT_ONCE):
            if self._used() <= self._max_pages:
                return
            expired = self._db.execute("SELECT id FROM entries WHERE expires <= ? LIMIT 1", (now,)).fetchone()
            if expired is not None:
                self._db.execute("DELETE FROM entries WHERE id = ?", expired)
                went["expired"] += 1
                continue
            lowest = self._db.execute(
                "SELECT id, priority FROM entries ORDER BY priority, id LIMIT 1"
            ).fetchone()
            if lowest is None:
                return
            self._db.execute("DELETE FROM entries WHERE id = ?", (lowest[0],))
            self._db.execute("UPDATE totals SET age = max(age, ?)", (lowest[1],))
            reason = "rejected" if lowest[0] == id else "size"
            went[reason] = went.get(reason, 0) + 1

    def delete(self, digest: bytes) -> None:
        self._delete(number(digest), "purged")

    def _delete(self, id: int, reason: str) -> None:
        with self._writing():
            gone = self._db.execute("DELETE FROM entries WHERE id = ?", (id,)).rowcount
        self._went({reason: max(gone, 0)})

    def announce(self, what: Purge) -> None:
        """Write down for the other processes that this is purged."""
        with self._writing():
            self._db.execute(
                "INSERT INTO purges (route, model, digest) VALUES (?, ?, ?)",
                (what.route, what.model, what.digest),
            )
            self._db.execute(
                "DELETE FROM purges WHERE id <= (SELECT max(id) FROM purges) - ?", (_PURGES_KEPT,)
            )

    def announced(self, since: int) -> tuple[int, list[Purge]]:
        """The last purge's number, and those after number `since`; everything when some are lost."""
        last: int = self._one("SELECT coalesce(max(id), 0) FROM purges")[0]
        rows = self._db.execute(
            "SELECT id, route, model, digest FROM purges WHERE id > ? ORDER BY id", (since,)
        ).fetchall()
        if last < since or (rows and rows[0][0] > since + 1):
            return last, [Purge()]
        return last, [Purge(*row[1:]) for row in rows]

    def purge(self, what: Purge) -> int:
        """How many of the first PURGED_AT_ONCE that match went; to be called until it is fewer."""
        terms = {"route = ?": what.route, "model = ?": what.model, "digest = ?": what.digest}
        if what.digest is not None:
            terms["id = ?"] = number(what.digest)  # type: ignore[assignment]
        given = {term: value for term, value in terms.items() if value is not None}
        where = " AND ".join(given) or "TRUE"
        with self._writing():
            gone = self._db.execute(
                f"DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE {where} LIMIT ?)",
                (*given.values(), PURGED_AT_ONCE),
            ).rowcount
        self._went({"purged": max(gone, 0)})
        return max(gone, 0)

    def vacuum(self) -> bool:
        """Give some unused pages back to the file system; whether there are more."""
        # Each page is a row without columns, at whose first `execute` stops.
        self._db.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
        return self._pragma("freelist_count") > 0

    def shorten(self) -> None:
        """Write the log into the file and cut it, if nobody is reading it."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        self._db.close()

    def _touch(self) -> None:
        """Tell the file of the uses since the last time."""
        touched, self._touched = self._touched, {}
        if touched:
            self._db.executemany(
                "UPDATE entries SET uses = uses + ?1,"
                " priority = (SELECT age FROM totals) + (uses + ?1) * worth WHERE id = ?2",
                [(uses, id) for id, uses in touched.items()],
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # some failures have rolled back already
                self._db.execute("ROLLBACK")
            raise

    def _went(self, went: dict[str, int]) -> None:
        for reason, count in went.items():
            self._figures.evictions[reason] += count
        self.count()

    def count(self) -> None:
        """Bring what the figures say of all processes' entries up to date."""
        self._figures.entries, self._figures.bytes = self._one("SELECT entries + 0, bytes + 0 FROM totals")

    def _pages(self) -> int:
        return self._pragma("page_count")

    def _used(self) -> int:
        return self._pages() - self._pragma("freelist_count")

    def _pragma(self, name: str) -> int:
        value: int = self._one(f"PRAGMA {name}")[0]
        return value

    def _one(self, query: str) -> Any:
        """The row of a query that has one."""
        row = self._db.execute(query).fetchone()
        if row is None:
            raise damage(f"no row: {query}")
        return row
