"""How much memory does one connection take? Resident growth for idle connections and for open streams."""

import argparse
import sys
import time
from collections.abc import Sequence

from benchmarks.rig import machine, proc
from benchmarks.rig.candidates import Rig, Running
from benchmarks.rig.load import Shape, Streams
from benchmarks.rig.rounds import (
    Results,
    arguments,
    guarded,
    report,
    report_notes,
    run_rounds,
    usable,
    write_json,
)
from benchmarks.rig.table import Column, Sample

DEFAULT = ["nginx", "haproxy", "aiohttp", "gateway"]
BASE = 200
TIMEOUT_S = 120
RELEASE_S = 10.0
STREAM_INTERVAL_US = 1_000_000

COLUMNS = (
    Column("connections", "count", 0),
    Column("KiB each", "kib_each", 2),
    Column("÷ nginx", "kib_each", 2, "ratio"),
    Column("RSS before MB", "before_mb", 1),
    Column("RSS held MB", "held_mb", 1),
    Column("RSS after MB", "after_mb", 1),
    Column("lost", "lost", 0),
)


def parse(arguments_given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = arguments("How much memory does one connection take?", DEFAULT)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--idle", type=int, default=10_000, help="idle kept connections; 0: not measured")
    parser.add_argument(
        "--streams", type=int, default=2_000, help="open streams, a chunk each second; 0: not measured"
    )
    return parser.parse_args(arguments_given)


def wait_released(running: Running, open_files: int) -> None:
    """Wait until the candidate has closed what the load had opened, at most `RELEASE_S`."""
    deadline = time.monotonic() + RELEASE_S
    while proc.open_files(running.pid) > open_files and time.monotonic() < deadline:
        time.sleep(0.05)


def growth(running: Running, count: int, interval_us: int) -> Sample:
    """Memory with `BASE` connections held, which warms everything up, against `count` more beside them."""
    place, until = (running.cores, running.work), "hold"
    some, many = Shape(BASE, interval_us), Shape(count, interval_us)
    with Streams(running.port, some, *place, until=until, timeout_s=2 * TIMEOUT_S) as base:
        base.wait_for("ready")
        files, before = proc.open_files(running.pid), proc.memory_bytes(running.pid)
        with Streams(running.port, many, *place, until=until, timeout_s=TIMEOUT_S) as load:
            load.wait_for("ready")
            held = proc.memory_bytes(running.pid)
            seen = load.result()
        wait_released(running, files + BASE)
        after = proc.memory_bytes(running.pid)
    return {
        "count": count,
        "kib_each": (held - before) / count / 1024,
        "before_mb": before / 1e6,
        "held_mb": held / 1e6,
        "after_mb": after / 1e6,
        "lost": count - seen["open"],
    }


def measure_all(rig: Rig, results: Results, options: argparse.Namespace) -> None:
    """Idle connections, then streams, each through fresh candidates: memory taken is seldom given back."""
    for table, count, interval_us in (
        ("idle", options.idle, 0),
        ("streams", options.streams, STREAM_INTERVAL_US),
    ):
        if not count:
            continue
        needed = (count + BASE) * (2 if interval_us else 1) + 1024
        allowed = proc.raise_files(needed)
        if allowed < needed:
            results.fail(
                f"{count} connections ({table}) need {needed} open files, not {allowed}: ulimit -n {needed}"
            )
            continue

        def measure(
            running: Running, table: str = table, count: int = count, us: int = interval_us
        ) -> dict[str, Sample]:
            sample = growth(running, count, us)
            if sample["lost"]:
                results.fail(f"{running.name}: {sample['lost']:.0f} of {count} connections ({table}) lost")
            return {table: sample}

        run_rounds(rig, results, options.rounds, measure)


def run(cores: machine.Cores) -> int:
    options = parse()
    results = usable(options.only)
    connections = max(options.idle, options.streams) + 1024
    with Rig(cores, streams=True, connections=connections) as rig:
        measure_all(rig, results, options)
    if "idle" in results.rounds:
        report(f"{options.idle} idle kept connections, one request made on each", results, "idle", COLUMNS)
    if "streams" in results.rounds:
        report(f"{options.streams} open streams, a chunk each second", results, "streams", COLUMNS)
    report_notes(results)
    if options.json:
        write_json(options.json, results, options)
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(guarded(run))
