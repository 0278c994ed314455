"""What is simulated: which machines, under which load, with what happening to them? All of it is data.

Times are seconds from the start of the simulation. Names of attributes are the keys of a scenario file.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Literal

MachineKind = Literal["slots", "batching"]
ConditionKind = Literal["antagonist", "slow", "stop", "fail", "down", "restart", "join"]
ServiceKind = Literal["normal", "lognormal", "exponential", "constant"]
TraceName = Literal["azure-conversation", "azure-code", "mooncake"]
Priority = Literal["high", "normal", "low"]

#: Where in a scenario something stands: keys, and numbers in lists.
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Steps:
    """What a step of a batching machine takes: `a` + `b` for each stream, in seconds, and the prompt tokens
    read in it, at most `chunk`, of `prefill` a second. See batching.py."""

    a: float = 0.015
    b: float = 0.0006
    prefill: float = 16_000.0
    chunk: int = 512

    def capacity(self, prompt: float, output: float, places: int) -> float:
        """About how many tasks a second, of that many tokens on average, a machine of speed 1 can finish.

        Every step reads a full chunk if prompts are what there is too much of; then there are `output` x
        `chunk` / `prompt` streams that decode meanwhile. If not, all places do.
        """
        streams = min(places, output * self.chunk / prompt)
        return 1.0 / (output * (self.a + self.b * streams) / streams + prompt / self.prefill)


@dataclass(frozen=True, slots=True)
class Group:
    """Machines that are alike. `speed` is relative to 1; `places` is how many jobs each works on at once;
    with `most` jobs there it answers 429, with a Retry-After of `retry_after_s`. `honours_cancel`: a job
    whose client has left gives its place back at once. A `hiccup_share` of the jobs of a machine with slots
    take `hiccup_slow` times as long, for reasons that lie neither in the task nor in anything to be seen.
    `name` is for a group of one."""

    count: int = 1
    speed: float = 1.0
    places: int = 4
    most: int | None = None
    retry_after_s: float = 1.0
    honours_cancel: bool = True
    hiccup_share: float = 0.0
    hiccup_slow: float = 8.0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that happens to machines, from `start_s` until `end_s`.

    antagonist  a neighbour comes, for `on_s` on average, and goes, for `off_s`: `slow` times slower while on
    slow        `slow` times slower: throttled, failing, cold
    stop        stands still and then goes on; connections are accepted all the while
    fail        answers `status` after `after_s`, and calls itself healthy when probed
    down        nothing listens; what is under way breaks when it begins
    restart     one after the other, every `every_s`: told to end (`graceful`: finishes what it has), down for
                `down_s`, loading for `load_s`, then `slow` times slower for `cold_s`
    join        not there before `start_s`, and `slow` times slower for `cold_s` once it is

    `backends` are numbers from 0 in order of the groups; empty means all.
    """

    kind: ConditionKind
    backends: tuple[int, ...] = ()
    start_s: float = 0.0
    end_s: float = inf
    slow: float = 1.0
    on_s: float = 10.0
    off_s: float = 40.0
    status: int = 503
    after_s: float = 0.002
    every_s: float = 20.0
    down_s: float = 5.0
    load_s: float = 0.0
    cold_s: float = 0.0
    graceful: bool = True


@dataclass(frozen=True, slots=True)
class Work:
    """The load: `load` is a share of what the machines can do, `rate` tasks a second; one of them is given.

    `cv` is the coefficient of variation of the gaps between arrivals. `bursts` are (from, to, times the
    rate). Machines with slots: `service` is how times around `mean_s` are drawn, `service_cv` counts for
    lognormal. Those that batch: `trace` names published lengths, of which a `long_share` is replaced by
    outputs around `long_output` tokens; `streamed` is the share that asks for a stream. `priorities` are
    shares by class. `deadline_s` is what a client grants from its arrival.
    """

    load: float | None = None
    rate: float | None = None
    cv: float = 1.0
    bursts: tuple[tuple[float, float, float], ...] = ()
    service: ServiceKind = "normal"
    mean_s: float = 0.2
    service_cv: float = 2.0
    trace: TraceName = "azure-conversation"
    long_share: float = 0.0
    long_output: float = 1500.0
    streamed: float = 1.0
    priorities: Mapping[Priority, float] = field(default_factory=lambda: {"normal": 1.0})
    deadline_s: float = inf


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything a simulation depends on but the policy and the seed.

    What arrives before `warmup_s` is served and not measured; nothing arrives after `duration_s`; what is
    not done `drain_s` later counts as an error, `unfinished`. `gateways` is how many share the machines, each
    with a view of its own. `limits_known`: `max_in_flight` of the backends is their places. `pool` holds
    settings of the pool, as in a configuration file.
    """

    name: str
    about: str
    machine: MachineKind
    groups: tuple[Group, ...]
    work: Work
    conditions: tuple[Condition, ...] = ()
    duration_s: float = 120.0
    warmup_s: float = 20.0
    drain_s: float = 60.0
    gateways: int = 1
    limits_known: bool = False
    steps: Steps = field(default_factory=Steps)
    pool: Mapping[str, object] = field(default_factory=dict)

    @property
    def machines(self) -> list[Group]:
        """One entry for each machine, in order."""
        return [group for group in self.groups for _ in range(group.count)]

    def struck(self, condition: Condition) -> range | tuple[int, ...]:
        """The numbers of the machines a condition is about."""
        return condition.backends or range(len(self.machines))


#: Numbers that must be above 0; all others may be 0, none may be below.
_ABOVE_0 = frozenset(
    {"count", "speed", "places", "most", "hiccup_slow", "slow", "on_s", "off_s", "a", "prefill", "chunk"}
    | {"load", "rate", "mean_s", "service_cv", "long_output", "deadline_s", "duration_s", "gateways"}
)
_SHARES = frozenset({"long_share", "streamed", "hiccup_share"})


def number_problem(key: str, value: float) -> str | None:
    """What is wrong with `value` for `key`, taken by itself; None when nothing is."""
    if value < 0 or (value == 0 and key in _ABOVE_0):
        return f"{value:g}: give a number above 0" if key in _ABOVE_0 else f"{value:g}: give 0 or more"
    if key in _SHARES and value > 1:
        return f"{value:g}: give a share from 0 to 1"
    return None


def problems(scenario: Scenario) -> Iterator[tuple[Path, str]]:
    """What does not fit together in a scenario whose values are good each for itself."""
    work, machines = scenario.work, scenario.machines
    if (work.load is None) == (work.rate is None):
        yield ("work",), "give either load or rate"
    if not machines:
        yield ("groups",), "give at least one machine"
    if scenario.warmup_s >= scenario.duration_s:
        yield ("warmup_s",), f"{scenario.warmup_s:g}: shorter than duration_s, or nothing is measured"
    if not sum(work.priorities.values()):
        yield ("work", "priorities"), "give at least one class a share"
    end = 0.0
    for number, (start, stop, factor) in enumerate(work.bursts):
        if start < end or stop <= start or factor <= 0:
            yield ("work", "bursts", number), "give [from, to, factor above 0], one after the other"
        end = stop
    for number, group in enumerate(scenario.groups):
        if group.name and group.count > 1:
            yield ("groups", number, "name"), "several machines cannot have one name"
    for number, condition in enumerate(scenario.conditions):
        if any(not 0 <= backend < len(machines) for backend in condition.backends):
            yield ("conditions", number, "backends"), f"numbers from 0 to {len(machines) - 1}"
        if condition.end_s <= condition.start_s:
            yield ("conditions", number, "end_s"), f"{condition.end_s:g}: later than start_s"
