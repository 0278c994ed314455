"""Does `gateway demo`, as typed, start, answer, report and leave nothing behind?"""

import asyncio
import contextlib
import re
import signal
import sys
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.harness import settled

PORTS = ("--port", "0", "--admin-port", "0")


class Demo:
    """A running `gateway demo`; `text` is what it has printed so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.text = ""
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while piece := await self.process.stdout.read(65536):
            self.text += piece.decode()

    async def says(self, pattern: str) -> str:
        """The first group of `pattern` in what it prints, once it is there."""
        await settled(lambda: re.search(pattern, self.text) is not None or self._reading.done(), 30)
        found = re.search(pattern, self.text)
        assert found is not None, self.text
        return found[1]

    async def ended(self) -> int:
        async with asyncio.timeout(40):
            await self._reading
            return await self.process.wait()

    @property
    def servers(self) -> dict[str, str]:
        """The URL of each model server by its name."""
        return dict(re.findall(r"^(demo-\d+): (http://[\d.:]+), \d+ tokens/s$", self.text, re.MULTILINE))

    async def servers_are_gone(self) -> None:
        """Nobody listens where the model servers did."""
        assert self.servers
        for url in self.servers.values():
            host, _, port = url.removeprefix("http://").rpartition(":")
            async with asyncio.timeout(10):
                while True:
                    try:
                        _, writer = await asyncio.open_connection(host, int(port))
                    except ConnectionRefusedError:
                        break
                    writer.transport.abort()
                    await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def demo(*options: str) -> AsyncIterator[Demo]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "demo", *PORTS, *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    running = Demo(process)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await running.ended()


async def test_a_load_and_its_table() -> None:
    """Every request is answered, the rows add up to all of them, and everything is gone afterwards."""
    async with demo("--load", "--requests", "90", "--concurrency", "12") as running:
        assert await running.ended() == 0
        rows = {
            line.split()[0]: line.split()[1:]
            for line in running.text.splitlines()
            if re.match(r"(demo-\d|all) +\d", line)
        }
        assert set(rows) == {"demo-1", "demo-2", "demo-3", "all"}
        every = rows.pop("all")
        assert (every[0], every[1], every[2]) == ("90", "100%", "0")
        assert sum(int(row[0]) for row in rows.values()) == 90
        assert sum(int(row[3]) for row in rows.values()) == int(every[3]) > 0
        assert "statuses: 90 × 200; errors: none" in running.text
        assert int(rows["demo-1"][0]) > int(rows["demo-3"][0])  # the fast one does more than the slow one
        await running.servers_are_gone()


async def test_it_serves_for_so_long() -> None:
    """With --for it prints where it listens, answers there, and ends by itself with 0."""
    async with demo("--for", "3", "--backends", "2") as running, aiohttp.ClientSession() as session:
        base = await running.says(r"The gateway listens on (\S+)\. Try")
        metrics = await running.says(r"Metrics: (\S+)")
        body = {"model": "demo", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
        async with session.post(f"{base}/v1/chat/completions", json=body) as response:
            assert response.status == 200
            assert response.headers["X-Gateway-Backend"] in running.servers
        async with session.get(metrics) as response:
            text = await response.text()
        assert re.search(r'^gateway_requests_total\{[^}]*code="200"[^}]*\} 1(\.0)?$', text, re.MULTILINE)
        async with session.get(metrics.replace("/metrics", "/api/pools")) as response:
            names = [backend["name"] for backend in (await response.json())["pools"][0]["backends"]]
        assert names == ["demo-1", "demo-2"]
        assert await running.ended() == 0
        await running.servers_are_gone()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "killed"])
async def test_its_servers_end_with_it(number: signal.Signals) -> None:
    """Ended by Ctrl-C, or killed outright: no model server stays behind, and nothing is printed in anger."""
    async with demo("--backends", "2") as running:
        await running.says(r"(Stop with Ctrl-C)")
        running.process.send_signal(number)
        assert await running.ended() == (0 if number is signal.SIGINT else -signal.SIGKILL)
        await running.servers_are_gone()
    assert "Traceback" not in running.text
