"""How is the disk store's file opened, made, and set aside when damaged, with others at the same file?"""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.cache.disk_file import APPLICATION_ID, ERRORS, PAGE_BYTES, SCHEMA, TABLES, VERSION, damage

_LOCK_TRIES = 100
_LOCK_PAUSE_S = 0.01
#: A version beyond this one's by more is damage, not the future.
_PLAUSIBLE = 100
#: The last three are mistakes in a statement or its values: with a sound file, none of ours makes any.
_DAMAGE = (
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
)


class ForeignError(Exception):
    """The file is somebody else's database, or a later version's: it is left as it is."""


def inode(path: Path) -> tuple[int, int]:
    """Which file it is; (0, 0) for none."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def is_damage(error: BaseException) -> bool:
    """Does it say that the file's content is not what it should be?"""
    code = getattr(error, "sqlite_errorcode", None) or 0
    return (code & 0xFF) in _DAMAGE or isinstance(error, UnicodeDecodeError)


def opened(path: Path, log_bytes: int, busy_s: float) -> sqlite3.Connection:
    """A connection to the file, with its schema: made where there is none, anew where it is damaged.

    `log_bytes` is how long SQLite's log may grow before it is written into the file, `busy_s` how long a
    writer waits for another one. Raises any of ERRORS, OSError or ForeignError.
    """
    with _alone(path):
        try:
            return _connected(path, log_bytes, busy_s)
        except ERRORS as error:
            if not is_damage(error):
                raise
        _rename(path)
        return _connected(path, log_bytes, busy_s)


def set_aside(path: Path, damaged: tuple[int, int]) -> None:
    """Rename the file, unless another process has done so since `damaged` was opened. Raises OSError."""
    with _alone(path):
        if inode(path) == damaged:
            _rename(path)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Among processes that open this file or set it aside. Bounded: a stopped process may hold the lock."""
    # Another file than the database: closing any descriptor of that would drop SQLite's own locks.
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    pause = threading.Event()
    try:
        for _ in range(_LOCK_TRIES):
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            pause.wait(_LOCK_PAUSE_S)
        else:
            raise OSError(f"{path}.lock is held by another process")
        yield
    finally:
        os.close(descriptor)


def _rename(path: Path) -> None:
    """To `….corrupt`, for an earlier one. The log first: it would be taken for a new file's."""
    for end in ("-wal", "-shm", ""):
        try:
            os.replace(f"{path}{end}", f"{path}.corrupt{end}")
        except FileNotFoundError:
            with suppress(FileNotFoundError):
                os.unlink(f"{path}.corrupt{end}")


def _connected(path: Path, log_bytes: int, busy_s: float) -> sqlite3.Connection:
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        for end in ("-wal", "-shm"):  # of a file that somebody has deleted
            with suppress(FileNotFoundError):
                os.unlink(f"{path}{end}")
    if path.is_file():
        with suppress(PermissionError):
            os.chmod(path, 0o600)  # SQLite gives its log the same
    connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None)
    connection.text_factory = _text
    try:
        _set_up(connection, log_bytes)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection, log_bytes: int) -> None:
    # Both are decided with a file's first page, and without effect later.
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    _check(connection)
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA mmap_size = 0").fetchall()  # a mapped file that is cut ends the process
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA wal_autocheckpoint = {max(log_bytes // PAGE_BYTES, 1)}").fetchall()
    connection.execute(f"PRAGMA journal_size_limit = {log_bytes}").fetchall()
    if not _tables(connection):
        connection.executescript(
            f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA application_id = {APPLICATION_ID};"
            f" PRAGMA user_version = {VERSION}; COMMIT;"
        )


def _check(connection: sqlite3.Connection) -> None:
    """Whose file is it?"""
    tables = _tables(connection)
    if not tables:
        return
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION_ID and not tables >= TABLES:
        raise ForeignError("it is another program's database")
    if application == APPLICATION_ID and VERSION < version < VERSION + _PLAUSIBLE:
        raise ForeignError("a later version of this program wrote it")
    if application != APPLICATION_ID or version != VERSION or tables != TABLES:
        raise damage("not this version's schema")


def _tables(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return {name for (name,) in rows if not name.startswith("sqlite_")}


def _text(data: bytes) -> str:
    """Damaged text is other text, no error: what is read is checked by what it means."""
    return data.decode(errors="replace")
