"""Only declared series and labels can be asked for, in the words Zabbix understands."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.series import SERIES
from gateway.telemetry.zabbix.names import OF_PROCESS, declared, help_of, pattern, uuid


@pytest.mark.parametrize(
    "name", ["gateway_request_total", "gateway_request_duration_seconds", "gateway_connections_sum", "up", ""]
)
def test_what_is_not_declared_cannot_be_asked_for(name: str) -> None:
    """A misspelt name, a histogram without a part, a part of what is none."""
    with pytest.raises(ValueError, match=r"series\.py"):
        declared(name)
    with pytest.raises(ValueError, match=r"series\.py"):
        pattern(name, {})


@pytest.mark.parametrize("series", SERIES, ids=lambda series: series.name)
def test_every_series_can_be_asked_for(series) -> None:
    """By its name, or by a histogram's parts, which alone of all have the label le."""
    parts = ("_sum", "_count", "_bucket") if series.type == "histogram" else ("",)
    for part in parts:
        assert declared(series.name + part) is series
        assert help_of(series.name + part) == series.help
        assert pattern(series.name + part, dict.fromkeys(series.labels, "x")).startswith(series.name + part)
        if part != "_bucket":
            with pytest.raises(ValueError, match="no label le"):
                pattern(series.name + part, {"le": "1"})


def test_labels_that_are_not_declared_fail() -> None:
    """Also beside those that are, and for the series of the process, which have none."""
    with pytest.raises(ValueError, match="no label pool"):
        pattern("gateway_requests_total", {"route": "x", "pool": "y"})
    for name in OF_PROCESS:
        with pytest.raises(ValueError, match="no label route"):
            pattern(name, {"route": "x"})


def test_patterns_match_whole_values() -> None:
    """Zabbix searches with regular expressions, so that choices need both anchors."""
    assert pattern("gateway_connections", {}) == "gateway_connections"
    assert pattern("gateway_requests_total", {"code": "^5"}) == 'gateway_requests_total{code=~"^5"}'
    where = {"pool": "{#POOL}", "result": ("won", "lost")}
    assert pattern("gateway_hedges_total", where) == (
        'gateway_hedges_total{pool="{#POOL}",result=~"^(won|lost)$"}'
    )


@given(st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_uuids_are_of_version_4_and_follow_from_names(some: list[str], others: list[str]) -> None:
    """32 hex digits, version and variant as RFC 9562 has them; equal just for equal names."""
    made = uuid(*some)
    assert re.fullmatch(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}", made)
    joined = "\0".join(some) == "\0".join(others) and bool(some) == bool(others)
    assert (made == uuid(*others)) == joined
