"""What does the first board show: is all well, and where to look if not?"""

from config.grafana.generate import cache, pools, process, tokens, traffic, waiting
from config.grafana.generate.boards import Board, Row
from config.grafana.generate.panels import Panel
from config.grafana.generate.queries import JOB, Query
from config.grafana.generate.special import Alerts, Text

ALERTS = Alerts(
    Panel(
        "Alerts",
        "Alerts of config/prometheus/alerts.yaml that fire or are about to.",
        "docs/monitoring.md has a section of each alert's name: what it means, where to look, what to do.",
        "none",
        (),
        width=8,
        height=8,
    )
)
HISTORY = Panel(
    "Alerts over time",
    "1 while an alert's condition is met and its time is not over, 2 while it fires.",
    "docs/monitoring.md has a section of each alert's name. Empty: no alert's condition was met.",
    "none",
    (
        Query(
            "max by (alertname, severity) ("
            f'1 * ALERTS{{{JOB}, alertname=~"Gateway.+", alertstate="pending"}}'
            f' or 2 * ALERTS{{{JOB}, alertname=~"Gateway.+", alertstate="firing"}})',
            "{{alertname}} ({{severity}})",
        ),
    ),
    kind="steps",
    warn=1,
    alarm=2,
)
GUIDE = Text(
    Panel(
        "Where to look",
        "How the boards belong together.",
        "Begin at the alerts.",
        "none",
        (),
        width=8,
        height=8,
    ),
    """\
- **Clients get errors**: *Error ratio by route*, *Requests by status*, *The gateway's own errors*.
- **It is slow**: *Latency by route*; then *Wait, p95* (waiting), *Overhead* (the gateway), the board
  **Gateway: backends** (the model servers).
- **Backends have too much to do**: *Waiting by class*, *Turned away by reason*; the board
  **Gateway: response cache**.
- Figures by rules (by route, by backend) look back five minutes; the others adapt to the time shown.
- Manual: `docs/monitoring.md` (runbook), `docs/metrics.md` (every series); on the admin address:
  `/api/pools`, `/api/decisions`, `/api/cache`.
""",
)

OVERVIEW = Board(
    "overview",
    "Gateway: overview",
    "Throughput, failures, latency, cache and routing of the gateways of a job, and the alerts.",
    ("job", "instance", "route", "pool", "backend"),
    (
        Row("Now", (*traffic.NUMBERS, waiting.WAITING, pools.FIT, cache.HIT_NUMBER)),
        Row("Is anything wrong?", (ALERTS, HISTORY, GUIDE)),
        Row("What clients get", traffic.ROUTES),
        Row(
            "Routing",
            (
                pools.STATES,
                pools.SHARE,
                pools.THROUGHPUT,
                pools.FAILURES,
                pools.P95,
                pools.PER_LATENCY,
                pools.FIRST_BYTE,
                pools.SLOWNESS,
            ),
        ),
        Row(
            "Waiting, trying again, taking out",
            (
                waiting.WAITS,
                waiting.SHED,
                pools.EJECTIONS,
                waiting.RETRIES,
                waiting.HEDGES,
                waiting.TWICE,
            ),
        ),
        Row("Tokens", tokens.ALL),
        Row("Response cache", (cache.HIT_RATIO, cache.SAVED, cache.RESULTS)),
        Row("The gateway's process", (*process.ALL, process.STARTS, process.RUNNING)),
    ),
)
