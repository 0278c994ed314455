"""Triggers are the alerts of config/prometheus/alerts.yaml: all of them, with their thresholds and times."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.telemetry.zabbix.macros import MACROS, macro
from gateway.telemetry.zabbix.of_gateway import GATEWAY
from gateway.telemetry.zabbix.of_routes import ROUTE
from gateway.telemetry.zabbix.template import SEVERITIES
from gateway.telemetry.zabbix.triggers import TRIGGERS, Trigger

ROOT = Path(__file__).parents[4]
RULES = yaml.safe_load((ROOT / "config" / "prometheus" / "alerts.yaml").read_text(encoding="utf-8"))
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]
}
#: Where a macro's default stands in the alert's expression, and by what Zabbix' percent or ratio is more.
THRESHOLDS = {
    "ERRORS.MAX": ("GatewayErrorRatio", r"ratio_rate5m > ([\d.]+)", 100),
    "BACKEND.ERRORS.MAX": ("GatewayBackendErrorRatio", r"ratio_rate5m > ([\d.]+)", 100),
    "REQUESTS.MIN": ("GatewayErrorRatio", r":rate5m > ([\d.]+)", 1),
    "LATENCY.FACTOR": ("GatewayLatency", r"> ([\d.]+) \* quantile", 1),
    "LATENCY.MIN": ("GatewayLatency", r"p99_rate5m > ([\d.]+)", 1),
    "SHED.MAX": ("GatewayShedding", r"> ([\d.]+)", 100),
    "QUEUE.MAX": ("GatewayQueue", r"p95_rate5m > ([\d.]+)", 1),
    "HITS.FACTOR": ("GatewayHitRatio", r"< ([\d.]+) \*", 1),
    "HITS.MIN": ("GatewayHitRatio", r"30m\) > ([\d.]+)\)", 100),
    "MISMATCH.MAX": ("GatewayCacheMismatch", r"> ([\d.]+)", 1),
    "LAG.MAX": ("GatewayEventLoopLag", r"> ([\d.]+)", 1),
}
TIMES = {
    "ABSENT.FOR": "GatewayAbsent",
    "POOL.DOWN.FOR": "GatewayPoolDown",
    "PANIC.FOR": "GatewayPanic",
    "BACKEND.DOWN.FOR": "GatewayBackendDown",
    "ERRORS.FOR": "GatewayErrorRatio",
    "BACKEND.ERRORS.FOR": "GatewayBackendErrorRatio",
    "LATENCY.FOR": "GatewayLatency",
    "SHED.FOR": "GatewayShedding",
    "QUEUE.FOR": "GatewayQueue",
    "HITS.FOR": "GatewayHitRatio",
    "MISMATCH.FOR": "GatewayCacheMismatch",
    "LAG.FOR": "GatewayEventLoopLag",
}
#: Of the template's own: where to ask, and limits that Prometheus' alerts do not have.
OWN = {"URL", "INTERVAL", "LATENCY.P95.MAX", "LATENCY.MEAN.MAX"}


def test_every_alert_has_a_trigger() -> None:
    """And no trigger is without one, since the alert's runbook is its own."""
    assert {trigger.alert for trigger in TRIGGERS} == ALERTS.keys()
    assert len({trigger.name for trigger in TRIGGERS}) == len(TRIGGERS)


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda trigger: trigger.name)
def test_severities_are_the_alerts(trigger: Trigger) -> None:
    """critical is High, warning is Warning."""
    assert SEVERITIES[trigger.priority] == ALERTS[trigger.alert]["labels"]["severity"]


@pytest.mark.parametrize("name", THRESHOLDS)
def test_thresholds_are_the_alerts(name: str) -> None:
    """The same number, or a hundred times as much where Zabbix shows percent."""
    alert, where, factor = THRESHOLDS[name]
    found = re.search(where, ALERTS[alert]["expr"])
    assert found is not None
    assert float(MACROS[name][0]) == pytest.approx(factor * float(found[1]))


@pytest.mark.parametrize("name", TIMES)
def test_times_are_the_alerts(name: str) -> None:
    """So long it must last."""
    assert MACROS[name][0] == ALERTS[TIMES[name]]["for"]


def test_every_macro_is_held_against_an_alert_and_used() -> None:
    """But for the template's own; none is left over."""
    assert THRESHOLDS.keys() | TIMES.keys() | OWN == MACROS.keys()
    used = "".join(trigger.filled() for trigger in TRIGGERS)
    unused = {
        name for name in MACROS if f"{{$GATEWAY.{name}}}" not in used and f"{{$GATEWAY.{name}:" not in used
    }
    assert unused == {"URL", "INTERVAL"}


def test_limits_that_nobody_set_raise_nothing() -> None:
    """0 turns them off, which is asked first."""
    for name in ("LATENCY.P95.MAX", "LATENCY.MEAN.MAX"):
        assert MACROS[name][0] == "0"
        (limited,) = [trigger.expression for trigger in TRIGGERS if name in trigger.expression]
        assert limited.startswith(f"{{{name}}}>0 and ")


def test_expressions_name_what_there_is() -> None:
    """Macros get their route, pool or backend as context; a misspelt macro or item fails."""

    def filled(scope: Any, expression: str) -> str:
        return Trigger("A", scope, "n", expression, "HIGH", "todo").filled()

    assert filled(ROUTE, "{ERRORS.MAX}>0") == '{$GATEWAY.ERRORS.MAX:"{#ROUTE}"}>0'
    assert filled(GATEWAY, "last({gateway.uptime})<{LAG.MAX}") == (
        "last(/Model gateway by HTTP/gateway.uptime)<{$GATEWAY.LAG.MAX}"
    )
    assert macro("URL") == "{$GATEWAY.URL}"
    with pytest.raises(ValueError, match=r"no macro ERRORS\.MIN"):
        filled(ROUTE, "{ERRORS.MIN}>0")
    with pytest.raises(ValueError, match=r"no item gateway\.uptime"):
        filled(ROUTE, "last({gateway.uptime})>0")
