"""Are the demo's parts started, described and always ended?"""

import argparse
import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE
from typing import Any

import aiohttp
import pytest

from gateway.app import StartError
from gateway.demo import children, run
from gateway.demo.children import Child, ChildFailed, spawn
from gateway.demo.server import READY_LINE
from gateway.settings.load import from_dict


def arguments(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    return parser.parse_args(["--port=0", "--admin-port=0", *given])


async def alive(child: Child) -> bool:
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(child.url + "/health") as response:
                return response.status == 200
        except aiohttp.ClientConnectorError:
            return False


async def test_children_live_and_end() -> None:
    """A model server answers under its name and is gone after `stop`; stopping twice does no harm."""
    child = await spawn("demo-1", 240.0, 4, "demo")
    try:
        async with aiohttp.ClientSession() as session, session.get(child.url + "/stats") as response:
            assert (await response.json())["name"] == "demo-1"
    finally:
        await child.stop()
    assert not await alive(child)
    await child.stop()


async def test_child_that_fails_is_named() -> None:
    """A server that cannot start says why itself; the demo says which one it was."""
    with pytest.raises(ChildFailed, match="model server bad"):
        await spawn("bad", 240.0, 0, "demo")


async def test_child_ends_with_its_parent() -> None:
    """When the other end of its standard input closes, a server ends by itself, well."""
    command = (sys.executable, "-m", "gateway.demo.server", "--exit-with-parent")
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    assert process.stdout is not None
    assert process.stdin is not None
    assert (await process.stdout.readline()).startswith(READY_LINE.encode())
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_signal_ends_a_server() -> None:
    """SIGTERM ends a server with 0."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "gateway.demo.server", stdout=PIPE)
    assert process.stdout is not None
    await process.stdout.readline()
    os.kill(process.pid, signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_stubborn_child_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that does not obey SIGTERM is killed after the time it is given."""
    monkeypatch.setattr(children, "STOP_WITHIN_S", 0.1)
    ignore = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", ignore, stdout=PIPE)
    assert process.stdout is not None
    await process.stdout.readline()
    await Child("deaf", 1.0, "", process).stop()
    assert process.returncode == -signal.SIGKILL


async def test_settings_are_accepted() -> None:
    """The demo's configuration is one that the gateway accepts, with every server as a backend."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await process.wait()
    servers = [Child(f"demo-{n}", 80.0, f"http://127.0.0.1:{9000 + n}", process) for n in (1, 2)]
    settings = from_dict(run.settings_data(servers, 8080, 9901))
    assert [backend.name for backend in settings.pools["default"].backends] == ["demo-1", "demo-2"]
    text = run.guide("http://127.0.0.1:8080", "http://127.0.0.1:9901", servers)
    assert "export OPENAI_BASE_URL=http://127.0.0.1:8080/v1" in text
    assert "http://127.0.0.1:9901/metrics" in text
    assert "gateway top --admin http://127.0.0.1:9901" in text
    assert "demo-2: http://127.0.0.1:9002, 80 tokens/s" in text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--backends=0"], "--backends is 0"),
        (["--for=0"], "--for is 0"),
        (["--port=8081", "--admin-port=8081"], "given twice"),
        (["--port=70000"], "port 70000 does not exist"),
    ],
)
def test_bad_options_are_one_line(given: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be done is said in one line before anything is started."""
    assert run.main(arguments(*given)) == 1
    said_all = capsys.readouterr().err
    assert said in said_all
    assert said_all.count("\n") == 1


@pytest.mark.parametrize("option", ["--port", "--admin-port"])
def test_port_in_use_is_named(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A taken port is named, with the option that changes it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run.main(arguments(f"{option}={port}")) == 1
    said = capsys.readouterr().err
    assert f"port {port} " in said
    assert f"with {option}\n" in said


def test_free_ports_are_no_problem() -> None:
    """Port 0 and a free port pass."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert run.problem(arguments(f"--port={port}")) is None


class StandIn:
    """In place of a gateway: its address is that of the first model server."""

    def __init__(self, data: dict[str, Any]) -> None:
        first = data["pools"]["default"]["backends"][0]["url"]
        host, port = first.removeprefix("http://").split(":")
        self.listen_addresses = [(host, int(port))]
        self.admin_address = (host, 9901)
        self.life: list[str] = []

    async def start(self) -> None:
        self.life.append("started")

    async def drain(self) -> None:
        self.life.append("drained")

    async def close(self) -> None:
        self.life.append("closed")


@pytest.fixture
def gateways(monkeypatch: pytest.MonkeyPatch) -> list[StandIn]:
    """The gateways that a demo has made."""
    made: list[StandIn] = []

    def make(data: dict[str, Any]) -> StandIn:
        made.append(StandIn(data))
        return made[-1]

    monkeypatch.setattr(run, "make_gateway", make)
    return made


def ended(gateway: StandIn) -> bool:
    """Whether the model server behind the gateway is gone."""
    with socket.socket() as probe:
        return probe.connect_ex(gateway.listen_addresses[0]) != 0


def test_load_ends_the_demo(gateways: list[StandIn], capsys: pytest.CaptureFixture[str]) -> None:
    """With a load and no time, the demo prints the table, ends everything and has succeeded."""
    assert run.main(arguments("--backends=2", "--load", "--requests=6")) == 0
    printed = capsys.readouterr().out
    assert "demo-2: http://127.0.0.1:" in printed
    assert "6 requests in" in printed
    assert "statuses: 6 × 200; errors: none" in printed
    assert gateways[0].life == ["started", "drained", "closed"]
    assert ended(gateways[0])


def test_time_ends_the_demo(gateways: list[StandIn]) -> None:
    """Without a load, `--for` ends it."""
    assert run.main(arguments("--backends=1", "--for=0.05")) == 0
    assert gateways[0].life == ["started", "drained", "closed"]


def test_gateway_that_cannot_start(
    gateways: list[StandIn], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its reason is told in one line, and the model servers are ended all the same."""

    async def refuse(self: StandIn) -> None:
        raise StartError("nothing to listen on; choose another address")

    monkeypatch.setattr(StandIn, "start", refuse)
    assert run.main(arguments("--backends=1")) == 1
    assert capsys.readouterr().err == "gateway demo: nothing to listen on; choose another address\n"
    assert ended(gateways[0])
