"""Does `gateway status`, as typed, say how a real gateway is, to people and to scripts?"""

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.harness import Backend, answers, get, ok, refusing
from tests.integration.test_process import running


def free_port() -> int:
    """One that nobody listens on, most probably for long enough."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def status(*words: str, **variables: str) -> tuple[int, str, str]:
    """(exit code, standard output, standard error) of `gateway status`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "status", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **variables},
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_gateway_that_is_ready(tmp_path: Path) -> None:
    """0, and one screen; by option, environment and pool; the document is that of the admin side."""
    pools = {
        name: {"backends": [{"url": "http://127.0.0.1:1", "name": f"{name}-1"}], "health": {"path": None}}
        for name in ("chat", "embed")
    }
    routes = [{"name": "all", "pool": "chat"}]
    async with Backend(answers(ok())) as backend:
        pools["chat"]["backends"] = [{"url": backend.url, "name": "chat-1"}]
        async with running(tmp_path, pools=pools, routes=routes) as gateway:
            await gateway.started()
            async with await gateway.call() as client:
                for _ in range(5):
                    assert (await client.ask(get())).status == 200
            admin = gateway.admin("")
            code, out, err = await status("--admin", admin)
            assert (code, err) == (0, "")
            lines = out.splitlines()
            assert lines[0].endswith(f"at {admin}: ready")
            assert "pool chat: least_latency, 1 of 1 backends can take work" in lines
            assert next(line.split()[:2] for line in lines if "chat-1" in line) == ["chat-1", "up"]
            assert next(line.split()[:3] for line in lines if line.startswith("  all")) == ["all", "5", "0%"]

            code, out, _ = await status(GATEWAY_ADMIN=admin.removeprefix("http://"))
            assert (code, out.splitlines()[0]) == (0, lines[0])

            code, out, _ = await status("--admin", admin, "--json")
            async with aiohttp.ClientSession() as session, session.get(f"{admin}/api/overview") as answer:
                own = await answer.json()
            document = json.loads(out)
            assert (code, document.keys(), document["routes"]) == (0, own.keys(), own["routes"])
            assert document["pools"][0]["backends"][0]["selected"] == 5

            code, out, _ = await status("--admin", admin, "--json", "--pool", "embed")
            assert [pool["name"] for pool in json.loads(out)["pools"]] == ["embed"]
            code, out, err = await status("--admin", admin, "--pool", "small")
            assert (code, out) == (2, "")
            assert err == "gateway status: --pool: there is no pool small; there are: chat, embed\n"


async def test_a_gateway_that_is_not_ready(tmp_path: Path) -> None:
    """1, with the reason; of one pool already when another can serve."""
    pools = {
        name: {"backends": [{"url": "http://127.0.0.1:1", "name": "b"}], "health": {"path": None}}
        for name in ("chat", "embed")
    }
    settings = {"pools": pools, "routes": [{"name": "all", "pool": "chat"}]}
    async with running(tmp_path, admin=f"127.0.0.1:{free_port()}", **settings) as gateway:
        await gateway.started()
        config = str(tmp_path / "gateway.yaml")
        found: list[tuple[int, str, str]] = []
        for drained, codes in (("chat", (0, 1, 0)), ("embed", (1, 1, 1))):
            path = gateway.admin(f"/api/pools/{drained}/backends/b/drain")
            async with aiohttp.ClientSession() as session, session.post(path) as answer:
                assert answer.status == 200
            found = [
                await status("-c", config),
                await status("-c", config, "--pool", "chat"),
                await status("-c", config, "--pool", "embed", "--json"),
            ]
            assert tuple(code for code, _, _ in found) == codes
        assert "NOT READY: no backend of any pool can take work" in found[0][1].splitlines()[0]
        assert "b        draining" in found[1][1]
        assert json.loads(found[2][1])["status"]["ready"] is False


async def test_it_can_be_printed_anywhere(tmp_path: Path) -> None:
    """On a terminal of few letters, and into a pipe that nobody reads to its end: no traceback, and the code
    is that of the gateway."""
    named = [{"url": f"http://127.0.0.1:{port}", "name": f"gpu-{port}"} for port in range(20000, 20200)]
    async with running(tmp_path, pools={"default": {"backends": named, "health": {"path": None}}}) as gateway:
        await gateway.started()
        admin = gateway.admin("")
        code, out, err = await status("--admin", admin, PYTHONIOENCODING="ascii")
        assert (code, err) == (0, "")
        assert "gpu-20199" in out
        command = (
            f"{sys.executable} -m gateway status --json --admin {admin} | head -c 1; echo ${{PIPESTATUS[0]}}"
        )
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(30):
            printed = await process.communicate()
        assert printed == (b"{0\n", b"")


async def test_no_gateway() -> None:
    """1 and one line that says what to do; nothing on standard output."""
    with refusing() as nobody:
        code, out, err = await status("--admin", nobody, "--json")
    assert (code, out) == (1, "")
    assert err == (
        f"gateway status: {nobody}: connection refused; "
        "is the gateway running, and is this its admin address?\n"
    )


@pytest.mark.parametrize("words", [("--admin", "nowhere"), ("-c", "absent.yaml"), ("--jsn",)], ids=" ".join)
async def test_bad_usage(words: tuple[str, ...]) -> None:
    """2, and what would be right."""
    code, out, err = await status(*words)
    assert (code, out) == (2, "")
    assert words[-1] in err
    assert "Traceback" not in err


async def test_it_needs_no_library_for_terminals(tmp_path: Path) -> None:
    """Neither Textual nor Rich is imported, by it or by --help."""
    code = (
        "import sys, gateway.cli; ran = gateway.cli.main(sys.argv[1:]); "
        "sys.exit(100 if {'textual', 'rich'} & sys.modules.keys() else ran)"
    )
    async with running(tmp_path, "http://127.0.0.1:1") as gateway:
        await gateway.started()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code, "status", "--admin", gateway.admin("")),
            stdout=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(30):
            assert await process.wait() == 0
