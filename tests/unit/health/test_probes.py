"""A probe asks one thing, and whatever it meets is a result in a few words."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
import trustme
from aiohttp import web

from gateway.health.probes import Probe, http, reason, tcp
from gateway.health.state import HealthRule
from tests.unit.health.served import ask, ok, serving

RULE = HealthRule(timeout_s=5.0)
every_probe = pytest.mark.parametrize("probe", [http, tcp])


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def refusing() -> Iterator[int]:
    """A port of 127.0.0.1 that nobody listens to, and nobody else can take."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@asynccontextmanager
async def talking(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """The port of a server that does what `talk` does, HTTP or not."""
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


# Asking.


async def test_the_health_path_is_asked_for_in_the_gateway_s_own_words() -> None:
    """GET, below the backend's own prefix, with its Host."""
    asked: list[tuple[str, str, str | None]] = []

    async def record(request: web.Request) -> web.StreamResponse:
        asked.append((request.method, request.path, request.headers.get("Host")))
        return web.Response()

    async with serving(record) as server:
        url = str(server.make_url("/models/a"))
        assert await ask(url, HealthRule("/ready")) == ("success", "/ready answered 200")
        assert asked == [("GET", "/models/a/ready", f"127.0.0.1:{server.port}")]


@pytest.mark.parametrize(
    ("status", "expect", "result"),
    [(204, "200-399", "success"), (503, "200-399", "failure"), (404, "404", "success")],
)
async def test_the_status_decides(status: int, expect: str, result: str) -> None:
    """Expected statuses are successes, others are not, and the reason names both."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    async with serving(answer) as server:
        came, why = await ask(str(server.make_url("")), HealthRule(expect=expect))
    assert came == result
    assert f"answered {status}" in why
    assert came == "success" or expect in why


async def test_redirects_are_answers() -> None:
    """A 302 is judged as a 302; where it points nobody goes."""
    paths: list[str] = []

    async def redirect(request: web.Request) -> web.StreamResponse:
        paths.append(request.path)
        raise web.HTTPFound("/login")

    async with serving(redirect) as server:
        came = await ask(str(server.make_url("")), HealthRule(expect="200"))
    assert came == ("failure", "/health answered 302, expected 200")
    assert paths == ["/health"]


async def test_a_503_is_a_failure_where_nothing_is_known_of_the_server() -> None:
    """Without a preset no status and no text means loading."""

    async def loading(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "Loading model"}}, status=503)

    async with serving(loading) as server:
        came, _ = await ask(str(server.make_url("")), RULE)
    assert came == "failure"


async def test_a_connection_is_opened_and_closed() -> None:
    """The TCP probe says nothing: it connects, and is gone."""
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set_result(await reader.read())
        writer.close()

    async with talking(listen) as port:
        assert await ask(f"http://127.0.0.1:{port}", RULE, probe=tcp) == ("success", "accepts connections")
        assert await heard == b""


# What goes wrong.


@every_probe
async def test_a_refused_connection_is_a_failure(probe: Probe, refusing: int) -> None:
    """The reason has no address in it, so that it is the same for each attempt."""
    came = await ask(f"http://127.0.0.1:{refusing}", RULE, probe=probe)
    assert came == ("failure", "cannot connect: Connection refused")


@every_probe
async def test_a_name_that_does_not_exist_is_a_failure(probe: Probe) -> None:
    """A backend whose name is not found yet is a failed probe like any other."""
    came, why = await ask("http://no-such-host.invalid:8000", RULE, probe=probe)
    assert came == "failure"
    assert why.startswith(("cannot connect: ", "no answer within"))


async def test_silence_is_a_failure() -> None:
    """A server that never answers fails the probe at the probe's own timeout."""

    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(hang) as server:
        came = await ask(str(server.make_url("")), HealthRule(timeout_s=0.05))
    assert came == ("failure", "no answer within 0.05 s")


async def test_a_handshake_that_is_not_answered_is_a_failure() -> None:
    """For the TCP probe too the timeout covers TLS: the port alone is not enough."""
    over = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    async with talking(hang) as port:
        came = await ask(f"https://127.0.0.1:{port}", HealthRule(timeout_s=0.05), probe=tcp)
        over.set()
    assert came == ("failure", "no answer within 0.05 s")


@pytest.mark.parametrize(
    ("answer", "why"),
    [(b"", "closed the connection without an answer"), (b"SSH-2.0-OpenSSH\r\n\r\n", None)],
)
async def test_something_that_is_not_http_is_a_failure(answer: bytes, why: str | None) -> None:
    """Garbage and a closed connection are results, not crashes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with talking(talk) as port:
        came, said = await ask(f"http://127.0.0.1:{port}", RULE)
    assert came == "failure"
    assert why is None or said == why


@every_probe
async def test_a_handshake_cut_short_is_a_failure(probe: Probe) -> None:
    """The other side accepts and closes at once."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with talking(cut) as port:
        came, why = await ask(f"https://127.0.0.1:{port}", RULE, probe=probe)
    assert came == "failure"
    assert why.startswith(
        ("closed the connection", "cannot connect: Connection reset", "TLS handshake failed")
    )


@every_probe
async def test_tls_to_a_server_without_it_is_a_failure(probe: Probe) -> None:
    """The reason speaks of TLS, not of the operating system's error with the same number."""
    async with serving(ok) as server:
        came, why = await ask(f"https://127.0.0.1:{server.port}", RULE, probe=probe)
    assert came == "failure"
    assert why.startswith("TLS handshake failed: ")


@every_probe
async def test_certificates_are_checked_against_the_backends_own_authority(
    probe: Probe, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """With its CA the probe passes, with the usual ones it fails and says why."""
    async with serving(ok, server_tls) as server:
        url = f"https://127.0.0.1:{server.port}"
        assert (await ask(url, RULE, client_tls, probe))[0] == "success"
        came, why = await ask(url, RULE, probe=probe)
    assert came == "failure"
    assert why.startswith("certificate not accepted: ")


def test_reasons_of_several_addresses_are_one() -> None:
    """A name with two addresses has two errors and no number: neither address belongs in the reason."""
    several = OSError("Multiple exceptions: [Errno 111] ('::1', 1), [Errno 111] ('127.0.0.1', 1)")
    assert reason(several, 2.0) == "cannot connect: none of its addresses answers"


def test_other_errors_are_named() -> None:
    """What has no words of its own shows its class."""
    assert reason(aiohttp.ClientPayloadError("cut"), 2.0) == "ClientPayloadError: cut"
