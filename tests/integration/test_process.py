"""Does `gateway run`, as a process of its own, start, serve and end as its manual says?"""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.harness import (
    CHUNKED,
    Answer,
    Backend,
    Caller,
    Conversation,
    answers,
    chunk,
    get,
    ok,
    post,
    settled,
)

CANARY = "canary-5f0c9a77"


class Gateway:
    """A running `gateway run`; `out` and `err` are what it has written so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.out = b""
        self.err = b""
        self._readers = [
            asyncio.ensure_future(self._read("out", process.stdout)),
            asyncio.ensure_future(self._read("err", process.stderr)),
        ]

    async def _read(self, name: str, stream: asyncio.StreamReader | None) -> None:
        assert stream is not None
        while piece := await stream.read(65536):
            setattr(self, name, getattr(self, name) + piece)

    def _address(self, message: str) -> tuple[str, int] | None:
        found = re.search(rf'"{message} ([\d.]+):(\d+)"'.encode(), self.err)
        return (found[1].decode(), int(found[2])) if found else None

    @property
    def address(self) -> tuple[str, int]:
        found = self._address("listening on")
        assert found is not None
        return found

    def admin(self, path: str) -> str:
        host, port = self._address("admin on") or ("", 0)
        return f"http://{host}:{port}{path}"

    async def started(self) -> None:
        process = self.process
        await settled(lambda: self._address("admin on") is not None or process.returncode is not None, 20)
        assert process.returncode is None, self.err.decode()

    async def call(self) -> Caller:
        return Caller(*await asyncio.open_connection(*self.address))

    async def ended(self) -> int:
        """The exit code, once all it wrote has been read."""
        async with asyncio.timeout(20):
            code = await self.process.wait()
            await asyncio.gather(*self._readers)
        return code

    def lines(self) -> list[dict[str, Any]]:
        """What it logged; each line is JSON."""
        return [json.loads(line) for line in self.err.splitlines()]


@contextlib.asynccontextmanager
async def running(folder: Path, *backends: str, **settings: Any) -> AsyncIterator[Gateway]:
    """`gateway run` with one pool, not waited for."""
    data = {
        "listen": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        "limits": {"max_connections": 100},
        "pools": {"default": {"backends": list(backends), "health": {"path": None}}},
        **settings,
    }
    config = folder / "gateway.yaml"
    config.write_text(yaml.safe_dump(data))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "run", "-c", str(config)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    gateway = Gateway(process)
    try:
        yield gateway
    finally:
        if process.returncode is None:
            process.kill()
        await gateway.ended()


class Slow:
    """Streams one chunk, and the rest when told to."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def __call__(self, conversation: Conversation) -> None:
        while request := await conversation.request():
            if b"/stream" in request:
                await conversation.send(CHUNKED + chunk(b"begun"))
                await self.go_on.wait()
                await conversation.send(chunk(b"ended") + chunk(b""))
            else:
                await conversation.send(ok())


async def begin_stream(gateway: Gateway, stack: contextlib.AsyncExitStack) -> Caller:
    client = await stack.enter_async_context(await gateway.call())
    await client.send(get("/stream"))
    assert (await client.head()).status == 200
    assert await client.chunk() == b"begun"
    return client


async def test_sigterm_drains(tmp_path: Path) -> None:
    """Readiness fails, nobody new gets in, the stream in flight finishes, and the process ends with 0, having
    said so."""
    slow = Slow()
    async with (
        Backend(slow) as backend,
        running(tmp_path, backend.url) as gateway,
        contextlib.AsyncExitStack() as stack,
    ):
        await gateway.started()
        admin = await stack.enter_async_context(aiohttp.ClientSession())
        async with admin.get(gateway.admin("/readyz")) as response:
            assert response.status == 200
        kept = await stack.enter_async_context(await gateway.call())
        assert (await kept.ask(post())).status == 200
        stream = await begin_stream(gateway, stack)
        gateway.process.send_signal(signal.SIGTERM)
        assert await kept.rest() == b""
        async with admin.get(gateway.admin("/readyz")) as response:
            assert (response.status, (await response.json())["reason"]) == (503, "draining")
        with pytest.raises(ConnectionError):
            await gateway.call()
        slow.go_on.set()
        assert [await stream.chunk(), await stream.chunk()] == [b"ended", b""]
        assert await gateway.ended() == 0
        messages = [line["message"] for line in gateway.lines()]
        assert messages[-2:] == ["draining, at most 30 s", "ended"]
        assert len(gateway.out.splitlines()) == 2  # the access log was written to its end


@pytest.mark.parametrize("cut_by", ["second signal", "time"])
async def test_a_drain_that_is_cut(cut_by: str, tmp_path: Path) -> None:
    """A second SIGTERM, or the end of `shutdown.drain`, cuts what is left; that too is an orderly end: 0."""
    slow = Slow()
    drain = "60s" if cut_by == "second signal" else "100ms"
    async with (
        Backend(slow) as backend,
        running(tmp_path, backend.url, shutdown={"drain": drain}) as gateway,
        contextlib.AsyncExitStack() as stack,
    ):
        await gateway.started()
        stream = await begin_stream(gateway, stack)
        gateway.process.send_signal(signal.SIGTERM)
        if cut_by == "second signal":
            await settled(lambda: b"draining" in gateway.err)
            gateway.process.send_signal(signal.SIGTERM)
        assert not (await stream.rest()).endswith(b"0\r\n\r\n")
        assert await gateway.ended() == 0
        (line,) = [json.loads(line) for line in gateway.out.splitlines()]
        assert line["path"] == "/stream"
        if cut_by == "time":
            assert any(line["message"].startswith("cutting 1 connection") for line in gateway.lines())


@pytest.mark.parametrize("key", ["listen", "admin"])
async def test_an_address_in_use(key: str, tmp_path: Path) -> None:
    """Exit code 1 and one line that names the key, the address and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with running(tmp_path, "http://127.0.0.1:9", **{key: address}) as gateway:
            assert await gateway.ended() == 1
    (line,) = gateway.err.decode().splitlines()
    assert f"{key}: {address} is in use" in line
    assert gateway.out == b""


async def test_a_bad_configuration(tmp_path: Path) -> None:
    """Exit code 2 and every mistake with its place; nothing has been started."""
    pools = {"default": {"backends": ["ftp://127.0.0.1"], "policy": "fastest"}}
    async with running(tmp_path, pools=pools, listne="x") as gateway:
        assert await gateway.ended() == 2
    text = gateway.err.decode()
    assert "Traceback" not in text
    for part in ("listne", "pools.default.policy", "fastest", "ftp://127.0.0.1", "gateway.yaml:"):
        assert part in text


async def test_the_first_request_is_answered(tmp_path: Path) -> None:
    """Whoever gets a connection, however early, gets an answer from a backend that nobody has checked yet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = free.getsockname()

    async def connect() -> Caller:
        while True:
            try:
                return Caller(*await asyncio.open_connection(*address))
            except ConnectionRefusedError:
                await asyncio.sleep(0.001)

    async with Backend(answers(ok(b"first"))) as backend:
        pools = {"default": {"backends": [backend.url]}}
        listen = f"{address[0]}:{address[1]}"
        async with running(tmp_path, pools=pools, listen=listen) as gateway, asyncio.timeout(20):
            async with await connect() as client:
                await client.send(post())
                got = await client.reader.read(65536)
            gateway.process.terminate()
            await gateway.ended()
    assert got.startswith(b"HTTP/1.1 200 "), gateway.err.decode()


async def test_secrets_are_written_nowhere(tmp_path: Path) -> None:
    """What clients and the environment keep secret is in no log, metric, decision, page or error, whatever
    happens to the request."""

    async def handler(conversation: Conversation) -> None:
        while request := await conversation.request():
            if b"/reset" in request:
                conversation.abort()
            elif b"/broken" in request:
                await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n")
            elif b"/error" in request:
                await conversation.send(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
            else:
                await conversation.send(ok())

    fields = (f"Authorization: Bearer {CANARY}", f"Cookie: session={CANARY}", f"X-Api-Key: {CANARY}")
    body = json.dumps({"model": "demo", "messages": [{"role": "user", "content": CANARY}]}).encode()
    paths = ("/v1/chat/completions", f"/v1/embeddings?key={CANARY}", "/reset", "/broken", "/error")
    malformed = [
        post(body, "/", *fields, "Transfer-Encoding: chunked"),
        post(body, "/", *fields, f"Bad Name: {CANARY}"),
        get(f"/ {CANARY}", *fields),
        post(b"x" * 2000, "/", *fields, f"Expect: {CANARY}"),
    ]
    seen: list[Answer] = []
    async with (
        Backend(handler) as backend,
        running(
            tmp_path, backend.url, log={"level": "debug"}, limits={"max_body": 1000, "max_connections": 50}
        ) as gateway,
        aiohttp.ClientSession() as admin,
    ):
        await gateway.started()
        for request in [post(body, path, *fields) for path in paths] + malformed:
            async with await gateway.call() as client:
                seen.append(await client.ask(request))
        async with await gateway.call() as client:  # one that leaves in the middle
            await client.send(post(body, "/", *fields)[:-10])
        pages = []
        for path in ("/", "/metrics", "/api/status", "/api/pools", "/api/decisions?limit=100"):
            async with admin.get(gateway.admin(path)) as response:
                assert response.status == 200
                pages.append(await response.text())
        gateway.process.send_signal(signal.SIGTERM)
        assert await gateway.ended() == 0
    assert [answer.status for answer in seen[:5]] == [200, 200, 502, 502, 500]
    assert all(answer.status in (400, 413, 417) for answer in seen[5:])
    assert len(gateway.out.splitlines()) == len(seen) + 1
    written = [*pages, gateway.out.decode(), gateway.err.decode(), *(repr(answer) for answer in seen)]
    assert [text for text in written if CANARY in text] == []
    assert b"Traceback" not in gateway.err


async def test_the_command_is_the_same_program(tmp_path: Path) -> None:
    """`gateway` and `python -m gateway` start alike; without a file both say what a file could look like."""
    missing = tmp_path / "absent.yaml"
    command = Path(sys.executable).with_name("gateway")
    starts = [[str(command)], [sys.executable, "-m", "gateway"]]
    said = []
    for start in starts:
        process = await asyncio.create_subprocess_exec(
            *(*start, "run", "-c", str(missing)), stderr=asyncio.subprocess.PIPE, env={**os.environ}
        )
        _, err = await process.communicate()
        said.append((process.returncode, err))
    assert said[0] == said[1]
    assert said[0][0] == 2 and b"absent.yaml" in said[0][1]
