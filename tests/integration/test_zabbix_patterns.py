"""Does everything that the Zabbix template asks for stand in a real /metrics?"""

import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from gateway.app import App
from tests.harness import CHUNKED, FAILED, Backend, admin_url, answers, ask, chunk, gateway, get, post

TEMPLATE = Path(__file__).parents[2] / "config" / "zabbix" / "gateway.yaml"
WORD = b'data: {"object": "chat.completion.chunk", "choices": [{"delta": {"content": "word"}}]}\n\n'
USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}\n\n'
STREAM = CHUNKED + b"".join(map(chunk, (WORD, WORD, USAGE, b"data: [DONE]\n\n", b"")))
Lines = dict[str, list[tuple[dict[str, str], float]]]


def items() -> list[dict[str, Any]]:
    (found,) = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))["zabbix_export"]["templates"]
    rules = found["discovery_rules"]
    return [*found["items"], *(item for rule in rules for item in rule["item_prototypes"]), *rules]


#: Every pattern once, with the key of an item that has it.
PATTERNS = {
    step["parameters"][0]: item["key"]
    for item in items()
    for step in item.get("preprocessing", [])
    if step["type"].startswith("PROMETHEUS_")
}


def chosen(pattern: str, lines: Lines) -> list[dict[str, str]]:
    """The labels of the lines that Zabbix would choose: regular expressions are searched for, not matched."""
    found = re.fullmatch(r"(\w+)(?:\{(.*)\})?( == 1)?", pattern)
    assert found is not None, pattern
    name, inside, one = found.groups()
    conditions = re.findall(r'(\w+)(=~?)"([^"]*)"', inside or "")
    assert ",".join(f'{label}{sign}"{value}"' for label, sign, value in conditions) == (inside or "")

    def fits(labels: dict[str, str], value: float) -> bool:
        return (value == 1 or not one) and all(
            wanted.startswith("{#")
            or (re.search(wanted, labels[label]) if sign == "=~" else wanted == labels[label])
            for label, sign, wanted in conditions
        )

    return [labels for labels, value in lines.get(name, []) if fits(labels, value)]


def count_what_is_rare(app: App) -> None:
    """What takes minutes of trouble to happen is counted by hand, where the gateway would count it."""
    pool = app.pools["p"]
    pool.retries.update(("tried", "no_budget"))
    pool.hedges.update(("won",))
    pool.shed.update(("no_backend",))
    app.metrics.bypasses["audit"] = 1
    app.metrics.routes["r"].mismatch_ratio = 0.01
    assert app.cache is not None
    assert app.cache.shared is not None
    app.cache.shared.figures.errors["read"] = 1
    for name in ("gateway_log_dropped_total", "gateway_trace_spans_dropped_total"):
        app.metrics.watch(name, lambda: 0)  # counted by `gateway run`, where it logs, and with `tracing`


@pytest.fixture
async def lines(tmp_path: Path) -> Lines:
    """The lines of /metrics by name, after requests that were hits, misses, failures and for no route."""
    async with Backend(answers(STREAM)) as well, Backend(answers(FAILED)) as sick:
        pool = {"health": {"path": None}, "concurrency": {"limit": 10}}
        async with gateway(
            pools={"p": {"backends": [well.url], **pool}, "q": {"backends": [sick.url], **pool}},
            routes=[
                {"name": "r", "match": {"path": "/v1/*"}, "pool": "p", "cache": True},
                {"name": "s", "match": {"path": "/sick"}, "pool": "q"},
            ],
            cache={"store": "disk", "path": str(tmp_path / "cache")},
        ) as app:
            assert await ask(app, 3, post({"model": "m", "temperature": 0})) == [200] * 3
            assert await ask(app, 2, get("/sick")) == [500] * 2
            assert await ask(app, 1, get("/nowhere")) == [404]
            count_what_is_rare(app)
            async with (
                aiohttp.ClientSession() as session,
                session.get(admin_url(app, "/metrics")) as response,
            ):
                text = await response.text()
    found: Lines = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


async def test_every_pattern_finds_a_line(lines: Lines) -> None:
    """No name, label or value of one is a guess."""
    assert len(PATTERNS) > 50
    assert [(pattern, key) for pattern, key in PATTERNS.items() if not chosen(pattern, lines)] == []


async def test_patterns_find_no_more_than_they_should(lines: Lines) -> None:
    """5xx are not 4xx; failures are what the rules for Prometheus call so; a state is the one that is."""
    assert {labels["code"] for labels in chosen('gateway_requests_total{code=~"^5"}', lines)} == {"500"}
    (failures,) = [
        pattern for pattern in PATTERNS if "server_error|timeout" in pattern and "ok|" not in pattern
    ]
    assert {labels["outcome"] for labels in chosen(failures, lines)} == {
        "server_error", "timeout", "connect_error", "reset",
    }  # fmt: skip
    (state,) = [pattern for pattern in PATTERNS if "backend_state" in pattern]
    assert [labels["state"] for labels in chosen(state, lines)] == ["up", "up"]
