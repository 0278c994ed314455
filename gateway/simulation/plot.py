"""How does it look? Tails, quantiles and time courses of one scenario, drawn with matplotlib."""

from collections.abc import Callable, Sequence
from random import Random
from statistics import median
from typing import Any

from gateway.simulation.comparison import interval
from gateway.simulation.report import Run
from gateway.simulation.scenario import Scenario
from gateway.simulation.statistics import Quantiles, Sample

HINT = "--plot needs matplotlib: pip install 'model-gateway[plot]'"
WINDOWS = 60  # of the time course


class NoMatplotlib(Exception):
    """It is not installed; the text says how to."""


def draw(scenario: Scenario, runs: Sequence[Run]) -> Any:
    """A matplotlib figure; each run's first result needs its samples. Raises NoMatplotlib."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise NoMatplotlib(HINT) from None
    with mpl.rc_context({"axes.grid": True, "grid.alpha": 0.3, "font.size": 9}):
        figure = Figure(figsize=(12, 8), layout="constrained")
        axes = figure.subplots(2, 2)
        figure.suptitle(f"{scenario.name}: {scenario.about}")
        _tail(axes[0][0], runs, "first byte", lambda sample: sample.ttft_s)
        if any(run.results[0].per_token.count for run in runs):
            _tail(axes[0][1], runs, "time per token", lambda sample: sample.per_token_s)
        else:
            _course(axes[0][1], runs, scenario, "p99", lambda values: Quantiles.of(values).p99)
            axes[0][1].set(yscale="log")
        _bars(axes[1][0], runs)
        _course(axes[1][1], runs, scenario, "median", median)
    return figure


def _tail(axes: Any, runs: Sequence[Run], title: str, value: Callable[[Sample], float | None]) -> None:
    """The share of answers that took longer, over the time; both logarithmic."""
    for run in runs:
        good = [sample for sample in run.results[0].samples if sample.error is None]
        values = sorted(found for sample in good if (found := value(sample)) is not None)
        n = len(values)
        step = max(1, n // 2000)  # all of the last, few of the many
        keep = [i for i in range(n) if i % step == 0 or n - i <= 1000]
        axes.plot(
            [values[i] for i in keep], [(n - i) / n for i in keep], label=run.label, linestyle=_line(run)
        )
    axes.set(xscale="log", yscale="log", title=title, xlabel="seconds", ylabel="share that took longer")
    axes.legend()


def _bars(axes: Any, runs: Sequence[Run]) -> None:
    """p99 of the first byte, with 95 % intervals over the seeds."""
    for number, run in enumerate(runs):
        values = [result.ttft.p99 for result in run.results]
        mean = sum(values) / len(values)
        low, high = interval(values, Random(0))
        axes.barh(number, mean, xerr=[[mean - low], [high - mean]], capsize=3)
    axes.set(
        yticks=range(len(runs)),
        yticklabels=[run.label for run in runs],
        title="first byte, p99, mean and 95 % interval over seeds",
        xlabel="seconds",
    )
    axes.invert_yaxis()


def _course(
    axes: Any, runs: Sequence[Run], scenario: Scenario, name: str, of: Callable[[list[float]], float]
) -> None:
    """A quantile of the time to the first byte, by time of arrival."""
    width = scenario.duration_s / WINDOWS
    for run in runs:
        windows: list[list[float]] = [[] for _ in range(WINDOWS)]
        for sample in run.results[0].samples:
            if sample.error is None:
                windows[min(int(sample.task.at / width), WINDOWS - 1)].append(sample.ttft_s)
        points = [((i + 0.5) * width, of(values)) for i, values in enumerate(windows) if values]
        axes.plot(*zip(*points, strict=True), label=run.label, linestyle=_line(run))
    axes.set(
        title=f"first byte, {name} by time of arrival",
        xlabel="seconds from the start",
        ylabel="seconds",
    )


def _line(run: Run) -> str:
    return "--" if run.reference else "-"
