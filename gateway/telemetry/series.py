"""Which series does `/metrics` show? The one list of them: name, type, labels, help, unit, buckets."""

from dataclasses import dataclass
from typing import Literal

from gateway.pool.stats import FIRST_TOKEN_BOUNDS_S, INTER_TOKEN_BOUNDS_S, LATENCY_BOUNDS_S

#: Latencies are counted in 40 buckets and shown in 20, each twice the one before: two histograms of 200
#: backends are then 9200 lines instead of 17200.
LATENCY_BUCKETS_S = LATENCY_BOUNDS_S[1::2]
OVERHEAD_BUCKETS_S = (5e-05, 1e-04, 2e-04, 5e-04, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5)
LAG_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


@dataclass(frozen=True, slots=True)
class Series:
    """One metric family: `name` as Prometheus shows it; `unit` is "" for plain numbers."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    unit: str = ""
    buckets: tuple[float, ...] = ()


_BACKEND = ("pool", "backend")

SERIES: tuple[Series, ...] = (
    Series(
        "gateway_requests_total",
        "counter",
        ("route", "method", "code"),
        'Requests answered, by the status the client got; route "-" where no route took it.',
    ),
    Series(
        "gateway_request_duration_seconds",
        "histogram",
        ("route",),
        "From a request's head to the end of its reply; upgraded connections are not timed.",
        "seconds",
        LATENCY_BUCKETS_S,
    ),
    Series("gateway_requests_in_flight", "gauge", ("route",), "Requests being worked on."),
    Series(
        "gateway_errors_total",
        "counter",
        ("route", "kind"),
        "Requests that ended in an error of the gateway's own, by kind (the value of X-Gateway-Error).",
    ),
    Series(
        "gateway_request_bytes_total", "counter", ("route",), "Body bytes received from clients.", "bytes"
    ),
    Series("gateway_response_bytes_total", "counter", ("route",), "Body bytes sent to clients.", "bytes"),
    Series(
        "gateway_overhead_seconds",
        "histogram",
        (),
        "Time a request spent in the gateway itself, waiting for neither client nor backend.",
        "seconds",
        OVERHEAD_BUCKETS_S,
    ),
    Series(
        "gateway_backend_requests_total",
        "counter",
        (*_BACKEND, "outcome"),
        "Attempts that ended, by outcome; a retried request makes several.",
    ),
    Series(
        "gateway_backend_first_byte_seconds",
        "histogram",
        _BACKEND,
        "From choosing the backend to the first byte of a good answer's body.",
        "seconds",
        LATENCY_BUCKETS_S,
    ),
    Series(
        "gateway_backend_duration_seconds",
        "histogram",
        _BACKEND,
        "From choosing the backend to the end of its answer; cancelled attempts are left out.",
        "seconds",
        LATENCY_BUCKETS_S,
    ),
    Series(
        "gateway_time_to_first_token_seconds",
        "histogram",
        _BACKEND,
        "From sending to the backend until the first event of a streamed answer that carries content.",
        "seconds",
        FIRST_TOKEN_BOUNDS_S,
    ),
    Series(
        "gateway_inter_token_seconds",
        "histogram",
        _BACKEND,
        "Between one event of a streamed answer that carries content and the next.",
        "seconds",
        INTER_TOKEN_BOUNDS_S,
    ),
    Series(
        "gateway_tokens_total",
        "counter",
        (*_BACKEND, "kind"),
        "Tokens of answers the backend has made, by its own account; a stream without one counts its events.",
    ),
    Series("gateway_backend_in_flight", "gauge", _BACKEND, "Attempts under way at the backend."),
    Series(
        "gateway_backend_up", "gauge", _BACKEND, "1 while the backend is fit for new work (up or starting)."
    ),
    Series("gateway_backend_weight", "gauge", _BACKEND, "Weight in effect: the configured one, or less."),
    Series(
        "gateway_backend_latency_ewma_seconds",
        "gauge",
        _BACKEND,
        "Expected time to the first body byte, as the balancing sees it; absent until measured.",
        "seconds",
    ),
    Series(
        "gateway_backend_slowness",
        "gauge",
        _BACKEND,
        "How slow the backend is, whatever it was asked and however much at once; 1 is the pool's median.",
    ),
    Series(
        "gateway_backend_limit",
        "gauge",
        _BACKEND,
        "Most attempts under way it is given, configured or found; absent where there is no limit.",
    ),
    Series(
        "gateway_backend_state", "gauge", (*_BACKEND, "state"), "1 for the state the backend is in, else 0."
    ),
    Series(
        "gateway_backend_connections",
        "gauge",
        (*_BACKEND, "state"),
        "Open connections to the backend: busy, or idle and kept for reuse.",
    ),
    Series(
        "gateway_backend_selected_total",
        "counter",
        (*_BACKEND, "policy"),
        "Times the policy chose the backend.",
    ),
    Series(
        "gateway_health_checks_total", "counter", (*_BACKEND, "result"), "Active health checks, by result."
    ),
    Series(
        "gateway_ejections_total",
        "counter",
        (*_BACKEND, "reason"),
        "Times the backend was taken out because of what its traffic showed.",
    ),
    Series("gateway_retries_total", "counter", ("pool", "result"), "Retries, by what became of them."),
    Series(
        "gateway_hedges_total",
        "counter",
        ("pool", "result"),
        "Second attempts before the first had failed, by what became of them.",
    ),
    Series("gateway_shed_total", "counter", ("pool", "reason"), "Requests the pool turned away, by reason."),
    Series(
        "gateway_queue_seconds",
        "histogram",
        ("pool",),
        "How long those waited for a backend below its limit that had to wait.",
        "seconds",
        LATENCY_BUCKETS_S,
    ),
    Series("gateway_queue_waiting", "gauge", ("pool", "priority"), "Requests that wait now, by their class."),
    Series(
        "gateway_panic", "gauge", ("pool",), "1 while too few backends are healthy and health is ignored."
    ),
    Series("gateway_panics_total", "counter", ("pool",), "Times the pool began to ignore health."),
    Series(
        "gateway_prefix_table_entries",
        "gauge",
        ("pool",),
        "Beginnings of prompts remembered, with who has seen them; only of pools with prefix_aware.",
    ),
    Series(
        "gateway_cache_requests_total",
        "counter",
        ("route", "result"),
        "Requests of routes with a cache, by its part in the answer; the results sum to the requests.",
    ),
    Series(
        "gateway_cache_bypass_total", "counter", ("reason",), "Requests that went past the cache, by reason."
    ),
    Series("gateway_cache_entries", "gauge", (), "Answers kept in memory."),
    Series("gateway_cache_bytes", "gauge", (), "Memory that kept answers take.", "bytes"),
    Series("gateway_cache_evictions_total", "counter", ("reason",), "Entries that left memory, by reason."),
    Series(
        "gateway_cache_saved_seconds_total",
        "counter",
        ("route",),
        "Backend seconds that answers given from the cache had taken when they were made.",
        "seconds",
    ),
    Series(
        "gateway_cache_saved_bytes_total",
        "counter",
        ("route",),
        "Body bytes of answers for which no backend was asked.",
        "bytes",
    ),
    Series("gateway_cache_flights", "gauge", (), "Answers under way that others may join."),
    Series("gateway_cache_flight_bytes", "gauge", (), "Memory that answers under way take.", "bytes"),
    Series(
        "gateway_cache_refreshes_total",
        "counter",
        ("result",),
        "Answers asked for anew behind a stale one, by what became of them.",
    ),
    Series(
        "gateway_cache_shared_requests_total",
        "counter",
        ("result",),
        "Questions to the store behind memory: hit or miss.",
    ),
    Series(
        "gateway_cache_shared_errors_total",
        "counter",
        ("kind",),
        "What went wrong with the store behind memory; each was a miss, or not stored.",
    ),
    Series(
        "gateway_cache_audits_total",
        "counter",
        ("route", "result"),
        "Kept answers that were asked for anew, by whether the new one says the same.",
    ),
    Series(
        "gateway_cache_mismatch_ratio",
        "gauge",
        ("route",),
        "Share of the last 100 audits that found another answer; absent while there were none.",
    ),
    Series("gateway_connections", "gauge", (), "Open client connections."),
    Series("gateway_held_body_bytes", "gauge", (), "Memory taken by request bodies that are held.", "bytes"),
    Series(
        "gateway_event_loop_lag_seconds",
        "histogram",
        (),
        "How much later than due a timer ran, measured every 0.5 s: what the event loop makes requests wait.",
        "seconds",
        LAG_BUCKETS_S,
    ),
    Series(
        "gateway_access_log_dropped_total", "counter", (), "Access log lines dropped: the output was behind."
    ),
    Series("gateway_log_dropped_total", "counter", (), "Log lines dropped: the output was behind."),
    Series(
        "gateway_log_suppressed_total", "counter", (), "Log lines left out because they repeated too often."
    ),
    Series("gateway_trace_spans_exported_total", "counter", (), "Spans that the collector has taken."),
    Series(
        "gateway_trace_spans_dropped_total",
        "counter",
        (),
        "Spans dropped: the collector was behind, or did not take them.",
    ),
    Series("gateway_build_info", "gauge", ("version", "python"), "1; its labels say what is running."),
)
