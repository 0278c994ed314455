"""Which scenarios are there by name?"""

from collections.abc import Iterator
from dataclasses import replace

from gateway.simulation.scenario import Condition, Group, Priority, Scenario, Work

#: 16 classic servers of 4 slots, speeds 0.5 to 2.
UNEQUAL = (Group(4, 0.5), Group(8, 1.0), Group(4, 2.0))
#: 8 alike, of 4 slots.
EQUAL = (Group(8),)
#: 8 model servers of 64 streams: four as fast as can be, two 1.6 and two 2.5 times slower.
MODELS = (Group(4, 1.0, 64), Group(2, 1 / 1.6, 64), Group(2, 1 / 2.5, 64))

_NEIGHBOURS = Condition("antagonist", slow=3.0, on_s=10.0, off_s=40.0)
_MILD_NEIGHBOURS = Condition("antagonist", slow=2.5, on_s=10.0, off_s=40.0)


_EQUAL_LOAD = Work(load=0.6)


def _classic(name: str, about: str, work: Work, *conditions: Condition) -> Scenario:
    return Scenario(name, f"8 equal servers; {about}", "slots", EQUAL, work, conditions)


def _slot_fifo(load: float) -> Iterator[Scenario]:
    about = f"16 unequal servers of 4 slots with noisy neighbours, load {load}"
    made = Scenario(f"slot-fifo-{load}", about, "slots", UNEQUAL, Work(load=load), (_NEIGHBOURS,), 400.0)
    yield made
    yield from _limited(made)


def _limited(made: Scenario) -> Iterator[Scenario]:
    """The same with known limits, and with limits to be found."""
    auto = {"concurrency": {"limit": "auto"}}
    yield replace(made, name=f"{made.name}-known", about=f"{made.about}, limits known", limits_known=True)
    yield replace(made, name=f"{made.name}-auto", about=f"{made.about}, limits to be found", pool=auto)


def _llm(load: float) -> Iterator[Scenario]:
    about = f"8 unequal model servers of 64 streams with noisy neighbours, 10 % long answers, load {load}"
    work = Work(load=load, long_share=0.1)
    made = Scenario(f"llm-{load}", about, "batching", MODELS, work, (_MILD_NEIGHBOURS,), 500.0, 100.0, 300.0)
    yield made
    yield from _limited(made)


def _hiccups(load: float) -> Iterator[Scenario]:
    about = f"16 equal servers of 4 slots, 2 % of jobs 8 times slower, limits known, load {load}"
    groups = (Group(16, hiccup_share=0.02),)
    made = Scenario(f"hiccups-{load}", about, "slots", groups, Work(load=load), (), 200.0, limits_known=True)
    yield made
    hedged = {"hedging": {"after": "p95"}}
    yield replace(made, name=f"{made.name}-hedged", about=f"{about}, hedging", pool=hedged)


def _faults() -> Iterator[Scenario]:
    def one(name: str, about: str, *conditions: Condition) -> Scenario:
        return _classic(name, about, _EQUAL_LOAD, *conditions)

    who = (2,)
    yield one("slowdown", "from 60 s on one is 3 times slower", Condition("slow", who, 60.0, slow=3.0))
    gray = Condition("slow", who, 40.0, 90.0, slow=10.0)
    yield one("gray-failure", "one is 10 times slower from 40 to 90 s and calls itself healthy", gray)
    failing = Condition("fail", who, 40.0, 90.0)
    yield one("fast-failure", "one answers 503 in 2 ms from 40 to 90 s and calls itself healthy", failing)
    yield one("hang", "one stands still from 40 to 50 s", Condition("stop", who, 40.0, 50.0))
    yield one("crash", "one is down from 40 to 60 s", Condition("down", who, 40.0, 60.0))
    cold = (Condition("down", who, 30.0, 40.0), Condition("slow", who, 40.0, 60.0, slow=5.0))
    yield one("cold-start", "one is down from 30 to 40 s, then 5 times slower for 20 s", *cold)
    rolling = Condition("restart", start_s=25.0, every_s=12.0, down_s=4.0, load_s=2.0, slow=3.0, cold_s=5.0)
    yield one("rolling-restart", "each in turn 4 s down, 2 s loading, 5 s at a third of its speed", rolling)


def _changing_load() -> Iterator[Scenario]:
    joining = Condition("join", (6, 7), 60.0, slow=3.0, cold_s=10.0)
    about = "two of them join at 60 s, cold for 10 s; load 0.85 before"
    yield _classic("scale-out", about, Work(load=0.85), joining)
    groups = (Group(2, 0.5), Group(4, 1.0), Group(2, 2.0))
    about = "8 unequal servers; gaps between arrivals of CV 13, as in a code assistant's trace"
    yield Scenario("bursty", about, "slots", groups, Work(load=0.5, cv=13.0), duration_s=300.0)
    # Of ten times what there is room for, high is half of it: more than all of it could not be served well.
    for times, high in ((2, 0.2), (10, 0.05)):
        classes: dict[Priority, float] = {"high": high, "normal": 0.7 - high, "low": 0.3}
        burst = (40.0, 60.0, times / 0.8)
        work = Work(load=0.8, bursts=(burst,), priorities=classes, deadline_s=5.0)
        about = f"{times} times what they can do from 40 to 60 s; deadline 5 s, three classes"
        yield replace(_classic(f"overload-{times}x", about, work), limits_known=True)


def _plain() -> Iterator[Scenario]:
    yield _classic("equal", "load 0.8", Work(load=0.8))
    limited = _classic("retry-after", "they answer 429 with more than 4 jobs; load 0.8", Work(load=0.8))
    yield replace(limited, groups=(Group(8, most=4),))
    about = "8 equal model servers of 64 streams, load 0.7"
    models = (Group(8, 1.0, 64),)
    yield Scenario("equal-llm", about, "batching", models, Work(load=0.7), (), 300.0, 60.0, 300.0)


SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        *(made for load in (0.5, 0.7, 0.9) for made in _slot_fifo(load)),
        *(made for load in (0.6, 0.85) for made in _llm(load)),
        *(made for load in (0.5, 0.8, 0.95) for made in _hiccups(load)),
        *_faults(),
        *_changing_load(),
        *_plain(),
    )
}
