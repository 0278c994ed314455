"""Which items are there of each route, and of each that has a cache?"""

from gateway.telemetry.zabbix.calculations import busy, mean, over, per_latency, percentile, share
from gateway.telemetry.zabbix.items import Calculated, Item, Read, Scope

FROM_CACHE = ("hit", "stale", "coalesced")

ROUTE = Scope(
    "route",
    "Route {#ROUTE}: ",
    (
        Item("gateway.route.requests.total", "Requests", Read("gateway_requests_total", "number")),
        Item(
            "gateway.route.requests.rate",
            "Requests per second",
            Read("gateway_requests_total", "rate"),
            "/s",
        ),
        Item(
            "gateway.route.failures.rate",
            "Answers 5xx per second",
            Read("gateway_requests_total", "rate", {"code": "^5"}),
            "/s",
        ),
        share(
            "gateway.route.failures.share",
            "Error ratio",
            "gateway.route.failures.rate",
            "gateway.route.requests.rate",
        ),
        Item(
            "gateway.route.errors.rate",
            "Errors of the gateway's own per second",
            Read("gateway_errors_total", "rate"),
            "/s",
        ),
        busy("gateway.route.requests.mean", "gateway.route.requests.rate"),
        Item("gateway.route.in_flight", "Requests in flight", Read("gateway_requests_in_flight", "gauge")),
        *mean("gateway.route.duration", "Latency", "gateway_request_duration_seconds"),
        percentile("gateway.route.duration", "Latency", "gateway.route.duration.bucket", 95),
        percentile("gateway.route.duration", "Latency", "gateway.route.duration.bucket", 99),
        per_latency(
            "gateway.route.throughput_per_latency",
            "gateway.route.requests.rate",
            "gateway.route.duration.mean",
        ),
    ),
    ("route",),
    "gateway_requests_in_flight",
)

CACHED_ROUTE = Scope(
    "cache",
    "Cache of route {#ROUTE}: ",
    (
        Item(
            "gateway.cached.requests.rate",
            "Requests per second",
            Read("gateway_cache_requests_total", "rate"),
            "/s",
        ),
        Item(
            "gateway.cached.hits.rate",
            "Answers given per second",
            Read("gateway_cache_requests_total", "rate", {"result": FROM_CACHE}),
            "/s",
        ),
        busy("gateway.cached.requests.mean", "gateway.cached.requests.rate"),
        Item(
            "gateway.cached.hits.share",
            "Hit ratio",
            Calculated(
                over("gateway.cached.hits.rate", "gateway.cached.requests.rate", factor=100),
                "Percent, over five minutes; no value while nobody asks.",
            ),
            "%",
        ),
        Item(
            "gateway.cached.saved.rate",
            "Backend seconds saved per second",
            Read("gateway_cache_saved_seconds_total", "rate"),
        ),
        Item(
            "gateway.cached.mismatch",
            "Share of audits that found another answer",
            Read("gateway_cache_mismatch_ratio", "number"),
        ),
    ),
    ("route",),
    "gateway_cache_saved_seconds_total",  # has a line for each route with a cache, once it was used
)
