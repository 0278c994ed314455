"""A real Prometheus for the tests: the shipped configuration, a folder and a port of its own."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from gateway.app import App
from tests.redis_server import free_port

SHIPPED = Path(__file__).parents[1] / "config" / "prometheus"
PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
needs_prometheus = pytest.mark.skipif(
    not (PROMETHEUS and PROMTOOL), reason="no prometheus and promtool (Debian: apt install prometheus)"
)


def document(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


class Server:
    """A Prometheus that runs; what it says to queries."""

    def __init__(self, session: aiohttp.ClientSession, url: str, log: Path) -> None:
        self._session, self._url, self._log = session, url, log

    async def api(self, path: str, **query: str) -> Any:
        """`data` of an answer; None while it does not answer."""
        try:
            async with self._session.get(f"{self._url}/api/v1/{path}", params=query) as response:
                return (await response.json())["data"] if response.status == 200 else None
        except aiohttp.ClientError:
            return None

    async def query(self, expr: str, *by: str) -> dict[Any, float]:
        """Values by the labels `by`: a tuple of them, or the value of the only one."""
        data = await self.api("query", query=expr) or {"result": []}
        found = {}
        for row in data["result"]:
            key = tuple(row["metric"].get(label, "") for label in by)
            found[key[0] if len(key) == 1 else key] = float(row["value"][1])
        return found

    async def until(self, expected: dict[Any, float], expr: str, *by: str) -> None:
        """Fails when a query does not say this within 20 s."""
        found: dict[Any, float] = {}
        for _ in range(100):
            found = await self.query(expr, *by)
            if found == expected:
                return
            await asyncio.sleep(0.2)
        assert found == expected, self._log.read_text(encoding="utf-8")


@contextlib.asynccontextmanager
async def prometheus(app: App, folder: Path, *flags: str) -> AsyncIterator[Server]:
    """The shipped configuration, but for where the gateway is and how often it is asked; with `flags`."""
    assert PROMETHEUS is not None and app.admin_address is not None
    config = document(SHIPPED / "prometheus.yaml")
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(SHIPPED / file) for file in config["rule_files"]]
    host, port = app.admin_address
    (job,) = config["scrape_configs"]
    job["scrape_timeout"] = "1s"
    job["static_configs"] = [{"targets": [f"{host}:{port}"]}]
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    command = [PROMETHEUS, f"--config.file={folder / 'prometheus.yaml'}", f"--web.listen-address={address}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", "--log.level=warn", *flags]
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, cwd=folder)
    try:
        async with aiohttp.ClientSession() as session:
            yield Server(session, f"http://{address}", folder / "log")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()
