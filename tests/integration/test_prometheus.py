"""Does a real Prometheus, with the configuration and rules that are shipped, read what the clients saw?"""

import contextlib
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gateway.app import App
from gateway.telemetry.series import SERIES
from tests.harness import Backend, Conversation, call, gateway, get, left_over, ok, settled
from tests.prometheus_server import PROMTOOL, SHIPPED, document, needs_prometheus, prometheus

ROOT = Path(__file__).parents[2]
UNIT_TESTS = ROOT / "tests" / "prometheus"

#: What Prometheus adds to what it scrapes, and its own series about a target.
ADDED = {"job", "instance"}
FAILURES = 'job_route:gateway_request_failures_per_requests:ratio_rate5m{route=~"ok|broken"}'
#: Rules that say nothing as long as nobody has to wait or is turned away.
OF_OVERLOAD = {
    "job_pool:gateway_queue_seconds:p95_rate5m",
    "job_pool_reason:gateway_shed:rate5m",
    "job_pool:gateway_shed_per_requests:ratio_rate5m",
}


@cache
def rules(file: str) -> tuple[dict[str, Any], ...]:
    return tuple(rule for group in document(SHIPPED / file)["groups"] for rule in group["rules"])


RECORDS = [rule["record"] for rule in rules("rules.yaml")]
ALERTS = [rule["alert"] for rule in rules("alerts.yaml")]


# Names: nothing here needs Prometheus.


@cache
def labels() -> dict[str, set[str]]:
    """The labels of every name that an expression may use."""
    known = {"up": set(ADDED)}
    for series in SERIES:
        own = ADDED | set(series.labels)
        if series.type == "histogram":
            known |= {f"{series.name}_{part}": own for part in ("sum", "count")}
            known[f"{series.name}_bucket"] = own | {"le"}
        else:
            known[series.name] = own
    return known | {record: set(record.split(":")[0].split("_")) for record in RECORDS}


def argument(expr: str, start: int) -> str:
    """What stands in the parentheses that open at or after `start`."""
    begin = expr.index("(", start)
    depth = 0
    for at in range(begin, len(expr)):
        depth += {"(": 1, ")": -1}.get(expr[at], 0)
        if depth == 0:
            return expr[begin : at + 1]
    raise ValueError(f"open parentheses: {expr}")


def names(expr: str) -> Iterator[tuple[str, str]]:
    """Every series in an expression, with what stands in its braces."""
    for found in re.finditer(r"(?<![\w:\"])((?:job[a-z_]*:)?gateway_[\w:]+|up\b)(?:\{([^}]*)\})?", expr):
        yield found[1], found[2] or ""


@pytest.mark.parametrize("rule", [*rules("rules.yaml"), *rules("alerts.yaml")], ids=[*RECORDS, *ALERTS])
def test_rules_use_series_and_labels_that_exist(rule: dict[str, Any]) -> None:
    """Each name is declared in SERIES or recorded, and has the labels it is chosen and added up by."""
    used = list(names(rule["expr"]))
    assert used
    for name, matchers in used:
        assert name in labels(), name
        assert set(re.findall(r"(\w+)[=!]", matchers)) <= labels()[name], name
    for by in re.finditer(r"by \(([^)]*)\)", rule["expr"]):
        for name, _ in names(argument(rule["expr"], by.end())):
            assert {label.strip() for label in by[1].split(",")} <= labels()[name], name


@pytest.mark.parametrize("rule", [*rules("rules.yaml"), *rules("alerts.yaml")], ids=[*RECORDS, *ALERTS])
def test_rules_choose_values_that_exist(rule: dict[str, Any]) -> None:
    """An outcome, result, reason or state that a rule asks for is one of those in docs/metrics.md."""
    manual = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    for _, matchers in names(rule["expr"]):
        for label, values in re.findall(r"(\w+)(?:=~|!~|!=|=)\"([^\"]*)\"", matchers):
            if label not in ("code", "job"):
                assert [value for value in values.split("|") if f"`{value}`" not in manual] == []


def test_records_are_named_by_convention() -> None:
    """level:metric:operations; the level is labels, the metric one of the gateway's."""
    assert len(set(RECORDS)) == len(RECORDS)
    for record in RECORDS:
        assert re.fullmatch(r"job(_[a-z]+)*:gateway_\w+:(sum|(ratio|mean|p50|p95|p99)_rate5m|rate5m)", record)


def test_every_rule_has_a_unit_test() -> None:
    """tests/prometheus names each record in an expression, and each alert among those that fire."""
    of_records = (UNIT_TESTS / "rules.yaml").read_text(encoding="utf-8").split("promql_expr_test")[1]
    assert [record for record in RECORDS if record not in of_records] == []
    firing = (UNIT_TESTS / "alerts.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r'alertname="(\w+)", alertstate="firing"', firing)) == set(ALERTS)


def test_every_rule_is_in_the_manual() -> None:
    """A row for each record, a runbook for each alert, and no runbook for what is none."""
    manual = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    assert [record for record in RECORDS if f"| `{record}` |" not in manual] == []
    assert re.findall(r"^### (Gateway\w+)$", manual, re.MULTILINE) == ALERTS
    for rule in rules("alerts.yaml"):
        assert rule["annotations"].keys() == {"summary", "description", "runbook"}
        assert rule["annotations"]["runbook"] == f"docs/monitoring.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning")


# promtool.


def promtool(*arguments: object) -> None:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *map(str, arguments)], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_prometheus
def test_promtool_accepts_configuration_and_rules() -> None:
    """Syntax, names of files, expressions and templates; lint finds no duplicates."""
    promtool("check", "config", "--lint-fatal", SHIPPED / "prometheus.yaml")
    promtool("check", "rules", "--lint-fatal", SHIPPED / "rules.yaml", SHIPPED / "alerts.yaml")


@needs_prometheus
def test_promtool_accepts_the_one_of_the_compose_file(tmp_path: Path) -> None:
    """With the rules beside it, as the compose file mounts them."""
    for source in (
        SHIPPED.parent / "compose-prometheus.yaml",
        SHIPPED / "rules.yaml",
        SHIPPED / "alerts.yaml",
    ):
        shutil.copy(source, tmp_path)
    promtool("check", "config", "--lint-fatal", tmp_path / "compose-prometheus.yaml")


@needs_prometheus
@pytest.mark.parametrize("file", ["rules.yaml", "alerts.yaml"])
def test_rules_say_what_they_should(file: str) -> None:
    """Every record has the value worked out by hand; every alert fires, and does not when it should not."""
    promtool("test", "rules", UNIT_TESTS / file)


# A real one, beside a real gateway.

STATUS = {"/ok": 200, "/missing": 404, "/broken": 500, "/kept": 200, "/nowhere": 404}
OUTCOME = {"/ok": "ok", "/missing": "client_error", "/broken": "server_error", "/kept": "ok"}
ANSWERS = {
    "/ok": ok(b"x" * 100),
    "/missing": b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno.",
    "/broken": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\noops.",
    "/kept": ok(b'{"kept": true}'),
}


async def by_path(conversation: Conversation) -> None:
    while request := await conversation.request():
        await conversation.send(ANSWERS[request.split(b" ")[1].decode()])


class Tally:
    """What the clients saw: by route and code, by backend and outcome, by the cache's part."""

    def __init__(self) -> None:
        self.codes: Counter[tuple[str, str]] = Counter()
        self.attempts: Counter[tuple[str, str]] = Counter()
        self.cached: Counter[str] = Counter()

    async def ask(self, app: App, times: int) -> None:
        """Each path in turn, `times` requests in all."""
        paths = list(STATUS)
        async with await call(app) as client:
            for number in range(times):
                path = paths[number % len(paths)]
                answer = await client.ask(get(path))
                assert answer.status == STATUS[path]
                self.codes[path[1:] if path in OUTCOME else "-", str(answer.status)] += 1
                hit = path == "/kept" and "; hit" in answer["cache-status"]
                if path == "/kept":
                    self.cached["hit" if hit else "miss"] += 1
                if path in OUTCOME and not hit:
                    self.attempts[answer["x-gateway-backend"], OUTCOME[path]] += 1


@contextlib.asynccontextmanager
async def two_backends() -> AsyncIterator[App]:
    """A gateway with a route for each path, named by it; that of /kept has a cache."""
    async with Backend(by_path) as a, Backend(by_path) as b:
        pool: dict[str, Any] = {
            "backends": [{"url": a.url, "name": "a"}, {"url": b.url, "name": "b"}],
            "policy": "round_robin",
            "health": {"path": None},
            "retries": {"attempts": 1},
            "outlier": {"consecutive_failures": 0, "failure_ratio": 0},
        }
        routes: list[dict[str, Any]] = [
            {"name": path[1:], "match": {"path": path}, "pool": "p"} for path in OUTCOME
        ]
        routes[-1]["cache"] = {"methods": ["GET"]}
        async with gateway(pools={"p": pool}, routes=routes) as app:
            yield app


@needs_prometheus
async def test_prometheus_reads_what_the_clients_saw(tmp_path: Path) -> None:
    """200 requests over two backends: every count to the last one, every rule in health and with data."""
    tally = Tally()
    async with two_backends() as app, prometheus(app, tmp_path) as server:
        await tally.ask(app, 100)
        await server.until({"gateway": 100.0}, "sum by (job) (gateway_requests_total)", "job")
        await tally.ask(app, 100)  # what came before the first scrape has no rate
        await settled(lambda: not left_over(app))
        assert sum(tally.codes.values()) == 200
        assert {backend for backend, _ in tally.attempts} == {"a", "b"}

        await server.until(
            dict(tally.codes), "sum by (route, code) (gateway_requests_total) > 0", "route", "code"
        )
        await server.until(
            dict(tally.attempts),
            "sum by (backend, outcome) (gateway_backend_requests_total) > 0",
            "backend",
            "outcome",
        )
        await server.until(dict(tally.cached), "sum by (result) (gateway_cache_requests_total) > 0", "result")
        per_backend = Counter[str]()
        for (backend, _), count in tally.attempts.items():
            per_backend[backend] += count
        await server.until(
            dict(per_backend), "sum by (backend) (gateway_backend_duration_seconds_count)", "backend"
        )
        await server.until({"gateway": 200.0}, "sum by (job) (gateway_request_duration_seconds_count)", "job")

        await server.until({"ok": 0.0, "broken": 1.0}, FAILURES, "route")
        for record in RECORDS:
            if record not in OF_OVERLOAD:
                await server.until({"gateway": 1.0}, f"group by (job) ({record})", "job")
        assert min((await server.query("job_route:gateway_requests:rate5m", "route")).values()) > 0
        groups = (await server.api("rules"))["groups"]
        told = {rule["name"]: (rule["health"], rule.get("lastError")) for g in groups for rule in g["rules"]}
        assert told == dict.fromkeys([*RECORDS, *ALERTS], ("ok", None))
