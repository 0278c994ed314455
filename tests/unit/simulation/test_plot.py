"""Pictures, and what is said when they cannot be drawn."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from gateway.simulation.plot import NoMatplotlib, draw
from gateway.simulation.report import Run
from gateway.simulation.scenario import Group, Scenario, Work
from gateway.simulation.statistics import Sample
from gateway.simulation.task import Task
from tests.unit.simulation.test_report import result

SCENARIO = Scenario("mine", "two of them", "slots", (Group(2),), Work(load=0.5))


def run(name: str, reference: bool = False) -> Run:
    samples = [
        Sample(Task(n, n / 10, output=10, stream=True), 0, "a", 1, n / 10 + 0.1, n / 10 + 1, None)
        for n in range(1000)
    ]
    return Run(name, [result(0.1, True, samples=samples), result(0.2, True)], reference)


def test_without_matplotlib_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the package's own extra."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(NoMatplotlib, match=r"pip install 'model-gateway\[plot\]'"):
        draw(SCENARIO, [run("ours")])


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_a_picture_is_drawn(tmp_path: Path) -> None:
    """Of policies and references, with a tail, a time course and a bar for each."""
    draw(SCENARIO, [run("ours"), run("sed_true", reference=True)]).savefig(tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
