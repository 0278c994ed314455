"""Which items are there of each pool and of each backend?"""

from gateway.messages import Outcome
from gateway.telemetry.readings import STATES
from gateway.telemetry.zabbix.calculations import mean, per_latency, percentile, share
from gateway.telemetry.zabbix.items import Item, Label, Read, Scope

#: The backend's or the network's fault, as in config/prometheus/rules.yaml.
FAILURES = ("server_error", "timeout", "connect_error", "reset")
#: All but those whose client left.
ENDED = tuple(outcome.label for outcome in Outcome if outcome.label != "cancelled")
STATE_MAP, YES_MAP = "Gateway backend state", "Gateway yes or no"


def _tokens(*kinds: str) -> list[Item]:
    return [
        Item(
            f"gateway.backend.tokens.{kind}.rate",
            f"Tokens per second, {kind}",
            Read("gateway_tokens_total", "rate", {"kind": kind}),
            "/s",
        )
        for kind in kinds
    ]


POOL = Scope(
    "pool",
    "Pool {#POOL}: ",
    (
        Item("gateway.pool.up", "Backends fit for work", Read("gateway_backend_up", "gauge")),
        Item("gateway.pool.size", "Backends", Read("gateway_backend_up", "lines")),
        Item("gateway.pool.panic", "Health is ignored", Read("gateway_panic", "number"), valuemap=YES_MAP),
        Item("gateway.pool.in_flight", "Attempts in flight", Read("gateway_backend_in_flight", "gauge")),
        Item(
            "gateway.pool.selected.rate",
            "Attempts begun per second",
            Read("gateway_backend_selected_total", "rate"),
            "/s",
        ),
        Item("gateway.pool.shed.rate", "Turned away per second", Read("gateway_shed_total", "rate"), "/s"),
        share(
            "gateway.pool.shed.share",
            "Share turned away",
            "gateway.pool.shed.rate",
            "gateway.pool.shed.rate",
            "gateway.pool.selected.rate",
        ),
        Item("gateway.pool.waiting", "Requests that wait", Read("gateway_queue_waiting", "gauge")),
        percentile("gateway.pool.queue", "Wait of those that had to", "gateway.pool.queue.bucket", 95),
        Item(
            "gateway.pool.retries.rate",
            "Retries per second",
            Read("gateway_retries_total", "rate", {"result": "tried"}),
            "/s",
        ),
        Item(
            "gateway.pool.no_budget.rate",
            "Failures passed on because the retry budget was spent, per second",
            Read("gateway_retries_total", "rate", {"result": "no_budget"}),
            "/s",
        ),
        Item(
            "gateway.pool.hedges.rate",
            "Hedges per second",
            Read("gateway_hedges_total", "rate", {"result": ("won", "lost", "failed")}),
            "/s",
        ),
    ),
    ("pool",),
    "gateway_panic",
)

BACKEND = Scope(
    "backend",
    "Backend {#BACKEND} of pool {#POOL}: ",
    (
        Item("gateway.backend.up", "Fit for work", Read("gateway_backend_up", "gauge"), valuemap=YES_MAP),
        Item(
            "gateway.backend.state",
            "State",
            Label("gateway_backend_state", "state", STATES),
            valuemap=STATE_MAP,
        ),
        Item("gateway.backend.in_flight", "Attempts in flight", Read("gateway_backend_in_flight", "gauge")),
        Item("gateway.backend.limit", "Limit of attempts in flight", Read("gateway_backend_limit", "gauge")),
        Item("gateway.backend.weight", "Weight", Read("gateway_backend_weight", "gauge")),
        Item("gateway.backend.slowness", "Slowness", Read("gateway_backend_slowness", "gauge")),
        Item(
            "gateway.backend.expected",
            "Expected time to the first byte",
            Read("gateway_backend_latency_ewma_seconds", "gauge"),
            "s",
        ),
        Item("gateway.backend.attempts.total", "Attempts", Read("gateway_backend_requests_total", "number")),
        Item(
            "gateway.backend.attempts.rate",
            "Attempts per second",
            Read("gateway_backend_requests_total", "rate", {"outcome": ENDED}),
            "/s",
        ),
        Item(
            "gateway.backend.failures.rate",
            "Failures per second",
            Read("gateway_backend_requests_total", "rate", {"outcome": FAILURES}),
            "/s",
        ),
        share(
            "gateway.backend.failures.share",
            "Error ratio",
            "gateway.backend.failures.rate",
            "gateway.backend.attempts.rate",
        ),
        *mean("gateway.backend.duration", "Latency", "gateway_backend_duration_seconds"),
        *mean("gateway.backend.first_byte", "Time to the first byte", "gateway_backend_first_byte_seconds"),
        *mean(
            "gateway.backend.first_token", "Time to the first token", "gateway_time_to_first_token_seconds"
        ),
        *mean("gateway.backend.inter_token", "Time between tokens", "gateway_inter_token_seconds"),
        *_tokens("prompt", "completion", "cached"),
        per_latency(
            "gateway.backend.throughput_per_latency",
            "gateway.backend.attempts.rate",
            "gateway.backend.duration.mean",
        ),
        Item("gateway.backend.connections", "Connections", Read("gateway_backend_connections", "gauge")),
        Item("gateway.backend.ejections.total", "Ejections", Read("gateway_ejections_total", "number")),
        Item(
            "gateway.backend.checks.failed.rate",
            "Failed health checks per second",
            Read("gateway_health_checks_total", "rate", {"result": "failure"}),
            "/s",
        ),
    ),
    ("pool", "backend"),
    "gateway_backend_up",
)
