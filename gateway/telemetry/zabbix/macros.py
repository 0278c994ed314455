"""Which macros does the template have, and what are their defaults?

Thresholds and times are those of config/prometheus/alerts.yaml. A macro can be set for one route, pool or
backend alone, as its context: {$GATEWAY.ERRORS.MAX:"chat"}.
"""

#: By name without `{$GATEWAY.`: default, and what it is.
# fmt: off
MACROS: dict[str, tuple[str, str]] = {
    "URL": ("http://127.0.0.1:9901", "The admin address, as the Zabbix server or proxy reaches it."),
    "INTERVAL": ("15s", "How often it is asked and ratios are worked out; a minute at most."),
    "ABSENT.FOR": ("1m", "So long without figures: not reachable. At least twice the interval."),
    "POOL.DOWN.FOR": ("30s", "So long no backend of a pool is fit for work."),
    "PANIC.FOR": ("30s", "So long a pool ignores health."),
    "BACKEND.DOWN.FOR": ("2m", "So long a backend is down or ejected. More where models load for long."),
    "REQUESTS.MIN": ("0.1", "Ratios and latencies of less requests per second raise no problem."),
    "ERRORS.MAX": ("5", "Percent of a route's answers that may be 5xx. Context: the route."),
    "ERRORS.FOR": ("5m", "So long there are more."),
    "BACKEND.ERRORS.MAX": ("10", "Percent of the attempts at a backend that may fail. Context: the backend."),
    "BACKEND.ERRORS.FOR": ("5m", "So long more fail."),
    "LATENCY.FACTOR": ("2", "A route's p99 may be so many times the median of its day. Context: the route."),
    "LATENCY.MIN": ("0.1", "Seconds; a p99 below them raises no problem. Context: the route."),
    "LATENCY.FOR": ("10m", "So long a latency is too high."),
    "LATENCY.P95.MAX": ("0", "Seconds that a route's p95 may have; 0: no limit. Context: the route."),
    "LATENCY.MEAN.MAX": ("0", "Seconds that a route's mean may have; 0: no limit. Context: the route."),
    "SHED.MAX": ("1", "Percent of a pool's requests that may be turned away. Context: the pool."),
    "SHED.FOR": ("5m", "So long more are."),
    "QUEUE.MAX": ("5", "Seconds that one in twenty of those that wait may wait. Context: the pool."),
    "QUEUE.FOR": ("5m", "So long they wait longer."),
    "HITS.FACTOR": ("0.5", "It may fall to this share of the median of its day. Context: the route."),
    "HITS.MIN": ("10", "Percent; where the median was below, there is nothing to lose. Context: the route."),
    "HITS.FOR": ("15m", "So long the hit ratio is below."),
    "MISMATCH.MAX": ("0.02", "Share of audits that may find another answer. Context: the route."),
    "MISMATCH.FOR": ("5m", "So long more do."),
    "LAG.MAX": ("0.05", "Seconds that the event loop may be late, 99th percentile."),
    "LAG.FOR": ("5m", "So long it is later."),
}
# fmt: on


def macro(name: str, *context: str) -> str:
    """`{$GATEWAY.…}`, for the route, pool or backend `context`; fails for one that is not declared."""
    if name not in MACROS:
        raise ValueError(f"no macro {name}")
    return f'{{$GATEWAY.{name}:"{context[0]}"}}' if context else f"{{$GATEWAY.{name}}}"
