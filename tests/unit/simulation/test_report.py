"""What people and programs get to see."""

import json
from dataclasses import replace

import pytest

from gateway.simulation.report import Run, data, text
from gateway.simulation.scenario import Group, Scenario, Work
from gateway.simulation.statistics import Quantiles, Result

SCENARIO = Scenario("mine", "two of them", "slots", (Group(2),), Work(load=0.5))


def quantiles(scale: float, count: int = 100) -> Quantiles:
    return Quantiles(count, scale, scale, 2 * scale, 3 * scale, 4 * scale)


def result(scale: float, streams: bool = False, **changes: object) -> Result:
    made = Result(
        ttft=quantiles(scale),
        total=quantiles(5 * scale if streams else scale),
        per_token=quantiles(scale / 10) if streams else quantiles(0.0, 0),
        errors={},
        offered=1000,
        capacity=20.0,
        goodput=10.0,
        retries=3,
        hedges=4,
        wasted_s=1.0,
        busy_s=50.0,
        share={"a": 0.25, "b": 0.75},
        utilisation={"a": 0.5, "b": 0.6},
        classes={"normal": (quantiles(scale), 0)},
        samples=[],
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def rows(table: str) -> dict[str, list[str]]:
    """The lines of the first table with this in it, by first word."""
    return {line.split()[0]: line.split()[1:] for line in table.splitlines() if line.strip()}


def test_whole_answers_are_told_in_one_measure() -> None:
    """Milliseconds, a row for each policy, references in brackets, and the best of each seed."""
    runs = [
        Run("ours", [result(0.1), result(0.4)]),
        Run("theirs", [result(0.2), result(0.2)]),
        Run("sed_true", [result(0.05), result(0.05)], reference=True),
    ]
    shown = text(SCENARIO, runs, 1)
    times = rows(shown.split("\n\n")[1])
    assert times["ms"] == ["end", "to", "end", "p50", "p90", "p99", "p999"]
    assert times["ours"] == ["250", "500", "750", "1,000"]
    assert times["(sed_true)"] == ["50.0", "100", "150", "200"]
    assert times["best"] == ["per", "seed", "150", "300", "450", "600"]
    assert "mine: two of them" in shown
    assert "2 seeds from 1, 120 s each, 1 gateway, 1,000 tasks measured, capacity 20/s" in shown
    assert "first byte" not in shown


def test_streams_have_three_measures() -> None:
    """Each with its comparison of p99, seed by seed, against the first policy and the references."""
    runs = [Run("ours", [result(0.1, True)] * 3), Run("theirs", [result(0.2, True)] * 3)]
    shown = text(SCENARIO, runs, 1)
    assert {"first byte p50", "end to end p50", "per token p50"} <= {
        part for part in ("first byte p50", "end to end p50", "per token p50") if part in shown
    }
    for heading in ("first byte", "end to end", "per token"):
        table = shown[shown.index(f"{heading} p99 / that of") :].splitlines()
        assert table[1].split() == ["ours", "1"]
        assert table[2].split() == ["theirs", "2.00", "[2.00,", "2.00]"]


def test_costs_and_backends_have_their_columns() -> None:
    """Errors by kind, goodput, retries, hedges, waste; share and use of each backend."""
    runs = [Run("ours", [result(0.1, errors={"reset": 20, "queue_full": 5})])]
    shown = text(SCENARIO, runs, 1)
    costs = next(line for line in shown.splitlines() if "reset 20" in line)
    assert costs.split() == ["ours", "2.50%", "10.0", "3", "4", "2.0%", "queue_full", "5,", "reset", "20"]
    assert "25.0 / 50" in shown
    assert "75.0 / 60" in shown


def test_classes_are_shown_where_there_are_several() -> None:
    """Time to the first byte and errors of each."""
    classes = {"high": (quantiles(0.1), 1), "low": (quantiles(0.5), 7)}
    shown = text(SCENARIO, [Run("ours", [result(0.1, classes=classes)])], 1)
    line = shown[shown.index("high p50") :].splitlines()[1]
    assert line.split() == ["ours", "100", "300", "1", "500", "1,500", "7"]
    assert "high p50" not in text(SCENARIO, [Run("ours", [result(0.1)])], 1)


def test_data_has_a_value_for_every_seed() -> None:
    """As JSON, in seconds."""
    runs = [Run("ours", [result(0.1), result(0.2)]), Run("sed_true", [result(0.1)] * 2, reference=True)]
    told = json.loads(json.dumps(data(SCENARIO, runs, 7)))
    assert told["seeds"] == [7, 8]
    assert told["policies"]["ours"]["ttft_s"]["p99"] == pytest.approx([0.3, 0.6])
    assert told["policies"]["ours"]["share"][0] == {"a": 0.25, "b": 0.75}
    assert told["policies"]["sed_true"]["reference"] is True
