"""What does one streamed chunk cost, and how late does it come? Many SSE streams, then very many."""

import argparse
import math
import sys
import time
from collections.abc import Sequence

from benchmarks.rig import machine, proc
from benchmarks.rig.candidates import Rig, Running
from benchmarks.rig.load import Shape, Streams
from benchmarks.rig.rounds import (
    Results,
    arguments,
    attempt,
    duration_us,
    guarded,
    report,
    report_notes,
    run_rounds,
    usable,
    write_json,
)
from benchmarks.rig.table import Column, Sample

DEFAULT = ["direct", "nginx", "haproxy", "aiohttp", "gateway", "gateway-log-off"]
WARM_STREAMS = 100
PATIENCE_S = 60

COSTS = (
    Column("CPU µs/chunk", "cpu_us"),
    Column("CPU ÷ nginx", "cpu_us", 2, "ratio"),
    Column("chunks/s", "chunks_s", 0),
    Column("delay p50 ms", "p50_ms", 3),
    Column("delay p99 ms", "p99_ms", 3),
    Column("added p99 ms", "p99_ms", 3, "excess", "direct"),
    Column("cores used", "cores", 2),
    Column("peak RSS MB", "peak_mb", 0),
    Column("lost streams", "lost", 0),
)
MANY = (
    Column("streams", "streams", 0),
    Column("open together", "together", 0),
    Column("complete", "complete", 0),
    Column("lost", "lost", 0),
    Column("KiB/stream", "kib_each"),
    Column("RSS before MB", "before_mb", 0),
    Column("RSS all open MB", "open_mb", 0),
    Column("delay p50 ms", "p50_ms", 3),
    Column("delay p99 ms", "p99_ms", 3),
)


def parse(arguments_given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = arguments("What does one streamed chunk cost, and how late does it come?", DEFAULT)
    parser.add_argument("--rounds", type=int, default=3, help="0: only --many")
    parser.add_argument("--seconds", type=float, default=6, help="of each measurement")
    parser.add_argument("--streams", type=int, default=256)
    parser.add_argument("--interval", type=duration_us, default="10ms", help="between two chunks of a stream")
    parser.add_argument("--bytes", type=int, default=150, help="of a chunk")
    parser.add_argument(
        "--many", type=int, default=5000, help="streams at once through the gateway alone; 0: not"
    )
    parser.add_argument("--many-interval", type=duration_us, default="1s")
    parser.add_argument("--many-chunks", type=int, default=12, help="of each of the many streams")
    parser.add_argument("--many-through", default="gateway", choices=DEFAULT, help="who carries them")
    return parser.parse_args(arguments_given)


def chunk_cost(running: Running, options: argparse.Namespace) -> Sample:
    """Open all streams, wait until each has had a chunk, then count for a while."""
    timeout_s = math.ceil(options.seconds + PATIENCE_S)
    shape = Shape(options.streams, options.interval, chunk_bytes=options.bytes)
    place, until = (running.cores, running.work), str(options.seconds)
    with Streams(running.port, shape, *place, until=until, timeout_s=timeout_s) as load:
        load.wait_for("ready")
        load.wait_for("start")
        cpu, began = proc.cpu_s(running.pid), time.monotonic()
        load.wait_for("stop")
        cpu, wall = proc.cpu_s(running.pid) - cpu, time.monotonic() - began
        seen = load.result()
    return {
        "cpu_us": cpu / max(seen["chunks"], 1) * 1e6,
        "chunks_s": seen["chunks"] / seen["seconds"],
        "p50_ms": seen["p50_us"] / 1e3,
        "p99_ms": seen["p99_us"] / 1e3,
        "max_ms": seen["max_us"] / 1e3,
        "cores": cpu / wall,
        "peak_mb": proc.memory_bytes(running.pid, "VmHWM") / 1e6,
        "lost": options.streams - seen["open"],
        "disorder": seen["disorder"],
    }


def many_streams(running: Running, options: argparse.Namespace) -> Sample:
    """All streams open together, each to its end: none may be lost. Memory is compared after a warm-up."""
    place = (running.cores, running.work)
    timeout_s = math.ceil(options.many_chunks * options.many_interval / 1e6 + PATIENCE_S)
    warm = Shape(WARM_STREAMS, options.interval, 10, options.bytes)
    with Streams(running.port, warm, *place, until="end", timeout_s=PATIENCE_S) as load:
        load.wait_for("ready")
        load.result()
    before = proc.memory_bytes(running.pid)
    shape = Shape(options.many, options.many_interval, options.many_chunks, options.bytes)
    with Streams(running.port, shape, *place, until="end", timeout_s=timeout_s) as load:
        load.wait_for("ready")
        counters = running.mock.stats()
        open_now = proc.memory_bytes(running.pid)
        seen = load.result()
    return {
        "streams": options.many,
        "together": counters["streams"] - counters["ended"] - counters["cut"],
        "complete": seen["complete"],
        "lost": options.many - seen["complete"],
        "disorder": seen["disorder"],
        "kib_each": (open_now - before) / options.many / 1024,
        "before_mb": before / 1e6,
        "open_mb": open_now / 1e6,
        "p50_ms": seen["p50_us"] / 1e3,
        "p99_ms": seen["p99_us"] / 1e3,
    }


def run_many(rig: Rig, results: Results, options: argparse.Namespace) -> None:
    """The test of `--many`, with the reason where it cannot be made."""
    needed = 2 * options.many + 512  # the proxy holds both sides
    allowed = proc.raise_files(needed)
    if allowed < needed:
        results.fail(
            f"{options.many} streams need {needed} open files, {allowed} are allowed: ulimit -n {needed}"
        )
        return

    def work(running: Running) -> None:
        sample = many_streams(running, options)
        results.add(0, running.name, {"many": sample})
        if sample["lost"] or sample["disorder"]:
            results.fail(f"{running.name}: {sample['lost']:.0f} of {options.many} streams lost or disordered")

    attempt(rig, results, options.many_through, work)


def run(cores: machine.Cores) -> int:
    options = parse()
    results = usable(options.only)
    rate = f"a chunk of {options.bytes} bytes each {options.interval / 1000:g} ms"

    def measure(running: Running) -> dict[str, Sample]:
        sample = chunk_cost(running, options)
        if sample["lost"] or sample["disorder"]:
            results.fail(
                f"{running.name}: {sample['lost']:.0f} of {options.streams} streams lost or disordered"
            )
        return {"streams": sample}

    with Rig(cores, streams=True, connections=max(options.many, options.streams) + 1024) as rig:
        run_rounds(rig, results, options.rounds, measure)
        if options.many and options.many_through in results.candidates:
            run_many(rig, results, options)
    if options.rounds:
        place = f"{options.rounds} rounds of {options.seconds:g} s, {cores.text()}"
        report(f"{options.streams} streams, {rate}: {place}", results, "streams", COSTS)
    if "many" in results.rounds:
        each = f"{options.many_chunks} chunks, one each {options.many_interval / 1e6:g} s"
        report(f"{options.many} streams at once, {each}", results, "many", MANY)
    report_notes(results)
    if options.json:
        write_json(options.json, results, options)
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(guarded(run))
