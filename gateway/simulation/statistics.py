"""What came out: how long did answers take, what failed, what was wasted?"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from gateway.pool.pool import Pool
from gateway.simulation.machines import Machine
from gateway.simulation.scenario import Scenario
from gateway.simulation.task import Task


class Sample:
    """How one task fared. `first` and `ended` are times; `error` None means it has its whole answer."""

    __slots__ = ("attempts", "backend", "ended", "error", "first", "gateway", "task")

    def __init__(
        self,
        task: Task,
        gateway: int,
        backend: str,
        attempts: int,
        first: float,
        ended: float,
        error: str | None,
    ) -> None:
        self.task = task
        self.gateway = gateway
        self.backend = backend
        self.attempts = attempts
        self.first = first
        self.ended = ended
        self.error = error

    def __repr__(self) -> str:
        return f"<Sample {self.task.number} {self.error or 'answered'} by {self.backend or '-'}>"

    @property
    def good(self) -> bool:
        """A whole answer within the deadline."""
        return self.error is None and self.total_s <= self.task.deadline_s

    @property
    def ttft_s(self) -> float:
        return self.first - self.task.at

    @property
    def total_s(self) -> float:
        return self.ended - self.task.at

    @property
    def per_token_s(self) -> float | None:
        """Seconds from token to token, as the client of a stream sees them; None for other answers."""
        tokens = self.task.output
        return (self.ended - self.first) / (tokens - 1) if self.task.stream and tokens > 1 else None


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of `count` values in seconds; all 0 when there is none. A quantile is the smallest value that at least
    that share of the values does not exceed."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    p999: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Quantiles":
        ordered = sorted(values)
        n = len(ordered)
        if not n:
            return cls(0, 0.0, 0.0, 0.0, 0.0, 0.0)
        p50, p90, p99, p999 = (ordered[max(0, ceil(q * n) - 1)] for q in (0.5, 0.9, 0.99, 0.999))
        return cls(n, sum(ordered) / n, p50, p90, p99, p999)


@dataclass(frozen=True, slots=True)
class Result:
    """Figures of one simulation, of tasks that arrived after the warm-up. Seconds, and shares from 0 to 1.

    `capacity` is how many tasks a second the machines can do, `goodput` answers a second within their
    deadline. `wasted_s` and `busy_s` are seconds of a machine's places: spent on what nobody waited for any
    more, and in all. `utilisation` and `share` (of attempts taken) are by machine; `classes` has the time to
    the first byte, and the errors, by priority. `samples` are in order of their end.
    """

    ttft: Quantiles
    total: Quantiles
    per_token: Quantiles
    errors: dict[str, int]
    offered: int
    capacity: float
    goodput: float
    retries: int
    hedges: int
    wasted_s: float
    busy_s: float
    share: dict[str, float]
    utilisation: dict[str, float]
    classes: dict[str, tuple[Quantiles, int]]
    samples: list[Sample]

    def arrived(self, start: float, end: float) -> list[Sample]:
        """The samples of tasks that arrived within, warm-up or not."""
        return [sample for sample in self.samples if start <= sample.task.at < end]

    def goodput_within(self, start: float, end: float) -> float:
        """Answers a second that were whole within that time, and within their deadline."""
        return sum(start <= sample.ended < end and sample.good for sample in self.samples) / (end - start)


def summarise(
    scenario: Scenario,
    samples: list[Sample],
    machines: Sequence[Machine],
    busy: Sequence[float],
    pools: Sequence[Pool],
    capacity: float,
) -> Result:
    """The figures of a simulation; `busy` is each machine's `busy_s` at the end of the arrivals."""
    measured = [sample for sample in samples if sample.task.at >= scenario.warmup_s]
    whole = [sample for sample in measured if sample.error is None]
    taken = sum(machine.taken for machine in machines) or 1
    return Result(
        ttft=Quantiles.of(sample.ttft_s for sample in whole),
        total=Quantiles.of(sample.total_s for sample in whole),
        per_token=Quantiles.of(gap for sample in whole if (gap := sample.per_token_s) is not None),
        errors=dict(Counter(sample.error for sample in measured if sample.error is not None)),
        offered=len(measured),
        capacity=capacity,
        goodput=sum(sample.good for sample in measured) / (scenario.duration_s - scenario.warmup_s),
        retries=sum(pool.retries["tried"] for pool in pools),
        hedges=sum(pool.hedges.total() for pool in pools),
        wasted_s=sum(machine.wasted_s for machine in machines),
        busy_s=sum(machine.busy_s for machine in machines),
        share={machine.name: machine.taken / taken for machine in machines},
        utilisation={
            machine.name: seconds / (machine.places * scenario.duration_s)
            for machine, seconds in zip(machines, busy, strict=True)
        },
        classes=_classes(measured),
        samples=samples,
    )


def _classes(samples: Iterable[Sample]) -> dict[str, tuple[Quantiles, int]]:
    """Time to the first byte of whole answers, and how many got none, by priority."""
    by_class: dict[str, list[Sample]] = {}
    for sample in samples:
        by_class.setdefault(sample.task.priority, []).append(sample)
    return {
        name: (
            Quantiles.of(sample.ttft_s for sample in ones if sample.error is None),
            sum(sample.error is not None for sample in ones),
        )
        for name, ones in sorted(by_class.items())
    }
