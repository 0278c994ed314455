"""Does the default policy keep its promises? Simulated over many seeds, paired, against references and peers.

Each line is a promise of docs/routing.md: one policy's percentile over another's in a scenario of `gateway
simulate`, the same seeds for both, with a bootstrap interval of 95 %.
"""

import argparse
import multiprocessing
import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gateway.simulate import run
from gateway.simulation.builtin import SCENARIOS
from gateway.simulation.comparison import compare
from gateway.simulation.statistics import Result

OURS = "least_latency"


@dataclass(frozen=True, slots=True)
class Promise:
    """`figure` of `scenario` under `policy` is at most `most` times that under `against`."""

    scenario: str
    figure: str  # "total.p99", "ttft.p99", "per_token.p99"
    against: str
    most: float
    policy: str = OURS
    against_scenario: str = ""
    gateways: int = 1


@dataclass(frozen=True, slots=True)
class Job:
    """One simulation to be made."""

    scenario: str
    policy: str
    gateways: int
    seed: int


def promises() -> list[Promise]:
    """Everything that is to hold."""
    made = [
        Promise("slot-fifo-0.7-known", "total.p99", "sed_true", 1.3),
        Promise("slot-fifo-0.9-known", "total.p99", "sed_true", 1.05),
        Promise("slot-fifo-0.7", "total.p99", "sed_true", 1.5),
        Promise("slot-fifo-0.9", "total.p99", "sed_true", 1.3),
        Promise("slot-fifo-0.7", "total.p99", "p2c_ewma", 0.6),
        Promise("slot-fifo-0.9", "total.p99", "p2c_ewma", 0.6),
        Promise("slot-fifo-0.7-known", "total.p99", "p2c_ewma", 0.6, against_scenario="slot-fifo-0.7"),
        Promise("llm-0.85", "ttft.p99", "least_requests", 0.8),
        Promise("llm-0.85", "per_token.p99", "least_requests", 0.7),
        Promise("slot-fifo-0.7", "total.p99", "least_requests", 1.03, gateways=4),
        Promise("slot-fifo-0.7", "total.p99", "least_requests", 1.03, gateways=16),
        Promise("hiccups-0.5-hedged", "total.p999", OURS, 0.5, against_scenario="hiccups-0.5"),
        Promise("hiccups-0.8-hedged", "total.p999", OURS, 0.5, against_scenario="hiccups-0.8"),
        Promise("hiccups-0.95-hedged", "total.p999", OURS, 1.0, against_scenario="hiccups-0.95"),
        Promise("hiccups-0.5-hedged", "busy", OURS, 1.05, against_scenario="hiccups-0.5"),
        Promise("hiccups-0.8-hedged", "busy", OURS, 1.05, against_scenario="hiccups-0.8"),
    ]
    for name in SCENARIOS:
        if not name.startswith(("overload", "hiccups")) and not name.endswith(("-auto", "-known")):
            figures = ("ttft.p99", "per_token.p99") if "llm" in name else ("total.p99",)
            made += [Promise(name, figure, "least_requests", 1.03) for figure in figures]
    return made


def simulate(job: Job) -> tuple[Job, dict[str, float]]:
    """The figures of one simulation."""
    scenario = replace(SCENARIOS[job.scenario], gateways=job.gateways)
    return job, figures(run(scenario, job.policy, job.seed))


def figures(result: Result) -> dict[str, float]:
    found = {"busy": result.busy_s}
    for name in ("total", "ttft", "per_token"):
        for quantile in ("p50", "p99", "p999"):
            found[f"{name}.{quantile}"] = getattr(getattr(result, name), quantile)
    return found


def jobs(wanted: Iterable[Promise], seeds: int) -> list[Job]:
    """Each simulation once, the long ones first."""
    keys = set()
    for promise in wanted:
        keys.add((promise.scenario, promise.policy, promise.gateways))
        keys.add((promise.against_scenario or promise.scenario, promise.against, promise.gateways))
    ordered = sorted(keys, key=lambda key: (-SCENARIOS[key[0]].duration_s, key))
    return [Job(*key, seed) for key in ordered for seed in range(1, seeds + 1)]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; 1 when a promise is not kept."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20, help="of each simulation (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--only", default="", help="scenarios whose name contains this")
    options = parser.parse_args(argv)
    wanted = [promise for promise in promises() if options.only in promise.scenario]
    todo = jobs(wanted, options.seeds)
    print(f"{len(todo)} simulations", file=sys.stderr)
    with multiprocessing.Pool(options.processes) as pool:
        known = dict(pool.imap_unordered(simulate, todo))
    print("| scenario | figure | of | against | ratio | 95 % | bound | |\n|---|---|---|---|---|---|---|---|")
    kept = True
    for promise in wanted:
        ours, theirs = (
            [
                known[Job(scenario, policy, promise.gateways, seed)][promise.figure]
                for seed in range(1, options.seeds + 1)
            ]
            for scenario, policy in (
                (promise.scenario, promise.policy),
                (promise.against_scenario or promise.scenario, promise.against),
            )
        )
        ratio = compare(ours, theirs, random.Random(1))
        good = ratio.value <= promise.most
        kept = kept and good
        against = promise.against + (f" in {promise.against_scenario}" if promise.against_scenario else "")
        gateways = f", {promise.gateways} gateways" if promise.gateways > 1 else ""
        print(
            f"| {promise.scenario}{gateways} | {promise.figure} | {promise.policy} | {against} "
            f"| {ratio.value:.2f} | {ratio.low:.2f}–{ratio.high:.2f} | ≤ {promise.most:g} "
            f"| {'' if good else 'missed'} |"
        )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
