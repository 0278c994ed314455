"""Probes go out at once, on time, to whom they should, and whatever they meet is a result."""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.health.checker import HealthChecker, Target, pause_s
from gateway.health.probes import Probed
from gateway.health.state import HealthRule, Phase
from gateway.pool.backend import Backend, BackendSpec
from gateway.tasks import Tasks

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
QUICK = HealthRule(interval_s=0.02, timeout_s=2.0, rise=2, fall=3)


class Results:
    """What was reported, and a way to wait for it; passes results on to the backend's health."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bool, str]] = []
        self._changed = asyncio.Event()

    def __call__(self, backend: Probed, ok: bool, detail: str) -> None:
        backend.health.observe(ok, 0.0)
        self.seen.append((backend.name, ok, detail))
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def of(self, name: str) -> list[tuple[bool, str]]:
        return [(ok, detail) for who, ok, detail in self.seen if who == name]


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[TestServer]:
    app = web.Application()
    app.router.add_get("/{tail:.*}", handler)
    server = TestServer(app, scheme="https" if tls else "http")
    await server.start_server(ssl=tls)
    try:
        yield server
    finally:
        await server.close()


@asynccontextmanager
async def checking(results: Results, *targets: Target) -> AsyncIterator[HealthChecker]:
    tasks = Tasks()
    checker = HealthChecker(tasks, results, random.Random(1))
    await checker.start(targets)
    try:
        yield checker
    finally:
        await checker.close()
        await tasks.close()


def backend_at(url: str, name: str = "a", rule: HealthRule = QUICK) -> Backend:
    return Backend("chat", BackendSpec(url, name), rule)


async def one_result(url: str, rule: HealthRule, tls: ssl.SSLContext | None = None) -> tuple[bool, str]:
    results = Results()
    async with checking(results, Target(backend_at(url, rule=rule), rule, tls)):
        await results.until(lambda: bool(results.seen))
    return results.of("a")[0]


async def ok(request: web.Request) -> web.StreamResponse:
    return web.Response(text="fine")


async def test_the_first_probe_goes_out_at_once() -> None:
    """With an interval of a minute the first result is there long before; one good probe means up."""
    rule = HealthRule(interval_s=60.0)
    async with serving(ok) as server:
        backend, results = backend_at(str(server.make_url("")), rule=rule), Results()
        async with checking(results, Target(backend, rule)):
            async with asyncio.timeout(10):
                await results.until(lambda: backend.health.phase is Phase.UP)
    assert results.of("a") == [(True, "/health answered 200")]


async def test_a_probe_asks_for_the_health_path_and_says_who_asks() -> None:
    """GET, below the backend's own prefix, with its Host, a User-Agent, no cookies kept."""
    asked: list[tuple[str, str, str | None, str | None]] = []

    async def record(request: web.Request) -> web.StreamResponse:
        headers = request.headers
        asked.append((request.method, request.path, headers.get("User-Agent"), headers.get("Cookie")))
        response = web.Response()
        response.set_cookie("session", "x")
        return response

    async with serving(record) as server:
        results = Results()
        backend = backend_at(str(server.make_url("/models/a")))
        async with checking(results, Target(backend, QUICK)):
            await results.until(lambda: len(results.seen) >= 2)
    assert set(asked) == {("GET", "/models/a/health", "model-gateway/health", None)}


@pytest.mark.parametrize(
    ("status", "expect", "fit"), [(204, "200-399", True), (503, "200-399", False), (404, "404", True)]
)
async def test_the_status_decides(status: int, expect: str, fit: bool) -> None:
    """Expected statuses are fit, others are not, and the reason names both."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    async with serving(answer) as server:
        result, why = await one_result(str(server.make_url("")), HealthRule(expect=expect))
    assert result is fit
    assert f"answered {status}" in why
    assert fit or expect in why


async def test_redirects_are_answers() -> None:
    """A 302 is judged as a 302; where it points nobody goes."""
    paths: list[str] = []

    async def redirect(request: web.Request) -> web.StreamResponse:
        paths.append(request.path)
        raise web.HTTPFound("/login")

    async with serving(redirect) as server:
        rule = HealthRule(expect="200")
        assert await one_result(str(server.make_url("")), rule) == (
            False,
            "/health answered 302, expected 200",
        )
    assert paths == ["/health"]


async def test_silence_is_a_failure() -> None:
    """A server that never answers fails the probe at the probe's own timeout."""

    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(hang) as server:
        rule = HealthRule(timeout_s=0.05)
        assert await one_result(str(server.make_url("")), rule) == (False, "no answer within 0.05 s")


async def test_a_refused_connection_is_a_failure(unused_tcp_port: int) -> None:
    """Nobody listens: three bad probes and it is down, with a reason without addresses."""
    backend, results = backend_at(f"http://127.0.0.1:{unused_tcp_port}"), Results()
    async with checking(results, Target(backend, QUICK)):
        await results.until(lambda: backend.health.phase is Phase.DOWN)
    ok_, why = results.of("a")[0]
    assert (ok_, why) == (False, "cannot connect: Connection refused")


async def test_a_name_that_does_not_exist_is_a_failure() -> None:
    """A backend whose name is not found yet is a failed probe like any other."""
    fit, why = await one_result("http://no-such-host.invalid:8000", HealthRule(timeout_s=5.0))
    assert not fit
    assert why.startswith(("cannot connect: ", "no answer within"))


async def test_something_that_is_not_http_is_a_failure() -> None:
    """Garbage and a closed connection are results, not crashes."""
    answers = iter([b"SSH-2.0-OpenSSH\r\n\r\n", b""])

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(next(answers, b""))
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        results = Results()
        backend = backend_at(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with checking(results, Target(backend, QUICK)):
            await results.until(lambda: len(results.seen) >= 2)
    (first, _), (second, why) = results.of("a")[:2]
    assert (first, second) == (False, False)
    assert why == "closed the connection without an answer"


async def test_certificates_are_checked_against_the_backends_own_authority() -> None:
    """With its CA the probe passes, with the usual ones it fails and says why."""
    authority = trustme.CA()
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server_tls)
    client_tls = ssl.create_default_context()
    authority.configure_trust(client_tls)
    async with serving(ok, server_tls) as server:
        url = f"https://127.0.0.1:{server.port}"
        assert await one_result(url, HealthRule(), client_tls) == (True, "/health answered 200")
        fit, why = await one_result(url, HealthRule())
    assert not fit
    assert why.startswith("certificate not accepted: ")


async def test_a_backend_that_falls_and_recovers_is_followed() -> None:
    """Up, then down after bad answers, then up again after good ones."""
    status = 200

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    async with serving(answer) as server:
        backend, results = backend_at(str(server.make_url(""))), Results()
        async with checking(results, Target(backend, QUICK)):
            await results.until(lambda: backend.health.phase is Phase.UP)
            status = 500
            await results.until(lambda: backend.health.phase is Phase.DOWN)
            status = 200
            await results.until(lambda: backend.health.phase is Phase.UP)


async def test_an_update_adds_removes_and_leaves_the_rest_alone() -> None:
    """The kept one goes on in its loop, the removed one hears no more, the new one is asked at once."""
    slow = HealthRule(interval_s=60.0)
    async with serving(ok) as server:
        url, results = str(server.make_url("")), Results()
        kept = Target(backend_at(url, "kept", slow), slow)
        gone = Target(backend_at(url, "gone"), QUICK)
        new = Target(backend_at(url, "new"), QUICK)
        async with checking(results, kept, gone) as checker:
            await results.until(lambda: bool(results.of("kept") and results.of("gone")))
            checker.update([Target(kept.backend, HealthRule(interval_s=60.0)), new])
            before = len(results.of("gone"))
            await results.until(lambda: len(results.of("new")) >= 5)
            assert len(results.of("gone")) == before
            assert len(results.of("kept")) == 1
            checker.update([])
            assert repr(checker) == "<HealthChecker 0 backends>"


async def test_changed_rules_take_effect() -> None:
    """The same backend with another path is asked there from now on."""
    paths: list[str] = []

    async def record(request: web.Request) -> web.StreamResponse:
        paths.append(request.path)
        return web.Response()

    async with serving(record) as server:
        backend, results = backend_at(str(server.make_url(""))), Results()
        async with checking(results, Target(backend, HealthRule(interval_s=60.0))) as checker:
            await results.until(lambda: bool(results.seen))
            checker.update([Target(backend, HealthRule("/ready", interval_s=60.0))])
            await results.until(lambda: len(results.seen) == 2)
    assert paths == ["/health", "/ready"]


async def test_a_crash_in_the_report_does_not_end_the_probing(caplog: pytest.LogCaptureFixture) -> None:
    """The loop is started again, and the crash is in the log."""
    results = Results()
    calls = 0

    class Crashing(Results):
        def __call__(self, backend: Probed, ok: bool, detail: str) -> None:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise LookupError("no such pool")
            results(backend, ok, detail)

    async with serving(ok) as server:
        backend = backend_at(str(server.make_url("")))
        async with checking(Crashing(), Target(backend, QUICK)):
            await results.until(lambda: bool(results.seen))
    assert "health chat/a failed" in caplog.text


async def test_closing_ends_every_loop() -> None:
    """Even in the middle of a probe that would never be answered."""
    arrived = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(hang) as server:
        tasks, rule = Tasks(), HealthRule(timeout_s=600.0)
        checker = HealthChecker(tasks, Results(), random.Random(1))
        await checker.start([Target(backend_at(str(server.make_url("")), rule=rule), rule)])
        await arrived.wait()
        async with asyncio.timeout(10):
            await checker.close()
        assert repr(tasks) == "<Tasks []>"
        await checker.close()


def test_pauses_are_spread_and_short_while_undecided() -> None:
    """A tenth around the interval; a random part of it after the first probe; about a second in doubt."""
    rng = random.Random(1)
    usual = [pause_s(5.0, True, False, rng) for _ in range(500)]
    first = [pause_s(5.0, True, True, rng) for _ in range(500)]
    doubt = [pause_s(5.0, False, first, rng) for first in (True, False) for _ in range(500)]
    assert 4.5 <= min(usual) < 4.6 < 5.4 < max(usual) <= 5.5
    assert 0.0 <= min(first) < 0.5 < 4.5 < max(first) <= 5.0
    assert 0.9 <= min(doubt) < 0.95 < 1.05 < max(doubt) <= 1.1
    assert pause_s(0.2, False, False, rng) <= 0.22
