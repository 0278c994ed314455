"""What would another policy have made of the traffic that an access log tells of?

A log says when requests came and how long backends took; it does not say how much work they were. Assumed:

- A backend's time for a request is all work, none of it waiting there. In a log of a pool that was not
  overloaded this is nearly so; in one of an overloaded pool it makes machines out to be slower than they are.
- A backend is as fast, against the others, as the median of its times to the first byte, among requests of
  the same kind: of the same power of two in body size, streamed or not. One the log does not name, and one
  without a good answer, has speed 1.
- Work done at one backend would take another that many times longer as it is slower.
- A backend works on as many requests at once as its `max_in_flight`, or else as the log ever shows under way
  there; more wait, first come first served.
- A request that got no good answer wanted the median work of its kind.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from gateway.simulation.scenario import Group, Scenario, Work
from gateway.simulation.task import Task


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log: `at` in seconds since the epoch; `first_s` and `total_s` from sending to the
    backend to the answer's first and last byte, None for a request that got no good answer."""

    at: float
    pool: str
    backend: str
    stream: bool
    size: int
    first_s: float | None
    total_s: float | None

    @property
    def kind(self) -> tuple[bool, int]:
        """Requests of one kind are of comparable work."""
        return self.stream, self.size.bit_length()


def entries(lines: Iterable[str | bytes]) -> Iterator[Entry]:
    """The requests of an access log in JSON lines, as telemetry/access_log.py writes them, but for those the
    gateway answered itself; what is no such line is passed over."""
    for line in lines:
        try:
            entry = _entry(json.loads(line))
        except (ValueError, KeyError, TypeError):
            continue
        if entry is not None:
            yield entry


def _entry(said: Mapping[str, object]) -> Entry | None:
    pool = str(said["pool"])
    if not pool:
        return None  # answered by the gateway itself
    first, duration, own = said["first_byte_ms"], _number(said["duration_ms"]), _number(said["overhead_ms"])
    stream = bool(said["stream"])
    first_s = total_s = None
    if first is not None and 0 < _number(said["status"]) < 400:
        first_s = max(_number(first), 0.001) / 1e3
        total_s = max(first_s, (duration - own) / 1e3 if stream else first_s)
    at = datetime.fromisoformat(str(said["time"])).timestamp()
    return Entry(at, pool, str(said["backend"]), stream, int(_number(said["bytes_in"])), first_s, total_s)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def speeds(log: Iterable[Entry]) -> dict[str, float]:
    """Each backend's speed against the pool's typical one, by name."""
    times: dict[tuple[bool, int], list[float]] = defaultdict(list)
    for entry in (known := [entry for entry in log if entry.first_s is not None]):
        times[entry.kind].append(entry.first_s or 0.0)
    typical = {kind: median(values) for kind, values in times.items()}
    ratios: dict[str, list[float]] = defaultdict(list)
    for entry in known:
        ratios[entry.backend].append((entry.first_s or 0.0) / typical[entry.kind])
    return {name: 1.0 / median(values) for name, values in ratios.items()}


def most_at_once(log: Iterable[Entry]) -> dict[str, int]:
    """How many requests were ever under way at each backend together, by name."""
    moments: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for entry in log:
        if entry.total_s is not None:
            moments[entry.backend] += [(entry.at, 1), (entry.at + entry.total_s, -1)]
    found = {}
    for name, changes in moments.items():
        inside = most = 0
        for _, change in sorted(changes):
            inside += change
            most = max(most, inside)
        found[name] = most
    return found


def rebuild(log: list[Entry], limits: Mapping[str, int | None]) -> tuple[Scenario, list[Task]]:
    """The scenario that the log tells of, with backends of these names and limits, and its tasks.

    Raises ValueError when there is nothing to replay.
    """
    if not log:
        raise ValueError("the log has no request to this pool")
    log = sorted(log, key=lambda entry: entry.at)
    speed, most = speeds(log), most_at_once(log)
    usual = max(most.values(), default=1)
    groups = tuple(
        Group(
            name=name,
            speed=speed.get(name, 1.0),
            places=limit or most.get(name, usual),
        )
        for name, limit in sorted(limits.items())
    )
    tasks = list(_tasks(log, speed))
    span = tasks[-1].at + 0.001
    return Scenario(
        name="replay",
        about=f"{len(tasks):,} requests of an access log",
        machine="slots",
        groups=groups,
        work=Work(rate=len(tasks) / span),
        duration_s=span,
        warmup_s=0.0,
        drain_s=600.0,
    ), tasks


def _tasks(log: list[Entry], speed: Mapping[str, float]) -> Iterator[Task]:
    works: dict[tuple[bool, int], list[tuple[float, float]]] = defaultdict(list)
    for entry in log:
        if entry.first_s is not None and entry.total_s is not None:
            factor = speed[entry.backend]
            works[entry.kind].append((entry.total_s * factor, entry.first_s * factor))
    everything = sorted(work for kind in works.values() for work in kind) or [(0.1, 0.1)]
    usual = {kind: sorted(values)[len(values) // 2] for kind, values in works.items()}
    start = log[0].at
    for number, entry in enumerate(log):
        if entry.first_s is None or entry.total_s is None:
            work_s, first_s = usual.get(entry.kind, everything[len(everything) // 2])
        else:
            factor = speed[entry.backend]
            work_s, first_s = entry.total_s * factor, entry.first_s * factor
        yield Task(
            number,
            entry.at - start,
            work_s,
            first_s if entry.stream else 0.0,
            stream=entry.stream,
            size=entry.size,
        )
