"""Are backends reached over TLS, and only those whose certificate is right?"""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
import websockets

from tests.harness import (
    CHUNKED,
    Backend,
    Conversation,
    answers,
    ask,
    call,
    chunk,
    gateway,
    get,
    left_over,
    ok,
    outcomes,
    post,
    settled,
    state,
    url,
)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The authority's certificate as a file."""
    path: Path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def server(authority: trustme.CA) -> ssl.SSLContext:
    """What a server called localhost presents."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def tls_pool(target: str, **tls: Any) -> dict[str, Any]:
    return {"default": {"backends": [{"url": target, "tls": tls}], "health": {"path": None}}}


async def test_a_trusted_backend_is_reached(ca: str, server: ssl.SSLContext) -> None:
    """With its authority given, requests pass both ways, connections are kept, and HTTP/1.1 is agreed on."""
    protocols = []

    async def handler(conversation: Conversation) -> None:
        protocols.append(conversation.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        while request := await conversation.request():
            await conversation.send(ok(request.partition(b"\r\n\r\n")[2]))

    async with Backend(handler, server) as backend, gateway(pools=tls_pool(backend.url, ca=ca)) as app:
        async with await call(app) as client:
            for size in (0, 10, 200_000, 1_000_000):
                body = bytes(range(256)) * (size // 256)
                answer = await client.ask(post(body))
                assert (answer.status, answer.body) == (200, body)
        assert len(backend.conversations) == 1
        assert f"\r\nHost: localhost:{backend.port}\r\n".encode() in backend.requests[0]
        assert protocols == ["http/1.1"]
        assert outcomes(app) == {"ok": 4}


async def test_a_stream_over_tls(ca: str, server: ssl.SSLContext) -> None:
    """Chunks arrive one by one, and a client that goes ends the backend's connection."""
    received = [asyncio.Event() for _ in range(3)]

    async def handler(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(CHUNKED)
        for number, event in enumerate(received):
            await conversation.send(chunk(b"%d" % number))
            await event.wait()
        await conversation.reader.read()

    async with Backend(handler, server) as backend, gateway(pools=tls_pool(backend.url, ca=ca)) as app:
        async with await call(app) as client:
            await client.send(post())
            await client.head()
            for number, event in enumerate(received):
                assert await client.chunk() == b"%d" % number
                event.set()
        await settled(lambda: not left_over(app))
        await settled(backend.conversations[0].writer.transport.is_closing)
        assert outcomes(app) == {"cancelled": 1}


async def test_a_websocket_over_tls(ca: str, server: ssl.SSLContext) -> None:
    """A tunnel to a backend behind TLS, for a client without."""

    async def echo(socket: websockets.ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    async with websockets.serve(echo, "127.0.0.1", 0, ssl=server) as backend:
        port = next(iter(backend.sockets)).getsockname()[1]
        async with gateway(pools=tls_pool(f"https://localhost:{port}", ca=ca)) as app:
            async with websockets.connect(url(app).replace("http", "ws")) as socket:
                for message in ("text", b"\x00\x01", "x" * 300_000):
                    await socket.send(message)
                    assert await socket.recv() == message
            await settled(lambda: not left_over(app))


async def refused_by_us(pools: dict[str, Any], backend: Backend) -> None:
    """The gateway refuses the backend: 502 connect_error, and the backend has read nothing."""
    async with gateway(pools=pools) as app, await call(app) as client:
        answer = await client.ask(post(b"secret"))
        assert (answer.status, answer["x-gateway-error"]) == (502, "connect_error")
        assert "TLS" in answer.json()["error"]["message"]
        assert backend.requests == []
        assert outcomes(app) == {"connect_error": 1}
        client.drop()
        await settled(lambda: not left_over(app))


async def test_an_unknown_authority(server: ssl.SSLContext) -> None:
    """A certificate that nobody we know has signed is refused: the request does not leave."""
    async with Backend(answers(ok()), server) as backend:
        await refused_by_us(tls_pool(backend.url), backend)


async def test_another_authority(server: ssl.SSLContext, tmp_path: Path) -> None:
    """With an authority of one's own given, no other counts."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    async with Backend(answers(ok()), server) as backend:
        await refused_by_us(tls_pool(backend.url, ca=str(other)), backend)


async def test_a_wrong_host_name(ca: str, server: ssl.SSLContext) -> None:
    """A certificate for localhost is none for 127.0.0.1."""
    async with Backend(answers(ok()), server) as backend:
        await refused_by_us(tls_pool(f"https://127.0.0.1:{backend.port}", ca=ca), backend)


async def test_no_tls_at_all(ca: str) -> None:
    """A backend that answers in plain HTTP where TLS is expected: 502, not a crash."""

    async def handler(conversation: Conversation) -> None:
        await conversation.reader.read(1)
        await conversation.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    async with Backend(handler) as backend:
        await refused_by_us(tls_pool(f"https://localhost:{backend.port}", ca=ca), backend)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_checking_may_be_switched_off(host: str, server: ssl.SSLContext) -> None:
    """`verify: off` takes any certificate under any name."""
    async with (
        Backend(answers(ok()), server) as backend,
        gateway(pools=tls_pool(f"https://{host}:{backend.port}", verify=False)) as app,
    ):
        assert await ask(app, 2, get()) == [200, 200]


async def test_checks_use_the_same_tls(ca: str, server: ssl.SSLContext) -> None:
    """Health checks trust what requests trust: up with the right authority, down without."""
    health = {"interval": "50ms", "fall": 1}
    async with Backend(answers(ok()), server) as backend:
        right = {"url": backend.url, "name": "right", "tls": {"ca": ca}}
        wrong = {"url": backend.url, "name": "wrong"}
        async with gateway(pools={"default": {"backends": [right, wrong], "health": health}}) as app:
            await settled(lambda: state(app, "right") == "up" and state(app, "wrong") == "down")
            assert "certificate" in app.pools["default"].backend("wrong").why
