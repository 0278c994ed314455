"""Who routes best when backends are unequal, change or fail? The gateway and its peers, on real sockets."""

import argparse
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.rig import machine
from benchmarks.rig.rounds import guarded, order, say
from benchmarks.shootout import peers, report
from benchmarks.shootout.figures import percentile
from benchmarks.shootout.measure import measure
from benchmarks.shootout.outcome import LATE_MS, Outcome
from benchmarks.shootout.plan import Request, requests
from benchmarks.shootout.scenarios import SCENARIOS, SERVICE_S, Round, Scenario

QUICK = {
    "only": ["nginx", "haproxy", "envoy", "gateway"],
    "scenarios": ["unequal", "gray", "fast-failure", "kill", "llm"],
    "rounds": 1,
    "seconds": 10.0,
}


def parse(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    names, packages = ", ".join(peers.PEERS), ", ".join(peers.PACKAGES)
    some: dict[str, Any] = {"nargs": "+", "metavar": "NAME"}
    parser.add_argument("--only", **some, help=f"of {names} (none given: all that are installed)")
    parser.add_argument("--policy", **some, default=[], help="the gateway with this policy, too")
    parser.add_argument("--scenarios", **some, choices=list(SCENARIOS), default=list(SCENARIOS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement")
    parser.add_argument("--warm-up", type=float, default=3, help="seconds of the same load before each")
    parser.add_argument(
        "--service", type=float, default=SERVICE_S, help="mean seconds of a request at speed 1"
    )
    parser.add_argument("--load", type=float, help="of what the backends can do, in place of each scenario's")
    parser.add_argument("--together", type=int, default=4, help="candidates measured at the same time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw p99 there; needs matplotlib")
    parser.add_argument("--quick", action="store_true", help="a look, in less than 3 minutes")
    parser.add_argument("--show", type=Path, metavar="FILE", help="measure nothing, show what --json wrote")
    parser.add_argument("--validate", action="store_true", help="measure load generator and model servers")
    parser.add_argument("--install", **some, choices=list(peers.PACKAGES), help=f"of {packages}")
    options = parser.parse_args(given)
    if options.quick:
        for name, value in QUICK.items():
            if getattr(options, name) == parser.get_default(name):
                setattr(options, name, value)
    unknown = set(options.only or ()) - peers.with_policies(options.policy).keys()
    if unknown:
        parser.error(f"--only: no such candidate: {', '.join(sorted(unknown))}; there are {names}")
    return options


def scenario_of(name: str, number: int, options: argparse.Namespace) -> Scenario:
    """The scenario in one round: its events are drawn anew in each, the same for every candidate."""
    rng = random.Random(f"events {options.seed} {number} {name}")
    return SCENARIOS[name](Round(options.seconds, rng, options.service, options.load))


def schedule_of(scenario: Scenario, number: int, options: argparse.Namespace) -> list[Request]:
    """The requests of one round, the same for every candidate."""
    seed = f"requests {options.seed} {number} {scenario.name}"
    return requests(scenario.rate, scenario.work, options.seconds, options.warm_up, seed)


def usable(options: argparse.Namespace) -> Outcome:
    """The candidates to measure; each one left out is named with the reason."""
    known = peers.with_policies(options.policy)
    wanted = list(options.only or known)
    wanted += [f"gateway-{policy}" for policy in options.policy if f"gateway-{policy}" not in wanted]
    reasons = peers.missing(known[name] for name in wanted)
    outcome = Outcome([name for name in wanted if name not in reasons])
    for name, reason in reasons.items():
        outcome.note(f"{name} is left out: {reason}")
    return outcome


def groups(candidates: Sequence[peers.Peer], most: int) -> list[list[peers.Peer]]:
    """Who is measured at the same time: up to `most`, and each heavy one alone."""
    light = [peer for peer in candidates if not peer.heavy]
    together = [light[first : first + most] for first in range(0, len(light), most)]
    return together + [[peer] for peer in candidates if peer.heavy]


def run_rounds(outcome: Outcome, options: argparse.Namespace, cores: machine.Cores) -> None:
    """Every candidate in every scenario in each round; a failure is noted and lets the others go on."""
    known = peers.with_policies(options.policy)
    for number in range(options.rounds):
        candidates = [known[name] for name in order(outcome.candidates, number)]
        for name in options.scenarios:
            scenario = scenario_of(name, number, options)
            schedule = schedule_of(scenario, number, options)
            outcome.about(scenario)
            say(f"round {number + 1} of {options.rounds}, {name}:")
            for group in groups(candidates, options.together):
                for who, measured in measure(group, scenario, schedule, options.warm_up, cores).items():
                    outcome.keep(number, scenario, who, measured)


def minutes(outcome: Outcome, options: argparse.Namespace) -> float:
    """About how long it takes: a measurement, what comes before it, and the last answers after it."""
    known = peers.with_policies(options.policy)
    runs = len(groups([known[name] for name in outcome.candidates], options.together))
    each_s = options.seconds + options.warm_up + peers.SETTLE_S + 5
    return float(runs * len(options.scenarios) * options.rounds * each_s / 60)


def show(document: report.Document, options: argparse.Namespace) -> None:
    print(report.tables(document), flush=True)
    if options.plot:
        report.plot(document, options.plot)
        say(f"drawn: {options.plot}")


def validate(options: argparse.Namespace, cores: machine.Cores) -> int:
    """How much longer than asked is a request without proxy and queue, and how late does it leave?"""
    scenario = scenario_of("equal", 0, options)
    rate = scenario.rate / 4  # nothing waits
    schedule = requests(rate, scenario.work, min(options.seconds, 10.0), 1.0, "validate")
    measured = measure([peers.PEERS["direct"]], scenario, schedule, 1.0, cores)["direct"]
    if isinstance(measured, Exception):
        raise measured
    seen = measured[1]
    asked = [request.service_s for request in schedule if request.at >= 0]
    longer = sorted((one.end_s - one.late_s - wanted) * 1000 for one, wanted in zip(seen, asked, strict=True))
    late = sorted(one.late_s * 1000 for one in seen)
    print(f"{len(seen)} requests, {sum(bool(one.error) for one in seen)} errors, {rate:.0f}/s")
    for title, values in (("longer than asked, ms", longer), ("sent late, ms", late)):
        texts = (f"p{100 * share:g} {percentile(values, share):.2f}" for share in (0.01, 0.5, 0.9, 0.99))
        print(f"{title}: {', '.join(texts)}")
    return 0 if percentile(longer, 0.5) < 1.0 and percentile(late, 0.99) < LATE_MS else 1


def run(cores: machine.Cores) -> int:
    options = parse()
    if options.install:
        peers.install(options.install)
        return 0
    if options.show:
        show(json.loads(options.show.read_text()), options)
        return 0
    if options.validate:
        return validate(options, cores)
    outcome = usable(options)
    say(f"{', '.join(outcome.candidates)}: about {minutes(outcome, options):.0f} minutes")
    run_rounds(outcome, options, cores)
    document = outcome.document(options)
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n")
        say(f"written: {options.json}")
    show(document, options)
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(guarded(run))
