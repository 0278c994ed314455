"""What does one proxied request cost? A 1 KB chat POST and its 0.7 KB answer, saturated and far below."""

import argparse
import sys
import time
from collections.abc import Sequence

from benchmarks.rig import machine, proc
from benchmarks.rig.candidates import CANDIDATES, PROXIES, Rig, Running
from benchmarks.rig.load import CHATS, wrk
from benchmarks.rig.rounds import (
    Results,
    arguments,
    duration_us,
    guarded,
    report,
    report_notes,
    run_rounds,
    usable,
    write_json,
)
from benchmarks.rig.table import Column, Sample, figures

DEFAULT = PROXIES
WARM_UP_S = 1.0
MOCK_SHARE = (
    0.4  # it is a third, all but 0.3 µs of it the kernel's; much more means the machine was not quiet
)

COSTS = (
    Column("CPU µs/request", "cpu_us"),
    Column("CPU ÷ nginx", "cpu_us", 2, "ratio"),
    Column("requests/s", "requests_s", 0),
    Column("requests/s ÷ nginx", "requests_s", 3, "ratio"),
    Column("p50 ms", "p50_ms", 2),
    Column("p99 ms", "p99_ms", 2),
    Column("cores used", "cores", 2),
    Column("peak RSS MB", "peak_mb", 0),
    Column("errors", "errors", 0),
)
ADDED = (
    Column("added p50 ms", "p50_ms", 2, "excess", "direct"),
    Column("added p99 ms", "p99_ms", 2, "excess", "direct"),
    *COSTS,
)


def parse(arguments_given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = arguments("What does one proxied request cost?", DEFAULT)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6, help="of each measurement")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument(
        "--traced", action="store_true", help="also with a traceparent and an X-Request-ID on every request"
    )
    parser.add_argument(
        "--delay",
        type=duration_us,
        default="20ms",
        help="the mock's delay in the run below saturation; 0: no such run",
    )
    return parser.parse_args(arguments_given)


def cost(running: Running, seconds: float, connections: int, script: Sequence[str]) -> Sample:
    """One measurement: load for `seconds`, the candidate's CPU time before and after, its log written."""
    answers, lines = running.mock.stats()["answers"], running.log_lines()
    cpu, began = proc.cpu_s(running.pid), time.monotonic()
    seen = wrk(running.port, connections, seconds, running.cores, running.work, script)
    wall = time.monotonic() - began
    answers = running.mock.stats()["answers"] - answers
    lines = running.wait_logged(lines + answers) - lines
    cpu = proc.cpu_s(running.pid) - cpu
    return {
        "cpu_us": cpu / max(seen["requests"], 1) * 1e6,
        "requests_s": seen["requests"] / seen["seconds"],
        "p50_ms": seen["p50_ms"],
        "p99_ms": seen["p99_ms"],
        "errors": seen["errors"],
        "cores": cpu / wall,
        "peak_mb": proc.memory_bytes(running.pid, "VmHWM") / 1e6,
        "requests": seen["requests"],
        "mock_answers": answers,
        "log_lines": lines,
    }


def check(results: Results, name: str, sample: Sample, connections: int) -> None:
    """Note what makes a sample suspect: errors, answers that are not the mock's, a log with holes."""
    requests, lines = sample["requests"], sample["log_lines"]
    tolerance = 2 * connections + 0.01 * requests  # the load ends amid requests
    if sample["errors"]:
        results.fail(f"{name}: {sample['errors']:.0f} errors in {requests:.0f} requests")
    if abs(sample["mock_answers"] - requests) > tolerance:
        results.fail(f"{name}: {requests:.0f} answers, but the mock gave {sample['mock_answers']:.0f}")
    if CANDIDATES[name].logs and lines < requests - tolerance:
        results.fail(f"{name}: {lines:.0f} lines of access log for {requests:.0f} requests")


def check_mock(results: Results) -> None:
    """The mock must be cheap beside what is measured, or it becomes the thing measured."""
    shares = figures(results.rounds.get("saturated", []), "direct", Column("", "cpu_us", 2, "ratio"))
    if shares and min(shares) > MOCK_SHARE:
        results.note(
            f"the mock costs {min(shares):.2f} of nginx; it should be about a third: was the machine busy?"
        )


def run(cores: machine.Cores) -> int:
    options = parse()
    results = usable(options.only)

    def measure(running: Running) -> dict[str, Sample]:
        wrk(running.port, options.connections, WARM_UP_S, cores, running.work)
        tables = {"saturated": cost(running, options.seconds, options.connections, CHATS)}
        check(results, running.name, tables["saturated"], options.connections)
        if options.traced:
            tables["traced"] = cost(running, options.seconds, options.connections, (*CHATS, "traced"))
            check(results, running.name, tables["traced"], options.connections)
        if options.delay:
            delayed = (CHATS[0], str(options.delay))
            tables["delayed"] = cost(running, options.seconds, options.connections, delayed)
            check(results, running.name, tables["delayed"], options.connections)
        return tables

    machine.tool("wrk")
    with Rig(cores, streams=False, connections=max(4096, 2 * options.connections)) as rig:
        run_rounds(rig, results, options.rounds, measure)
    check_mock(results)
    place = (
        f"{options.connections} connections, {options.rounds} rounds of {options.seconds:g} s, {cores.text()}"
    )
    report(f"Saturated: {place}", results, "saturated", COSTS)
    if options.traced:
        report(f"Every request with a trace and an id of its own: {place}", results, "traced", COSTS)
    if options.delay:
        report(f"Backend takes {options.delay / 1000:g} ms: {place}", results, "delayed", ADDED)
    report_notes(results)
    if options.json:
        write_json(options.json, results, options)
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(guarded(run))
