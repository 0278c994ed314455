"""Do metrics, access log, decisions and admin API say exactly what the clients saw?"""

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.app import App
from tests.harness import (
    CHUNKED,
    Backend,
    Conversation,
    admin_url,
    call,
    chunk,
    gateway,
    get,
    left_over,
    ok,
    outcomes,
    post,
    refusing,
    settled,
)

#: What a backend answers by the path it is asked for.
ANSWERS = {
    "/ok": ok(b"x" * 100),
    "/stream": CHUNKED + chunk(b"y" * 60) + chunk(b"z" * 40) + chunk(b""),
    "/missing": b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno.",
    "/broken": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\noops.",
    "/limited": b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 9\r\nContent-Length: 4\r\n\r\nwait",
}
STATUS = {
    "/ok": 200,
    "/stream": 200,
    "/missing": 404,
    "/broken": 500,
    "/limited": 429,
    "/reset": 502,
    "/nowhere": 404,
}
OUTCOME = {
    "/ok": "ok",
    "/stream": "ok",
    "/missing": "client_error",
    "/broken": "server_error",
    "/limited": "overloaded",
    "/reset": "reset",
}


async def by_path(conversation: Conversation) -> None:
    while request := await conversation.request():
        path = request.split(b" ")[1].decode()
        if path == "/reset":
            conversation.abort()
            return
        await conversation.send(ANSWERS[path])


Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def scrape(app: App) -> Samples:
    """Every sample of /metrics by name and labels."""
    async with aiohttp.ClientSession() as session, session.get(admin_url(app, "/metrics")) as response:
        text = await response.text()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(samples: Samples, name: str, **labels: str) -> float:
    """The sum of the series `name` with these labels."""
    return sum(
        value
        for (key, found), value in samples.items()
        if key == name and labels.items() <= dict(found).items()
    )


class Tally:
    """What the clients sent and saw."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()  # by path
        self.statuses: Counter[tuple[str, str]] = Counter()  # by method and status
        self.by_backend: Counter[tuple[str, str]] = Counter()  # by backend and outcome
        self.ids: set[str] = set()
        self.bytes_in = self.bytes_out = 0

    async def ask(self, app: App, paths: list[str]) -> None:
        async with await call(app) as client:
            for path in paths:
                body = b"b" * (len(path) * 10)
                request, method = (post(body, path), "POST") if len(path) % 2 else (get(path), "GET")
                answer = await client.ask(request)
                assert answer.status == STATUS[path]
                self.sent[path] += 1
                self.statuses[method, str(answer.status)] += 1
                if path in OUTCOME:
                    self.by_backend[answer["x-gateway-backend"], OUTCOME[path]] += 1
                self.ids.add(answer["x-request-id"])
                self.bytes_in += len(body) if method == "POST" else 0
                self.bytes_out += len(answer.body)


@contextlib.asynccontextmanager
async def loaded() -> AsyncIterator[tuple[App, Tally, list[bytes]]]:
    """A gateway after 400 requests of every kind, what their clients saw, and the access log."""
    lines: list[bytes] = []
    rng = random.Random(13)
    async with contextlib.AsyncExitStack() as stack:
        backends = [await stack.enter_async_context(Backend(by_path)) for _ in range(3)]
        pool: dict[str, Any] = {
            "backends": [{"url": b.url, "name": f"b{n}"} for n, b in enumerate(backends)],
            "health": {"path": None},
            "retries": {"attempts": 1},
            "outlier": {"consecutive_failures": 0, "failure_ratio": 0},
        }
        routes = [{"name": "all", "match": {"path": path}, "pool": "p"} for path in OUTCOME]
        for number, route in enumerate(routes):
            route["name"] = f"r{number}"
        app = await stack.enter_async_context(
            gateway(pools={"p": pool}, routes=routes, access_log=lines.append)
        )
        tally = Tally()
        paths = list(STATUS)
        plans = [[rng.choice(paths) for _ in range(40)] for _ in range(10)]
        await asyncio.gather(*(tally.ask(app, plan) for plan in plans))
        await settled(lambda: not left_over(app))
        yield app, tally, lines


async def test_metrics_agree_with_the_clients() -> None:
    """Requests by method and code, attempts by backend and outcome, bytes, histograms: to the last one."""
    async with loaded() as (app, tally, _):
        samples = await scrape(app)
        counted = {
            (dict(labels)["method"], dict(labels)["code"]): total(
                samples, "gateway_requests_total", method=dict(labels)["method"], code=dict(labels)["code"]
            )
            for (name, labels) in samples
            if name == "gateway_requests_total"
        }
        assert counted == dict(tally.statuses)
        assert sum(counted.values()) == 400
        attempts = {
            (dict(labels)["backend"], dict(labels)["outcome"]): value
            for (name, labels), value in samples.items()
            if name == "gateway_backend_requests_total" and value
        }
        assert attempts == dict(tally.by_backend)
        for number, path in enumerate(OUTCOME):
            assert total(samples, "gateway_requests_total", route=f"r{number}") == tally.sent[path]
            assert (
                total(samples, "gateway_request_duration_seconds_count", route=f"r{number}")
                == tally.sent[path]
            )
        assert total(samples, "gateway_requests_total", route="-") == tally.sent["/nowhere"]
        assert total(samples, "gateway_errors_total", kind="reset") == tally.sent["/reset"]
        assert total(samples, "gateway_errors_total", kind="route_not_found") == tally.sent["/nowhere"]
        assert total(samples, "gateway_errors_total") == tally.sent["/reset"] + tally.sent["/nowhere"]
        assert total(samples, "gateway_overhead_seconds_count") == 400
        good = tally.sent["/ok"] + tally.sent["/stream"]
        assert total(samples, "gateway_backend_first_byte_seconds_count") == good
        assert total(samples, "gateway_backend_duration_seconds_count") == sum(tally.by_backend.values())
        assert total(samples, "gateway_backend_selected_total") == sum(tally.by_backend.values())
        assert total(samples, "gateway_request_bytes_total") == tally.bytes_in
        assert total(samples, "gateway_response_bytes_total") == tally.bytes_out
        for gauge in ("requests_in_flight", "backend_in_flight", "connections", "held_body_bytes"):
            assert total(samples, f"gateway_{gauge}") == 0
        assert total(samples, "gateway_backend_up") == 3
        assert len(tally.ids) == 400


async def test_the_access_log_agrees_with_the_clients() -> None:
    """One line for each request, with its id, status, route, backend and bytes."""
    async with loaded() as (_, tally, lines):
        pass  # closing writes what is left
    logged = [json.loads(line) for line in b"".join(lines).splitlines()]
    assert len(logged) == 400
    assert {line["request_id"] for line in logged} == tally.ids
    assert Counter((line["method"], str(line["status"])) for line in logged) == tally.statuses
    assert Counter(line["path"] for line in logged) == tally.sent
    by_backend = Counter((line["backend"], OUTCOME[line["path"]]) for line in logged if line["backend"])
    assert by_backend == tally.by_backend
    assert sum(line["bytes_in"] for line in logged) == tally.bytes_in
    assert sum(line["bytes_out"] for line in logged) == tally.bytes_out
    assert all(line["attempts"] == (line["path"] in OUTCOME) for line in logged)
    assert all(0 <= line["overhead_ms"] <= line["duration_ms"] for line in logged)


async def test_api_and_metrics_agree() -> None:
    """The admin API's totals are the metrics', and the decisions tell of requests the clients made."""
    async with loaded() as (app, tally, _):
        samples = await scrape(app)
        async with aiohttp.ClientSession() as session:
            async with session.get(admin_url(app, "/api/pools/p")) as response:
                pool = await response.json()
            async with session.get(admin_url(app, "/api/decisions?limit=1000")) as response:
                decisions = (await response.json())["decisions"]
    for backend in pool["backends"]:
        for outcome, count in backend["outcomes"].items():
            assert count == total(
                samples, "gateway_backend_requests_total", backend=backend["name"], outcome=outcome
            )
        assert backend["selected"] == sum(backend["outcomes"].values())
        assert backend["first_byte"]["count"] == backend["outcomes"]["ok"]
        assert backend["in_flight"] == 0
    assert 0 < len(decisions) <= 256
    assert {decision["request_id"] for decision in decisions} <= tally.ids
    for decision in decisions:
        (attempt,) = decision["attempts"]
        assert (attempt["backend"], attempt["outcome"]) in tally.by_backend
        candidates = {row["backend"] for row in attempt["candidates"]}
        excluded = {row["backend"]: row["why"] for row in attempt["excluded"]}
        assert attempt["backend"] in candidates
        assert candidates | excluded.keys() == {"b0", "b1", "b2"}
        assert len(candidates) + len(excluded) == 3
        assert all(why.startswith("resting for ") for why in excluded.values())  # it has answered 429
        assert decision["status"] in set(STATUS.values())


async def test_few_requests_are_all_among_the_decisions() -> None:
    """Under light load every request that a pool took is there, newest first."""
    async with Backend(by_path) as backend, gateway(backend.url) as app, await call(app) as client:
        ids = [(await client.ask(get("/ok")))["x-request-id"] for _ in range(20)]
        assert [decision["request_id"] for decision in app.decisions.latest(50)] == ids[::-1]


async def test_retries_are_counted_once_each() -> None:
    """A request answered at the second attempt: one request, two attempts, one retry, in every account."""
    lines: list[bytes] = []
    with refusing() as nobody:
        async with Backend(by_path) as backend:
            pool = {"policy": "round_robin", "outlier": {"consecutive_failures": 0}}
            async with gateway(nobody, backend.url, pool=pool, access_log=lines.append) as app:
                async with await call(app) as client:
                    for _ in range(10):
                        assert (await client.ask(get("/ok"))).status == 200
                await settled(lambda: not left_over(app))
                samples = await scrape(app)
                failed = outcomes(app)["connect_error"]
                assert failed > 0
                assert total(samples, "gateway_requests_total", code="200") == 10
                assert total(samples, "gateway_backend_requests_total", outcome="ok") == 10
                assert total(samples, "gateway_backend_requests_total") == 10 + failed
                assert total(samples, "gateway_retries_total", result="tried") == failed
                assert total(samples, "gateway_retries_total", result="success") == failed
                traces = [decision["attempts"] for decision in app.decisions.latest(50)]
    assert sorted(len(trace) for trace in traces) == [1] * (10 - failed) + [2] * failed  # type: ignore[arg-type]
    assert sum(json.loads(line)["attempts"] for line in b"".join(lines).splitlines()) == 10 + failed


@pytest.mark.parametrize("reason", ["queue_full", "no_backend"])
async def test_what_a_pool_turns_away_is_counted(reason: str) -> None:
    """503s by the pool are shed requests, by reason, and no attempts."""
    go_on = asyncio.Event()

    async def handler(conversation: Conversation) -> None:
        while await conversation.request():
            await go_on.wait()
            await conversation.send(ok())

    async with Backend(handler) as backend:
        pools = {
            "p": {
                "backends": [{"url": backend.url, "name": "b", "max_in_flight": 1}],
                "health": {"path": None},
                "concurrency": {"queue": 0},
            }
        }
        async with gateway(pools=pools) as app, await call(app) as first, await call(app) as second:
            if reason == "queue_full":
                await first.send(post())
                await settled(lambda: len(backend.requests) == 1)
            else:
                app.pools["p"].drain("b")
            for _ in range(3):
                assert (await second.ask(post())).status == 503
            samples = await scrape(app)
            assert total(samples, "gateway_shed_total", pool="p", reason=reason) == 3
            assert total(samples, "gateway_requests_total", code="503") == 3
            assert total(samples, "gateway_backend_requests_total") == 0
            assert total(samples, "gateway_backend_in_flight") == (reason == "queue_full")
            go_on.set()
