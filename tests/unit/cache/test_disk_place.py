"""A damaged file is set aside once, with all that belongs to it, and never somebody else's new one."""

import sqlite3
from pathlib import Path

from gateway.cache import disk_place


def test_only_the_file_that_was_damaged_is_set_aside(tmp_path: Path) -> None:
    """Whoever comes second finds another file under the name, and leaves it."""
    path = tmp_path / "cache.db"
    path.write_bytes(b"damaged")
    damaged = disk_place.inode(path)
    disk_place.set_aside(path, damaged)
    path.write_bytes(b"new")
    disk_place.set_aside(path, damaged)
    assert path.read_bytes() == b"new"
    assert (tmp_path / "cache.db.corrupt").read_bytes() == b"damaged"


def test_the_log_goes_with_the_file(tmp_path: Path) -> None:
    """Beside a new file it would be read into it; a former one's is replaced or deleted."""
    path = tmp_path / "cache.db"
    for name in ("cache.db", "cache.db-wal", "cache.db.corrupt-shm"):
        (tmp_path / name).write_bytes(b"x")
    disk_place.set_aside(path, disk_place.inode(path))
    left = sorted(one.name for one in tmp_path.iterdir())
    assert left == ["cache.db.corrupt", "cache.db.corrupt-wal", "cache.db.lock"]


def test_a_log_without_its_file_is_not_read(tmp_path: Path) -> None:
    """Somebody has deleted the file and left the log."""
    path = tmp_path / "cache.db"
    path.with_name("cache.db-wal").write_bytes(b"of another file")
    connection = disk_place.opened(path, 1 << 20, 1.0)
    assert connection.execute("SELECT entries FROM totals").fetchall() == [(0,)]
    connection.close()


def test_damage_is_told_from_bad_luck() -> None:
    """Being locked, or full, says nothing of what is in the file."""
    for code, damaged in (
        (sqlite3.SQLITE_CORRUPT, True),
        (sqlite3.SQLITE_CORRUPT_INDEX, True),
        (sqlite3.SQLITE_NOTADB, True),
        (sqlite3.SQLITE_BUSY, False),
        (sqlite3.SQLITE_FULL, False),
        (sqlite3.SQLITE_IOERR_WRITE, False),
    ):
        error = sqlite3.DatabaseError()
        error.sqlite_errorcode = code
        assert disk_place.is_damage(error) == damaged
    assert not disk_place.is_damage(OSError())
