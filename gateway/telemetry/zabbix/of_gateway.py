"""Which items are there of the gateway as a whole?"""

from gateway.telemetry.zabbix.calculations import mean, percentile, share
from gateway.telemetry.zabbix.items import Item, Label, Read, Scope, Uptime

GATEWAY = Scope(
    "gateway",
    "Gateway: ",
    (
        Item("gateway.requests.total", "Requests", Read("gateway_requests_total", "number")),
        Item("gateway.requests.rate", "Requests per second", Read("gateway_requests_total", "rate"), "/s"),
        Item(
            "gateway.failures.rate",
            "Answers 5xx per second",
            Read("gateway_requests_total", "rate", {"code": "^5"}),
            "/s",
        ),
        share("gateway.failures.share", "Error ratio", "gateway.failures.rate", "gateway.requests.rate"),
        Item(
            "gateway.errors.rate", "Errors of its own per second", Read("gateway_errors_total", "rate"), "/s"
        ),
        Item("gateway.requests.in_flight", "Requests in flight", Read("gateway_requests_in_flight", "gauge")),
        Item("gateway.connections", "Client connections", Read("gateway_connections", "gauge")),
        Item("gateway.received.rate", "Received", Read("gateway_request_bytes_total", "rate"), "Bps"),
        Item("gateway.sent.rate", "Sent", Read("gateway_response_bytes_total", "rate"), "Bps"),
        Item("gateway.held", "Held bodies", Read("gateway_held_body_bytes", "gauge"), "B"),
        *mean("gateway.overhead", "Time in the gateway itself", "gateway_overhead_seconds"),
        percentile("gateway.lag", "Event loop lag", "gateway.lag.bucket", 99),
        Item("gateway.cache.entries", "Cache: answers kept", Read("gateway_cache_entries", "gauge")),
        Item("gateway.cache.bytes", "Cache: memory", Read("gateway_cache_bytes", "gauge"), "B"),
        Item(
            "gateway.cache.evictions.rate",
            "Cache: evictions per second",
            Read("gateway_cache_evictions_total", "rate"),
            "/s",
        ),
        Item(
            "gateway.cache.bypass.rate",
            "Cache: bypasses per second",
            Read("gateway_cache_bypass_total", "rate"),
            "/s",
        ),
        Item(
            "gateway.cache.off.rate",
            "Cache: bypasses because audits turned it off, per second",
            Read("gateway_cache_bypass_total", "rate", {"reason": "audit"}),
            "/s",
        ),
        Item(
            "gateway.cache.shared.errors.rate",
            "Cache: errors of the store behind memory per second",
            Read("gateway_cache_shared_errors_total", "rate"),
            "/s",
        ),
        Item(
            "gateway.log.access.dropped.rate",
            "Access log lines dropped per second",
            Read("gateway_access_log_dropped_total", "rate"),
            "/s",
        ),
        Item(
            "gateway.log.dropped.rate",
            "Log lines dropped per second",
            Read("gateway_log_dropped_total", "rate"),
            "/s",
        ),
        Item(
            "gateway.trace.dropped.rate",
            "Trace spans dropped per second",
            Read("gateway_trace_spans_dropped_total", "rate"),
            "/s",
        ),
        Item("gateway.version", "Version", Label("gateway_build_info", "version")),
        Item("gateway.uptime", "Uptime", Uptime(), "uptime"),
        Item("gateway.cpu", "CPU cores in use", Read("process_cpu_seconds_total", "rate")),
        Item("gateway.memory", "Memory", Read("process_resident_memory_bytes", "gauge"), "B"),
    ),
)
