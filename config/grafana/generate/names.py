"""Which names may a query use, and which labels has its result? What the table does not know fails."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import promql_parser as promql
import yaml

from gateway.telemetry.series import SERIES, Series

RULES = Path(__file__).parents[2] / "prometheus" / "rules.yaml"

Labels = frozenset[str]
#: What Prometheus adds to all that it scrapes.
TARGET: Labels = frozenset({"job", "instance"})
#: Series that the table does not declare: of prometheus-client, about the process, and of Prometheus itself.
OF_OTHERS: dict[str, Labels] = {
    "up": TARGET,
    "process_cpu_seconds_total": TARGET,
    "process_max_fds": TARGET,
    "process_open_fds": TARGET,
    "process_resident_memory_bytes": TARGET,
    "process_start_time_seconds": TARGET,
    "ALERTS": TARGET | {"alertname", "alertstate", "severity", "route", "pool", "backend"},
}
#: What stands for Grafana's variables while a query is looked at; those in quotes may stay.
INTERVALS = {"$__rate_interval": "1m", "$__interval": "15s", "$__range": "1h"}
_SETS = {"and", "or", "unless"}


class UnknownNameError(LookupError):
    """A query asks for a series or a label that nobody exports."""


def of_series(series: Iterable[Series]) -> dict[str, Labels]:
    """The labels of every name that the series are scraped under."""
    known: dict[str, Labels] = {}
    for one in series:
        own = TARGET | set(one.labels)
        if one.type == "histogram":
            known |= {f"{one.name}_sum": own, f"{one.name}_count": own, f"{one.name}_bucket": own | {"le"}}
        else:
            known[one.name] = own
    return known


def known() -> dict[str, Labels]:
    """The labels of the declared series, of those of others, and of the rules that are recorded from them."""
    names = of_series(SERIES) | OF_OTHERS
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            names[rule["record"]] = labels_of(rule["expr"], names)
    return names


def labels_of(expr: str, names: Mapping[str, Labels]) -> Labels:
    """The labels that the result of a query may have.

    Raises UnknownNameError where the query uses a name that is not in `names`, or a label that is not there;
    ValueError where it is no PromQL.
    """
    for variable, value in INTERVALS.items():
        expr = expr.replace(variable, value)
    return _labels(promql.parse(expr), names)


def _labels(expr: promql.Expr, names: Mapping[str, Labels]) -> Labels:
    found: Labels = frozenset()  # of a number, of a text
    match expr:
        case promql.VectorSelector():
            found = _selected(expr, names)
        case promql.MatrixSelector():
            found = _selected(expr.vector_selector, names)
        case promql.AggregateExpr():
            found = _aggregated(expr, names)
        case promql.BinaryExpr():
            found = _joined(expr, names)
        case promql.Call():
            found = _called(expr, names)
        case promql.ParenExpr() | promql.SubqueryExpr() | promql.UnaryExpr():
            found = _labels(expr.expr, names)
    return found


def _selected(selector: promql.VectorSelector, names: Mapping[str, Labels]) -> Labels:
    if selector.name is None or selector.name not in names:
        raise UnknownNameError(f"nobody exports {selector.name}; declare it in gateway/telemetry/series.py")
    labels = names[selector.name]
    _need({matcher.name for matcher in selector.matchers.matchers}, labels, str(selector))
    return labels


def _aggregated(expr: promql.AggregateExpr, names: Mapping[str, Labels]) -> Labels:
    inner = _labels(expr.expr, names)
    if str(expr.op) in ("topk", "bottomk"):
        return inner
    if expr.modifier is None:
        return frozenset()
    named = frozenset(expr.modifier.labels)
    _need(named, inner, str(expr))
    return named if expr.modifier.type == promql.AggModifierType.By else inner - named


def _joined(expr: promql.BinaryExpr, names: Mapping[str, Labels]) -> Labels:
    left, right = _labels(expr.lhs, names), _labels(expr.rhs, names)
    if isinstance(expr.lhs, promql.NumberLiteral) or isinstance(expr.rhs, promql.NumberLiteral):
        return left | right
    modifier = expr.modifier
    matching = modifier.matching if modifier else None
    if modifier is None or matching is None:
        if left != right:
            raise UnknownNameError(
                f"its sides have {sorted(left)} and {sorted(right)} and never meet: {expr}"
            )
        return left
    named = frozenset(matching.labels)
    _need(named, left & right, str(expr))
    if str(expr.op) in _SETS or modifier.group_labels is not None:
        return left | frozenset(modifier.group_labels or ())
    return named if matching.type == promql.LabelModifierType.Include else left - named


def _called(call: promql.Call, names: Mapping[str, Labels]) -> Labels:
    inner = frozenset[str]().union(*(_labels(argument, names) for argument in call.args))
    if call.func.name == "histogram_quantile":
        _need({"le"}, inner, str(call))
        return inner - {"le"}
    if call.func.name in ("label_replace", "label_join"):
        return inner | {str(call.args[1].val)}
    return inner


def _need(labels: set[str] | Labels, among: Labels, where: str) -> None:
    if not labels <= among:
        raise UnknownNameError(f"{sorted(labels - among)} is no label of {where}; it has {sorted(among)}")
