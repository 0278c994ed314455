"""The template that is shipped: in step with the code, whole, and with nothing that points nowhere."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.telemetry.series import SERIES
from gateway.telemetry.zabbix.names import OF_PROCESS, TEMPLATE
from gateway.telemetry.zabbix.template import template, text

ROOT = Path(__file__).parents[4]
SHIPPED = (ROOT / "config" / "zabbix" / "gateway.yaml").read_text(encoding="utf-8")
EXPORT: dict[str, Any] = yaml.safe_load(SHIPPED)["zabbix_export"]
(WHOLE,) = EXPORT["templates"]
RULES: list[dict[str, Any]] = WHOLE["discovery_rules"]
PROTOTYPES = [(rule, item) for rule in RULES for item in rule["item_prototypes"]]
ITEMS: list[dict[str, Any]] = [*WHOLE["items"], *(item for _, item in PROTOTYPES)]
KEYS = {item["key"] for item in ITEMS}
TRIGGERS = [*EXPORT["triggers"], *(found for rule in RULES for found in rule.get("trigger_prototypes", []))]
GRAPHS = [*EXPORT["graphs"], *(found for rule in RULES for found in rule.get("graph_prototypes", []))]

#: Not in the template, and why.
LEFT_OUT = {
    "gateway_panics_total": "gateway_panic, which is asked often enough, raises the problem",
    "gateway_prefix_table_entries": "grows to its bound and stays there",
    "gateway_cache_saved_bytes_total": "the seconds are what is paid for",
    "gateway_cache_flights": "of a moment: for who looks at /metrics or the console",
    "gateway_cache_flight_bytes": "of a moment: for who looks at /metrics or the console",
    "gateway_cache_refreshes_total": "the hit ratio shows what comes of them",
    "gateway_cache_shared_requests_total": "the hit ratio shows what comes of them",
    "gateway_cache_audits_total": "gateway_cache_mismatch_ratio shows what comes of them",
    "gateway_log_suppressed_total": "as it should be, not a loss",
    "gateway_trace_spans_exported_total": "what matters is what was dropped",
}


def named(value: Any, key: str) -> Iterator[Any]:
    """Everything called `key`, however deep."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == key:
                yield inner
            yield from named(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from named(inner, key)


def keys_in(expression: str) -> list[str]:
    """The keys of items in an expression or a formula, with their parameters."""
    return re.findall(r"/(?:Model gateway by HTTP)?/(gateway\.[a-z0-9_.]+(?:\[[^]]*\])?)", expression)


def test_the_file_is_in_step() -> None:
    """`make docs` writes it; what is read from it is what was meant."""
    assert text() == SHIPPED, "make docs"
    assert template()["zabbix_export"] == EXPORT


def test_it_is_of_a_format_that_zabbix_6_0_and_later_import() -> None:
    """The version, and the sections in which 6.0 has triggers and graphs."""
    assert EXPORT["version"] == "6.0"
    assert EXPORT.keys() == {"version", "groups", "templates", "triggers", "graphs"}
    assert WHOLE["template"] == WHOLE["name"] == TEMPLATE
    assert {group["name"] for group in WHOLE["groups"]} <= {group["name"] for group in EXPORT["groups"]}
    assert "&" not in re.sub(r"'[^'\n]*'", "", SHIPPED)  # no anchors


def test_identifiers_are_unique() -> None:
    """Zabbix updates what it has imported before by them."""
    found = list(named(EXPORT, "uuid"))
    assert len(found) > 100
    assert [uuid for uuid, times in Counter(found).items() if times > 1] == []
    assert [
        uuid for uuid in found if not re.fullmatch(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}", uuid)
    ] == []


def test_keys_and_names_are_unique() -> None:
    """Of items, rules, triggers and graphs, each among their own."""
    for found in (
        [item["key"] for item in ITEMS],
        [item["name"] for item in ITEMS],
        [rule["key"] for rule in RULES],
        [trigger["name"] for trigger in TRIGGERS],
        [graph["name"] for graph in GRAPHS],
    ):
        assert [one for one, times in Counter(found).items() if times > 1] == []


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item["key"])
def test_items_are_whole(item: dict[str, Any]) -> None:
    """Each has what its type needs, a description, a component, and a value map that exists."""
    assert {"uuid", "name", "key", "type", "value_type", "delay", "description", "tags"} <= item.keys()
    assert item["tags"][0]["tag"] == "component"
    assert item["description"] or "process_" in str(item["preprocessing"])
    needs = {
        "HTTP_AGENT": {"url", "timeout"},
        "DEPENDENT": {"master_item", "preprocessing"},
        "CALCULATED": {"params", "preprocessing"},
    }
    assert needs[item["type"]] <= item.keys()
    if item["type"] == "DEPENDENT":
        assert item["master_item"]["key"] == "gateway.metrics"
    if item["value_type"] in ("TEXT", "CHAR"):
        assert item["trends"] == "0"
    maps = {found["name"] for found in WHOLE["valuemaps"]}
    assert {found["name"] for found in named(item, "valuemap")} <= maps


def test_formulas_triggers_and_graphs_name_items_that_exist() -> None:
    """Buckets stand for all of theirs; everything else is named as it is."""
    buckets = {re.sub(r'"\{#LE\}"', "*", key) for key in KEYS}
    formulas = [item["params"] for item in ITEMS if item["type"] == "CALCULATED"]
    expressions = [trigger["expression"] for trigger in TRIGGERS]
    used = [key for expression in (*formulas, *expressions) for key in keys_in(expression)]
    assert len(used) > 80
    assert set(used) - KEYS - buckets == set()
    assert all(keys_in(expression) for expression in (*formulas, *expressions))
    assert {found["key"] for graph in GRAPHS for found in named(graph, "item")} <= KEYS


def test_what_is_discovered_is_told_apart() -> None:
    """A prototype's key, and a trigger's and a graph's name, have all macros of their rule and no others."""
    for rule in RULES:
        macros = {path["lld_macro"] for path in rule["lld_macro_paths"]}
        for item in rule["item_prototypes"]:
            assert set(re.findall(r"\{#\w+\}", item["key"])) == macros
            assert set(re.findall(r"\{#\w+\}", str(item))) == macros
        for found in (*rule.get("trigger_prototypes", []), *rule.get("graph_prototypes", [])):
            assert set(re.findall(r"\{#\w+\}", found["name"])) == macros
    for found in (*WHOLE["items"], *EXPORT["triggers"], *EXPORT["graphs"]):
        assert "{#" not in str(found)


def test_macros_are_declared_and_described() -> None:
    """Every `{$…}` anywhere is one of the template's own."""
    declared = {macro["macro"]: macro for macro in WHOLE["macros"]}
    used = {f"{{$GATEWAY.{name}}}" for name in re.findall(r"\{\$GATEWAY\.([A-Z0-9.]+)", SHIPPED)}
    assert used == declared.keys()
    assert all(macro["description"].endswith(".") for macro in declared.values())


def covered(widget: dict[str, str]) -> list[tuple[int, int]]:
    """The cells of a page that a widget stands on."""
    x, y, width, height = (int(widget[name]) for name in ("x", "y", "width", "height"))
    return [(column, row) for column in range(x, x + width) for row in range(y, y + height)]


def test_the_dashboard_shows_all_graphs() -> None:
    """Each once, and none that there is not; widgets do not overlap, and stay on a page of 24 by 64."""
    (board,) = WHOLE["dashboards"]
    shown = [found["name"] for found in named(board, "value") if isinstance(found, dict)]
    assert Counter(shown) == Counter(graph["name"] for graph in GRAPHS)
    for page in board["pages"]:
        cells = [cell for widget in page["widgets"] for cell in covered(widget)]
        assert cells
        assert len(set(cells)) == len(cells)
        assert max(x for x, _ in cells) < 24
        assert max(y for _, y in cells) < 64


def test_every_series_is_used_or_left_out_for_a_reason() -> None:
    """A new series asks the question whether Zabbix should show it."""
    texts = [str(item["preprocessing"]) for item in ITEMS if item["type"] == "DEPENDENT"]
    used = {name for one in texts for name in re.findall(r"\b(?:gateway|process)_[a-z_]+", one)}
    missing = {
        series.name
        for series in SERIES
        if not used & {series.name, *(f"{series.name}_{part}" for part in ("sum", "bucket"))}
    }
    assert missing == LEFT_OUT.keys()
    assert set(OF_PROCESS) <= used


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda trigger: trigger["name"])
def test_triggers_say_what_to_do_and_where_it_is_written(trigger: dict[str, Any]) -> None:
    """A text that ends with the runbook's section, which exists."""
    manual = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    todo, _, end = trigger["description"].rpartition("\n\n")
    assert len(todo) > 80
    found = re.fullmatch(r"Runbook: docs/monitoring\.md, (\w+)\.", end)
    assert found is not None
    assert f"\n### {found[1]}\n" in manual
    assert {tag["tag"]: tag["value"] for tag in trigger["tags"]}["alert"] == found[1]


def test_every_macro_is_in_the_manual() -> None:
    """With its default, in a row of its own."""
    manual = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    rows = [
        f"| `{macro['macro']}` | `{macro['value']}` | {macro['description']} |" for macro in WHOLE["macros"]
    ]
    assert [row for row in rows if row not in manual] == []
