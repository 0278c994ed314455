"""What does the board of the backends show?"""

from config.grafana.generate import pools, tokens, waiting
from config.grafana.generate.boards import Board, Row
from config.grafana.generate.panels import Panel
from config.grafana.generate.queries import BACKEND, JOB, PROCESS, Query, by, states
from config.grafana.generate.special import Table

_AT = f"{PROCESS}, {BACKEND}"
_RULED = f"{JOB}, {BACKEND}"
_EACH = ("pool", "backend")


def _column(title: str, expr: str, unit: str, **looks: float) -> Panel:
    return Panel(title, "", "", unit, (Query(expr, ""),), warn=looks.get("warn"), alarm=looks.get("alarm"))


def _ruled(record: str) -> str:
    return f"max by (pool, backend) (job_pool_backend:{record}{{{_RULED}}})"


COMPARISON = Table(
    Panel(
        "Backends side by side",
        "The last figures of every chosen backend; click a headline to sort.",
        "Look for the one that differs from its peers: its colour, then its row in the graphs below. GET"
        " /api/pools/POOL says why it is in its state.",
        "none",
        (),
        runbook="GatewayBackendErrorRatio",
        width=24,
        height=9,
    ),
    _EACH,
    (
        Panel("State", "", "", "none", (Query(states(), ""),), kind="states"),
        _column("Attempts/s", _ruled("gateway_backend_requests:rate5m"), "reqps"),
        _column(
            "Errors",
            _ruled("gateway_backend_failures_per_requests:ratio_rate5m"),
            "percentunit",
            warn=0.02,
            alarm=0.1,
        ),
        _column("p50", _ruled("gateway_backend_duration_seconds:p50_rate5m"), "s", warn=10, alarm=60),
        _column("p95", _ruled("gateway_backend_duration_seconds:p95_rate5m"), "s", warn=10, alarm=60),
        _column(
            "First byte p95", _ruled("gateway_backend_first_byte_seconds:p95_rate5m"), "s", warn=2, alarm=10
        ),
        _column("Throughput ÷ latency", _ruled("gateway_backend_requests_per_latency:ratio_rate5m"), "short"),
        _column("In flight", by(_EACH, f"gateway_backend_in_flight{{{_AT}}}"), "short"),
        _column("Limit", by(_EACH, f"gateway_backend_limit{{{_AT}}}"), "short"),
        _column(
            "Slowness",
            f"max by (pool, backend) (gateway_backend_slowness{{{_AT}}})",
            "none",
            warn=1.5,
            alarm=3,
        ),
        _column("Weight", f"min by (pool, backend) (gateway_backend_weight{{{_AT}}})", "none"),
    ),
)

BACKENDS = Board(
    "backends",
    "Gateway: backends",
    "Each model server: state, throughput, failures, latency, share of the work, and who waits for it.",
    ("job", "instance", "pool", "backend"),
    (
        Row("Side by side", (COMPARISON, pools.STATES, pools.SHARE)),
        Row("Throughput and failures", (pools.THROUGHPUT, pools.FAILURES, pools.OUTCOMES)),
        Row(
            "Latency",
            (pools.P50, pools.P95, pools.P99, pools.FIRST_BYTE, pools.FIRST_BYTES, pools.PER_LATENCY),
        ),
        Row("Tokens", tokens.BACKENDS),
        Row(
            "What the balancing sees",
            (
                pools.IN_FLIGHT,
                pools.SLOWNESS,
                pools.EXPECTED,
                pools.WEIGHT,
                pools.PREFIXES,
                pools.CONNECTIONS,
            ),
        ),
        Row("Health", (pools.EJECTIONS, pools.CHECKS, pools.PANIC)),
        Row(
            "Waiting and trying again",
            (waiting.QUEUE, waiting.WAITS, waiting.SHED, waiting.SHED_SHARE, waiting.RETRIES, waiting.HEDGES),
        ),
    ),
)
