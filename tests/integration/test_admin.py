"""Does the admin side answer over real sockets what its manual says, and refuse what it should?"""

import asyncio
import json
import random
import re
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gateway import clock
from gateway.admin import server
from gateway.balancing.least_latency import LeastLatency
from gateway.cache.cache import Cache
from gateway.cache.key import KeyMaker
from gateway.cache.memory import MemoryStore
from gateway.cache.rules import CacheRule
from gateway.cache.scope import parse_scope
from gateway.messages import AttemptTrace, Exchange, Outcome
from gateway.pool.backend import BackendSpec
from gateway.pool.pool import Pool
from gateway.route_cache import RouteCache
from gateway.settings.load import from_dict
from gateway.settings.redacted import without_secrets
from gateway.telemetry.decisions import Decisions
from gateway.telemetry.exposition import Exposition
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.series import SERIES
from tests.unit.pool.asking import take

MANUAL = Path(__file__).parents[2] / "docs" / "admin.md"
ODD = "meta-llama/Llama-3@8b"
CONFIG = {
    "pools": {"chat": {"backends": ["http://10.0.0.1:8000"]}},
    "routes": [{"name": "chat", "match": {"headers": {"x-tier": "s3cret"}}, "pool": "chat"}],
}


class View:
    """A gateway with two pools, as the application shows it."""

    def __init__(self) -> None:
        self.version = "0.1.0"
        self.started = clock.now() - 12.5
        self.compiled = True
        self.config_hash = "5f1c9a0b7e21"
        self.configuration = without_secrets(from_dict(CONFIG))
        self.listeners = ["0.0.0.0:8080"]
        self.connections = 3
        self.draining = False
        self.reason = "ready"
        self.decisions = Decisions()
        self.metrics = Metrics(self.version)
        self.pools: Mapping[str, Pool] = {
            "chat": self._pool("chat", "gpu-1", "gpu-2", "gpu-3"),
            ODD: self._pool(ODD, "a/b"),
        }
        self.exposition = Exposition(self.metrics, lambda: self.pools.values())
        self.cache = Cache(MemoryStore(1 << 20), None, lambda name, work: work.close(), 1 << 20)
        self.cache.memory.figures.evictions["expired"] = 193
        maker = KeyMaker("embeddings", frozenset(("user",)), parse_scope("shared"), b"")
        route = self.metrics.route("embeddings")
        self.cached_routes = {"embeddings": RouteCache(CacheRule(), maker, self.cache, route, "", b"")}
        self._request()

    def _pool(self, name: str, *names: str) -> Pool:
        specs = [
            BackendSpec(f"http://10.0.0.{i}:8000", name=backend, labels={"zone": "b"})
            for i, backend in enumerate(names, 1)
        ]
        return Pool(name, specs, "least_latency", LeastLatency(), random.Random(1))

    def _request(self) -> None:
        now = clock.now()
        pool = self.pools["chat"]
        pool.drain("gpu-3", now)
        exchange = Exchange("POST", "/v1/chat/completions", "9f2c-1", "10.0.0.9", now)
        trace = AttemptTrace("chat", "least_latency", "", *pool.explain(now))
        lease = take(pool, now)
        lease.first_body_byte(now + 0.18)
        lease.close(Outcome.OK, now + 1.4)
        trace.backend, trace.outcome, trace.ended_s = lease.backend.name, Outcome.OK, 1.4
        exchange.decision = [trace]
        exchange.route, exchange.model, exchange.status, exchange.ended = "chat", "llama", 200, now + 1.4
        self.metrics.observe(exchange)
        self.decisions.add(exchange)

    def ready(self) -> tuple[bool, str]:
        return self.reason == "ready", self.reason


@pytest.fixture
def view() -> View:
    return View()


@pytest.fixture
async def session(view: View) -> AsyncIterator[aiohttp.ClientSession]:
    running = await server.start(view, "127.0.0.1", 0)
    host, port = running.address
    async with aiohttp.ClientSession(f"http://{host}:{port}") as client:
        yield client
    await running.close()


async def ask(session: aiohttp.ClientSession, path: str, method: str = "GET", **more) -> tuple[int, dict]:
    async with session.request(method, path, **more) as answer:
        assert answer.content_type == "application/json"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "aiohttp" not in answer.headers["Server"]
        return answer.status, await answer.json()


async def test_metrics_in_both_formats(session):
    """Prometheus text by default, OpenMetrics for those who ask; both parse and hold each labelled family."""
    async with session.get("/metrics") as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = {f.name: f for f in parse_text(await answer.text())}
    accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3"
    async with session.get("/metrics", headers={"Accept": accept}) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        openmetrics = {f.name: f for f in parse_openmetrics(await answer.text())}
    for series in SERIES:
        if series.labels:
            name = series.name.removesuffix("_total")
            assert name in text and name in openmetrics
    (sample,) = text["gateway_requests"].samples
    assert sample.value == 1 and sample.labels == {"route": "chat", "method": "POST", "code": "200"}


async def test_metrics_are_compressed_for_those_who_take_it(session):
    """A long scrape travels as gzip, and is the same text."""
    async with session.get("/metrics", headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert "gateway_build_info" in await answer.text()
    async with session.get("/metrics", headers={"Accept-Encoding": "identity"}) as answer:
        assert "Content-Encoding" not in answer.headers


async def test_health_and_readiness(session, view):
    """Alive whatever happens; ready only with somebody to serve, else 503 and the reason."""
    assert await ask(session, "/readyz") == (200, {"ready": True, "reason": "ready"})
    view.reason = "no backend of any pool can take work"
    assert await ask(session, "/readyz") == (503, {"ready": False, "reason": view.reason})
    assert await ask(session, "/healthz") == (200, {"status": "ok"})


async def test_status(session, view):
    """Version, uptime, configuration, addresses and load of this process."""
    view.draining = True
    status, told = await ask(session, "/api/status")
    assert status == 200
    assert told["version"] == "0.1.0" and told["compiled"] is True and told["config_hash"] == "5f1c9a0b7e21"
    assert told["listeners"] == ["0.0.0.0:8080"] and told["connections"] == 3
    assert told["draining"] is True and told["uptime_s"] >= 12.5


async def test_pools_and_one_pool(session):
    """The list holds what the single answers hold, names with slashes too, encoded or not."""
    _, told = await ask(session, "/api/pools")
    assert [pool["name"] for pool in told["pools"]] == ["chat", ODD]
    _, one = await ask(session, "/api/pools/chat")
    assert one["backends"][0]["name"] == "gpu-1"
    assert sum(backend["outcomes"]["ok"] for backend in one["backends"]) == 1
    for path in ("/api/pools/meta-llama/Llama-3@8b", "/api/pools/meta-llama%2FLlama-3%408b"):
        status, one = await ask(session, path)
        assert status == 200 and one["name"] == ODD


async def test_draining_and_back(session, view):
    """POST takes a backend out and brings it back; the answer names its new state."""
    status, told = await ask(session, "/api/pools/chat/backends/gpu-1/drain", "POST")
    assert (status, told) == (200, {"pool": "chat", "backend": "gpu-1", "state": "draining"})
    assert view.pools["chat"].backend("gpu-1").state == "draining"
    status, told = await ask(session, "/api/pools/chat/backends/gpu-1/undrain", "POST")
    assert (status, told["state"]) == (200, "up")
    odd = f"/api/pools/{ODD}/backends/a/b/drain"
    assert (await ask(session, odd, "POST"))[1] == {"pool": ODD, "backend": "a/b", "state": "draining"}


async def test_decisions(session):
    """The newest decision with its candidates; `limit` within its bounds."""
    status, told = await ask(session, "/api/decisions?limit=1")
    assert status == 200
    (decision,) = told["decisions"]
    assert decision["request_id"] == "9f2c-1"
    (attempt,) = decision["attempts"]
    assert {c["backend"] for c in attempt["candidates"]} == {"gpu-1", "gpu-2"}
    assert [out["backend"] for out in attempt["excluded"]] == ["gpu-3"]
    assert (await ask(session, "/api/decisions"))[0] == 200
    assert (await ask(session, "/api/decisions?limit=1000"))[0] == 200


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "", "ten", "1e3", "٣", "9" * 5000, "1.0", "+5"])
async def test_a_bad_limit_is_explained(session, limit):
    """Anything but a whole number from 1 to 1000 is a 400 that says so."""
    status, told = await ask(session, "/api/decisions", params={"limit": limit})
    assert status == 400
    assert told["error"]["message"] == "limit: a whole number from 1 to 1000"
    assert told["error"]["code"] == "bad_request"


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", "/nothing", 404, "/api lists what there is"),
        ("GET", "/api/pools/absent", 404, "there are: chat, meta-llama"),
        ("POST", "/api/pools/absent/backends/x/drain", 404, "there is no pool of that name"),
        ("POST", "/api/pools/chat/backends/x/drain", 404, "it has: gpu-1, gpu-2, gpu-3"),
        ("GET", "/api/pools/chat/backends/gpu-1/drain", 405, "this path takes POST"),
        ("GET", "/api/pools/chat/backends/gpu-1/undrain", 405, "this path takes POST"),
        ("POST", "/api/pools", 405, "this path takes GET, HEAD"),
        ("DELETE", "/metrics", 405, "this path takes GET, HEAD"),
    ],
)
async def test_errors_are_json_and_say_what_there_is(session, method, path, status, said):
    """A wrong path, name or method gets the error object, and the way out in its message."""
    async with session.request(method, path) as answer:
        told = await answer.json()
        assert answer.status == status
        assert said in told["error"]["message"]
        assert told["error"].keys() == {"message", "type", "code", "param"}
        assert ("Allow" in answer.headers) == (status == 405)


async def test_a_failure_inside_is_a_json_500(session, view, caplog):
    """The caller learns that it failed, the log why; the next request is served."""
    pools, view.pools = view.pools, None
    status, told = await ask(session, "/api/pools")
    assert status == 500 and told["error"]["code"] == "internal"
    assert "admin request /api/pools failed" in caplog.text
    view.pools = pools
    assert (await ask(session, "/api/pools"))[0] == 200


async def test_pages_cannot_drain_backends(session, view):
    """A browser's request from another origin is refused; without Origin, or from this one, it is served."""
    path = "/api/pools/chat/backends/gpu-1/drain"
    host = session._base_url.authority
    for origin in ("https://evil.example", "null", f"http://{host}0", "http://[::1", ""):
        status, told = await ask(session, path, "POST", headers={"Origin": origin})
        assert status == 403 and told["error"]["code"] == "forbidden"
    assert view.pools["chat"].backend("gpu-1").state == "up"
    status, _ = await ask(session, path, "POST", headers={"Origin": f"http://{host}"})
    assert status == 200


async def test_a_rebound_name_cannot_drain_backends(session, view):
    """A page whose own name now points to loopback agrees with its host, and is refused all the same."""
    path = "/api/pools/chat/backends/gpu-1/drain"
    rebound = {"Origin": "http://evil.example:9901", "Host": "evil.example:9901"}
    assert (await ask(session, path, "POST", headers=rebound))[0] == 403
    assert view.pools["chat"].backend("gpu-1").state == "up"
    local = {"Origin": "http://localhost:9901", "Host": "localhost:9901"}
    assert (await ask(session, path, "POST", headers=local))[0] == 200


async def test_the_list_of_paths(session):
    """`GET /api` is a page that lists every path; its links lead somewhere, and nothing may run in it."""
    async with session.get("/api") as answer:
        assert answer.status == 200 and answer.content_type == "text/html"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        html = await answer.text()
    links = re.findall(r'href="([^"]+)"', html)
    assert len(links) > 8
    for path in links:
        async with session.get(f"/{path.removeprefix('./')}") as answer:
            assert answer.status == 200, path
    for resource in paths() - {"/api", "/console/{file}"}:
        assert resource in html


async def test_the_console_s_files(session):
    """The page and what it loads, under a policy that lets nothing else run; kept by browsers, which ask
    whether a file has changed."""
    async with session.get("/") as answer:
        assert answer.status == 200 and answer.content_type == "text/html"
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'" in policy
        assert "unsafe" not in policy
        html = await answer.text()
    for path in re.findall(r'(?:src|href)="(console/[^"]+)"', html):
        async with session.get(f"/{path}") as answer:
            assert answer.status == 200 and answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-cache"
            known = {"If-None-Match": answer.headers["ETag"]}
        async with session.get(f"/{path}", headers=known) as answer:
            assert answer.status == 304 and await answer.read() == b""
    for path in ("/console/", "/console/..%2fserver.py", "/console/index.html", "/console/absent.js"):
        async with session.get(path) as answer:
            assert answer.status == 404, path


def paths() -> set[str]:
    """Every path the server has, without the patterns of its names, except the page itself."""
    from aiohttp import web

    app = web.Application()
    server.Endpoints(View()).add_to(app)
    found = {resource.canonical for resource in app.router.resources()} - {"/"}
    return {path.replace("{backend}", "{name}") for path in found}


async def test_an_address_in_use_is_reported(view):
    """The caller gets the OSError, so that it can say which address."""
    taken = socket.create_server(("127.0.0.1", 0))
    try:
        with pytest.raises(OSError):
            await server.start(view, "127.0.0.1", taken.getsockname()[1])
    finally:
        taken.close()


async def test_closing_does_not_wait_for_idle_clients(view):
    """A kept-alive connection does not hold up the end."""
    running = await server.start(view, "127.0.0.1", 0)
    host, port = running.address
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"}\n")
    await asyncio.wait_for(running.close(), 10)
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


def shape(value: object) -> object:
    """The keys of some JSON, all the way down; of a list, its first element's."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items() if key not in ("labels", "retries", "shed")}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return None


async def test_the_manual_shows_real_answers(session, view):
    """Every path is in the manual, and each sample answer has the keys of a real one."""
    manual = MANUAL.read_text()
    for path in paths() - {"/console/{file}"}:
        assert f"`{path}" in manual or f"{path}`" in manual, f"docs/admin.md does not describe {path}"
    samples = re.findall(r"```sh\n\$ curl ([^\n]+)\n```\n\n```json\n(.*?)```", manual, re.S)
    assert len(samples) >= 8
    for command, sample in samples:
        method = "POST" if "-X POST" in command else "GET"
        path = re.search(r"127\.0\.0\.1:9901([^\s']*)", command)[1]
        view.reason = "no backend of any pool can take work" if "503" in command else "ready"
        _, real = await ask(session, path, method)
        assert shape(json.loads(sample)) == shape(real), command
