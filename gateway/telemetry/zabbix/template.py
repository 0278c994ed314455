"""What is in config/zabbix/gateway.yaml? `python -m gateway.telemetry.zabbix.template` prints it.

The export format of Zabbix 6.0, which that and newer versions import.
"""

import sys
from collections.abc import Iterable
from typing import Any

import yaml

from gateway.telemetry.zabbix.boards import GRAPHS, dashboard
from gateway.telemetry.zabbix.figures import BUCKETS, SCOPES, VALUE_MAPS
from gateway.telemetry.zabbix.items import Scope, master, rule
from gateway.telemetry.zabbix.macros import MACROS, macro
from gateway.telemetry.zabbix.names import TEMPLATE, uuid
from gateway.telemetry.zabbix.triggers import TRIGGERS, Trigger

#: The group that Zabbix' own templates for applications are in, with its identifier there.
GROUP = {"uuid": "a571c0d144b14fd4a87a9d9b2aa9fcd6", "name": "Templates/Applications"}
SEVERITIES = {"HIGH": "critical", "WARNING": "warning"}

START = """\
# The gateway in Zabbix: import it, link it to a host, set its macro {$GATEWAY.URL}. See docs/monitoring.md.
#
# Made by `make docs` from gateway/telemetry/zabbix/ and the list of series; do not edit it.

"""
ABOUT = """\
A model gateway, from the text of its /metrics. Set {$GATEWAY.URL} to its admin address.

Thresholds are macros. What problems mean, where to look first and what to do: docs/monitoring.md."""


def _triggers(scopes: Iterable[Scope]) -> list[dict[str, Any]]:
    return [_trigger(trigger) for trigger in TRIGGERS if trigger.scope in scopes]


def _trigger(trigger: Trigger) -> dict[str, Any]:
    found: dict[str, Any] = {
        "uuid": uuid("trigger", trigger.name),
        "expression": trigger.filled(),
        "name": trigger.name,
        "priority": trigger.priority,
        "description": f"{trigger.todo}\n\nRunbook: docs/monitoring.md, {trigger.alert}.",
        "tags": [
            {"tag": "scope", "value": trigger.scope.name},
            {"tag": "alert", "value": trigger.alert},
            {"tag": "severity", "value": SEVERITIES[trigger.priority]},
        ],
    }
    return found | ({"opdata": trigger.shown} if trigger.shown else {})


def _rules() -> Iterable[dict[str, Any]]:
    for scope in SCOPES:
        if scope.discovered:
            found = rule(scope.name, scope.discovered, scope.macros, map(scope.document, scope.items))
            triggers = _triggers([scope])
            graphs = [graph.document() for graph in GRAPHS if graph.scope is scope]
            yield found | {"trigger_prototypes": triggers, "graph_prototypes": graphs}
    for buckets in BUCKETS:
        yield rule(buckets.name, f"{buckets.series}_bucket", buckets.macros, [buckets.document()])


def template() -> dict[str, Any]:
    """The document that Zabbix imports."""
    plain = [scope for scope in SCOPES if not scope.discovered]
    found = {
        "uuid": uuid("template"),
        "template": TEMPLATE,
        "name": TEMPLATE,
        "description": ABOUT,
        "groups": [{"name": GROUP["name"]}],
        "items": [master(), *(scope.document(item) for scope in plain for item in scope.items)],
        "discovery_rules": list(_rules()),
        "tags": [{"tag": "class", "value": "software"}, {"tag": "target", "value": "model-gateway"}],
        "macros": [
            {"macro": macro(name), "value": value, "description": about}
            for name, (value, about) in MACROS.items()
        ],
        "dashboards": [dashboard()],
        "valuemaps": [
            {
                "uuid": uuid("valuemap", name),
                "name": name,
                "mappings": [{"value": str(number), "newvalue": text} for number, text in texts.items()],
            }
            for name, texts in VALUE_MAPS.items()
        ],
    }
    return {
        "zabbix_export": {
            "version": "6.0",
            "groups": [GROUP],
            "templates": [found],
            "triggers": _triggers(plain),
            "graphs": [graph.document() for graph in GRAPHS if graph.scope in plain],
        }
    }


class _Dumper(yaml.SafeDumper):
    """Without anchors, which Zabbix' reader need not know; lines of texts as lines."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _lines(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Dumper.add_representer(str, _lines)


def text() -> str:
    """config/zabbix/gateway.yaml."""
    return START + yaml.dump(template(), Dumper=_Dumper, sort_keys=False, width=10**6, allow_unicode=True)


if __name__ == "__main__":
    sys.stdout.write(text())
