"""Does the demo server behave like a real model server, over real sockets?"""

import asyncio
import hashlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest
from yarl import URL

from gateway.demo.model import load_model
from gateway.demo.options import ServerOptions
from gateway.demo.server import NAME_HEADER, Running, start

MODEL = load_model()
FAST = ServerOptions(tokens_per_second=0, prefill_tokens_per_second=0)
HELLO = [{"role": "user", "content": "What is a health check?"}]
ENDLESS = {"messages": HELLO, "max_tokens": 5000, "ignore_eos": True, "stream": True}

Starter = Callable[[ServerOptions], Awaitable[Running]]


@pytest.fixture
async def begin() -> AsyncIterator[Starter]:
    """Starts servers that are closed after the test."""
    servers: list[Running] = []

    async def one(options: ServerOptions = FAST) -> Running:
        servers.append(await start(options, MODEL))
        return servers[-1]

    yield one
    for server in servers:
        await server.close()


@pytest.fixture
async def server(begin: Starter) -> Running:
    return await begin(FAST)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def until(true: Callable[[], bool]) -> None:
    """Wait for a state that must come; the test's time limit ends a wait for one that does not."""
    while not true():  # noqa: ASYNC110 - the states of a server under test set no event
        await asyncio.sleep(0.005)


def settled(server: Running) -> bool:
    return server.stats.in_flight == 0


async def test_raw_stream(server: Running, http: aiohttp.ClientSession) -> None:
    """Server-sent events, one JSON object each, ended by [DONE]."""
    body = {"messages": HELLO, "stream": True, "max_tokens": 3}
    async with http.post(server.url + "/v1/chat/completions", json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers[NAME_HEADER] == "demo"
        events = (await response.text()).split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    kinds = {json.loads(event.removeprefix("data: "))["object"] for event in events[:-2]}
    assert kinds == {"chat.completion.chunk"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/chat/completions", b"{", 400),
        ("POST", "/v1/chat/completions", b"{}", 400),
        ("POST", "/v1/chat/completions", b'{"messages": [{"role": "user", "content": "\\ud800"}]}', 400),
        ("GET", "/v1/chat/completions", b"", 405),
        ("POST", "/v1/embeddings", b'{"input": "a", "dimensions": 1000}', 400),
        ("GET", "/v1/realtime", b"", 400),
        ("GET", "/nowhere", b"", 404),
    ],
)
async def test_errors_have_openais_form(
    server: Running, http: aiohttp.ClientSession, method: str, path: str, body: bytes, status: int
) -> None:
    """Whatever goes wrong, the body is OpenAI's error object."""
    async with http.request(method, server.url + path, data=body) as response:
        error = (await response.json())["error"]
    assert response.status == status
    assert set(error) == {"message", "type", "param", "code"}


async def test_echo(server: Running, http: aiohttp.ClientSession) -> None:
    """A proxy's tests can see what arrived, byte for byte."""
    body = b"x" * 300_000
    headers = [("X-Two", "a"), ("X-Two", "b")]
    url = URL(server.url + "/echo/a%2Fb?q=%20z&q", encoded=True)
    async with http.request("PATCH", url, data=body, headers=headers) as response:
        seen = await response.json()
    assert (seen["method"], seen["path"], seen["length"]) == ("PATCH", "/echo/a%2Fb?q=%20z&q", 300_000)
    assert seen["sha256"] == hashlib.sha256(body).hexdigest()
    assert [pair for pair in seen["headers"] if pair[0] == "X-Two"] == [["X-Two", "a"], ["X-Two", "b"]]


async def test_realtime(server: Running, http: aiohttp.ClientSession) -> None:
    """A text comes back, then frames of sound, then `done`; binary comes back as it is."""
    async with http.ws_connect(server.url + "/v1/realtime?frames=2") as ws:
        await ws.send_str("hello")
        got = [await ws.receive(timeout=5) for _ in range(4)]
        await ws.send_bytes(b"abc")
        assert await ws.receive_bytes(timeout=5) == b"abc"
    assert [message.type for message in got] == [
        aiohttp.WSMsgType.TEXT,
        aiohttp.WSMsgType.BINARY,
        aiohttp.WSMsgType.BINARY,
        aiohttp.WSMsgType.TEXT,
    ]
    assert (got[0].data, got[3].data) == ("hello", "done")
    await until(lambda: server.stats.completed == 1)


async def test_start_up_time(begin: Starter, http: aiohttp.ClientSession) -> None:
    """Until the model is loaded, health says so and requests are refused with a time to come back."""
    loading = await begin(ServerOptions(startup_time_s=0.3))
    async with http.get(loading.url + "/health") as response:
        assert (response.status, await response.json()) == (503, {"status": "loading"})
    async with http.post(loading.url + "/v1/chat/completions", json={"messages": HELLO}) as response:
        assert (response.status, response.headers["retry-after"]) == (503, "1")
    await until(lambda: not loading.service.loading)
    async with http.get(loading.url + "/health") as response:
        assert response.status == 200


# Slots, clients that leave, faults


async def test_slots_are_taken_in_order(begin: Starter, http: aiohttp.ClientSession) -> None:
    """One request is computed at once; a stream's headers come before its turn, its first byte after."""
    server = await begin(ServerOptions(slots=1, tokens_per_second=2000))
    url = server.url + "/v1/chat/completions"
    ended: list[int] = []

    async def ask(number: int) -> None:
        async with http.post(url, json=ENDLESS | {"max_tokens": 20}) as response:
            await response.read()
            ended.append(number)

    async with http.post(url, json=ENDLESS) as first, asyncio.TaskGroup() as group:
        await first.content.readany()
        for number in range(3):
            group.create_task(ask(number))
            await until(lambda waiting=number + 1: server.stats.queued == waiting)
        assert (server.stats.running, server.stats.in_flight) == (1, 4)
        async with http.post(url, json=ENDLESS) as last:
            assert last.status == 200
            assert server.stats.queued == 4
        first.close()
    assert ended == [0, 1, 2]
    await until(lambda: settled(server))
    assert (server.stats.completed, server.stats.cancelled) == (3, 2)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("queued", [True, False])
async def test_client_that_leaves_frees_its_slot(
    begin: Starter, http: aiohttp.ClientSession, stream: bool, queued: bool
) -> None:
    """Generation stops at once when nobody listens any more, running or still queued."""
    server = await begin(ServerOptions(slots=1, tokens_per_second=10))
    url = server.url + "/v1/chat/completions"
    host, port = server.url.removeprefix("http://").split(":")
    body = json.dumps(ENDLESS | {"stream": stream}).encode()
    async with AsyncExitStack() as others:
        if queued:
            await others.enter_async_context(http.post(url, json=ENDLESS))
            await until(lambda: server.stats.running == 1)
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await until(lambda: (server.stats.queued if queued else server.stats.running) == 1)
        writer.transport.abort()
        await until(lambda: server.stats.cancelled == 1)
        assert (server.stats.in_flight, server.stats.running, server.stats.queued) == (queued, queued, 0)
    await until(lambda: settled(server))
    assert server.stats.completion_tokens < 100


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [("error", 500, "error"), ("overload", 429, "overload"), ("odd", 400, "bad_request")],
)
async def test_fault_on_demand(
    server: Running, http: aiohttp.ClientSession, fault: str, status: int, kind: str
) -> None:
    """A request can ask for its own failure, and the failure is counted under its name."""
    async with http.get(server.url + "/echo", headers={"x-demo-fault": fault}) as response:
        assert response.status == status
        assert response.headers.get("retry-after") == ("1" if fault == "overload" else None)
    assert server.stats.errors == {kind: 1}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": HELLO}),
        ("/v1/chat/completions", {"messages": HELLO, "stream": True}),
        ("/v1/embeddings", {"input": "hello"}),
        ("/v1/audio/speech", {"input": "hello"}),
        ("/echo", {}),
    ],
)
async def test_cut(server: Running, http: aiohttp.ClientSession, path: str, body: dict[str, object]) -> None:
    """The answer begins with 200 and breaks off before its end."""
    async with http.post(server.url + path, json=body, headers={"x-demo-fault": "cut"}) as response:
        assert response.status == 200
        assert await response.content.readany()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    await until(lambda: settled(server))
    assert server.stats.errors == {"cut": 1}


async def test_hang(server: Running, http: aiohttp.ClientSession) -> None:
    """Nothing ever comes, not even headers; it ends when the client gives up."""
    timeout = aiohttp.ClientTimeout(total=0.3)
    with pytest.raises(TimeoutError):
        await http.post(server.url + "/echo", headers={"x-demo-fault": "hang"}, timeout=timeout)
    await until(lambda: settled(server))
    assert server.stats.errors == {"hang": 1}


async def test_slow_is_slower(begin: Starter, http: aiohttp.ClientSession) -> None:
    """A slow answer is a tenth as fast: 5 tokens at 1000 a second take at least 50 ms."""
    server = await begin(ServerOptions(tokens_per_second=1000, prefill_tokens_per_second=0))
    loop = asyncio.get_running_loop()
    began = loop.time()
    body = {"messages": HELLO, "max_tokens": 5}
    async with http.post(
        server.url + "/v1/chat/completions", json=body, headers={"x-demo-fault": "slow"}
    ) as response:
        assert (await response.json())["usage"]["completion_tokens"] == 5
    assert loop.time() - began >= 0.05


async def test_fault_rates_and_counts(begin: Starter, http: aiohttp.ClientSession) -> None:
    """Faults fall by the dice, the same for the same seed, and every request is counted once."""
    options = ServerOptions(error_rate=0.4, cut_rate=0.3, seed=3)
    seen = []
    for server in (await begin(options), await begin(options)):
        for _ in range(30):
            async with http.get(server.url + "/echo") as response:
                try:
                    await response.read()
                except aiohttp.ClientPayloadError:
                    continue
        await until(lambda one=server: settled(one))
        async with http.get(server.url + "/stats") as response:
            seen.append(await response.json())
    assert seen[0] == seen[1]
    assert set(seen[0]["errors"]) == {"error", "cut"}
    assert seen[0]["requests"] == 30 == seen[0]["completed"] + sum(seen[0]["errors"].values())


async def test_fault_header_can_be_refused(begin: Starter, http: aiohttp.ClientSession) -> None:
    """A server that is not told to allow it passes the header over."""
    server = await begin(ServerOptions(allow_fault_header=False))
    async with http.get(server.url + "/echo", headers={"x-demo-fault": "error"}) as response:
        assert response.status == 200


# Start and end


async def test_close_with_grace(begin: Starter, http: aiohttp.ClientSession) -> None:
    """What is in flight may end before the server closes."""
    server = await begin(ServerOptions(tokens_per_second=200))
    body = ENDLESS | {"max_tokens": 10}
    async with http.post(server.url + "/v1/chat/completions", json=body) as response:
        await response.content.readany()
        async with asyncio.TaskGroup() as group:
            group.create_task(server.close(grace_s=10))
            assert (await response.read()).endswith(b"data: [DONE]\n\n")
    assert server.stats.completed == 1


async def test_close_cancels_what_hangs(begin: Starter, http: aiohttp.ClientSession) -> None:
    """What does not end by itself is cancelled, and its client sees the connection close."""
    server = await begin(FAST)

    async def ask() -> None:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await http.post(server.url + "/echo", headers={"x-demo-fault": "hang"})

    async with asyncio.TaskGroup() as group:
        group.create_task(ask())
        await until(lambda: server.stats.in_flight == 1)
        await server.close()
    assert server.stats.errors == {"hang": 1}


async def test_port_in_use(server: Running) -> None:
    """A port that somebody has is an OSError, and nothing is left open."""
    port = int(server.url.rpartition(":")[2])
    with pytest.raises(OSError, match="address already in use"):
        await start(ServerOptions(port=port), MODEL)
    with socket.create_connection(("127.0.0.1", port)):
        pass
