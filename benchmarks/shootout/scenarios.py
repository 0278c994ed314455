"""In which conditions are the candidates compared? Scenarios: backends, load, and what changes when. Pure."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.shootout.engines import Batching
from benchmarks.shootout.plan import Backend, Event, Work, capacity

COUNT = 8
SLOTS = 4
SERVICE_S = 0.2  # of a request on average, unless told otherwise; the batches are slower by the same factor
UNEQUAL = (0.5, 1.0, 1.0, 2.0) * (COUNT // 4)
# A step of 20 to 52 ms; scaled from the 15 + 0.6 n ms of a real engine so that eight of them, with the client
# that reads their tokens, fit on one core.
ENGINE = Batching(a_s=0.020, b_s=0.002, streams=16, prefill=16_000)
LENGTHS = Work(prompt=256, tokens=24)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One condition. `rate` is requests a second; `first_byte_s` is set in every candidate."""

    name: str
    backends: tuple[Backend, ...]
    events: tuple[Event, ...]
    work: Work
    rate: float
    first_byte_s: float = 10.0

    @property
    def streams(self) -> bool:
        """Whether the answers are streamed, so that there are tokens to time."""
        return self.work.tokens > 0


@dataclass(frozen=True, slots=True)
class Round:
    """What a scenario is made from: how long it is measured, the dice, a request's mean time at speed 1.

    `load`: the share of what all backends can do while they are well; None: the scenario's own.
    """

    seconds: float
    rng: random.Random
    service_s: float = SERVICE_S
    load: float | None = None


def _scenario(
    name: str,
    made: Round,
    load: float,
    speeds: tuple[float, ...] = (1.0,) * COUNT,
    events: tuple[Event, ...] = (),
    share: float = 1.0,
) -> Scenario:
    """Slots of these speeds at `load` of what they can do, unless the round says another; `share` of that is
    there on average, see events."""
    work = Work(service_s=made.service_s)
    backends = tuple(Backend(speed, SLOTS) for speed in speeds)
    rate = (made.load or load) * share * sum(capacity(backend, work) for backend in backends)
    return Scenario(name, backends, events, work, rate)


def _equal(made: Round) -> Scenario:
    """All alike and constant: nothing to know better."""
    return _scenario("equal", made, 0.7)


def _unequal(made: Round) -> Scenario:
    """Speeds 0.5, 1, 1, 2, twice."""
    return _scenario("unequal", made, 0.7, UNEQUAL)


def _antagonists(made: Round) -> Scenario:
    """Each is three times slower for a quarter of the time, in spells of its own."""
    events = []
    for backend in range(COUNT):
        at, slow = 0.0, made.rng.random() < 0.25
        while at < made.seconds:
            events.append(Event(at, backend, "speed", 1 / 3 if slow else 1.0))
            at += made.rng.expovariate((8 if slow else 8 / 3) / made.seconds)
            slow = not slow
    share = 0.75 + 0.25 / 3
    return _scenario("antagonists", made, 0.7, events=tuple(events), share=share)


def _slow_down(made: Round) -> Scenario:
    """One becomes three times slower after a third of the time, and stays so."""
    return _scenario("slow-down", made, 0.75, events=(Event(made.seconds / 3, 0, "speed", 1 / 3),))


def _gray(made: Round) -> Scenario:
    """One becomes ten times slower and stays so; its health check is content."""
    return _scenario("gray", made, 0.75, events=(Event(made.seconds / 5, 0, "speed", 0.1),))


def _between(seconds: float, do: str) -> tuple[Event, ...]:
    """Backend 0 does it in the middle half of the time."""
    return Event(seconds / 4, 0, do, 1), Event(seconds * 3 / 4, 0, do, 0)


def _fast_failure(made: Round) -> Scenario:
    """One answers 503 in 2 ms for half the time; its health check is content."""
    return _scenario("fast-failure", made, 0.75, events=_between(made.seconds, "failing"))


def _hang(made: Round) -> Scenario:
    """One stands still for half the time, as on SIGSTOP; all give up after 3 s without a byte."""
    plain = _scenario("hang", made, 0.75, events=_between(made.seconds, "hung"))
    return replace(plain, first_byte_s=3.0)


def _kill(made: Round) -> Scenario:
    """One is killed with all it has, is back after 5 s, loads for 1 s, and is cold (3 × slower) for 3 s."""
    at, away = made.seconds / 4, min(5.0, made.seconds / 4)
    back = at + away
    events = (
        Event(at, 0, "down"),
        Event(back, 0, "loading", 1),
        Event(back, 0, "up"),
        Event(back + 1, 0, "loading", 0),
        Event(back + 1, 0, "speed", 1 / 3),
        Event(back + 4, 0, "speed", 1.0),
    )
    return _scenario("kill", made, 0.75, events=events)


def _rolling_restart(made: Round) -> Scenario:
    """One after the other finishes what it has, is away, loads, and is back."""
    turn = 0.9 * made.seconds / COUNT
    events = []
    for backend in range(COUNT):
        at = backend * turn
        events += [
            Event(at, backend, "drain"),
            Event(at + turn / 2, backend, "loading", 1),
            Event(at + turn / 2, backend, "up"),
            Event(at + turn * 3 / 4, backend, "loading", 0),
        ]
    return _scenario("rolling-restart", made, 0.65, events=tuple(events))


def _retry_after(made: Round) -> Scenario:
    """One has a quota: with half its slots taken it answers 429 and Retry-After: 1."""
    plain = _scenario("retry-after", made, 0.75)
    return replace(plain, backends=(Backend(1.0, SLOTS, limit=SLOTS // 2), *plain.backends[1:]))


def _llm(made: Round) -> Scenario:
    """Streamed answers from continuous batching, speeds 0.5, 1, 1, 2, twice; lengths as in Azure's traces."""
    slower = made.service_s / SERVICE_S
    engine = Batching(ENGINE.a_s * slower, ENGINE.b_s * slower, ENGINE.streams, ENGINE.prefill / slower)
    backends = tuple(Backend(speed, batching=engine) for speed in UNEQUAL)
    rate = (made.load or 0.75) * sum(capacity(backend, LENGTHS) for backend in backends)
    return Scenario("llm", backends, (), LENGTHS, rate)


#: By name; the docstring of each says what it is.
SCENARIOS: dict[str, Callable[[Round], Scenario]] = {
    "equal": _equal,
    "unequal": _unequal,
    "antagonists": _antagonists,
    "slow-down": _slow_down,
    "gray": _gray,
    "fast-failure": _fast_failure,
    "hang": _hang,
    "kill": _kill,
    "rolling-restart": _rolling_restart,
    "retry-after": _retry_after,
    "llm": _llm,
}
