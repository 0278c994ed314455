"""Which panels show what clients get: throughput, failures, latency, by route?"""

from config.grafana.generate.panels import Panel
from config.grafana.generate.queries import (
    JOB,
    PROCESS,
    ROUTE,
    Query,
    by,
    mean,
    quantile,
    quantiles,
    rate,
    share,
)

_CODES = "job_route_code:gateway_requests:rate5m"
_DURATION = "gateway_request_duration_seconds"
_ALL = rate("gateway_requests_total", f"{PROCESS}, {ROUTE}")
_5XX = by((), f'{_CODES}{{{JOB}, {ROUTE}, code=~"5.."}}')

NUMBERS = (
    Panel(
        "Throughput",
        "Requests answered per second, of the chosen routes.",
        "A sudden fall with clients still there is an outage before the gateway, or of it: see the alerts"
        " and the"
        " codes below. Traffic has no threshold.",
        "reqps",
        (Query(by((), f"job_route:gateway_requests:rate5m{{{JOB}, {ROUTE}}}"), "requests"),),
        kind="number",
        width=3,
        height=4,
    ),
    Panel(
        "Error ratio",
        "Share of the answers that were 5xx, a backend's or the gateway's own.",
        "Look which route and code below, then which of the gateway's own errors, then the backends' board.",
        "percentunit",
        (Query(share(_5XX, by((), f"{_CODES}{{{JOB}, {ROUTE}}}")), "5xx"),),
        kind="number",
        warn=0.01,
        alarm=0.05,
        runbook="GatewayErrorRatio",
        width=3,
        height=4,
    ),
    Panel(
        "p95 latency",
        "95 of 100 requests are answered within this time, from a request's head to the end of its reply.",
        "Compare with the backends' p95: one of them, or all? Then with the queue. What is usual depends on"
        " the"
        " models: the thresholds are beginnings.",
        "s",
        (Query(quantile(0.95, _DURATION, f"{PROCESS}, {ROUTE}"), "p95"),),
        kind="number",
        warn=10,
        alarm=60,
        runbook="GatewayLatency",
        width=3,
        height=4,
    ),
    Panel(
        "Throughput ÷ latency",
        "Requests per second for each second of mean latency. Rises when more is answered, or the same"
        " faster;"
        " falls when throughput is bought with waiting.",
        "Falling while throughput stays is saturation: see in flight, the queue and the backends. It is"
        " compared"
        " with its own past, so there is no threshold.",
        "short",
        (Query(f"{_ALL} / (({mean(_DURATION, f'{PROCESS}, {ROUTE}')}) > 0)", "per second of latency"),),
        kind="number",
        width=3,
        height=4,
    ),
    Panel(
        "In flight",
        "Requests being worked on now. Mean latency times throughput is what to expect (Little's law).",
        "Rising without more throughput: backends have slowed down or stand still.",
        "short",
        (Query(by((), f"gateway_requests_in_flight{{{PROCESS}, {ROUTE}}}"), "in flight"),),
        kind="number",
        width=3,
        height=4,
    ),
)

ROUTES = (
    Panel(
        "Requests by route",
        "Requests answered per second; - is what no route took.",
        "A route that goes silent has lost its clients, or a route above it takes its requests. Much of - are"
        " requests that match nothing (404).",
        "reqps",
        (Query(f"job_route:gateway_requests:rate5m{{{JOB}, {ROUTE}}}", "{{route}}"),),
        kind="stacked",
    ),
    Panel(
        "Requests by status",
        "Requests answered per second, by the status the client got. 499: the client left before its answer"
        " was"
        " whole.",
        "5xx: see the gateway's own errors beside it; what is not there came from backends. 429 and 503:"
        " overload."
        " 499: clients' timeouts are shorter than answers take.",
        "reqps",
        (Query(by(("code",), f"{_CODES}{{{JOB}, {ROUTE}}}"), "{{code}}"),),
        kind="stacked",
    ),
    Panel(
        "Error ratio by route",
        "Share of a route's answers that were 5xx.",
        "Above the line the alert fires. One route: its pool or its limits. All routes: what they share.",
        "percentunit",
        (
            Query(
                f"job_route:gateway_request_failures_per_requests:ratio_rate5m{{{JOB}, {ROUTE}}}", "{{route}}"
            ),
        ),
        warn=0.01,
        alarm=0.05,
        runbook="GatewayErrorRatio",
    ),
    Panel(
        "Latency, all chosen routes",
        "Median, 95th and 99th percentile, from a request's head to the end of its reply. As exact as the"
        " buckets,"
        " each twice the one before.",
        "p99 far from p50: a slow backend, long answers, or waiting. All three rise: load, or the models.",
        "s",
        quantiles(_DURATION, f"{PROCESS}, {ROUTE}"),
        warn=10,
        alarm=60,
        runbook="GatewayLatency",
    ),
    Panel(
        "Latency by route",
        "Median, 95th and 99th percentile of each route.",
        "See which route it is, then its pool on the backends' board. The alert compares p99 with its own"
        " day.",
        "s",
        tuple(
            Query(f"job_route:{_DURATION}:{name}_rate5m{{{JOB}, {ROUTE}}}", f"{{{{route}}}} {name}")
            for name in ("p50", "p95", "p99")
        ),
        warn=10,
        alarm=60,
        runbook="GatewayLatency",
    ),
    Panel(
        "Throughput ÷ latency by route",
        "Requests per second for each second of mean latency. Compare a route with its own past: between"
        " routes"
        " of different work it says nothing.",
        "Falling while throughput stays: the work waits, or has become larger.",
        "short",
        (Query(f"job_route:gateway_requests_per_latency:ratio_rate5m{{{JOB}, {ROUTE}}}", "{{route}}"),),
    ),
    Panel(
        "The gateway's own errors",
        "Requests per second that ended in an error of the gateway's own, by kind (X-Gateway-Error), or that"
        " the"
        " client gave up (client_closed).",
        "docs/http.md says what each kind means. no_backend: nobody is well. queue_full, shed, deadline:"
        " overload.",
        "reqps",
        (Query(rate("gateway_errors_total", f"{PROCESS}, {ROUTE}", "kind"), "{{kind}}"),),
        runbook="GatewayErrorRatio",
    ),
    Panel(
        "In flight by route",
        "Requests being worked on.",
        "A route that only grows does not get its answers: see its pool's backends and queue.",
        "short",
        (Query(by(("route",), f"gateway_requests_in_flight{{{PROCESS}, {ROUTE}}}"), "{{route}}"),),
    ),
    Panel(
        "Bodies in and out",
        "Bytes per second of request bodies received from, and answers sent to clients.",
        "Large bodies cost memory and time: limits.max_body bounds them, audio and images are the usual"
        " cause.",
        "Bps",
        (
            Query(rate("gateway_request_bytes_total", f"{PROCESS}, {ROUTE}"), "received"),
            Query(rate("gateway_response_bytes_total", f"{PROCESS}, {ROUTE}"), "sent"),
        ),
    ),
)
