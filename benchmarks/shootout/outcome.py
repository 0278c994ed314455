"""What came of a shoot-out, and which of it is suspect? Samples by scenario and round, and notes."""

import argparse
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.rig import machine
from benchmarks.rig.rounds import say
from benchmarks.shootout.client import Seen
from benchmarks.shootout.figures import latencies, spread
from benchmarks.shootout.measure import Measured, Sample
from benchmarks.shootout.peers import PACKAGES
from benchmarks.shootout.scenarios import SCENARIOS, Scenario

LATE_MS = 10.0  # a schedule kept worse than this measures the load generator
FULL = 0.85  # of a core: what is measured then is the core


@dataclass(slots=True)
class Outcome:
    """Everything measured; `document` is what is written and shown."""

    candidates: list[str]
    rounds: dict[str, list[dict[str, Sample]]] = field(default_factory=dict)
    pooled: dict[tuple[str, str], list[Seen]] = field(default_factory=dict)
    scenarios: dict[str, dict[str, object]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    failed: bool = False

    def note(self, text: str) -> None:
        """Say it at once; keep the first and the last line, once, for the report and the file."""
        say(f"note: {text}")
        lines = [line.strip()[:300] for line in text.splitlines() if line.strip()]
        kept = " · ".join(dict.fromkeys((lines[0], lines[-1])))
        if kept not in self.notes:
            self.notes.append(kept)

    def about(self, scenario: Scenario) -> None:
        """Remember what the scenario consists of."""
        self.scenarios[scenario.name] = {
            "text": (SCENARIOS[scenario.name].__doc__ or "").strip(),
            "rate": scenario.rate,
            "streams": scenario.streams,
            "backends": [asdict(backend) for backend in scenario.backends],
        }

    def keep(self, number: int, scenario: Scenario, name: str, measured: Measured | Exception) -> None:
        """Put what was measured in round `number`, or what went wrong, where it belongs."""
        if isinstance(measured, Exception):
            self.failed = True
            self.note(f"{name}, {scenario.name}: failed: {measured}")
            return
        sample, seen = measured
        say(f"  {name}: p99 {sample.get('all_p99_ms', math.nan):.0f} ms, {sample['errors']:.0f} errors")
        self.pooled.setdefault((scenario.name, name), []).extend(seen)
        rounds = self.rounds.setdefault(scenario.name, [])
        while len(rounds) <= number:
            rounds.append({})
        rounds[number][name] = sample
        for suspicion in suspicions(sample):
            self.note(f"{name}, {scenario.name}: {suspicion}")

    def document(self, options: argparse.Namespace) -> dict[str, object]:
        """What goes into the file: surroundings, options, each round's samples, percentiles of all rounds."""
        pooled: dict[str, dict[str, Sample]] = {}
        for (scenario, name), seen in self.pooled.items():
            timed = latencies(seen).items()
            pooled.setdefault(scenario, {})[name] = {
                key: value for what, values in timed for key, value in spread(what, values).items()
            }
        return {
            "machine": machine.description() | {"packages": ", ".join(PACKAGES.values())},
            "options": {name: value for name, value in vars(options).items() if not isinstance(value, Path)},
            "candidates": self.candidates,
            "scenarios": self.scenarios,
            "notes": self.notes,
            "rounds": self.rounds,
            "pooled": pooled,
        }


def suspicions(sample: Sample) -> list[str]:
    """What speaks against a sample: a schedule kept badly, a full core on either side."""
    found = []
    if sample["late_p99_ms"] > LATE_MS:
        found.append(f"requests left late (p99 {sample['late_p99_ms']:.0f} ms): not to be trusted")
    if sample["load_cores"] > FULL:
        found.append(f"load and model servers used {sample['load_cores']:.2f} of their core")
    if sample["cores"] > FULL:
        found.append(f"its core was full ({sample['cores']:.2f}); a longer --service asks less of it")
    return found
