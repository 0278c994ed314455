"""How does a memory store outlive its process? A file of its entries, written whole and read with distrust.

    file    "MGS", version; records; an end: length 0, how many records there were
    record  length of digest and entry, 4 bytes; digest, 32 bytes; entry by codec.py, with its checksum

Both functions wait for the disk: call them in a thread, with a list of the entries.
"""

import glob
import logging
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from gateway.cache import codec
from gateway.cache.entry import Entry

log = logging.getLogger(__name__)

HEAD = b"MGS" + bytes((codec.VERSION,))
DIGEST_BYTES = 32
#: A longer record is not read, nor written: what claims to be longer is damage.
MAX_RECORD_BYTES = 256 << 20
_BUFFER_BYTES = 1 << 20
_LENGTH_BYTES = 4
_LEFT_AFTER_S = 3600.0


def write(path: Path, items: Iterable[tuple[bytes, Entry]], now: float) -> int:
    """Replace the file at `path` by one with those of `items` that have not expired; how many they are.

    At no time is there half a file under that name, whatever ends the process or the machine. The file is for
    its owner alone. Raises OSError when it cannot be written, and leaves what was there.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    _clear(path, beside, now)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb", buffering=_BUFFER_BYTES) as file:
            count = _write(file, items, now)
            file.flush()
            os.fsync(descriptor)
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
    _keep_names(path.parent)
    return count


def _clear(path: Path, beside: Path, now: float) -> None:
    """Delete what writers left that were killed: one that had this process's id, others after an hour."""
    for left in path.parent.glob(f"{glob.escape(path.name)}.*.tmp"):
        with suppress(OSError):
            if left == beside or left.stat().st_mtime < now - _LEFT_AFTER_S:
                left.unlink()


def _write(file: BinaryIO, items: Iterable[tuple[bytes, Entry]], now: float) -> int:
    count = 0
    file.write(HEAD)
    for digest, entry in items:
        if entry.expires_at <= now or len(digest) != DIGEST_BYTES:
            continue
        data = codec.encode(digest, entry)
        length = DIGEST_BYTES + len(data)
        if length <= MAX_RECORD_BYTES:
            file.write(length.to_bytes(_LENGTH_BYTES, "big"))
            file.write(digest)
            file.write(data)
            count += 1
    file.write(bytes(_LENGTH_BYTES))
    file.write(count.to_bytes(8, "big"))
    return count


def _keep_names(folder: Path) -> None:
    """Have the folder itself written, without which a new name may be forgotten when the machine stops."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path, now: float) -> Iterator[tuple[bytes, Entry]]:
    """The entries in the file at `path` that have not expired, in the order they were given to `write`.

    At the first byte that is not as it was written it stops, and the file becomes `….corrupt` in place of an
    earlier one; what came before is whole, each record having its checksum. No file is no entries. Raises
    nothing; holds one record at a time.
    """
    try:
        file = _opened(path)
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("cache snapshot %s is not read: %s", path, error)
        return
    with file:
        try:
            for digest, entry in _records(file):
                if entry.expires_at > now:
                    yield digest, entry
        except OSError as error:
            log.warning("cache snapshot %s is not read to its end: %s", path, error)
        except codec.UnreadableError as error:
            _set_aside(path, error)


def _opened(path: Path) -> BinaryIO:
    """Open for reading, if it is a file: a pipe would be waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("not a file")
    return open(descriptor, "rb", buffering=_BUFFER_BYTES)


def _records(file: BinaryIO) -> Iterator[tuple[bytes, Entry]]:
    left = os.fstat(file.fileno()).st_size - len(HEAD)
    if file.read(len(HEAD)) != HEAD:
        raise codec.UnreadableError("not a snapshot of this version")
    count = 0
    while length := int.from_bytes(_exactly(file, _LENGTH_BYTES), "big"):
        left -= _LENGTH_BYTES + length
        if not DIGEST_BYTES < length <= MAX_RECORD_BYTES or left < 0:
            raise codec.UnreadableError("a length that cannot be")
        digest = _exactly(file, DIGEST_BYTES)
        yield digest, codec.decode(digest, _exactly(file, length - DIGEST_BYTES))
        count += 1
    if int.from_bytes(_exactly(file, 8), "big") != count or file.read(1):
        raise codec.UnreadableError("not as many records as were written")


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise codec.UnreadableError("it ends in the middle")
    return data


def _set_aside(path: Path, error: Exception) -> None:
    aside = path.with_name(path.name + ".corrupt")
    try:
        os.replace(path, aside)
    except OSError as why:
        log.warning("cache snapshot %s is unreadable (%s), and stays: %s", path, error, why)
    else:
        log.warning("cache snapshot %s is unreadable (%s); it is now %s", path, error, aside.name)
