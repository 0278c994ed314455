"""How would a configuration fare? Settings become pools as in `gateway run`; the rest is simulated."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from gateway import assembly
from gateway.balancing.policy import Policy
from gateway.health import checker
from gateway.lanes import Lane
from gateway.messages import Exchange
from gateway.pool.backend import Backend, BackendSpec
from gateway.settings import nodes, schema
from gateway.settings.load import SettingsError, from_dict, load
from gateway.simulation import plot, reading, replay, report, world
from gateway.simulation.builtin import SCENARIOS
from gateway.simulation.references import Clairvoyant, TrueSed
from gateway.simulation.scenario import Scenario, problems
from gateway.simulation.statistics import Result
from gateway.simulation.task import Task
from gateway.simulation.world import Oracle

DONE, BAD_USAGE = 0, 2
REFERENCES: dict[str, Callable[[Oracle], Policy]] = {"sed_true": TrueSed, "clairvoyant": Clairvoyant}
EPOCH = 1_700_000_000.0  # what the simulated wall clock says at 0


class _Count:
    in_flight = 0


class _Unobserved:
    """An observer that keeps nothing: the simulation keeps its own samples."""

    def route(self, name: str) -> _Count:
        return _Count()

    def wants_decision(self, now: float) -> bool:
        return False

    def finished(self, exchange: Exchange) -> None:
        """Nothing to keep."""


class Gateways:
    """Builds each gateway's pool and lane from a pool's settings, as `gateway run` would.

    Backends the settings name keep what they say of them; others are as the scenario has them.
    """

    def __init__(self, pool: schema.Pool, policy: str | Callable[[], Policy]) -> None:
        self._policy = policy
        named = policy if isinstance(policy, str) else "least_requests"
        self._pool = pool.model_copy(update={"policy": named})
        self._known = {backend.name: backend for backend in pool.backends}

    def lane(self, specs: Sequence[BackendSpec], rng: Random, now: Callable[[], float]) -> Lane:
        backends = tuple(self._known.get(spec.name) or _backend(spec) for spec in specs)
        pool_settings = self._pool.model_copy(update={"backends": backends})
        settings = _ANY.model_copy(update={"pools": {"pool": pool_settings}})
        pool = assembly.build_pool("pool", pool_settings, rng, lambda *change: None)
        if not isinstance(self._policy, str):
            pool.policy = self._policy()
        routes = assembly.build_routes(settings)
        paths = assembly.build_paths(routes, {"pool": pool}, settings, _Unobserved(), rng)
        lane = next(iter(paths.values())).lanes[0]
        return replace(lane, now=now, wall=lambda: EPOCH + now())

    def proven_for_s(self, backend: Backend, interval_s: float, now: float) -> float:
        return checker.proven_for_s(backend, interval_s, now)

    def pause_s(self, interval_s: float, settled: bool, first: bool, rng: Random) -> float:
        return checker.pause_s(interval_s, settled, first, rng)


def _backend(spec: BackendSpec) -> schema.Backend:
    return schema.Backend(url=spec.url, name=spec.name, max_in_flight=spec.max_in_flight)


_ANY = from_dict({"pools": {"pool": {"backends": ["http://any"]}}})


def pool_of(scenario: Scenario) -> schema.Pool:
    """The pool as a scenario has it; SettingsError when its `pool` says what no configuration may."""
    return from_dict({"pools": {"pool": {"backends": ["http://any"], **scenario.pool}}}).pools["pool"]


def run(
    scenario: Scenario,
    policy: str | Callable[[], Policy],
    seed: int,
    pool: schema.Pool | None = None,
    tasks: Sequence[Task] | None = None,
) -> Result:
    """One simulation. `policy` is the name of a registered policy or of a reference, or makes one; `pool` are
    settings in place of the scenario's, `tasks` in place of those it describes.

    References run without limits, queue and hedging: they know better.
    """
    if isinstance(policy, str) and policy in REFERENCES:
        plain = replace(scenario, pool={}, limits_known=False)
        return world.run(plain, Gateways(pool_of(plain), "least_requests"), seed, REFERENCES[policy], tasks)
    return world.run(scenario, Gateways(pool or pool_of(scenario), policy), seed, given=tasks)


# -- the command ---------------------------------------------------------------------------------------


class Refused(Exception):
    """What was asked for cannot be done; the text says why, one mistake a line."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What is to be simulated: `pool` and `tasks` None mean the scenario's own."""

    scenario: Scenario
    policies: tuple[str, ...]
    pool: schema.Pool | None = None
    tasks: Sequence[Task] | None = None


def main(args: argparse.Namespace) -> int:
    """`gateway simulate`: 0, or 2 after what is wrong was said."""
    try:
        job = _job(args)
        runs = _simulate(job, args.seed, args.seeds)
        if args.plot is not None:
            plot.draw(job.scenario, runs).savefig(args.plot, dpi=150)
    except (Refused, SettingsError, plot.NoMatplotlib, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return BAD_USAGE
    if args.json:
        sys.stdout.write(json.dumps(report.data(job.scenario, runs, args.seed), indent=1) + "\n")
    else:
        sys.stdout.write(report.text(job.scenario, runs, args.seed) + "\n")
    return DONE


def _simulate(job: _Job, first: int, seeds: int) -> list[report.Run]:
    """A run for every policy and reference; samples are kept of the first seed alone."""
    runs = []
    for policy in (*job.policies, *REFERENCES):
        results = []
        for seed in range(first, first + seeds):
            if sys.stderr.isatty():
                sys.stderr.write(f"\r\033[K{job.scenario.name}: {policy}, seed {seed} … ")
                sys.stderr.flush()
            result = run(job.scenario, policy, seed, job.pool, job.tasks)
            results.append(result if seed == first else replace(result, samples=[]))
        runs.append(report.Run(policy, results, policy in REFERENCES))
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    return runs


def _job(args: argparse.Namespace) -> _Job:
    pool = None if args.config is None else _configured(args.config, args.pool)
    tasks: Sequence[Task] | None = None
    if args.replay is not None:
        if pool is None or args.scenario is not None:
            raise Refused("gateway: --replay takes the place of a scenario, and needs --config FILE")
        scenario, tasks = _replayed(args.replay, pool[0], pool[1])
    elif args.scenario is None:
        raise Refused(f"gateway: name a scenario, or a file with one; there are {', '.join(SCENARIOS)}")
    else:
        scenario = _scenario(args.scenario)
    if args.duration is not None:
        scenario = replace(scenario, duration_s=args.duration)
        tasks = tasks and [task for task in tasks if task.at < args.duration]
    if args.gateways is not None:
        scenario = replace(scenario, gateways=args.gateways)
    if wrong := [f"gateway: {reading.dotted(at)}: {text}" for at, text in problems(scenario)]:
        raise Refused("\n".join(wrong))
    settings = pool[1] if pool else None
    known = sorted(schema.POLICIES)
    policies = tuple(args.policy or ([settings.policy] if settings else known))
    if unknown := [policy for policy in policies if policy not in known]:
        raise Refused(f"gateway: no policy {', '.join(unknown)}; there are {', '.join(known)}")
    return _Job(scenario, policies, settings, tasks)


def _configured(path: Path, name: str | None) -> tuple[str, schema.Pool]:
    """The pool of that name in a configuration, or its only one."""
    pools = load(path, os.environ).pools
    if name is None and len(pools) == 1:
        name = next(iter(pools))
    if name is None or name not in pools:
        raise Refused(f"gateway: name a pool of {path} with --pool; it has {', '.join(pools)}")
    return name, pools[name]


def _scenario(named: str) -> Scenario:
    """The built-in scenario of that name, or the one in that file."""
    if named in SCENARIOS:
        return SCENARIOS[named]
    path = Path(named)
    if not path.is_file():
        raise Refused(f"gateway: no scenario and no file {named}; there are {', '.join(SCENARIOS)}")
    try:
        document = nodes.read(path.read_text("utf-8"))
        scenario = reading.read(document.data)
        pool_of(scenario)
    except nodes.TooMuch as error:
        raise Refused(f"{path}:{error.line}: found {error.found}; accepted: {error.accepted}") from None
    except UnicodeDecodeError:
        raise Refused(f"{path}: give UTF-8 text") from None
    except reading.ScenarioError as error:
        said = [f"{path}:{document.line(at)}: {reading.dotted(at)}: {text}" for at, text in error.mistakes]
        raise Refused("\n".join(said)) from None
    except SettingsError as error:
        said = [f"{path}: {str(each).removeprefix('pools.')}" for each in error.problems]
        raise Refused("\n".join(said)) from None
    return scenario


def _replayed(path: Path, name: str, pool: schema.Pool) -> tuple[Scenario, list[Task]]:
    with path.open("rb") as file:
        log = [entry for entry in replay.entries(file) if entry.pool == name]
    try:
        return replay.rebuild(log, {backend.name: backend.max_in_flight for backend in pool.backends})
    except ValueError as error:
        raise Refused(f"gateway: {path}: {error} ({name})") from None
