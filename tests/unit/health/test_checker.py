"""Probes go out at once, on time, to whom they should, and not where traffic has answered already."""

import asyncio
import random

import pytest
from aiohttp import web

from gateway.health import checker
from gateway.health.checker import MOST_SKIPPED, HealthChecker, Target, pause_s, proven_for_s
from gateway.health.probes import Probed, tcp
from gateway.health.state import HealthRule, Phase, Result
from gateway.tasks import Tasks
from tests.unit.health.served import Machine, Results, backend_at, checking, ok, serving

QUICK = HealthRule(interval_s=0.02, timeout_s=2.0, rise=2, fall=3)
SLOW = HealthRule(interval_s=60.0)


async def test_the_first_probe_goes_out_at_once() -> None:
    """With an interval of a minute the first result is there long before; one good probe means up."""
    async with serving(ok) as server:
        backend, results = backend_at(str(server.make_url("")), rule=SLOW), Results()
        async with checking(results, Target(backend, SLOW)):
            async with asyncio.timeout(10):
                await results.until(lambda: backend.health.phase is Phase.UP)
    assert results.seen == [("a", "success", "/health answered 200")]


async def test_probes_say_who_asks_and_keep_nothing() -> None:
    """A User-Agent, no cookies, and no compression: an answer may have to be read."""
    asked: list[tuple[str | None, ...]] = []

    async def record(request: web.Request) -> web.StreamResponse:
        asked.append(tuple(request.headers.get(name) for name in ("User-Agent", "Cookie", "Accept-Encoding")))
        response = web.Response()
        response.set_cookie("session", "x")
        return response

    async with serving(record) as server:
        results = Results()
        async with checking(results, Target(backend_at(str(server.make_url(""))), QUICK)):
            await results.until(lambda: len(results.seen) >= 2)
    assert set(asked) == {("model-gateway/health", None, "identity")}


async def test_a_target_s_own_probe_is_used() -> None:
    """A connection is enough where the target says so: this server has no health path."""

    async def lost(request: web.Request) -> web.StreamResponse:
        raise web.HTTPNotFound

    async with serving(lost) as server:
        results = Results()
        async with checking(results, Target(backend_at(str(server.make_url(""))), SLOW, probe=tcp)):
            await results.until(lambda: bool(results.seen))
    assert results.seen == [("a", "success", "accepts connections")]


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


# Left out, because traffic has answered.


class Pooled(Results):
    """As a pool does it: a backend whose probes say that it is up is in state up."""

    def __call__(self, backend: Probed, result: Result, detail: str) -> None:
        super().__call__(backend, result, detail)
        assert isinstance(backend, Machine)
        backend.state = "up" if backend.health.phase is Phase.UP else "down"


async def test_probes_are_left_out_while_traffic_is_answered_but_not_for_ever() -> None:
    """After the first verdict five are skipped, then one is made, and so on: a leaving server is heard."""
    asked = 0

    async def count(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return web.Response()

    async with serving(count) as server:
        backend, results = backend_at(str(server.make_url(""))), Pooled()
        backend.answered_at = 100.0
        async with checking(results, Target(backend, QUICK), now=lambda: 100.0):
            await results.until(lambda: len(results.seen) >= 13)
    round_: list[Result] = ["success", *["skipped"] * MOST_SKIPPED]
    assert results.of("a")[:13] == [*round_, *round_, "success"]
    assert asked == 3


async def test_a_failed_probe_ends_the_skipping() -> None:
    """However well traffic goes: once a probe speaks against the backend, the next ones decide."""
    status = 200

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal status
        status, now = 500, status
        return web.Response(status=now)

    async with serving(answer) as server:
        backend, results = backend_at(str(server.make_url(""))), Pooled()
        backend.answered_at = 100.0
        async with checking(results, Target(backend, QUICK), now=lambda: 100.0):
            await results.until(lambda: backend.health.phase is Phase.DOWN)
    assert results.of("a") == ["success", *["skipped"] * MOST_SKIPPED, *["failure"] * 3]


def probed(state: str, answered_at: float, results: str = "+") -> Machine:
    """A backend in that state, after good (+) and bad (-) probes."""
    backend = backend_at("http://a.test")
    for result in results:
        backend.health.observe("success" if result == "+" else "failure", 0.0)
    backend.state, backend.answered_at = state, answered_at
    return backend


def test_an_answer_proves_a_backend_well_for_an_interval() -> None:
    """Counted from the answer, not from when somebody looks."""
    backend = probed("up", 98.0)
    assert proven_for_s(backend, 5.0, 98.0) == 5.0
    assert proven_for_s(backend, 5.0, 100.0) == 3.0
    assert proven_for_s(backend, 5.0, 103.0) <= 0.0


@pytest.mark.parametrize("state", ["down", "ejected", "draining", "starting"])
def test_only_a_backend_that_is_up_is_proven_by_traffic(state: str) -> None:
    """What is out must be asked how it is."""
    assert proven_for_s(probed(state, 100.0), 5.0, 100.0) <= 0.0


@pytest.mark.parametrize("results", ["", "+-"])
def test_a_backend_in_doubt_is_asked(results: str) -> None:
    """Not probed to a verdict, or a probe speaks against it."""
    assert proven_for_s(probed("up", 100.0, results), 5.0, 100.0) <= 0.0


def test_never_answered_is_no_proof_however_young_the_clock() -> None:
    """A machine that was just started counts its seconds from nothing."""
    assert proven_for_s(probed("up", 0.0), 5.0, 1.0) <= 0.0


# Loops.


async def test_an_update_adds_removes_and_leaves_the_rest_alone() -> None:
    """The kept one goes on in its loop, the removed one hears no more, the new one is asked at once."""
    async with serving(ok) as server:
        url, results = str(server.make_url("")), Results()
        kept = Target(backend_at(url, "kept", SLOW), SLOW)
        gone = Target(backend_at(url, "gone"), QUICK)
        new = Target(backend_at(url, "new"), QUICK)
        async with checking(results, kept, gone) as running:
            await results.until(lambda: bool(results.of("kept") and results.of("gone")))
            running.update([Target(kept.backend, HealthRule(interval_s=60.0)), new])
            before = len(results.of("gone"))
            await results.until(lambda: len(results.of("new")) >= 5)
            assert len(results.of("gone")) == before
            assert len(results.of("kept")) == 1
            running.update([])
            assert repr(running) == "<HealthChecker 0 backends>"


async def test_changed_rules_take_effect() -> None:
    """The same backend with another path is asked there from now on."""
    paths: list[str] = []

    async def record(request: web.Request) -> web.StreamResponse:
        paths.append(request.path)
        return web.Response()

    async with serving(record) as server:
        backend, results = backend_at(str(server.make_url(""))), Results()
        async with checking(results, Target(backend, SLOW)) as running:
            await results.until(lambda: bool(results.seen))
            running.update([Target(backend, HealthRule("/ready", interval_s=60.0))])
            await results.until(lambda: len(results.seen) == 2)
    assert paths == ["/health", "/ready"]


async def test_a_crash_in_the_report_does_not_end_the_probing(caplog: pytest.LogCaptureFixture) -> None:
    """The loop is started again, and the crash is in the log."""
    results = Results()
    calls = 0

    class Crashing(Results):
        def __call__(self, backend: Probed, result: Result, detail: str) -> None:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise LookupError("no such pool")
            results(backend, result, detail)

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
        running = HealthChecker(tasks, Results(), random.Random(1))
        await running.start([Target(backend_at(str(server.make_url("")), rule=rule), rule)])
        await arrived.wait()
        async with asyncio.timeout(10):
            await running.close()
        assert repr(tasks) == "<Tasks []>"
        await running.close()


async def test_only_the_first_pause_is_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """After that the interval is kept."""
    asked: list[tuple[float, bool, bool]] = []

    def pause(interval_s: float, settled: bool, first: bool, rng: random.Random) -> float:
        asked.append((interval_s, settled, first))
        return 0.0

    monkeypatch.setattr(checker, "pause_s", pause)
    async with serving(ok) as server:
        results = Results()
        async with checking(results, Target(backend_at(str(server.make_url(""))), SLOW)):
            await results.until(lambda: len(results.seen) >= 4)
    assert asked[:3] == [(60.0, True, True), (60.0, True, False), (60.0, True, False)]


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
