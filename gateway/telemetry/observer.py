"""Who hears that a request has ended? Metrics, access log, decisions and traces, in one call."""

from gateway.messages import Exchange
from gateway.telemetry.access_log import AccessLog
from gateway.telemetry.decisions import Decisions
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.traces import Traces


class Telemetry:
    """What a proxy tells: `finished` exactly once for each request, whatever became of it."""

    __slots__ = ("access_log", "decisions", "metrics", "route", "traces", "wants_decision")

    def __init__(
        self, metrics: Metrics, access_log: AccessLog, decisions: Decisions, traces: Traces | None = None
    ) -> None:
        self.metrics = metrics
        self.access_log = access_log
        self.decisions = decisions
        self.traces = traces
        # The very methods, not calls of them: these run for every request.
        self.route = metrics.route
        self.wants_decision = decisions.wants

    def finished(self, exchange: Exchange) -> None:
        """Count, log, keep and trace a finished request."""
        self.metrics.observe(exchange)
        self.access_log.add(exchange)
        if exchange.decision is not None:
            self.decisions.add(exchange)
        if self.traces is not None:
            self.traces.add(exchange)
