"""Does every query of every board get data from a real Prometheus, when there is something to show?"""

import asyncio
import contextlib
import json
import math
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.app import App
from tests.harness import FAILED, Backend, answers, demo, gateway, refusing, settled, url
from tests.prometheus_server import Server, needs_prometheus, prometheus

DASHBOARDS = Path(__file__).parents[2] / "config" / "grafana" / "dashboards"
BOARDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in DASHBOARDS.glob("*.json")}

#: What Grafana puts in the place of its own variables; the least interval is four scrapes, 1 s each.
INTERVALS = {"$__rate_interval": "10s", "$__interval": "1s", "$__range": "1h"}
#: What of a board stays empty under the load below, and why. It is asked for all the same, and must be valid.
QUIET = {
    "cache: Store behind memory: errors": "the disk of a test does not fail",
    "overview: Log lines lost": "no log is written",
    "overview: Spans of traces": "nothing is traced",
    "Start of a gateway": "this gateway starts before the first scrape, and only once",
}


@dataclass(frozen=True)
class Asked:
    """A query: `where` names its board and panel, or the annotation that it is of."""

    where: str
    expr: str


def queries() -> list[Asked]:
    """Every query of every panel, and every annotation, as they are in the files."""
    found = [
        Asked(f"{name}: {panel['title']}", target["expr"])
        for name, board in BOARDS.items()
        for panel in board["panels"]
        for target in panel.get("targets", [])
    ]
    marks = [mark for board in BOARDS.values() for mark in board["annotations"]["list"]]
    return found + [Asked(mark["name"], mark["expr"]) for mark in marks]


def filled(expr: str, chosen: dict[str, str]) -> str:
    """A query as Grafana sends it: its own variables, then those of the board."""
    for name, value in INTERVALS.items():
        expr = expr.replace(name, value)
    return re.sub(r"\$(\w+)", lambda found: chosen[found[1]], expr)


def everything() -> dict[str, str]:
    """All is chosen: what the board itself says that stands for it."""
    variables = [v for board in BOARDS.values() for v in board["templating"]["list"] if v["type"] == "query"]
    return {variable["name"]: variable["allValue"] for variable in variables}


# Something to show: two pools, one of them in trouble, and a route with a cache.


@contextlib.asynccontextmanager
async def in_trouble(folder: Path) -> AsyncIterator[App]:
    """A pool with limits, a queue, hedges and a backend that is down; one whose backends fail; caches."""
    speed = {"tokens_per_second": 400.0, "slots": 2}
    async with demo(**speed) as a, demo(**speed) as b, Backend(answers(FAILED)) as broken:
        with refusing() as nobody:
            pools: dict[str, Any] = {
                "models": {
                    "backends": [named("a", a.url), named("b", b.url), named("gone", nobody)],
                    "health": {"path": "/health", "interval": "500ms", "fall": 1},
                    "concurrency": {"limit": 2, "queue": 4, "queue_timeout": "200ms"},
                    "hedging": {"after": "p50", "budget": "100%"},
                    "slow_start": 0,
                },
                "troubled": {
                    "backends": [named("well", a.url), named("broken", broken.url), named("gone", nobody)],
                    "policy": "round_robin",
                    "health": {"path": None},
                    "outlier": {"consecutive_failures": 2, "ejection": "1s", "max_ejected": "100%"},
                    "retries": {"attempts": 3, "on": ["connect", 503], "budget": "100%"},
                    "panic_below": "70%",
                },
                "alike": {"backends": [named("well", b.url)], "policy": "prefix_aware"},
                "quiet": {"backends": [named("well", a.url)]},  # audits wait until a pool is idle
            }
            routes: list[dict[str, Any]] = [
                {"name": "troubled", "match": {"headers": {"x-to": "troubled"}}, "pool": "troubled"},
                {
                    "name": "kept",
                    "match": {"headers": {"x-to": "kept"}},
                    "pool": "alike",
                    "cache": {"ttl": "1s", "stale_while_revalidate": "1h"},
                },
                {
                    "name": "audited",
                    "match": {"headers": {"x-to": "audited"}},
                    "pool": "quiet",
                    "cache": {"ttl": "1h"},
                },
                {"name": "alike", "match": {"headers": {"x-to": "alike"}}, "pool": "alike"},
                {"name": "chat", "match": {"path": "/v1/*"}, "pool": "models"},
            ]
            cache = {"store": "disk", "path": str(folder / "kept"), "audit": {"share": "100%"}}
            async with gateway(pools=pools, routes=routes, cache=cache) as app:
                yield app


def named(name: str, address: str) -> dict[str, str]:
    return {"name": name, "url": address}


class Load:
    """Clients that ask until they are told to stop; `statuses` counts what they got."""

    def __init__(self, app: App, session: aiohttp.ClientSession) -> None:
        self._url, self._session = url(app, "/v1/chat/completions"), session
        self._nowhere = url(app, "/nowhere")
        self.statuses: dict[int, int] = {}

    async def ask(self, to: str, number: int, **fields: str) -> None:
        """One chat: every other is streamed."""
        body = {
            "model": "demo",
            "messages": [{"role": "user", "content": f"Tell me about {number % 3} lions."}],
            "max_tokens": 12,
            "temperature": 0,
            "stream": number % 2 == 1,
        }
        if body["stream"]:
            body["stream_options"] = {"include_usage": True}
        async with self._session.post(self._url, json=body, headers={"x-to": to, **fields}) as response:
            await response.read()
            self.statuses[response.status] = self.statuses.get(response.status, 0) + 1

    async def run(self) -> None:
        """Rounds: a burst that does not fit into the queue, kept answers, failures, what no route takes."""
        number = 0
        while True:
            number += 1
            chats = [self.ask("chat", number + burst) for burst in range(12)]
            kept = [self.ask("kept", 0) for _ in range(3)]
            others = [self.ask("troubled", 1), self.ask("troubled", 2), self.ask("alike", number)]
            others += [self.ask("audited", 0)]
            unkept = self.ask("kept", number, **{"cache-control": "no-store"})
            await asyncio.gather(*chats, *kept, *others, unkept)
            async with self._session.get(self._nowhere) as response:
                await response.read()
            await asyncio.sleep(0.3)


@contextlib.asynccontextmanager
async def loaded(app: App) -> AsyncIterator[Load]:
    """The load, for as long as it is needed."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        load = Load(app, session)
        running = asyncio.create_task(load.run())
        try:
            yield load
            assert not running.done(), running.exception()
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


async def numbers(server: Server, asked: Asked, chosen: dict[str, str]) -> list[float]:
    """What a query says now; fails where Prometheus refuses it. NaN is nothing that a panel can show."""
    data = await server.api("query", query=filled(asked.expr, chosen))
    assert data is not None, f"refused: {asked}"
    values = [float(row["value"][1]) for row in data["result"]]
    return [value for value in values if not math.isnan(value)]


async def silent(server: Server, asked: list[Asked], chosen: dict[str, str], rounds: int) -> list[Asked]:
    """Those that have said nothing in all of the rounds, a second each."""
    left = asked
    for _ in range(rounds):
        left = [one for one in left if not await numbers(server, one, chosen)]
        if not {one.where for one in left} - QUIET.keys():
            break
        await asyncio.sleep(1)
    return left


async def values_of(server: Server, variable: dict[str, Any], chosen: dict[str, str]) -> set[str]:
    """What a variable offers: `label_values(selector, label)` as Grafana asks for it."""
    found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
    assert found, variable["query"]
    return set(await server.api(f"label/{found[2]}/values", **{"match[]": filled(found[1], chosen)}))


@needs_prometheus
@pytest.mark.timeout(150)
async def test_every_panel_shows_something(tmp_path: Path) -> None:
    """Under load, with backends that fail, every query of every board has data; so has each variable."""
    async with (
        in_trouble(tmp_path) as app,
        prometheus(app, tmp_path) as server,
        loaded(app) as load,
    ):
        await settled(lambda: {200, 500, 503} <= load.statuses.keys(), 30)
        await server.until({"gateway": 1.0}, "sum by (job) (up)", "job")
        chosen = everything()
        left = await silent(server, queries(), chosen, 60)
        assert [one for one in left if one.where not in QUIET] == []
        assert await variables(server, chosen) == {
            "job": {"gateway"},
            "route": {"troubled", "kept", "audited", "alike", "chat", "-"},
            "pool": {"models", "troubled", "alike", "quiet"},
            "backend": {"a", "b", "gone", "well", "broken"},
        }
        some = {"pool": "(models|troubled)", "backend": "(a|b)", "route": "(chat|kept)", "job": "gateway"}
        narrowed = [one for one in queries() if one.where == "backends: p95 by backend"]
        assert await silent(server, narrowed, {**chosen, **some}, 5) == []
        assert await silent(server, narrowed, {**chosen, "backend": "nobody"}, 1) == narrowed


async def variables(server: Server, chosen: dict[str, str]) -> dict[str, set[str]]:
    """What each variable offers, but for `instance`, which is a port of this test."""
    found = {}
    for variable in BOARDS["overview"]["templating"]["list"]:
        if variable["type"] == "query":
            found[variable["name"]] = await values_of(server, variable, chosen)
    assert len(found.pop("instance")) == 1
    return found
