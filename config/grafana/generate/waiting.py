"""Which panels show what becomes of too much work, and of failures: waiting, turning away, repeats?"""

from config.grafana.generate.panels import Panel
from config.grafana.generate.queries import JOB, POOL, PROCESS, Query, by, rate

_ENDED = rate("gateway_backend_requests_total", f"{PROCESS}, {POOL}")
_TRIED = rate("gateway_retries_total", f'{PROCESS}, {POOL}, result="tried"')
_HEDGED = rate("gateway_hedges_total", f'{PROCESS}, {POOL}, result=~"won|lost|failed"')
_TURNED_AWAY = "Backends are at their limits or not well. Add backends, raise limits, give routes a priority."


WAITING = Panel(
    "Waiting",
    "Requests that wait now for a backend below its limit.",
    "Waiting that does not end is overload. See how long they wait, and who is turned away.",
    "short",
    (Query(by((), f"job_pool:gateway_queue_waiting:sum{{{JOB}, {POOL}}}"), "waiting"),),
    kind="number",
    warn=1,
    alarm=100,
    runbook="GatewayQueue",
    width=3,
    height=4,
)
QUEUE = Panel(
    "Waiting by class",
    "Requests that wait now, by pool and priority.",
    "high waits: the pool is far too small. Only low waits: that is what it is there for.",
    "short",
    (
        Query(
            by(("pool", "priority"), f"gateway_queue_waiting{{{PROCESS}, {POOL}}}"),
            "{{pool}} {{priority}}",
        ),
    ),
    kind="stacked",
    runbook="GatewayQueue",
)
WAITS = Panel(
    "Wait, p95",
    "95th percentile of the wait, of those that had to; absent where nobody waited.",
    "Clients feel this on top of the answer: add backends, or let batch work be priority: low.",
    "s",
    (Query(f"job_pool:gateway_queue_seconds:p95_rate5m{{{JOB}, {POOL}}}", "{{pool}}"),),
    warn=1,
    alarm=5,
    runbook="GatewayQueue",
)
SHED = Panel(
    "Turned away by reason",
    "Requests per second that a pool answered with 503, or gave up waiting for.",
    f"no_backend: nobody is well. Else: {_TURNED_AWAY}",
    "reqps",
    (Query(f"job_pool_reason:gateway_shed:rate5m{{{JOB}, {POOL}}}", "{{pool}} {{reason}}"),),
    kind="stacked",
    runbook="GatewayShedding",
)
SHED_SHARE = Panel(
    "Share turned away",
    "Of those turned away and all that were given a backend; absent where nobody ever was.",
    _TURNED_AWAY,
    "percentunit",
    (Query(f"job_pool:gateway_shed_per_requests:ratio_rate5m{{{JOB}, {POOL}}}", "{{pool}}"),),
    warn=0.001,
    alarm=0.01,
    runbook="GatewayShedding",
)
RETRIES = Panel(
    "Retries",
    "Retries per second, by what became of them: tried and success; no_budget: not allowed, the failure was"
    " passed"
    " on.",
    "no_budget: so much fails that the budget is spent; mend what fails. Many tried: see the backends'"
    " outcomes.",
    "reqps",
    (Query(rate("gateway_retries_total", f"{PROCESS}, {POOL}", "pool", "result"), "{{pool}} {{result}}"),),
    runbook="GatewayRetryBudget",
)
HEDGES = Panel(
    "Hedges",
    "Second attempts per second before the first had failed: won or lost against it; no_budget, no_backend:"
    " none"
    " was made.",
    "Few won: hedging costs more than it brings, raise hedging.after. Much no_budget: the pool is slow as a"
    " whole.",
    "reqps",
    (Query(rate("gateway_hedges_total", f"{PROCESS}, {POOL}", "pool", "result"), "{{pool}} {{result}}"),),
)
TWICE = Panel(
    "Work done again",
    "Share of the attempts that were retries or hedges: 0 is none.",
    "A fifth is much: model servers do it on top of their work. See retries and hedges beside it for which.",
    "percentunit",
    (
        Query(
            f"(({_TRIED} or 0 * {_ENDED}) + ({_HEDGED} or 0 * {_ENDED})) / ({_ENDED} > 0)",
            "again",
        ),
    ),
    warn=0.1,
    alarm=0.3,
    runbook="GatewayRetryBudget",
)
