"""How is a query of a board written? The variables it is narrowed by, and the forms that recur."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.telemetry.readings import STATES

#: The variables of a board as conditions. Rules have no `instance`: they add the gateways of a job up.
JOB = 'job=~"$job"'
PROCESS = f'{JOB}, instance=~"$instance"'
ROUTE = 'route=~"$route"'
POOL = 'pool=~"$pool"'
BACKEND = f'{POOL}, backend=~"$backend"'


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel, and what its lines are called: `{{label}}` stands for a label's value."""

    expr: str
    legend: str


def by(labels: Sequence[str], expr: str) -> str:
    """The sum of `expr`, by labels; no labels: of everything."""
    return f"sum by ({', '.join(labels)}) ({expr})" if labels else f"sum({expr})"


def rate(series: str, where: str, *labels: str) -> str:
    """How much a counter grows per second, by labels."""
    return by(labels, f"rate({series}{{{where}}}[$__rate_interval])")


def quantile(share: float, histogram: str, where: str, *labels: str) -> str:
    """The value below which this share of what a histogram has counted lies, by labels."""
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', where, *labels, 'le')})"


def mean(histogram: str, where: str, *labels: str) -> str:
    """The mean of what a histogram has counted, by labels; absent where there was nothing."""
    counted = rate(f"{histogram}_count", where, *labels)
    return f"{rate(f'{histogram}_sum', where, *labels)} / ({counted} > 0)"


def quantiles(histogram: str, where: str, prefix: str = "") -> tuple[Query, ...]:
    """Median, 95th and 99th percentile of everything that `where` chooses."""
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return tuple(Query(quantile(share, histogram, where), prefix + name) for name, share in shares.items())


def events(series: str, where: str, *labels: str) -> str:
    """How often something rare happened since one interval ago, by labels.

    Unlike `increase`, it sees the first time, when the series has only just come. What never happened is left
    out.
    """
    now = by(labels, f"{series}{{{where}}}")
    before = by(labels, f"{series}{{{where}}} offset $__rate_interval")
    return f"clamp_min({now} - ({before} or 0 * {now}), 0) and {now} > 0"


def share(part: str, whole: str) -> str:
    """`part` of `whole`; absent where there is no whole, and 0 where there is no part."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


#: What the states of a backend are drawn as: the number, the words, the colour. The worst has the largest.
STATE_LOOKS = {
    "up": (1, "up", "green"),
    "starting": (2, "starting", "blue"),
    "draining": (3, "draining", "purple"),
    "ejected": (4, "ejected", "orange"),
    "down": (5, "down", "red"),
}
if STATE_LOOKS.keys() != set(STATES):
    raise LookupError(f"the states are {STATES}: give each its look")


def states() -> str:
    """Each backend's state as a number of STATE_LOOKS; of several gateways, what the worst of them sees."""
    series = f'gateway_backend_state{{{PROCESS}, {BACKEND}, state="%s"}}'
    parts = (f"{number} * ({series % state} == 1)" for state, (number, _, _) in STATE_LOOKS.items())
    return f"max by (pool, backend) ({' or '.join(parts)})"
