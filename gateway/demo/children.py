"""Who runs the demo's model servers? Subprocesses that are started, awaited and always ended."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process

from gateway.demo.server import READY_LINE

READY_WITHIN_S = 20.0
STOP_WITHIN_S = 3.0


class ChildFailed(Exception):
    """A model server did not come up; the text says which and why."""


class Child:
    """One model server in a process of its own.

    It holds the other end of a pipe to this process and ends when that closes, so that no server is left
    behind when this process is killed.
    """

    __slots__ = ("_process", "name", "tokens_per_second", "url")

    def __init__(self, name: str, tokens_per_second: float, url: str, process: Process) -> None:
        self.name = name
        self.tokens_per_second = tokens_per_second
        self.url = url
        self._process = process

    def __repr__(self) -> str:
        return f"<Child {self.name} {self.url} pid {self._process.pid}>"

    async def stop(self) -> None:
        """SIGTERM, and after three seconds SIGKILL; returns when the process has ended."""
        await _end(self._process)


async def spawn(name: str, tokens_per_second: float, slots: int, model: str) -> Child:
    """Start a server on a free port and wait until it listens. Raises ChildFailed when it does not."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.demo.server", "--exit-with-parent", "--port", "0"),
        *("--name", name, "--model", model, "--slots", str(slots)),
        *("--tokens-per-second", str(tokens_per_second)),
        stdin=PIPE,
        stdout=PIPE,
        start_new_session=True,  # Ctrl-C in a terminal reaches the gateway alone, which ends them in order
    )
    try:
        url = await asyncio.wait_for(_ready(process), READY_WITHIN_S)
    except BaseException as error:
        await _end(process)
        if isinstance(error, TimeoutError):
            raise ChildFailed(f"model server {name} did not listen within {READY_WITHIN_S:.0f} s") from None
        raise
    if not url:
        await _end(process)
        raise ChildFailed(f"model server {name} ended at once; its own message stands above")
    return Child(name, tokens_per_second, url, process)


async def _ready(process: Process) -> str:
    """The address in the ready line; empty when the output ends without one."""
    assert process.stdout is not None  # it was started with a pipe
    async for line in process.stdout:
        text = line.decode(errors="replace").strip()
        if text.startswith(READY_LINE):
            return text.removeprefix(READY_LINE)
    return ""


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_WITHIN_S)
        except TimeoutError:
            process.kill()
    await process.wait()
