"""Does the manual tell of every series, exactly as it is declared?"""

import re
from pathlib import Path

import pytest

from gateway.telemetry.series import SERIES, Series

MANUAL = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()


def row(series: Series) -> str:
    """The series' line in the manual's table."""
    labels = ", ".join(f"`{label}`" for label in series.labels) or "—"
    return f"| `{series.name}` | {series.type} | {labels} | {series.unit or '—'} | {series.help} |"


@pytest.mark.parametrize("series", SERIES, ids=lambda series: series.name)
def test_each_series_is_in_the_manual(series):
    """Name, type, labels, unit and help stand in one line of the table, word for word."""
    assert row(series) in MANUAL.splitlines(), f"docs/metrics.md needs this line:\n{row(series)}"


def test_the_manual_names_no_other_series():
    """What is not declared is not promised, in the table or in a query."""
    declared = {series.name for series in SERIES}
    histograms = {series.name for series in SERIES if series.type == "histogram"}
    parts = {f"{name}_{part}" for name in histograms for part in ("bucket", "count", "sum")}
    named = set(re.findall(r"\bgateway_[a-z_]+", MANUAL))
    assert named <= declared | parts


@pytest.mark.parametrize("series", [s for s in SERIES if s.buckets], ids=lambda series: series.name)
def test_the_manual_names_the_buckets(series):
    """The bounds of each histogram stand in the manual."""
    bounds = " ".join(f"{bound:g}" for bound in series.buckets)
    assert bounds in MANUAL, f"docs/metrics.md needs these bounds of {series.name}: {bounds}"
