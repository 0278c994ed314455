"""Which panels show the gateway's own process: what it adds, what holds it up, what it takes?"""

from config.grafana.generate.panels import Panel
from config.grafana.generate.queries import PROCESS, Query, by, quantiles, rate

ALL = (
    Panel(
        "Overhead",
        "Time a request spends in the gateway itself, waiting for neither client nor backend.",
        "Is the event loop late, or a core full? Large bodies and many policies' questions cost too."
        " compiled in"
        " /api/status: false costs speed.",
        "s",
        quantiles("gateway_overhead_seconds", PROCESS),
        warn=0.005,
        alarm=0.05,
        runbook="GatewayLatency",
    ),
    Panel(
        "Event loop lag, p99",
        "99th percentile of how much later than due a timer ran: what the event loop makes every request"
        " wait.",
        "A full core: another gateway process beside it. Not full: the machine is short of CPU, swaps, or"
        " its disk"
        " stalls.",
        "s",
        (
            Query(
                f"job_instance:gateway_event_loop_lag_seconds:p99_rate5m{{{PROCESS}}}",
                "{{instance}}",
            ),
        ),
        warn=0.02,
        alarm=0.05,
        runbook="GatewayEventLoopLag",
    ),
    Panel(
        "CPU",
        "Cores used by each process. One gateway uses one core at most.",
        "Near 1 it is full: start another process beside it and share the load.",
        "percentunit",
        (Query(rate("process_cpu_seconds_total", PROCESS, "job", "instance"), "{{instance}}"),),
        warn=0.7,
        alarm=0.9,
        runbook="GatewayEventLoopLag",
    ),
    Panel(
        "Memory",
        "Resident memory of each process, and what bodies it holds and answers it keeps take of it.",
        "Growing without end: held bodies are many slow uploads; the cache has its bound (cache.max_size).",
        "bytes",
        (
            Query(f"process_resident_memory_bytes{{{PROCESS}}}", "{{instance}}"),
            Query(f"gateway_held_body_bytes{{{PROCESS}}}", "{{instance}} held bodies"),
            Query(f"gateway_cache_bytes{{{PROCESS}}}", "{{instance}} cache"),
        ),
        warn=2 * 1024**3,
        alarm=4 * 1024**3,
    ),
    Panel(
        "Client connections",
        "Open client connections.",
        "Beyond limits.max_connections clients get 503: raise it, or start another gateway.",
        "short",
        (Query(f"gateway_connections{{{PROCESS}}}", "{{instance}}"),),
    ),
    Panel(
        "Open files",
        "Share of the files that the process may have open. Each request under way takes two.",
        "At 100 % connections fail. Raise the limit of open files: docs/deployment.md says how.",
        "percentunit",
        (Query(f"process_open_fds{{{PROCESS}}} / process_max_fds{{{PROCESS}}}", "{{instance}}"),),
        warn=0.7,
        alarm=0.9,
    ),
    Panel(
        "Log lines lost",
        "Lines per second that were dropped because the output was behind, or left out because they"
        " repeated.",
        "Mend or speed up what reads the log. Repeats that are left out say that something fails all the"
        " time.",
        "ops",
        (
            Query(rate("gateway_access_log_dropped_total", PROCESS), "access log dropped"),
            Query(rate("gateway_log_dropped_total", PROCESS), "log dropped"),
            Query(rate("gateway_log_suppressed_total", PROCESS), "repeats left out"),
        ),
        warn=0.1,
        alarm=1,
        runbook="GatewayLogDrops",
    ),
    Panel(
        "Spans of traces",
        "Spans per second that the collector has taken, and those that were dropped.",
        "Dropped ones: the collector is down or too slow. A lower `tracing.sample` makes fewer.",
        "ops",
        (
            Query(rate("gateway_trace_spans_exported_total", PROCESS), "taken"),
            Query(rate("gateway_trace_spans_dropped_total", PROCESS), "dropped"),
        ),
    ),
)
RUNNING = Panel(
    "What is running",
    "Gateways by version of the gateway and of Python.",
    "Two versions outside of a release: one was forgotten.",
    "none",
    (
        Query(
            by(("version", "python"), f"gateway_build_info{{{PROCESS}}}"),
            "gateway {{version}}, Python {{python}}",
        ),
    ),
    kind="bars",
    instant=True,
)
STARTS = Panel(
    "Starts",
    "How often a gateway process has started.",
    "Starts that nobody asked for: the last lines of its log say why it ended.",
    "none",
    (Query(f"changes(process_start_time_seconds{{{PROCESS}}}[$__rate_interval])", "{{instance}}"),),
    kind="steps",
    warn=1,
    alarm=3,
    runbook="GatewayAbsent",
)
