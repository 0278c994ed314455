"""How do the program's own messages reach stderr? As JSON or text lines, never blocking the event loop."""

import asyncio
import logging
from collections.abc import Callable
from math import inf
from typing import Literal

import msgspec

from gateway import clock
from gateway.telemetry.repeats import Kind, Repeats
from gateway.telemetry.text import one_line, tame
from gateway.telemetry.writer import Writer

MAX_MESSAGE = 8192
MAX_TRACE = 32768
_SWEEP_S = 1.0

Lines = Literal["json", "text"]


def set_up(level: str, lines: Lines, write: Callable[[bytes], object]) -> "Logs":
    """Send everything logged from `level` on ("debug", "info", "warning", "error") to `write`, one line each.

    Replaces the root logger's handlers until `Logs.close`. ValueError when there is no such level.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"log level {level!r}: write debug, info, warning or error")
    return Logs(number, lines, write)


class Logs(logging.Handler):
    """The root logger's only handler while open; its thread writes.

    From warnings on, lines of one kind (logger, level, first line of the template) are written at most five
    times a second, then counted.
    """

    def __init__(self, level: int, lines: Lines, write: Callable[[bytes], object]) -> None:
        super().__init__(level)
        self._format = _as_json if lines == "json" else _as_text
        self._repeats = Repeats()
        self._writer = Writer("log", write)
        self._traces = logging.Formatter()
        root = logging.getLogger()
        self._before = (root.level, root.handlers[:])
        root.handlers[:] = [self]
        root.setLevel(level)

    def __repr__(self) -> str:
        return f"<Logs {logging.getLevelName(self.level)} {self.dropped} dropped>"

    @property
    def dropped(self) -> int:
        """Lines that will never be read because the output was behind."""
        return self._writer.lost

    @property
    def suppressed(self) -> int:
        """Lines left out because they repeated too often."""
        return self._repeats.suppressed

    def emit(self, record: logging.LogRecord) -> None:
        """Called by `logging`, under this handler's lock."""
        kind = (record.name, record.levelno, str(record.msg).partition("\n")[0][:200])
        before = 0
        if record.levelno >= logging.WARNING:
            allowed, before = self._repeats.allow(kind, clock.now())
            if not allowed:
                return
        try:
            message = record.getMessage()
        except Exception:  # a wrong template must not take the caller down, nor be lost
            message = f"{record.msg} (its arguments do not fit: mend the logging call)"
        trace = self._traces.formatException(record.exc_info) if record.exc_info else ""
        if before:
            self._summarise(kind, before)
        self._say(record.created, kind, message, trace)

    async def run(self) -> None:
        """Say every second which lines were left out; until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.sweep(clock.now())

    def sweep(self, now: float) -> None:
        """Write how many lines of each kind were left out in windows that are over."""
        self.acquire()
        try:
            for kind, count in self._repeats.sweep(now):
                self._summarise(kind, count)
        finally:
            self.release()

    def close(self, timeout_s: float = 1.0) -> None:
        """Give the root logger back and write what is left, waiting no longer than `timeout_s`."""
        root = logging.getLogger()
        if self in root.handlers:
            level, root.handlers[:] = self._before
            root.setLevel(level)
        self.sweep(inf)
        self._writer.close(timeout_s)
        super().close()

    def _summarise(self, kind: Kind, count: int) -> None:
        self._say(clock.wall(), kind, f"{count} more like this left out: {kind[2]}", "")

    def _say(self, wall_s: float, kind: Kind, message: str, trace: str) -> None:
        self._writer.offer(self._format(clock.iso(wall_s), kind, message[:MAX_MESSAGE], trace[:MAX_TRACE]))


def _as_json(time: str, kind: Kind, message: str, trace: str) -> bytes:
    line = {
        "time": time,
        "level": logging.getLevelName(kind[1]).lower(),
        "logger": kind[0],
        "message": tame(message, MAX_MESSAGE),
    }
    if trace:
        line["exception"] = tame(trace, MAX_TRACE)
    return msgspec.json.encode(line) + b"\n"


def _as_text(time: str, kind: Kind, message: str, trace: str) -> bytes:
    """One line; a traceback follows indented, so that none of its lines can pass for a message."""
    lines = [f"{time} {logging.getLevelName(kind[1]):<7} {kind[0]}: {one_line(message)}"]
    lines += [f"    {one_line(line)}" for line in trace.split("\n") if line]
    return ("\n".join(lines) + "\n").encode()
