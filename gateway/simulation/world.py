"""What happens when this load meets these gateways in front of these machines?

Everything between the client and the machine is the gateway's own: `Forward` carries each task, the pools
choose, the leases learn, the budget pays. The world brings clients, sockets, machines, probes and time.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from math import inf
from random import Random
from typing import Protocol, cast

from gateway.balancing.policy import Policy
from gateway.errors import ClientGone, GatewayError
from gateway.forward import Forward
from gateway.health.state import Result as ProbeResult
from gateway.lanes import Lane
from gateway.messages import Exchange, Request, RequestHead
from gateway.pool.backend import Backend, BackendSpec
from gateway.ports import Client
from gateway.simulation import fleet
from gateway.simulation.clients import SimulatedClient
from gateway.simulation.engine import Engine
from gateway.simulation.machines import TIMEOUT, Machine
from gateway.simulation.scenario import Scenario
from gateway.simulation.sockets import SimulatedConnections
from gateway.simulation.statistics import Result, Sample, summarise
from gateway.simulation.task import Task
from gateway.simulation.workload import Means, means, tasks

#: Classes by the number that heads have for them.
PRIORITIES = ("high", "normal", "low")
#: Most probes left out in a row; as health/checker.py has it.
MOST_SKIPPED = 5


class Composition(Protocol):
    """Whoever puts a gateway together, and paces its probes."""

    def lane(self, specs: Sequence[BackendSpec], rng: Random, now: Callable[[], float]) -> Lane:
        """The way of one gateway to these backends, by which its pool is known too."""

    def proven_for_s(self, backend: Backend, interval_s: float, now: float) -> float:
        """Seconds for which a backend's traffic makes a probe needless; 0 or less: none."""

    def pause_s(self, interval_s: float, settled: bool, first: bool, rng: Random) -> float:
        """Seconds until the next probe."""


class Oracle:
    """What nobody in a gateway can know: the machines as they are, and how much the task at hand wants."""

    def __init__(self, engine: Engine, machines: Mapping[str, Machine], mean: Means) -> None:
        self.engine = engine
        self.machines = machines
        self.mean = mean
        self.task: Task | None = None


class _Visitor:
    """A client with one task at a time; kept for the next."""

    __slots__ = ("_world", "client", "gateway", "record", "task")

    def __init__(self, world: "World") -> None:
        self._world = world
        self.client = SimulatedClient(world.engine, self._ended)
        self.task: Task
        self.record: Exchange
        self.gateway = 0

    def begin(self, task: Task, gateway: int, lane: Lane) -> None:
        now = self._world.engine.now
        self.task = task
        self.gateway = gateway
        client = self.client
        client.begin()
        request = Request(self._world.head(task), task.size, now)
        request.received = task.size
        request.complete = True
        self.record = record = Exchange("POST", "/", "", "client", now)
        record.stream = task.stream
        # What simulated clients never do, uploading and switching protocols, they cannot do either.
        forward = Forward(lane, cast(Client, client), request, record, b"/%d" % task.number, b"")
        client.start(forward.run())

    def _ended(self, error: BaseException | None) -> None:
        kind: str | None = self.record.error
        if isinstance(error, GatewayError):
            kind = error.kind
        elif isinstance(error, ClientGone):
            kind = "client_closed"
        elif error is not None:
            raise error
        elif kind is None and self.client.status >= 400:
            kind = f"status {self.client.status}"
        self._world.done(self, kind)


class World:
    """One simulation, from the first arrival to the last answer."""

    def __init__(
        self, scenario: Scenario, composition: Composition, seed: int, given: Iterable[Task] | None = None
    ) -> None:
        self.scenario = scenario
        self._composition = composition
        self.engine = Engine()
        self.samples: list[Sample] = []
        self.machines = fleet.build(scenario, self.engine, Random(f"{seed} machines"))
        self._open: dict[int, Task] = {}
        self._free: list[_Visitor] = []
        self._heads: dict[tuple[str, float], RequestHead] = {}
        self._dice = Random(f"{seed} gateways")
        present = [m for m, late in zip(self.machines, self._late(), strict=True) if not late]
        specs = self._specs(present)
        self.lanes = [
            composition.lane(specs, Random(f"{seed} gateway {number}"), self.engine.time)
            for number in range(scenario.gateways)
        ]
        for lane in self.lanes:
            self._connect(lane, lane.pool.backends)
        self.oracle = Oracle(
            self.engine, {machine.name: machine for machine in self.machines}, means(scenario.work)
        )
        work, self._capacity = scenario.work, fleet.capacity(scenario, Random(f"{seed} machines"))
        rate = work.rate if work.rate is not None else (work.load or 0.0) * self._capacity
        self._tasks = iter(given) if given is not None else tasks(scenario, rate, seed)
        self._next = next(self._tasks, None)
        for condition in scenario.conditions:
            if condition.kind == "join":
                self.engine.at(condition.start_s, self._join)

    def run(self) -> Result:
        """Let it happen, and sum up what did."""
        engine, scenario = self.engine, self.scenario
        if self._next is not None:
            engine.at(self._next.at, self._arrive)
        engine.run(scenario.duration_s)
        for machine in self.machines:
            machine.occupy(0)
        busy = [machine.busy_s for machine in self.machines]
        until = scenario.duration_s + scenario.drain_s
        while self._open and engine.now < until:
            engine.run(min(engine.now + 1.0, until))
        self.samples += [Sample(task, 0, "", 0, 0.0, 0.0, "unfinished") for task in self._open.values()]
        pools = [lane.pool for lane in self.lanes]
        return summarise(scenario, self.samples, self.machines, busy, pools, self._capacity)

    def done(self, visitor: _Visitor, error: str | None) -> None:
        """A visitor has its answer, or none."""
        client, record, task = visitor.client, visitor.record, visitor.task
        del self._open[task.number]
        self.samples.append(
            Sample(
                task,
                visitor.gateway,
                record.backend,
                record.attempts,
                client.began_at,
                self.engine.now,
                error,
            )
        )
        self._free.append(visitor)

    def head(self, task: Task) -> RequestHead:
        """The request head of a task; the same object for all alike, as the gateway's memo has it."""
        alike = (task.priority, task.deadline_s)
        head = self._heads.get(alike)
        if head is None:
            self._heads[alike] = head = RequestHead()
            head.method = "POST"
            head.priority = PRIORITIES.index(task.priority)
            head.timeout_s = None if task.deadline_s == inf else task.deadline_s
        return head

    def _arrive(self) -> None:
        task = self._next
        assert task is not None
        self._next = following = next(self._tasks, None)
        if following is not None:
            self.engine.at(following.at, self._arrive)
        self._open[task.number] = self.oracle.task = task
        gateway = int(self._dice.random() * len(self.lanes))
        visitor = self._free.pop() if self._free else _Visitor(self)
        visitor.begin(task, gateway, self.lanes[gateway])

    # -- pools and their backends ----------------------------------------------------------------------

    def _late(self) -> list[bool]:
        """Which machines are not there yet."""
        now, late = self.engine.now, [False] * len(self.machines)
        for condition in self.scenario.conditions:
            if condition.kind == "join" and condition.start_s > now:
                for number in self.scenario.struck(condition):
                    late[number] = True
        return late

    def _specs(self, machines: Sequence[Machine]) -> list[BackendSpec]:
        return [
            BackendSpec(
                f"http://{machine.name}",
                name=machine.name,
                max_in_flight=machine.places if self.scenario.limits_known else None,
            )
            for machine in machines
        ]

    def _connect(self, lane: Lane, backends: Sequence[Backend]) -> None:
        by_name = {machine.name: machine for machine in self.machines}
        for backend in backends:
            backend.connections = SimulatedConnections(self.engine, by_name[backend.name], self._open)
            self._probe(lane, backend, first=True, skipped=0)

    def _join(self) -> None:
        present = [m for m, late in zip(self.machines, self._late(), strict=True) if not late]
        for lane in self.lanes:
            came, _ = lane.pool.replace(self._specs(present), self.engine.now)
            self._connect(lane, came)

    def _probe(self, lane: Lane, backend: Backend, first: bool, skipped: int) -> None:
        """As the loop of health/checker.py; the first probe of each backend comes at once."""
        rule, now = lane.pool.rules.backend.health, self.engine.now
        if rule is None or backend not in lane.pool.backends:
            return
        proven_s = self._composition.proven_for_s(backend, rule.interval_s, now)
        if proven_s > 0.0 and skipped < MOST_SKIPPED:
            lane.pool.probed(backend, "skipped", "its traffic is answered well", now)
            self.engine.at(now + proven_s, partial(self._probe, lane, backend, first, skipped + 1))
            return
        result, why = backend.connections.machine.probe()
        if result == "loading" and rule.preset is None:
            result = "failure"
        told = partial(self._probed, lane, backend, first, result, why)
        self.engine.at(now + rule.timeout_s if why == TIMEOUT else now, told)

    def _probed(self, lane: Lane, backend: Backend, first: bool, result: ProbeResult, why: str) -> None:
        rule, now = lane.pool.rules.backend.health, self.engine.now
        if rule is None or backend not in lane.pool.backends:
            return
        lane.pool.probed(backend, result, why, now)
        pause_s = self._composition.pause_s(rule.interval_s, backend.settled, first, self._dice)
        self.engine.at(now + pause_s, partial(self._probe, lane, backend, False, 0))


def run(
    scenario: Scenario,
    composition: Composition,
    seed: int,
    reference: Callable[[Oracle], Policy] | None = None,
    given: Iterable[Task] | None = None,
) -> Result:
    """One simulation. A `reference` takes the place of the policy the lanes' pools came with; `given` tasks,
    numbered and in order of arrival, of those the scenario describes."""
    world = World(scenario, composition, seed, given)
    if reference is not None:
        for lane in world.lanes:
            lane.pool.policy = reference(world.oracle)
    return world.run()
