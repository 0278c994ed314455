"""What does an answer from the cache cost, and what do looking and keeping add to one that is not there?"""

import argparse
import sys
from collections.abc import Sequence
from itertools import count

from benchmarks.proxy_cost import COSTS, WARM_UP_S, cost
from benchmarks.rig import machine
from benchmarks.rig.candidates import CANDIDATES, Rig, Running
from benchmarks.rig.load import wrk
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

POSTS = ("repeats", "spellings", "many")
#: What each candidate is asked (`rig/cache.lua`). nginx and Varnish keep no answers to POST.
LOADS: dict[str, tuple[str, ...]] = {
    "nginx": POSTS,
    "nginx-cache": ("get",),
    "varnish": ("get",),
    "gateway": ("misses",),
    "gateway-log-off": ("misses",),
    "gateway-cache": (*POSTS, "get", "misses"),
    "gateway-cache-log-off": (*POSTS, "get", "misses"),
}
DEFAULT = list(LOADS)
TITLES = {
    "repeats": "A dozen POSTs of 1 KB again and again; nginx asks the backend",
    "spellings": "The same dozen, each time spelled differently; nginx asks the backend",
    "many": "1,000 POSTs in turn; nginx asks the backend",
    "get": "A dozen GETs again and again; nginx has them in its cache, too",
    "misses": "POSTs none of which comes twice: each is looked for, asked for and kept",
}
#: What the ratios of each load divide by.
BASES = {
    "repeats": "nginx",
    "spellings": "nginx",
    "many": "nginx",
    "get": "nginx-cache",
    "misses": "gateway",
}
_runs = count(1)


def columns(load: str) -> tuple[Column, ...]:
    """As in `proxy_cost`, with ratios to what this load is to be held against."""
    base = BASES[load]
    renamed = {"CPU ÷ nginx": f"CPU ÷ {base}", "requests/s ÷ nginx": f"requests/s ÷ {base}"}
    shown = [
        Column(renamed.get(column.title, column.title), column.figure, column.digits, column.against, base)
        for column in COSTS
    ]
    if load == "misses":
        shown.insert(2, Column("CPU ÷ gateway-log-off", "cpu_us", 2, "ratio", "gateway-log-off"))
    return tuple(shown)


def parse(arguments_given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = arguments("What does an answer from the cache cost?", DEFAULT, DEFAULT)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument(
        "--loads", nargs="+", choices=list(TITLES), default=list(TITLES), metavar="LOAD", help="what is asked"
    )
    return parser.parse_args(arguments_given)


def script(load: str) -> tuple[str, ...]:
    """What wrk is given; with a number of its own, so that what is to be new has not been sent before."""
    return ("cache.lua", load, f"{next(_runs):08d}")


def check(results: Results, name: str, load: str, sample: Sample, connections: int) -> None:
    """Note what makes a sample suspect: errors, hits that were none, misses that were, a log with holes."""
    requests, lines, asked = sample["requests"], sample["log_lines"], sample["mock_answers"]
    tolerance = 2 * connections + 0.01 * requests  # the load ends amid requests
    hits = CANDIDATES[name].caches and load != "misses"
    if sample["errors"]:
        results.fail(f"{name}, {load}: {sample['errors']:.0f} errors in {requests:.0f} requests")
    if abs(asked - (0 if hits else requests)) > (0 if hits else tolerance):
        results.fail(f"{name}, {load}: {requests:.0f} answers, of which the mock gave {asked:.0f}")
    if CANDIDATES[name].logs and lines < requests - tolerance:
        results.fail(f"{name}, {load}: {lines:.0f} lines of access log for {requests:.0f} requests")


def run(cores: machine.Cores) -> int:
    options = parse()
    results = usable(options.only)

    def measure(running: Running) -> dict[str, Sample]:
        tables = {}
        for load in LOADS[running.name]:
            if load in options.loads:
                wrk(running.port, options.connections, WARM_UP_S, cores, running.work, script(load))
                sample = cost(running, options.seconds, options.connections, script(load))
                check(results, running.name, load, sample, options.connections)
                tables[load] = sample
        return tables

    machine.tool("wrk")
    with Rig(cores, streams=False, connections=max(4096, 2 * options.connections)) as rig:
        run_rounds(rig, results, options.rounds, measure)
    place = (
        f"{options.connections} connections, {options.rounds} rounds of {options.seconds:g} s, {cores.text()}"
    )
    for load in options.loads:
        report(f"{TITLES[load]}: {place}", results, load, columns(load))
    report_notes(results)
    if options.json:
        write_json(options.json, results, options)
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(guarded(run))
