"""Does `gateway top` show a real gateway in a real terminal, and leave the terminal as it was?"""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.importorskip("textual", reason="pip install 'model-gateway[top]'")
pytest.importorskip("pyte", reason="pip install pyte: it draws the terminal")

from tests.harness import Backend, Conversation, answers, get, ok, refusing
from tests.integration.test_process import Gateway, running
from tests.integration.test_status_command import free_port
from tests.terminal import terminal

TOP = (sys.executable, "-m", "gateway", "top", "--interval", "0.5")
ECHO = 3  # the place of the local flags among a terminal's modes


def fixed(*backends: str) -> dict[str, object]:
    """Settings with addresses that are the same after a restart, and backends a, b, …"""
    named = [{"url": url, "name": name} for name, url in zip("abcdefgh", backends, strict=False)]
    return {
        "listen": f"127.0.0.1:{free_port()}",
        "admin": f"127.0.0.1:{free_port()}",
        "pools": {"chat": {"backends": named, "health": {"path": None}, "policy": "round_robin"}},
        "shutdown": {"drain": 0},
    }


@contextlib.asynccontextmanager
async def load(gateway: Gateway, pause_s: float = 0.02) -> AsyncIterator[None]:
    """Somebody who asks again and again, until the end or until nobody answers."""

    async def ask() -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            async with await gateway.call() as client:
                while True:
                    await client.ask(get("/v1/models/x"))
                    await asyncio.sleep(pause_s)

    asking = asyncio.create_task(ask())
    try:
        yield
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def later(conversation: Conversation) -> None:
    """Answers after a hundredth of a second."""
    while await conversation.request():
        await asyncio.sleep(0.01)
        await conversation.send(ok())


async def test_it_shows_what_is_going_on(tmp_path: Path) -> None:
    """Rates that rise with the load and fall without; panels; another size; and no trace after q."""
    async with (
        Backend(later) as a,
        Backend(later) as b,
        running(tmp_path, **fixed(a.url, b.url)) as gateway,
        terminal(*TOP, "-c", str(tmp_path / "gateway.yaml")) as screen,
    ):
        before = screen.modes
        await gateway.started()
        await screen.shows(r"^gateway [\d.]+  ready  up \d+ s")
        await screen.shows(r"^chat  round_robin  2 of 2 well")
        async with load(gateway):
            await screen.shows(r"^req/s [1-9]\d*  errors 0%  p50 \d+.* ms  p95 ")
            await screen.shows(r"^a +up +[1-9]\d* +(49|50|51)% +0% +[01] +[01] +[\d.]+ ms .*[▂▃▄▅▆▇█]")
            await screen.shows(r"^chat +[1-9]\d* +0% +[01] +[\d.]+ ms")
            screen.press("d")
            await screen.shows(r"^\d\d:\d\d:\d\d 200 +[\d.]+ ms  .* → [ab]")
            await screen.shows(r"round_robin: [ab] ")
            screen.press("?")
            await screen.shows(r"^x +drain the selected backend")
            screen.press("b")
            screen.resize(120, 40)
            await screen.shows(r"^gateway .{90,}\d\dZ$")
            await screen.shows(r"^LAST DECISIONS")
            screen.resize(50, 12)
            await screen.shows(r"^b +up ")
            screen.resize(80, 24)
        await screen.shows(r"^req/s 0  errors –")
        assert screen.modes[ECHO] != before[ECHO], "keys are not echoed while it runs"
        screen.press("q")
        assert await screen.ended() == 0
        assert screen.modes == before
        assert b"\x1b[?1049h" in screen.raw
        assert screen.raw.rindex(b"\x1b[?1049l") > screen.raw.rindex(b"\x1b[?1049h")
        assert screen.raw.rindex(b"\x1b[?25h") > screen.raw.rindex(b"\x1b[?25l"), "the cursor is back"


async def test_a_backend_is_drained_and_taken_back(tmp_path: Path) -> None:
    """The selected one, after a question; no other key than y does it."""
    async with (
        Backend(answers(ok())) as a,
        Backend(answers(ok())) as b,
        running(tmp_path, **fixed(a.url, b.url)) as gateway,
        terminal(*TOP, "-c", str(tmp_path / "gateway.yaml")) as screen,
    ):
        await gateway.started()
        await screen.shows(r"^b +up ")
        screen.press("jx")
        await screen.shows(r"^drain b of pool chat\? It gets no new work")
        screen.press("n")
        await screen.shows(r"^b was left as it is")
        screen.press("xy")
        await screen.shows(r"^b of pool chat is draining now")
        await screen.shows(r"^b +draining .* drained by ")
        await screen.shows(r"^chat  round_robin  1 of 2 well")
        async with load(gateway):
            await screen.shows(r"^a +up +[1-9]\d* +100%")
            await screen.shows(r"^b +draining +0 +0% ")
        screen.press("xy")
        await screen.shows(r"^b of pool chat is up now|^b of pool chat is starting now")
        await screen.shows(r"^chat  round_robin  2 of 2 well")


async def test_it_outlives_the_gateway(tmp_path: Path) -> None:
    """Started before it, it waits; when the gateway ends it says so and keeps what it knew; when another
    comes it goes on, with figures of that one alone."""
    async with Backend(answers(ok())) as a, contextlib.AsyncExitStack() as stack:
        settings = fixed(a.url)
        where = f"http://{settings['admin']}"
        screen = await stack.enter_async_context(terminal(*TOP, "--admin", where))
        await screen.shows(r"^unreachable since \d\d:\d\d:\d\dZ \(\d+ s\), retrying: connection refused")
        async with running(tmp_path, **settings) as gateway:
            await gateway.started()
            async with load(gateway, 0.005):
                await screen.shows(r"^a +up +[1-9]\d* ")
            gateway.process.send_signal(signal.SIGTERM)
            await gateway.ended()
        await screen.shows(r"^gateway .*silent")
        await screen.shows(r"^unreachable since .*retrying: (connection refused|the connection was closed)")
        await screen.shows(r"^a +up ")
        async with running(tmp_path, **settings) as gateway:
            await gateway.started()
            await screen.shows(r"^gateway .*ready  up \d s")
            await screen.shows(r"^req/s 0 ")
            assert "-" not in (await screen.shows(r"^a +up +([^ ]+)"))[1]
            async with load(gateway, 0.05):
                await screen.shows(r"^a +up +[1-9]\d* ")
        screen.press("\x03")
        assert await screen.ended() == 0


async def test_two_hundred_backends(tmp_path: Path) -> None:
    """Four pools of fifty: the last is reached, found again after sorting, and its pool shown alone."""
    pools = {
        f"pool-{pool}": {
            "backends": [
                {"url": f"http://127.0.0.1:{20000 + 50 * pool + n}", "name": f"llama/gpu-{pool}-{n:02}"}
                for n in range(50)
            ],
            "health": {"path": None},
        }
        for pool in range(4)
    }
    routes = [{"name": "all", "pool": "pool-0"}]
    async with running(tmp_path, pools=pools, routes=routes) as gateway:
        await gateway.started()
        async with terminal(*TOP, "--admin", gateway.admin("")) as screen:
            await screen.shows(r"^pool-0  least_latency  50 of 50 well")
            screen.press("G")
            await screen.shows(r"^llama/gpu-3-49 +up ")
            await screen.shows(r"^llama/gpu-3-49  of pool-3  http://127\.0\.0\.1:20199")
            screen.press("s")
            await screen.shows(r"^llama/gpu-3-49  of pool-3 ")
            screen.press("fff")
            await screen.shows(r"f pool: pool-2 ")
            await screen.shows(r"^llama/gpu-2-00  of pool-2 ")


async def test_colours_are_left_out_where_they_are_not_wanted(tmp_path: Path) -> None:
    """NO_COLOR: no colour is sent, what is chosen and strong is still told apart; else some are."""
    async with running(tmp_path, "http://127.0.0.1:1") as gateway:
        await gateway.started()
        for variables, coloured in (({"NO_COLOR": "1"}, False), ({}, True)):
            async with terminal(*TOP, "--admin", gateway.admin(""), **variables) as screen:
                await screen.shows(r"^default  least_latency  1 of 1 well")
                screen.press("q")
                assert await screen.ended() == 0
                styles = {
                    code
                    for found in re.findall(rb"\x1b\[([\d;]*)m", screen.raw)
                    for code in found.split(b";")
                }
                assert b"7" in styles
                assert bool(styles & {b"31", b"32", b"33", b"36"}) is coloured


async def test_without_a_terminal_or_textual_it_says_so() -> None:
    """One line with what to do, and exit code 2; nothing is waited for."""
    process = await asyncio.create_subprocess_exec(
        *TOP, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    assert (process.returncode, out) == (2, b"")
    assert err == b"gateway top: needs a terminal; for scripts there is: gateway status --json\n"

    without = (
        "import sys; sys.modules['textual'] = None; from gateway.cli import main; sys.exit(main(['top']))"
    )
    async with terminal(sys.executable, "-c", without) as screen:
        assert await screen.ended() == 2
        await screen.shows(r"^gateway top: needs Textual, which is not installed: pip install")
        assert "'model-gateway[top]'" in screen.text.replace("\n", "")


async def test_a_gateway_that_hangs_is_no_end(tmp_path: Path) -> None:
    """Stopped, it is silent; quitting does not wait for it."""
    async with running(tmp_path, "http://127.0.0.1:1") as gateway:
        await gateway.started()
        async with terminal(*TOP, "--admin", gateway.admin("")) as screen:
            await screen.shows(r"^default  least_latency")
            os.kill(gateway.process.pid, signal.SIGSTOP)
            try:
                await screen.shows(r"^unreachable since .*retrying: no answer within", 30)
                screen.press("q")
                assert await screen.ended() == 0
            finally:
                os.kill(gateway.process.pid, signal.SIGCONT)


async def test_bad_usage() -> None:
    """An address that is none ends it before anything is drawn."""
    with refusing():
        async with terminal(*TOP, "--admin", "nowhere") as screen:
            assert await screen.ended() == 2
            await screen.shows(r"^gateway top: --admin: 'nowhere' is no admin address")
            assert b"\x1b[?1049h" not in screen.raw
