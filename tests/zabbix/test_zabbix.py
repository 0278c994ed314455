"""Does a real Zabbix, with the template that is shipped, see what the gateway's own /metrics says?"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.app import App
from gateway.telemetry.zabbix.names import TEMPLATE
from tests.harness import Backend, Conversation, admin_url, call, gateway, get, left_over, ok, settled, state
from tests.zabbix.server import Api, needs_zabbix, zabbix

SHIPPED = Path(__file__).parents[2] / "config" / "zabbix" / "gateway.yaml"
ANSWERS = {
    "/health": ok(b"well"),
    "/plain": ok(b"x" * 100),
    "/kept": ok(b'{"kept": true}'),
    "/broken": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\noops.",
}
#: What may be created and updated by an import, as the form of the web interface has it.
RULES: dict[str, dict[str, bool]] = {
    "groups": {"createMissing": True},
    **{
        part: {"createMissing": True, "updateExisting": True}
        for part in (
            "templates", "items", "discoveryRules", "triggers", "graphs", "valueMaps", "templateDashboards",
        )
    },
}  # fmt: skip
#: Faster than anybody would set it, or the test would take as long as an operator waits.
MACROS = {
    "{$GATEWAY.INTERVAL}": "1s",
    "{$GATEWAY.ABSENT.FOR}": "10s",
    "{$GATEWAY.BACKEND.DOWN.FOR}": "4s",
    "{$GATEWAY.BACKEND.ERRORS.FOR}": "4s",
    '{$GATEWAY.ERRORS.FOR:"broken"}': "4s",  # of this route alone
    "{$GATEWAY.LAG.MAX}": "60",  # how busy this machine is, is not tested
}

UP = "gateway.backend.up"
HITS = 'gateway.cached.hits.share["kept"]'
#: Of each kind that is discovered the rate, which it takes two readings to tell.
RATES = {
    'gateway.cached.requests.rate["kept"]',
    'gateway.route.requests.rate["plain"]',
    'gateway.backend.attempts.rate["main","a"]',
    'gateway.pool.selected.rate["main"]',
}
#: A name with all that names may have beside letters.
ODD = "org/gpu-1_d:8000@x+y"


async def by_path(conversation: Conversation) -> None:
    while request := await conversation.request():
        await conversation.send(ANSWERS[request.split(b" ")[1].decode()])


@contextlib.asynccontextmanager
async def system() -> AsyncIterator[tuple[App, dict[str, Backend]]]:
    """A gateway with three routes, three backends that are probed, and one whose answers are failures."""
    async with contextlib.AsyncExitStack() as stack:
        backends = {name: await stack.enter_async_context(Backend(by_path)) for name in ("a", "b", "c", ODD)}
        listed = [{"url": backend.url, "name": name} for name, backend in backends.items()]
        shared: dict[str, Any] = {
            "policy": "round_robin",
            "health": {"path": "/health", "interval": "500ms", "timeout": "500ms"},
            "retries": {"attempts": 1},
            "outlier": {"consecutive_failures": 0, "failure_ratio": 0},
            "panic_below": "0%",
        }
        pools = {"main": {"backends": listed[:3], **shared}, "sick": {"backends": listed[3:], **shared}}
        routes: list[dict[str, Any]] = [
            {"name": "plain", "match": {"path": "/plain"}, "pool": "main"},
            {"name": "kept", "match": {"path": "/kept"}, "pool": "main", "cache": {"methods": ["GET"]}},
            {"name": "broken", "match": {"path": "/broken"}, "pool": "sick"},
        ]
        yield await stack.enter_async_context(gateway(pools=pools, routes=routes)), backends


async def drain(app: App, pool: str, backend: str) -> None:
    address = admin_url(app, f"/api/pools/{pool}/backends/{backend}/drain")
    async with aiohttp.ClientSession() as session, session.post(address) as response:
        assert response.status == 200


async def load(app: App, paths: tuple[str, ...], times: int) -> None:
    """`times` requests over `paths` in turn, about 100 a second."""
    async with await call(app) as client:
        for number in range(times):
            await client.ask(get(paths[number % len(paths)]))
            await asyncio.sleep(0.01)


async def shown(app: App) -> dict[str, list[tuple[dict[str, str], float]]]:
    """The lines of /metrics by name."""
    async with aiohttp.ClientSession() as session, session.get(admin_url(app, "/metrics")) as response:
        text = await response.text()
    lines: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            lines.setdefault(sample.name, []).append((sample.labels, sample.value))
    return lines


async def expected(app: App) -> dict[str, float]:
    """What items should say by their keys: read from /metrics by another parser than Zabbix'."""
    lines = await shown(app)
    found = {"gateway.requests.total": sum(value for _, value in lines["gateway_requests_total"])}
    for labels, _ in lines["gateway_requests_in_flight"]:
        route = labels["route"]
        mine = [value for other, value in lines.get("gateway_requests_total", []) if other["route"] == route]
        found[f'gateway.route.requests.total["{route}"]'] = sum(mine)
    for labels, up in lines["gateway_backend_up"]:
        where = f'["{labels["pool"]}","{labels["backend"]}"]'
        found[f"gateway.backend.up{where}"] = up
        mine = [
            value
            for other, value in lines["gateway_backend_requests_total"]
            if (other["pool"], other["backend"]) == (labels["pool"], labels["backend"])
        ]
        found[f"gateway.backend.attempts.total{where}"] = sum(mine)
    for bucket, value in lines["gateway_request_duration_seconds_bucket"]:
        found[f'gateway.route.duration.bucket["{bucket["le"]}","{bucket["route"]}"]'] = value
    return found


class Host:
    """The host in Zabbix that stands for the gateway."""

    def __init__(self, api: Api, host_id: str) -> None:
        self.api = api
        self.id = host_id

    async def values(self) -> dict[str, float]:
        """The last value of each item that has a number, by key."""
        items = await self.api(
            "item.get", hostids=self.id, output=["key_", "lastvalue", "lastclock", "value_type"]
        )
        return {
            item["key_"]: float(item["lastvalue"])
            for item in items
            if item["value_type"] in "03" and item["lastclock"] != "0"
        }

    async def problems(self) -> set[str]:
        """The names of the triggers that are raised."""
        return {found["description"] for found in await self._triggers(filter={"value": 1})}

    async def _triggers(self, **chosen: Any) -> list[dict[str, str]]:
        output = ["description", "value", "state", "error"]
        found: list[dict[str, str]] = await self.api(
            "trigger.get", hostids=self.id, output=output, expandDescription=True, **chosen
        )
        return found

    async def unclear(self) -> dict[str, str]:
        """Triggers that cannot be evaluated, with the reason."""
        return {found["description"]: found["error"] for found in await self._triggers(filter={"state": 1})}

    async def unsupported(self) -> dict[str, str]:
        """Items and rules in error, with the reason."""
        found: dict[str, str] = {}
        for method in ("item.get", "discoveryrule.get"):
            items = await self.api(method, hostids=self.id, filter={"state": 1}, output=["key_", "error"])
            found |= {item["key_"]: item["error"] for item in items}
        return found


async def until(
    read: Callable[[], Any], wanted: Callable[[Any], bool], log: Callable[[], str], timeout_s: float = 40.0
) -> Any:
    """What `read` gives once it is as `wanted`; fails after `timeout_s` with what it was, and the logs."""
    found = None
    for _ in range(int(timeout_s / 0.5)):
        found = await read()
        if wanted(found):
            return found
        await asyncio.sleep(0.5)
    raise AssertionError(f"{found}\n{log()}")


@contextlib.asynccontextmanager
async def interface(url: str, log: Callable[[], str]) -> AsyncIterator[Api]:
    """The API of a Zabbix that has begun to answer."""
    async with aiohttp.ClientSession() as session:
        api = Api(session, url)
        for _ in range(100):
            with contextlib.suppress(aiohttp.ClientError, AssertionError):
                await api.login()
                break
            await asyncio.sleep(0.2)
        else:
            raise AssertionError(log())
        yield api


async def link(api: Api, app: App) -> Host:
    """A host with the template, asked as often as MACROS say."""
    (template,) = await api("template.get", filter={"host": TEMPLATE}, output=["templateid"])
    (group,) = await api("hostgroup.get", filter={"name": "Linux servers"}, output=["groupid"])
    macros = {"{$GATEWAY.URL}": admin_url(app), **MACROS}
    (itself,) = await api("host.get", filter={"host": "Zabbix server"}, output=["hostid"])
    await api("host.update", **itself, status=1)  # it has no agent here
    created = await api(
        "host.create",
        host="gateway",
        groups=[group],
        templates=[template],
        macros=[{"macro": macro, "value": value} for macro, value in macros.items()],
    )
    return Host(api, created["hostids"][0])


async def kill_one(app: App, backends: dict[str, Backend]) -> None:
    """600 requests; after half of them a backend is gone, and probes find it before the other half."""
    await load(app, ("/plain", "/kept"), 300)
    await backends["c"].__aexit__()
    await settled(lambda: state(app, "c", "main") == "down")
    await load(app, ("/plain", "/kept"), 300)
    await settled(lambda: not left_over(app))


async def check_figures(app: App, host: Host, log: Callable[[], str]) -> None:
    """Totals and buckets to the last one; ratios and percentiles where there was traffic, else none or 0."""
    wanted = await expected(app)
    assert wanted["gateway.requests.total"] == 602
    assert (wanted[f'{UP}["main","a"]'], wanted[f'{UP}["main","c"]']) == (1, 0)
    assert wanted['gateway.backend.attempts.total["main","c"]'] > 0
    wanted |= {f'gateway.route.failures.share["{route}"]': 0.0 for route in ("plain", "kept", "broken")}
    calculated = {f'gateway.route.duration.{figure}["plain"]' for figure in ("mean", "p95", "p99")}
    calculated |= {'gateway.backend.throughput_per_latency["main","a"]', "gateway.lag.p99", HITS}

    async def differences() -> dict[str, tuple[float | None, float | None]]:
        values = await host.values()
        missing: dict[str, float | None] = dict.fromkeys(calculated - values.keys())
        return {
            key: (values.get(key), value)
            for key, value in (wanted | missing).items()
            if key not in values or values[key] != value
        }

    await until(differences, lambda found: not found, log)
    values = await host.values()
    assert {key for key in values if key.startswith(UP)} == {key for key in wanted if key.startswith(UP)}
    assert 90 < values[HITS] < 100.01
    assert [key for key in calculated if values[key] <= 0] == []
    assert [key for key in values if key.startswith("gateway.route.duration.p") and "broken" in key] == []
    assert await host.unsupported() == {}


@needs_zabbix
@pytest.mark.timeout(300)
async def test_zabbix_sees_what_the_gateway_says() -> None:
    """Figures as /metrics has them; problems for what is killed, fails or ends, each alone, and no others."""
    with zabbix() as server:
        async with interface(server.url, server.log) as api:
            async with system() as (app, backends):
                source = SHIPPED.read_text(encoding="utf-8")
                for _ in range(2):  # the second time it updates what the first one made
                    assert await api("configuration.import", format="yaml", rules=RULES, source=source)
                host = await link(api, app)
                await load(app, ("/kept",), 2)  # a route's cache is discovered when it is used
                await until(host.values, lambda values: values.keys() >= RATES, server.log)

                await kill_one(app, backends)
                raised = await until(host.problems, bool, server.log)
                assert raised == {"Backend c of pool main is down"}
                await check_figures(app, host, server.log)
                assert await host.problems() == raised
                assert (await host.unclear()).keys() <= {"Hit ratio of route kept has collapsed"}

                await drain(app, "main", "c")  # which is how an operator says: I know
                await until(host.problems, lambda found: not found, server.log)
                await load(app, ("/broken",), 200)
                fails = {
                    "Too many requests of route broken fail",
                    f"Too many attempts at backend {ODD} of pool sick fail",
                }
                await until(host.problems, lambda found: found == fails, server.log)
            ended = {*fails, "Gateway is not reachable"}
            await until(host.problems, lambda found: found == ended, server.log, 120.0)
