"""Who hears that a request has ended? Metrics, access log and decisions, in one call."""

from gateway.messages import Exchange
from gateway.telemetry.access_log import AccessLog
from gateway.telemetry.decisions import Decisions
from gateway.telemetry.metrics import Metrics


class Telemetry:
    """What a proxy tells: `finished` exactly once for each request, whatever became of it."""

    __slots__ = ("access_log", "decisions", "metrics", "route", "wants_decision")

    def __init__(self, metrics: Metrics, access_log: AccessLog, decisions: Decisions) -> None:
        self.metrics = metrics
        self.access_log = access_log
        self.decisions = decisions
        # The very methods, not calls of them: these run for every request.
        self.route = metrics.route
        self.wants_decision = decisions.wants

    def finished(self, exchange: Exchange) -> None:
        """Count, log and keep a finished request."""
        self.metrics.observe(exchange)
        self.access_log.add(exchange)
        if exchange.decision is not None:
            self.decisions.add(exchange)
