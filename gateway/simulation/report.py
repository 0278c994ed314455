"""How are results shown? As tables for people, as data for programs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean

from gateway.simulation.comparison import compare
from gateway.simulation.scenario import Scenario
from gateway.simulation.statistics import Quantiles, Result

#: (heading, the result's attribute)
MEASURES = (("first byte", "ttft"), ("end to end", "total"), ("per token", "per_token"))
QUANTILES = ("p50", "p90", "p99", "p999")
COUNTS = (
    *("offered", "capacity", "goodput", "errors", "retries", "hedges"),
    *("wasted_s", "busy_s", "share", "utilisation"),
)
BEST = "best per seed"


@dataclass(frozen=True, slots=True)
class Run:
    """One policy under one scenario: a result for each seed, in order. `reference`: see references.py."""

    policy: str
    results: Sequence[Result]
    reference: bool = False

    def mean(self, figure: Callable[[Result], float]) -> float:
        return fmean(figure(result) for result in self.results)

    @property
    def label(self) -> str:
        return f"({self.policy})" if self.reference else self.policy


def text(scenario: Scenario, runs: Sequence[Run], seed: int) -> str:
    """Everything, as tables of monospaced text. Means over seeds; times in milliseconds."""
    seeds = len(runs[0].results)
    view = "gateway" if scenario.gateways == 1 else "gateways, each with a view of its own"
    measures = _measures(runs)
    parts = [
        f"{scenario.name}: {scenario.about}",
        f"{seeds} seed{'s' if seeds > 1 else ''} from {seed}, {scenario.duration_s:g} s each, "
        f"{scenario.gateways} {view}, {runs[0].mean(lambda r: r.offered):,.0f} tasks measured, "
        f"capacity {runs[0].mean(lambda r: r.capacity):.3g}/s\n",
        _times(runs, measures),
        _costs(runs),
    ]
    if len(runs[0].results[0].classes) > 1:
        parts.append(_classes(runs))
    parts += [_against(runs, heading, name) for heading, name in measures]
    parts += [
        _backends(runs),
        "In brackets: references. sed_true knows the machines' state, clairvoyant also every size and every\n"
        f"speed to come. {BEST}: the lowest figure of any policy shown, seed by seed.",
    ]
    return "\n".join(parts)


def data(scenario: Scenario, runs: Sequence[Run], seed: int) -> dict[str, object]:
    """The same for `json.dumps`: times in seconds, one entry per seed in every list."""
    return {
        "scenario": scenario.name,
        "about": scenario.about,
        "gateways": scenario.gateways,
        "duration_s": scenario.duration_s,
        "seeds": list(range(seed, seed + len(runs[0].results))),
        "policies": {run.policy: _figures(run) for run in runs},
    }


def _figures(run: Run) -> dict[str, object]:
    results = run.results
    found: dict[str, object] = {"reference": run.reference}
    for _, measure in MEASURES:
        found[f"{measure}_s"] = {
            name: [getattr(getattr(result, measure), name) for result in results]
            for name in ("mean", *QUANTILES)
        }
    for name in COUNTS:
        found[name] = [getattr(result, name) for result in results]
    return found


def _measures(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Those that tell something: an answer that comes whole has one time, and no time per token."""
    results = [result for run in runs for result in run.results]
    if all(result.ttft == result.total for result in results):
        return [("end to end", "total")]
    streams = any(result.per_token.count for result in results)
    return [(heading, name) for heading, name in MEASURES if streams or name != "per_token"]


def _times(runs: Sequence[Run], measures: Sequence[tuple[str, str]]) -> str:
    rows = [["ms", *(f"{heading} {q}" if q == "p50" else q for heading, _ in measures for q in QUANTILES)]]
    rows += [
        [run.label, *(_ms(run.mean(_quantile(m, q))) for _, m in measures for q in QUANTILES)] for run in runs
    ]
    known = [run for run in runs if not run.reference]
    if len(known) > 1:
        rows.append([BEST, *(_ms(_best(known, m, q)) for _, m in measures for q in QUANTILES)])
    return _table(rows)


def _quantile(measure: str, name: str) -> Callable[[Result], float]:
    return lambda result: float(getattr(getattr(result, measure), name))


def _best(runs: Sequence[Run], measure: str, name: str) -> float:
    figure = _quantile(measure, name)
    return fmean(
        min(figure(result) for result in row) for row in zip(*(r.results for r in runs), strict=True)
    )


def _costs(runs: Sequence[Run]) -> str:
    rows = [["", "errors", "goodput/s", "retries", "hedges", "wasted", "which errors"]]
    for run in runs:
        offered = run.mean(lambda r: r.offered) or 1.0
        kinds = {kind for result in run.results for kind in result.errors}
        means = {kind: run.mean(lambda r, kind=kind: r.errors.get(kind, 0)) for kind in kinds}  # type: ignore[misc]
        rows.append(
            [
                run.label,
                f"{sum(means.values()) / offered:.2%}",
                f"{run.mean(lambda r: r.goodput):.1f}",
                f"{run.mean(lambda r: r.retries):.0f}",
                f"{run.mean(lambda r: r.hedges):.0f}",
                f"{run.mean(lambda r: r.wasted_s / r.busy_s if r.busy_s else 0.0):.1%}",
                ", ".join(f"{kind} {means[kind]:.0f}" for kind in sorted(kinds)),
            ]
        )
    return _table(rows)


def _classes(runs: Sequence[Run]) -> str:
    names = sorted({name for run in runs for result in run.results for name in result.classes})
    rows = [["ms", *(f"{name} {what}" for name in names for what in ("p50", "p99", "errors"))]]
    nothing = (Quantiles.of(()), 0)
    for run in runs:
        cells = [run.label]
        for name in names:
            figures = [result.classes.get(name, nothing) for result in run.results]
            cells += [_ms(fmean(times.p50 for times, _ in figures)), _ms(fmean(t.p99 for t, _ in figures))]
            cells.append(f"{fmean(errors for _, errors in figures):.0f}")
        rows.append(cells)
    return _table(rows)


def _against(runs: Sequence[Run], heading: str, measure: str) -> str:
    """Each run's p99 against the first one's and against the references'."""
    against = [run for run in runs if run.reference or run is runs[0]]
    figure = _quantile(measure, "p99")
    rows = [[f"{heading} p99 / that of", *(run.label for run in against)]]
    for run in runs:
        cells = [run.label]
        for other in against:
            ratio = compare(list(map(figure, run.results)), list(map(figure, other.results)), Random(0))
            interval = f" [{ratio.low:.2f}, {ratio.high:.2f}]" if len(run.results) > 1 else ""
            cells.append("1" if run is other else f"{ratio.value:.2f}{interval}")
        rows.append(cells)
    return _table(rows)


def _backends(runs: Sequence[Run]) -> str:
    """Share of the attempts / utilisation, in percent."""
    rows = [["share / busy, %", *(run.label for run in runs)]]
    for name in runs[0].results[0].share:
        cells = [name]
        for run in runs:
            share = run.mean(lambda r, name=name: r.share[name])  # type: ignore[misc]
            busy = run.mean(lambda r, name=name: r.utilisation[name])  # type: ignore[misc]
            cells.append(f"{share * 100:.1f} / {busy * 100:.0f}")
        rows.append(cells)
    return _table(rows)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.0f}" if seconds >= 0.0995 else f"{seconds * 1e3:.1f}"


def _table(rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as they must be; the first one to the left, the others to the right."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        cells[0] = row[0].ljust(widths[0])
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"
