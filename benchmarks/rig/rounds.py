"""In what order are candidates measured, and where do samples go? Interleaved rounds, tables, a file."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType

from benchmarks.rig import machine, proc
from benchmarks.rig.candidates import PROXIES, Rig, Running, missing
from benchmarks.rig.load import LoadFailed
from benchmarks.rig.started import Failed
from benchmarks.rig.table import Column, Sample, render, summary

Measure = Callable[[Running], dict[str, Sample]]
FILES_WANTED = 65536


@dataclass(slots=True)
class Results:
    """Rounds of samples by table name, and everything that must be said beside them."""

    candidates: list[str]
    rounds: dict[str, list[dict[str, Sample]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    failed: bool = False

    def note(self, text: str) -> None:
        """Print at once; keep the first and the last line for the end and the file."""
        say(f"note: {text}")
        lines = [line.strip()[:300] for line in text.splitlines() if line.strip()]
        self.notes.append(" · ".join(dict.fromkeys((lines[0], lines[-1]))))

    def fail(self, text: str) -> None:
        self.failed = True
        self.note(text)

    def add(self, number: int, candidate: str, tables: dict[str, Sample]) -> None:
        for table, sample in tables.items():
            rounds = self.rounds.setdefault(table, [])
            while len(rounds) <= number:
                rounds.append({})
            rounds[number][candidate] = sample


def say(text: str) -> None:
    """Progress; on standard error, so that standard output is the report alone."""
    print(text, file=sys.stderr, flush=True)


def order(names: Sequence[str], number: int) -> list[str]:
    """The order of round `number`: shifted by one each time, so that nobody always follows the same one."""
    shift = number % len(names) if names else 0
    return [*names[shift:], *names[:shift]]


def usable(wanted: Sequence[str]) -> Results:
    """The candidates to measure; each one left out is named with the reason."""
    reasons = missing(wanted)
    results = Results([name for name in wanted if name not in reasons])
    for name, reason in reasons.items():
        results.note(f"{name} is left out: {reason}")
    return results


def run_rounds(rig: Rig, results: Results, count: int, measure: Measure) -> None:
    """Measure every candidate in each of `count` rounds, freshly started; failures are noted, not hidden."""
    for number in range(count):
        for name in order(results.candidates, number):
            say(f"round {number + 1} of {count}: {name}")
            attempt(rig, results, name, partial(_sample, results, number, measure))


def _sample(results: Results, number: int, measure: Measure, running: Running) -> None:
    results.add(number, running.name, measure(running))


def attempt(rig: Rig, results: Results, name: str, work: Callable[[Running], None]) -> None:
    """Start one candidate, do `work` with it, end it; a failure becomes a note and lets the others go on."""
    try:
        with rig.start(name) as running:
            running.wait_ready()
            work(running)
            running.check_alive()
    except (Failed, LoadFailed) as error:
        results.fail(f"{name} failed: {error}")


def report(title: str, results: Results, table: str, columns: Sequence[Column]) -> None:
    """Print one table with its heading."""
    rounds = results.rounds.get(table, [])
    print(f"\n### {title}\n\n{render(rounds, results.candidates, columns)}", flush=True)


def report_notes(results: Results) -> None:
    """Print what must be said beside the tables."""
    if results.notes:
        print("\nNotes:\n" + "\n".join(f"- {note}" for note in results.notes), flush=True)


def write_json(path: Path, results: Results, options: argparse.Namespace) -> None:
    """Everything measured: surroundings, options, the summary and each round's samples."""
    document = {
        "machine": machine.description(),
        "options": {name: value for name, value in vars(options).items() if not isinstance(value, Path)},
        "notes": results.notes,
        "tables": {
            table: {"summary": summary(rounds, results.candidates), "rounds": rounds}
            for table, rounds in results.rounds.items()
        },
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
    say(f"written: {path}")


def arguments(
    question: str, default: Sequence[str], known: Sequence[str] = PROXIES
) -> argparse.ArgumentParser:
    """The options all benchmarks share; `known`: the candidates that can be asked for."""
    parser = argparse.ArgumentParser(
        description=question, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    names = ", ".join(known)
    parser.add_argument(
        "--only", nargs="+", choices=known, default=default, metavar="NAME", help=f"of {names}"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    return parser


def duration_us(text: str) -> int:
    """`20ms`, `250us`, `1s` or a number of seconds, as microseconds; for argparse."""
    units = {"us": 1, "ms": 1_000, "s": 1_000_000}
    for unit, factor in units.items():
        number = text.removesuffix(unit)
        if number != text and number.replace(".", "", 1).isdigit():
            return round(float(number) * factor)
    if not text.replace(".", "", 1).isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: write 250us, 20ms, 1s or seconds")
    return round(float(text) * 1_000_000)


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def guarded(main: Callable[[machine.Cores], int]) -> int:
    """Run a benchmark away from the proxy's core; Ctrl-C and SIGTERM alike end what it started."""
    signal.signal(signal.SIGTERM, _interrupt)
    proc.raise_files(FILES_WANTED)
    cores = machine.split_cores(sorted(os.sched_getaffinity(0)))
    os.sched_setaffinity(0, cores.load)
    try:
        return main(cores)
    except machine.Missing as reason:
        say(f"cannot run: {reason}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; everything started has been ended")
        return 130
