"""Which panels show pools and their backends: health, shares, speed?"""

from config.grafana.generate.panels import Panel
from config.grafana.generate.queries import (
    BACKEND,
    JOB,
    POOL,
    PROCESS,
    Query,
    by,
    events,
    quantiles,
    rate,
    states,
)

_OF = "{{pool}} {{backend}}"
_AT = f"{PROCESS}, {BACKEND}"
_RULED = f"{JOB}, {BACKEND}"
_SELECTED = "gateway_backend_selected_total"
FIT = Panel(
    "Backends fit for work",
    "Share of the backends that are up or starting, as each gateway sees them.",
    "Below 100 % somebody is down, ejected or drained: see the states, and why in /api/pools/POOL.",
    "percentunit",
    (
        Query(
            f"{by((), f'gateway_backend_up{{{_AT}}}')} / count(gateway_backend_up{{{_AT}}})",
            "fit",
        ),
    ),
    kind="number",
    warn=1,
    alarm=0.5,
    low_is_bad=True,
    most=1,
    runbook="GatewayBackendDown",
    width=3,
    height=4,
)
STATES = Panel(
    "States of the backends",
    "up: gets work. starting: not checked yet. draining: an operator took it out. ejected: its traffic"
    " failed."
    " down: its checks fail. Of several gateways, what the worst sees.",
    "GET /api/pools/POOL says why. One is down: its server's log. All are down: what they share.",
    "none",
    (Query(states(), _OF),),
    kind="states",
    warn=4,
    alarm=5,
    runbook="GatewayBackendDown",
    width=16,
)
SHARE = Panel(
    "Share of the work",
    "What part of its pool's requests each backend was chosen for.",
    "A backend without a share is out, or slow: least_latency moves work away from it. An even share in"
    " spite of"
    " different speed means a policy that does not look at latency.",
    "percentunit",
    (
        Query(
            f"{rate(_SELECTED, _AT, 'pool', 'backend')} / on (pool) group_left ()"
            f" ({rate(_SELECTED, f'{PROCESS}, {POOL}', 'pool')} > 0)",
            _OF,
        ),
    ),
    most=1,
)
THROUGHPUT = Panel(
    "Attempts per second",
    "Attempts that ended at each backend; those whose client left are not counted.",
    "A fall at one backend is the policy's answer to its slowness or failures; at all of them, less traffic.",
    "reqps",
    (Query(f"job_pool_backend:gateway_backend_requests:rate5m{{{_RULED}}}", _OF),),
    kind="stacked",
)
FAILURES = Panel(
    "Error ratio by backend",
    "Share of the attempts that ended in server_error, timeout, connect_error or reset. Retries may hide"
    " them from"
    " clients.",
    "One backend: drain it and read its log. All alike: a request that breaks them, or a release.",
    "percentunit",
    (Query(f"job_pool_backend:gateway_backend_failures_per_requests:ratio_rate5m{{{_RULED}}}", _OF),),
    warn=0.02,
    alarm=0.1,
    runbook="GatewayBackendErrorRatio",
)


def _latency(name: str, words: str) -> Panel:
    return Panel(
        f"{name} by backend",
        f"{words} to the end of the answer, from choosing the backend; cancelled attempts are left out.",
        "One backend above its peers: a throttled or shared GPU. All of them: more load, longer prompts or"
        " answers.",
        "s",
        (Query(f"job_pool_backend:gateway_backend_duration_seconds:{name}_rate5m{{{_RULED}}}", _OF),),
        warn=10,
        alarm=60,
        runbook="GatewayLatency",
    )


P50, P95, P99 = (
    _latency("p50", "Median time"),
    _latency("p95", "95th percentile of the time"),
    _latency("p99", "99th percentile of the time"),
)
FIRST_BYTE = Panel(
    "First byte, p95 by backend",
    "95th percentile of the time from choosing the backend to the first byte of a good answer's body: what"
    " streams"
    " are felt by.",
    "It grows with waiting inside the model server and with the length of prompts: lower its limit, add"
    " servers.",
    "s",
    (Query(f"job_pool_backend:gateway_backend_first_byte_seconds:p95_rate5m{{{_RULED}}}", _OF),),
    warn=2,
    alarm=10,
    runbook="GatewayLatency",
)
FIRST_BYTES = Panel(
    "First byte, all chosen backends",
    "Median, 95th and 99th percentile of the time to the first byte of a good answer's body.",
    "p99 far from p50: one slow backend, or a few very long prompts.",
    "s",
    quantiles("gateway_backend_first_byte_seconds", _AT),
    warn=2,
    alarm=10,
    runbook="GatewayLatency",
)
PER_LATENCY = Panel(
    "Throughput ÷ latency by backend",
    "Attempts per second for each second of mean latency: high is much work done fast. Compare a backend with"
    " itself, or with one that gets the same kind of work.",
    "Falling while its throughput stays: it is saturated. Lower than its peers': it is slower, or gets"
    " larger work.",
    "short",
    (Query(f"job_pool_backend:gateway_backend_requests_per_latency:ratio_rate5m{{{_RULED}}}", _OF),),
)
IN_FLIGHT = Panel(
    "In flight and limit",
    "Attempts under way at each backend, and the most it is given, where there is a limit.",
    "At the limit all the time: requests wait. Far below it while others wait: weights or health keep work"
    " away.",
    "short",
    (
        Query(by(("pool", "backend"), f"gateway_backend_in_flight{{{_AT}}}"), _OF),
        Query(by(("pool", "backend"), f"gateway_backend_limit{{{_AT}}}"), f"{_OF} limit"),
    ),
)
SLOWNESS = Panel(
    "Slowness",
    "How slow a backend is whatever it was asked and however much at once; 1 is its pool's median.",
    "2 takes twice as long as its peers: look for a throttled GPU, a busy neighbour, another model or"
    " precision.",
    "none",
    (Query(f"max by (pool, backend) (gateway_backend_slowness{{{_AT}}})", _OF),),
    warn=1.5,
    alarm=3,
    runbook="GatewayLatency",
)
EXPECTED = Panel(
    "Expected time to the first byte",
    "What the balancing reckons with now for each backend; absent until measured.",
    "This is what least_latency compares: a backend far above its peers gets little work.",
    "s",
    (Query(f"max by (pool, backend) (gateway_backend_latency_ewma_seconds{{{_AT}}})", _OF),),
    warn=2,
    alarm=10,
)
WEIGHT = Panel(
    "Weight in effect",
    "The configured weight, or less: during a slow start, or while a backend is slow against its peers and"
    " its own"
    " past.",
    "Lower than configured for long: see slowness, and degraded in /api/pools/POOL.",
    "none",
    (Query(f"min by (pool, backend) (gateway_backend_weight{{{_AT}}})", _OF),),
    kind="steps",
)
OUTCOMES = Panel(
    "Attempts by outcome",
    "How attempts end. overloaded is 429, or 503 with Retry-After, and no failure; cancelled: the client"
    " left.",
    "connect_error: network or a dead process. timeout: a hang or overload. reset: a crash on the way."
    " server_error:"
    " the model server itself.",
    "reqps",
    (Query(rate("gateway_backend_requests_total", _AT, "outcome"), "{{outcome}}"),),
    kind="stacked",
    runbook="GatewayBackendErrorRatio",
)
EJECTIONS = Panel(
    "Ejections",
    "Times a backend was taken out because of what its traffic showed, by reason; would_…: only counted.",
    "The same backend again and again: it works when idle and fails under load. See its outcomes and its"
    " log.",
    "none",
    (
        Query(
            events("gateway_ejections_total", _AT, "pool", "backend", "reason"),
            f"{_OF} {{{{reason}}}}",
        ),
    ),
    warn=1,
    alarm=3,
    runbook="GatewayBackendDown",
)
CHECKS = Panel(
    "Health checks",
    "Active checks per second, by result; skipped: live traffic proved the backend well.",
    "failure: ask the health address by hand from the gateway's machine. loading passes by itself.",
    "ops",
    (Query(rate("gateway_health_checks_total", _AT, "result"), "{{result}}"),),
    kind="stacked",
    runbook="GatewayBackendDown",
)
CONNECTIONS = Panel(
    "Connections to backends",
    "Open connections: busy, or idle and kept for reuse.",
    "Many busy ones and little throughput: backends hang. None idle under load: keepalive.max_idle is too"
    " small.",
    "short",
    (Query(by(("state",), f"gateway_backend_connections{{{_AT}}}"), "{{state}}"),),
    kind="stacked",
)
PANIC = Panel(
    "Panic",
    "How often a pool began to ignore health, because too few of its backends were well.",
    "Requests go to sick backends too, and will fail. Bring backends back; drain those that only fail.",
    "none",
    (
        Query(f"max by (pool) (gateway_panic{{{PROCESS}, {POOL}}})", "{{pool}} now"),
        Query(events("gateway_panics_total", f"{PROCESS}, {POOL}", "pool"), "{{pool}} began"),
    ),
    kind="steps",
    warn=1,
    alarm=1,
    runbook="GatewayPanic",
)
PREFIXES = Panel(
    "Prompts remembered",
    "Beginnings of prompts that prefix_aware remembers, with who has seen them; only of pools with that"
    " policy.",
    "At 100 000 what was used longest ago makes room: prompts share little, another policy may do as well.",
    "short",
    (Query(f"max by (pool) (gateway_prefix_table_entries{{{PROCESS}, {POOL}}})", "{{pool}}"),),
    warn=90_000,
    alarm=100_000,
)
