"""Are Grafana's boards what the table of series, the rules, the documents and Grafana's own schema say?"""

import ast
import dataclasses
import json
import re
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard
from jsonschema import Draft7Validator

from config.grafana.generate.__main__ import BOARDS, files, main
from config.grafana.generate.boards import build_board, text
from config.grafana.generate.names import UnknownNameError, known, labels_of, of_series
from config.grafana.generate.panels import Panel, build
from config.grafana.generate.queries import Query, events, share
from gateway.telemetry.series import SERIES, Series

ROOT = Path(__file__).parents[1]
GRAFANA = ROOT / "config" / "grafana"
DASHBOARDS = {
    path.name: json.loads(path.read_text(encoding="utf-8")) for path in (GRAFANA / "dashboards").iterdir()
}
SCHEMAS = Path(__file__).parent / "grafana"
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, board in DASHBOARDS.items()
    for panel in board["panels"]
    if panel["type"] != "row"
]
TARGETS = [
    pytest.param(target, id=f"{name}: {panel['title']} {target['refId']}")
    for name, board in DASHBOARDS.items()
    for panel in board["panels"]
    for target in panel.get("targets", [])
]
WITHOUT_QUERIES = {"alertlist", "text"}


# In step.


def test_the_files_are_those_that_are_generated() -> None:
    """`make docs` would change nothing."""
    on_disk = {path.name: path.read_text(encoding="utf-8") for path in (GRAFANA / "dashboards").iterdir()}
    assert on_disk == files(), "make docs"


def test_generating_writes_them(tmp_path: Path) -> None:
    """Into a folder that need not exist; twice is as good as once."""
    main(tmp_path / "new")
    main(tmp_path / "new")
    assert {path.name for path in (tmp_path / "new").iterdir()} == DASHBOARDS.keys()


def used() -> set[str]:
    """Every series that a board asks for, without a histogram's ending."""
    asked = json.dumps(list(DASHBOARDS.values())) + (ROOT / "config/prometheus/rules.yaml").read_text()
    names = set(re.findall(r"(?<![\w:])gateway_\w+", asked))
    return names | {re.sub("_(bucket|count|sum)$", "", name) for name in names}


def test_every_series_is_on_a_board() -> None:
    """What is worth counting is worth seeing."""
    assert {series.name for series in SERIES} - used() == set()


def without(one: Series, **changes: Any) -> tuple[Series, ...]:
    """The table with a series renamed, or with other labels."""
    return tuple(dataclasses.replace(series, **changes) if series is one else series for series in SERIES)


def generate_from(table: tuple[Series, ...]) -> None:
    """What generating would do if this were the table; rules are recorded from it as well."""
    names = {name: labels for name, labels in known().items() if not name.startswith("gateway_")}
    names = {name: labels for name, labels in names.items() if ":" not in name} | of_series(table)
    rules = yaml.safe_load((ROOT / "config/prometheus/rules.yaml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            names[rule["record"]] = labels_of(rule["expr"], names)
    for board in BOARDS:
        build_board(board, names)


def test_the_table_as_it_is_generates() -> None:
    """So that the failures below are those of the change."""
    generate_from(SERIES)


@pytest.mark.parametrize("series", SERIES, ids=lambda series: series.name)
def test_a_series_that_is_renamed_fails(series: Series) -> None:
    """Each of them: no board goes on asking for a name that nobody exports."""
    with pytest.raises(UnknownNameError, match=series.name):
        generate_from(without(series, name=series.name.replace("gateway_", "gateway_other_", 1)))


@pytest.mark.parametrize(
    "label", ["route", "pool", "backend", "code", "outcome", "state", "result", "reason"]
)
def test_a_label_that_is_renamed_fails(label: str) -> None:
    """In conditions, in `by`, and in legends."""
    table = tuple(
        dataclasses.replace(one, labels=tuple(f"{name}_x" if name == label else name for name in one.labels))
        for one in SERIES
    )
    with pytest.raises(UnknownNameError, match=label):
        generate_from(table)


@pytest.mark.parametrize(
    ("expr", "legend"),
    [
        ("gateway_nothing_total", ""),
        ('gateway_panic{backend="a"}', ""),
        ("sum by (backend) (gateway_panic)", ""),
        ("sum without (backend) (gateway_panic)", ""),
        ("histogram_quantile(0.5, gateway_panic)", ""),
        ("gateway_panic / gateway_connections", ""),
        ("gateway_backend_up / on (route) group_left () gateway_panic", ""),
        ("sum by (pool) (gateway_panic)", "{{instance}}"),
        ("rate(gateway_overhead_seconds[$__rate_interval])", ""),
    ],
)
def test_what_cannot_be_answered_is_no_panel(expr: str, legend: str) -> None:
    """A name, a label, a legend that is not there; sides that never meet; a histogram without its ending."""
    panel = Panel("t", "s", "b", "none", (Query(expr, legend),))
    with pytest.raises(UnknownNameError):
        build(panel, known())


def test_what_is_no_query_is_no_panel() -> None:
    """Syntax is looked at first."""
    with pytest.raises(ValueError, match=r"."):
        build(Panel("t", "s", "b", "none", (Query("sum(", ""),)), known())


@pytest.mark.parametrize(
    ("expr", "labels"),
    [
        ("gateway_panic", {"pool", "job", "instance"}),
        ("gateway_overhead_seconds_bucket", {"le", "job", "instance"}),
        ("sum(gateway_panic)", set()),
        ("sum by (pool) (rate(gateway_shed_total[$__rate_interval]))", {"pool"}),
        ("sum without (instance) (gateway_panic)", {"job", "pool"}),
        ("histogram_quantile(0.9, sum by (pool, le) (gateway_queue_seconds_bucket))", {"pool"}),
        ("gateway_backend_up * on (pool) group_left () sum by (pool) (gateway_panic)", {"pool", "backend"}),
        ("sum by (job, pool) (gateway_panic) + on (pool) sum by (pool) (gateway_panic)", {"pool"}),
        ("topk(3, sum by (pool) (gateway_panic))", {"pool"}),
        ('label_replace(sum(gateway_panic), "a", "b", "", "")', {"a"}),
        ("max_over_time(sum by (pool) (gateway_panic)[5m:1m])", {"pool"}),
        ("-(1 + sum by (pool) (gateway_panic))", {"pool"}),
        ("vector(1)", set()),
        ("job_route:gateway_requests:rate5m", {"job", "route"}),
    ],
)
def test_the_labels_of_a_result_are_known(expr: str, labels: set[str]) -> None:
    """As Prometheus would give them."""
    found = labels_of(expr, known())
    assert labels <= found
    assert found - labels <= {"job", "instance"} or not labels


def test_forms_of_queries() -> None:
    """The helpers write what they say."""
    assert share("a", "b") == "(a or 0 * b) / (b > 0)"
    assert events("x", "w", "l") == (
        "clamp_min(sum by (l) (x{w})"
        " - (sum by (l) (x{w} offset $__rate_interval) or 0 * sum by (l) (x{w})), 0)"
        " and sum by (l) (x{w}) > 0"
    )


def test_the_generator_is_not_needed_to_run() -> None:
    """No module of the gateway imports it, Grafana's SDK or a parser of PromQL."""
    foreign = ("config", "grafana_foundation_sdk", "promql_parser")
    for path in (ROOT / "gateway").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] in foreign for name in names), path


# Grafana's own idea of a board.


def mended(schema: Any) -> Any:
    """A schema without its generator's two mistakes, see grafana/README.md."""
    if schema == {"type": "object", "additionalProperties": {}}:
        return {}
    if isinstance(schema, list):
        return [mended(one) for one in schema]
    if isinstance(schema, dict):
        return {key: mended(value) for key, value in schema.items()}
    return schema


@cache
def schema(kind: str, part: str) -> Draft7Validator:
    """What checks a part of a kind of thing."""
    read = mended(json.loads((SCHEMAS / f"{kind}.json").read_text(encoding="utf-8")))
    if kind == "dashboard":
        read["definitions"]["Threshold"]["properties"]["value"] = {"type": ["number", "null"]}
    return Draft7Validator({**read, "$ref": f"#/definitions/{part}"})


def mistakes(kind: str, part: str, value: Any) -> list[str]:
    return [
        f"{list(error.absolute_path)}: {error.message}" for error in schema(kind, part).iter_errors(value)
    ]


def test_the_schemas_refuse() -> None:
    """Mended, they still find what is wrong."""
    board = json.loads(text(build_board(BOARDS[0], known())))
    assert mistakes("dashboard", "Dashboard", board) == []
    (panel,) = (one for one in board["panels"] if one["title"] == "Latency by route")
    for change in ({"gridPos": {"x": "0"}}, {"fieldConfig": {"defaults": {"unit": 1}}}, {"colour": "red"}):
        worse = {**board, "panels": [{**panel, **change}]}
        assert mistakes("dashboard", "Dashboard", worse) != [], change
    assert mistakes("timeseries", "Options", {"legend": {"displayMode": "nice"}}) != []
    assert mistakes("prometheus", "dataquery", {"expr": 1}) != []


@pytest.mark.parametrize("name", DASHBOARDS)
def test_boards_are_what_the_schema_says(name: str) -> None:
    """Each board, each panel's options and own settings, each query."""
    board = DASHBOARDS[name]
    assert mistakes("dashboard", "Dashboard", board) == []
    for panel in board["panels"]:
        kind = panel["type"].replace("-", "")
        if kind not in ("row", "alertlist"):
            assert mistakes(kind, "Options", panel["options"]) == [], panel["title"]
        if kind in ("timeseries", "statetimeline"):
            assert mistakes(kind, "FieldConfig", panel["fieldConfig"]["defaults"]["custom"]) == []
        for target in panel.get("targets", []):
            assert mistakes("prometheus", "dataquery", target) == [], panel["title"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_grafana_s_sdk_reads_what_it_wrote(name: str) -> None:
    """Read into its typed model and written again, a board is the same."""
    register_default_plugins()
    read = Dashboard.from_json(DASHBOARDS[name])
    assert json.loads(json.dumps(read, cls=JSONEncoder)) == DASHBOARDS[name]


# What every panel has.


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_explains_itself(panel: dict[str, Any]) -> None:
    """A title; what it says, in whole sentences; what to do when it is bad."""
    assert panel["title"]
    says, _, bad = panel["description"].partition("\n\n**When it is bad:** ")
    assert says.endswith(".") and bad.endswith(".")
    assert len(bad) > 15


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_has_a_unit_and_thresholds(panel: dict[str, Any]) -> None:
    """A unit that Grafana knows; thresholds that rise, the first from the bottom."""
    defaults = panel["fieldConfig"]["defaults"]
    grafana_s = {value for name, value in vars(units).items() if name[0].isupper() and isinstance(value, str)}
    assert defaults["unit"] in grafana_s or defaults["unit"].startswith("suffix:")
    first, *others = [step["value"] for step in defaults["thresholds"]["steps"]]
    assert first is None
    assert others == sorted(others)


@pytest.mark.parametrize("panel", [one for one in PANELS if "overview: Where" not in str(one.id)])
def test_every_graph_has_a_legend_and_its_lines_names(panel: dict[str, Any]) -> None:
    """Shown, and not of bare label sets; a table's columns are its legend."""
    if panel["type"] in ("timeseries", "state-timeline", "bargauge"):
        assert panel["options"]["legend"]["showLegend"] is True
    if panel["type"] not in WITHOUT_QUERIES:
        assert panel["targets"]
        assert all(target["legendFormat"] or panel["type"] == "table" for target in panel["targets"])
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    if panel["type"] == "table":
        renamed = panel["transformations"][1]["options"]["renameByName"]
        assert renamed.keys() == {f"Value #{target['refId']}" for target in panel["targets"]}
        assert set(renamed.values()) == {
            one["matcher"]["options"] for one in panel["fieldConfig"]["overrides"]
        }


@pytest.mark.parametrize("target", TARGETS)
def test_every_query_can_be_narrowed(target: dict[str, Any]) -> None:
    """Each series in it is of the chosen job; the datasource is the chosen one, on every board."""
    selectors = re.findall(
        r"(?<![\w:])((?:job\w*:)?gateway_[\w:]+|process_\w+|ALERTS)(\{[^}]*\})?", target["expr"]
    )
    assert selectors
    for name, where in selectors:
        assert 'job=~"$job"' in where, name
    assert target["datasource"]["uid"] == "${datasource}"


@pytest.mark.parametrize("target", TARGETS)
def test_queries_choose_values_that_exist(target: dict[str, Any]) -> None:
    """An outcome, a result, a state or a kind that is asked for is one of those in docs/metrics.md."""
    manual = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    for label, values in re.findall(r"(\w+)(?:=~|!~|!=|=)\"([^\"$]*)\"", target["expr"]):
        if label not in ("code", "alertname", "alertstate"):
            assert [value for value in values.split("|") if f"`{value}`" not in manual] == []


def test_runbooks_exist() -> None:
    """What a panel names in docs/monitoring.md is a heading there."""
    headings = set(re.findall(r"^### (\w+)$", (ROOT / "docs/monitoring.md").read_text(), re.MULTILINE))
    named = {
        found
        for panel in (param.values[0] for param in PANELS)
        for found in re.findall(r"docs/monitoring.md, (\w+)\.", panel["description"])
    }
    assert len(named) > 8
    assert named <= headings


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_lie_side_by_side(name: str) -> None:
    """Within the grid, not upon each other, with ids and titles of their own."""
    panels = DASHBOARDS[name]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    places = [(p["gridPos"]["x"], p["gridPos"]["y"], p["gridPos"]["w"], p["gridPos"]["h"]) for p in panels]
    assert all(x + width <= 24 for x, _, width, _ in places)
    for (x1, y1, w1, h1), (x2, y2, w2, h2) in combinations(places, 2):
        assert x1 + w1 <= x2 or x2 + w2 <= x1 or y1 + h1 <= y2 or y2 + h2 <= y1


def test_boards_know_each_other() -> None:
    """Addresses of their own, a tag for all, a link to all with that tag that keeps what is chosen."""
    assert {board["uid"] for board in DASHBOARDS.values()} == {
        "gateway-overview",
        "gateway-backends",
        "gateway-cache",
    }
    for board in DASHBOARDS.values():
        (link,) = board["links"]
        assert link["tags"] == board["tags"] == ["gateway"]
        assert link["includeVars"] and link["keepTime"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_variable_that_is_used_is_there(name: str) -> None:
    """In queries of panels, of variables and of annotations; none is left that nothing uses."""
    board = DASHBOARDS[name]
    offered = {variable["name"] for variable in board["templating"]["list"]}
    asked = set(re.findall(r"\$\{?([a-z]\w*)\}?", json.dumps(board)))
    assert asked == offered


# Provisioning.


def provisioned(kind: str) -> list[dict[str, Any]]:
    (file,) = (GRAFANA / "provisioning" / kind).iterdir()
    read = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert read["apiVersion"] == 1
    found: list[dict[str, Any]] = read["providers" if kind == "dashboards" else kind]
    return found


def test_the_datasource_is_a_prometheus() -> None:
    """The default one, so that boards choose it by themselves; its interval is that of the scrapes."""
    (source,) = provisioned("datasources")
    assert (source["type"], source["isDefault"], source["access"]) == ("prometheus", True, "proxy")
    scraped = yaml.safe_load((ROOT / "config/prometheus/prometheus.yaml").read_text(encoding="utf-8"))
    assert source["jsonData"]["timeInterval"] == scraped["global"]["scrape_interval"]


def test_boards_are_read_from_files() -> None:
    """From one folder, again when they change, and not to be changed by hand where nobody would keep it."""
    (provider,) = provisioned("dashboards")
    assert provider["type"] == "file"
    assert provider["allowUiUpdates"] is False
