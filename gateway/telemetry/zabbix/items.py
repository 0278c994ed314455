"""What is an item of the template, and what does Zabbix' export format make of it?

Items are read from the text that one item fetches, or calculated from other items. Formulas name other items
as `{gateway.some.key}`; `Scope.filled` puts their whole keys there.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.telemetry.zabbix.names import help_of, pattern, uuid

MASTER = "gateway.metrics"
#: `{buckets gateway.…}` in a formula: all buckets of a histogram in the item's scope.
BUCKETS = re.compile(r"\{buckets (gateway\.[a-z0-9_.]+)\}")
REFERENCE = re.compile(r"\{(gateway\.[a-z0-9_.]+)\}")
Where = Mapping[str, str | tuple[str, ...]]
Step = dict[str, Any]

#: What becomes of a value that a step fails for.
_DISCARD = {"error_handler": "DISCARD_VALUE"}
_CUSTOM = {"error_handler": "CUSTOM_VALUE"}


@dataclass(frozen=True, slots=True)
class Read:
    """Lines of `/metrics`, added up.

    `how`: `gauge`, which has no value where no line is; `number`, which is 0 then, as of a counter that has
    counted nothing; `rate`, a counter's change per second; `lines`, how many there are.
    """

    series: str
    how: Literal["gauge", "number", "rate", "lines"]
    where: Where = field(default_factory=dict)

    def steps(self, labels: Mapping[str, str]) -> list[Step]:
        """The preprocessing; `labels` are those that the scope fixes."""
        lines = pattern(self.series, {**labels, **self.where})
        function = "count" if self.how == "lines" else "sum"
        step: Step = {"type": "PROMETHEUS_PATTERN", "parameters": [lines, "function", function]}
        step |= _DISCARD if self.how == "gauge" else {**_CUSTOM, "error_handler_params": "0"}
        return [step, {"type": "CHANGE_PER_SECOND", "parameters": [""]}] if self.how == "rate" else [step]


@dataclass(frozen=True, slots=True)
class Label:
    """The value of `label` in the line that says 1; with `among`, its place there, for a value map.

    Where no line is, there is no value, or -1: a backend that is no more must not keep its last state.
    """

    series: str
    label: str
    among: tuple[str, ...] = ()

    def steps(self, labels: Mapping[str, str]) -> list[Step]:
        pattern(self.series, {self.label: ""})  # fails for a label that is not declared
        lines = pattern(self.series, labels) + " == 1"
        found: Step = {"type": "PROMETHEUS_PATTERN", "parameters": [lines, "label", self.label]}
        if not self.among:
            return [found | _DISCARD, {"type": "DISCARD_UNCHANGED_HEARTBEAT", "parameters": ["1d"]}]
        place = f"return {list(self.among)!r}.indexOf(value);"
        found |= {**_CUSTOM, "error_handler_params": "absent"}
        return [found, {"type": "JAVASCRIPT", "parameters": [place]}]


@dataclass(frozen=True, slots=True)
class Uptime:
    """Seconds since the process began."""

    series: str = "process_start_time_seconds"

    def steps(self, labels: Mapping[str, str]) -> list[Step]:
        start: Step = {
            "type": "PROMETHEUS_PATTERN",
            "parameters": [pattern(self.series, labels), "value", ""],
        }
        since = "return Math.max(0, Math.floor(Date.now() / 1000 - Number(value)));"
        return [start, {"type": "JAVASCRIPT", "parameters": [since]}]


@dataclass(frozen=True, slots=True)
class Calculated:
    """A formula over other items of the same scope; below 0 stands for "cannot be told" and is not kept."""

    formula: str
    help: str

    def steps(self, labels: Mapping[str, str]) -> list[Step]:
        # Without data to begin with there is no value either, rather than an item in error.
        unready: Step = {"type": "CHECK_NOT_SUPPORTED", "parameters": [""], **_DISCARD}
        told: Step = {"type": "IN_RANGE", "parameters": ["0", ""], **_DISCARD}
        return [unready, told]


@dataclass(frozen=True, slots=True)
class Item:
    """One item, or its prototype: `key` without what its scope adds."""

    key: str
    name: str
    source: Read | Label | Uptime | Calculated
    units: str = ""
    valuemap: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """For what there is a set of items: the gateway, or each of what `discovered` has lines for.

    `labels` are the labels that tell them apart, `title` begins the names of items.
    """

    name: str
    title: str
    items: tuple[Item, ...]
    labels: tuple[str, ...] = ()
    discovered: str = ""

    @property
    def macros(self) -> dict[str, str]:
        return {label: f"{{#{label.upper()}}}" for label in self.labels}

    def key(self, key: str) -> str:
        """The whole key of an item of this scope."""
        if key not in {item.key for item in self.items}:
            raise ValueError(f"{self.name} has no item {key}")
        return self.parametrised(key)

    def parametrised(self, key: str) -> str:
        parameters = ",".join(f'"{macro}"' for macro in self.macros.values())
        return f"{key}[{parameters}]" if parameters else key

    def filled(self, expression: str, host: str = "") -> str:
        """`expression` with whole keys in place of {gateway.…}."""
        return REFERENCE.sub(lambda found: f"/{host}/{self.key(found[1])}", expression)

    def document(self, item: Item) -> dict[str, Any]:
        """The item in the export format."""
        text = isinstance(item.source, Label) and not item.source.among
        kept: dict[str, Any] = {
            "uuid": uuid("item", self.name, item.key),
            "name": self.title + item.name,
            "type": "DEPENDENT",
            "key": self.parametrised(item.key),
            "delay": "0",
            "history": "7d",
            "value_type": "CHAR" if text else "FLOAT",
            "description": self._description(item),
            "preprocessing": item.source.steps(self.macros),
            "tags": [{"tag": "component", "value": self.name}],
        }
        if text:
            kept["trends"] = "0"
        if isinstance(item.source, Calculated):
            formula = BUCKETS.sub(lambda found: self._buckets(found[1]), item.source.formula)
            kept |= {"type": "CALCULATED", "delay": "{$GATEWAY.INTERVAL}", "params": self.filled(formula)}
        else:
            kept["master_item"] = {"key": MASTER}
        kept |= {"units": item.units} if item.units else {}
        kept |= {"valuemap": {"name": item.valuemap}} if item.valuemap else {}
        kept["tags"] += [{"tag": label, "value": macro} for label, macro in self.macros.items()]
        return kept

    def _buckets(self, key: str) -> str:
        parameters = [f'"{macro}"' for macro in self.macros.values()]
        return f"//{key}[{','.join(['*', *parameters])}]"

    def _description(self, item: Item) -> str:
        return item.source.help if isinstance(item.source, Calculated) else help_of(item.source.series)


@dataclass(frozen=True, slots=True)
class Buckets:
    """The buckets of histogram `series` under `key`, for the percentiles of scope `of`; kept an hour."""

    key: str
    series: str
    of: Scope

    @property
    def name(self) -> str:
        return f"{self.of.name} {self.key}"

    @property
    def macros(self) -> dict[str, str]:
        return {**self.of.macros, "le": "{#LE}"}

    def document(self) -> dict[str, Any]:
        """The prototype of one bucket. Its bound is the key's first parameter, where the formulas look."""
        parameters = ",".join(f'"{macro}"' for macro in ("{#LE}", *self.of.macros.values()))
        return {
            "uuid": uuid("item", self.name),
            "name": f"{self.of.title}{self.series}, up to {{#LE}} s",
            "type": "DEPENDENT",
            "key": f"{self.key}[{parameters}]",
            "delay": "0",
            "history": "1h",
            "trends": "0",
            "value_type": "FLOAT",
            "description": help_of(f"{self.series}_bucket"),
            "preprocessing": Read(f"{self.series}_bucket", "number").steps(self.macros),
            "master_item": {"key": MASTER},
            "tags": [{"tag": "component", "value": "buckets"}],
        }


def rule(name: str, series: str, macros: Mapping[str, str], prototypes: Iterable[Any]) -> dict[str, Any]:
    """A discovery rule that finds the sets of labels which `series` has lines for.

    Only labels are kept of the lines, or every new value would be a new list of what there is.
    """
    pattern(series, dict.fromkeys(macros, ""))  # fails for labels that are not declared
    labels_only = "return JSON.stringify(JSON.parse(value).map(function (line) { return line.labels; }));"
    return {
        "uuid": uuid("rule", name),
        "name": f"Discovery: {name}",
        "type": "DEPENDENT",
        "key": f"gateway.discovery[{name}]",
        "delay": "0",
        "lifetime": "7d",
        "description": f"One for each line of {series}.",
        "item_prototypes": list(prototypes),
        "master_item": {"key": MASTER},
        "lld_macro_paths": [{"lld_macro": macro, "path": f"$['{label}']"} for label, macro in macros.items()],
        "preprocessing": [
            {"type": "PROMETHEUS_TO_JSON", "parameters": [series]},
            {"type": "JAVASCRIPT", "parameters": [labels_only]},
            {"type": "DISCARD_UNCHANGED_HEARTBEAT", "parameters": ["10m"]},
        ],
    }


def master() -> dict[str, Any]:
    """The item that fetches the text; it is kept nowhere."""
    return {
        "uuid": uuid("item", "master"),
        "name": "Gateway: metrics",
        "type": "HTTP_AGENT",
        "key": MASTER,
        "delay": "{$GATEWAY.INTERVAL}",
        "history": "0",
        "trends": "0",
        "value_type": "TEXT",
        "description": "The text of /metrics, from which all other items are read. It is not kept.",
        "timeout": "5s",
        "url": "{$GATEWAY.URL}/metrics",
        "tags": [{"tag": "component", "value": "raw"}],
    }
