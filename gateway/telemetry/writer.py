"""How do lines reach an output that may block, without anyone waiting? A thread, and a bounded backlog."""

import os
import select
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

#: Bytes waiting for the output before new ones are dropped: some 50 000 access log lines.
BACKLOG_BYTES = 16 << 20


class Writer:
    """Owns the thread that calls `write(data)`; the thread starts with the first line.

    It is a daemon: a pipe nobody reads cannot keep the process from ending. `lost` counts lines that were
    refused or whose write failed. `offer` and `close` are for one thread at a time.
    """

    def __init__(self, name: str, write: Callable[[bytes], object], backlog: int = BACKLOG_BYTES) -> None:
        self.name = name
        self._write = write
        self._backlog = backlog
        self._queue: SimpleQueue[tuple[bytes, int] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._closed = False
        # Each of these is written by one thread only, so none needs a lock.
        self._offered_bytes = self._offered_lines = self._refused_lines = 0
        self._done_bytes = self._done_lines = self._failed_lines = 0

    def __repr__(self) -> str:
        return f"<Writer {self.name} {self.pending} bytes pending, {self.lost} lines lost>"

    @property
    def pending(self) -> int:
        """Bytes taken and not yet written."""
        return self._offered_bytes - self._done_bytes

    @property
    def full(self) -> bool:
        """Would another line be refused?"""
        return self._closed or self.pending >= self._backlog

    @property
    def lost(self) -> int:
        """Lines that will never be read."""
        return self._refused_lines + self._failed_lines

    def offer(self, data: bytes, lines: int = 1) -> bool:
        """Take `data`, which is `lines` lines, or refuse and count it. Never waits."""
        if self.full:
            self._refused_lines += lines
            return False
        self._offered_bytes += len(data)
        self._offered_lines += lines
        self._queue.put((data, lines))
        if self._thread is None:
            self._thread = Thread(target=self._run, name=self.name, daemon=True)
            self._thread.start()
        return True

    def close(self, timeout_s: float = 1.0) -> None:
        """Refuse further lines and wait, at most `timeout_s`, until what was taken is written.

        What is not written by then counts as lost.
        """
        if self._closed:
            return
        self._closed = True
        if self._thread is None:
            return
        self._queue.put(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._refused_lines += self._offered_lines - self._done_lines

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            data, lines = item
            try:
                self._write(data)
            except (OSError, ValueError):  # a closed pipe or file: nobody is left to tell, so count
                self._failed_lines += lines
            self._done_bytes += len(data)
            self._done_lines += lines


def to_fd(fd: int) -> Callable[[bytes], None]:
    """A `write` for `Writer` that puts all of the data into file descriptor `fd`, waiting if it must.

    Straight to the descriptor: a thread that is stuck inside `sys.stdout` holds its lock, and the
    interpreter would abort on it when the process ends.
    """

    def write(data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(fd, rest) :]
            except BlockingIOError:
                select.select([], [fd], [])

    return write
