"""A terminal for programs under test: a real pseudo-terminal, and what it shows as text."""

import asyncio
import contextlib
import fcntl
import os
import re
import struct
import sys
import termios
from collections.abc import AsyncIterator
from typing import Any

import pyte

from tests.harness import settled


class Terminal:
    """What a program writes to its terminal, drawn; `raw` are the bytes. Keys are sent by `press`."""

    def __init__(self, master: int, process: asyncio.subprocess.Process, width: int, height: int) -> None:
        self.process = process
        self.raw = b""
        self._master = master
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self._screen)
        asyncio.get_running_loop().add_reader(master, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the other side has closed
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._master)
            return
        self.raw += data
        self._stream.feed(_KNOWN.sub(b"", data))

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def resize(self, width: int, height: int) -> None:
        """As when somebody drags the window's corner."""
        self._screen.resize(height, width)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    @property
    def modes(self) -> list[Any]:
        """How the terminal is set: echo, lines, signals."""
        return termios.tcgetattr(self._master)

    async def shows(self, pattern: str, timeout_s: float = 20.0) -> re.Match[str]:
        """Wait until the screen matches; fails with the screen when it does not."""
        with contextlib.suppress(TimeoutError):
            await settled(lambda: re.search(pattern, self.text, re.MULTILINE) is not None, timeout_s)
        found = re.search(pattern, self.text, re.MULTILINE)
        assert found is not None, f"{pattern!r} is not on the screen:\n{self.text}"
        return found

    async def ended(self) -> int:
        async with asyncio.timeout(20):
            return await self.process.wait()


#: Questions about private modes, which the drawing library would print.
_KNOWN = re.compile(rb"\x1b\[[?>=<][0-9;]*(?:\$p|u|q)")

#: Makes the terminal the one that signals come from, such as that of another size.
_LOGIN = "import os, sys; os.login_tty(os.dup(0)); os.execvp(sys.argv[1], sys.argv[1:])"


@contextlib.asynccontextmanager
async def terminal(
    *command: str, width: int = 80, height: int = 24, **variables: str
) -> AsyncIterator[Terminal]:
    """`command` in a terminal of its own, killed at the end if it has not ended."""
    master, slave = os.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _LOGIN, *command),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm-256color", **variables},
    )
    shown = Terminal(master, process, width, height)
    try:
        yield shown
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        asyncio.get_running_loop().remove_reader(master)
        os.close(master)
        os.close(slave)
