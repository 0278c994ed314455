"""What is shown of a shoot-out? Tables as markdown, and a picture, from the document --json writes."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.rig.machine import Missing
from benchmarks.rig.table import NOTHING, Column, Round, Spread, figures, markdown, render, spread
from benchmarks.shootout.figures import kinds

Document = Mapping[str, Any]
MOST_SHOWN = 5  # times the best: one candidate far off must not make the others alike

WHOLE = (
    Column("p50 ms", "all_p50_ms", 0),
    Column("p99 ms", "all_p99_ms", 0),
    Column("p99.9 ms", "all_p999_ms", 0),
    Column("p99 ÷ nginx", "all_p99_ms", 2, "ratio"),
    Column("errors %", "errors_percent", 2),
    Column("p99 ms, errors as unanswered", "bad_p99_ms", 0),
    Column("attempts/request", "attempts", 3),
    Column("cores used", "cores", 2),
    Column("sent late p99 ms", "late_p99_ms", 1),
)
STREAMED = (
    Column("TTFT p50 ms", "first_p50_ms", 0),
    Column("TTFT p99 ms", "first_p99_ms", 0),
    Column("ms/token p50", "token_p50_ms", 1),
    Column("ms/token p99", "token_p99_ms", 1),
    *WHOLE,
)


def tables(document: Document) -> str:
    """All of it as markdown: who is best where, then a table for each scenario, then the notes."""
    names, rounds = document["candidates"], document["rounds"]
    parts = [
        "### p99 of the whole answer, ms\n\n" + overview(names, rounds, Column("", "all_p99_ms", 0)),
        "### Requests that failed, %\n\n" + overview(names, rounds, Column("", "errors_percent", 2)),
    ]
    for scenario, samples in rounds.items():
        about = document["scenarios"][scenario]
        columns = STREAMED if about["streams"] else WHOLE
        title = f"### {scenario}: {about['text']} {about['rate']:.0f} requests/s"
        parts.append(f"{title}\n\n{render(samples, names, columns)}{_errors(names, samples)}")
    if document["notes"]:
        parts.append("Notes:\n" + "\n".join(f"- {note}" for note in document["notes"]))
    return "\n\n".join(parts)


def overview(names: Sequence[str], rounds: Mapping[str, Sequence[Round]], column: Column) -> str:
    """A row for each candidate, a column for each scenario: the median over the rounds."""
    rows = []
    for name in names:
        row = [name]
        for samples in rounds.values():
            seen = spread(figures(samples, name, column))
            row.append(f"{seen.median:.{column.digits}f}" if seen else NOTHING)
        rows.append(row)
    return markdown(["candidate", *rounds], rows)


def _errors(names: Sequence[str], samples: Sequence[Round]) -> str:
    """A line for each candidate whose clients saw errors, by kind."""
    lines = []
    for name in names:
        found = kinds(dict(one[name]) for one in samples if name in one)
        if found:
            lines.append(f"- {name}: " + ", ".join(f"{count} × {kind}" for kind, count in found.items()))
    return "\n\nErrors:\n" + "\n".join(lines) if lines else ""


def plot(document: Document, path: Path) -> None:
    """A panel for each scenario, a bar for each candidate; raises `Missing` without matplotlib."""
    try:
        import matplotlib as mpl  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise Missing("matplotlib is not installed: pip install matplotlib") from None
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    names, rounds = document["candidates"], document["rounds"]
    across = min(4, len(rounds))
    down = math.ceil(len(rounds) / across)
    size = (4.2 * across, (0.28 * len(names) + 1) * down)
    figure, axes = plt.subplots(down, across, figsize=size, squeeze=False)
    for axis in axes.flat[len(rounds) :]:
        axis.set_visible(False)
    for axis, (scenario, samples) in zip(axes.flat, rounds.items(), strict=False):
        _panel(axis, scenario, list(reversed(names)), samples)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def _panel(axis: Any, scenario: str, names: Sequence[str], samples: Sequence[Round]) -> None:
    """p99 from zero, with its number and the failures; what is far beyond the best runs out of the panel."""
    shown: list[tuple[str, Spread, str]] = []
    for name in names:
        seen = spread(figures(samples, name, Column("", "all_p99_ms")))
        failed = spread(figures(samples, name, Column("", "errors_percent")))
        if seen is not None:
            errors = f", {failed.median:.1f} % failed" if failed and failed.high > 0 else ""
            shown.append((name, seen, f" {seen.median:.0f}{errors}"))
    if not shown:
        return
    end = min(max(seen.high for _, seen, _ in shown), MOST_SHOWN * min(seen.median for _, seen, _ in shown))
    spans = [
        [seen.median - seen.low for _, seen, _ in shown],
        [seen.high - seen.median for _, seen, _ in shown],
    ]
    colours = ["#c0392b" if name.startswith("gateway") else "#95a5a6" for name, _, _ in shown]
    bars = axis.barh(
        [name for name, _, _ in shown],
        [seen.median for _, seen, _ in shown],
        xerr=spans,
        color=colours,
        ecolor="#2c3e50",
    )
    axis.set_xlim(0, end * 1.1)
    for bar, (_, _, text) in zip(bars, shown, strict=True):
        middle = bar.get_y() + bar.get_height() / 2
        axis.text(0, middle, text, va="center", fontsize=6.5, color="black")
    axis.set_title(scenario, fontsize=9)
    axis.set_xlabel("p99, ms: median, least and most of the rounds", fontsize=6.5)
    axis.tick_params(labelsize=6.5)
