"""When does Zabbix raise a problem, and what is to be done then? The alerts of config/prometheus/alerts.yaml.

Expressions name items as `{gateway.some.key}` and macros as `{ERRORS.MAX}`. What cannot be told is unknown,
and "unknown and false" is false: a problem of a route ends when nobody asks for it any more.
"""

import re
from dataclasses import dataclass

from gateway.telemetry.readings import STATES
from gateway.telemetry.zabbix.items import Scope
from gateway.telemetry.zabbix.macros import macro
from gateway.telemetry.zabbix.names import TEMPLATE
from gateway.telemetry.zabbix.of_gateway import GATEWAY
from gateway.telemetry.zabbix.of_pools import BACKEND, POOL
from gateway.telemetry.zabbix.of_routes import CACHED_ROUTE, ROUTE

_MACRO = re.compile(r"\{([A-Z][A-Z0-9.]+)\}")


@dataclass(frozen=True, slots=True)
class Trigger:
    """A problem: `alert` names its runbook in docs/monitoring.md, `shown` is what a list of problems adds."""

    alert: str
    scope: Scope
    name: str
    expression: str
    priority: str
    todo: str
    shown: str = "{ITEM.LASTVALUE1}"

    def filled(self) -> str:
        """The expression as Zabbix wants it; fails for items and macros that there are not."""
        context = list(self.scope.macros.values())[-1:]
        named = self.scope.filled(self.expression, TEMPLATE)
        return _MACRO.sub(lambda found: macro(found[1], *context), named)


def _throughout(key: str, how_long: str, value: int) -> str:
    """It had only this value, as far as it was seen."""
    seen = f"{key},{how_long}"
    return f"min({seen})={value} and max({seen})={value}"


def _in_state(state: str) -> str:
    return _throughout("{gateway.backend.state}", "{BACKEND.DOWN.FOR}", STATES.index(state))


def _longer_than_allowed(key: str, limit: str) -> str:
    return f"{limit}>0 and min({key},{{LATENCY.FOR}})>{limit} and {ROUTE_BUSY}"


ROUTE_BUSY = "min({gateway.route.requests.mean},{LATENCY.FOR})>{REQUESTS.MIN}"
DAY_BEFORE = "percentile({gateway.cached.hits.share},1d:now-30m,50)"

TRIGGERS = (
    Trigger(
        "GatewayAbsent",
        GATEWAY,
        "Gateway is not reachable",
        "nodata({gateway.uptime},{ABSENT.FOR})=1",
        "HIGH",
        "Zabbix has had no figures. Ask /healthz at the admin address from here and from the gateway's "
        "own machine. No process: start it, its log's last lines say why it ended. No answer: keep a "
        "stack (py-spy dump), then restart it. An answer there only: the network, or `admin` listens on "
        "loopback.",
        "",
    ),
    Trigger(
        "GatewayEventLoopLag",
        GATEWAY,
        "Gateway's event loop is late",
        "min({gateway.lag.p99},{LAG.FOR})>{LAG.MAX}",
        "WARNING",
        "All requests wait that long. A full core (CPU cores in use near 1): put another gateway process "
        "beside it. Else the machine is short of CPU, swaps, or its disk stalls; py-spy dump shows where "
        "it stands.",
    ),
    Trigger(
        "GatewayCacheOff",
        GATEWAY,
        "Gateway has turned a route's cache off",
        "avg({gateway.cache.off.rate},5m)>0",
        "WARNING",
        "Audits found too many kept answers that are no longer what a backend says; clients get right "
        "answers, from backends. Find the cause (/api/cache, the log), then DELETE /api/cache?route=ROUTE "
        "turns it on.",
    ),
    Trigger(
        "GatewayLogDrops",
        GATEWAY,
        "Gateway drops log lines",
        "avg({gateway.log.access.dropped.rate},5m)+avg({gateway.log.dropped.rate},5m)>0",
        "WARNING",
        "What reads the log is slower than it is written: a full disk, a slow collector, a terminal. Mend "
        "or speed up the reader, or log less. Counters are right all the same.",
    ),
    Trigger(
        "GatewayPoolDown",
        POOL,
        "No backend of pool {#POOL} is well",
        _throughout("{gateway.pool.up}", "{POOL.DOWN.FOR}", 0) + " and last({gateway.pool.size})>0",
        "HIGH",
        "All backends are down, ejected or drained. /api/pools/{#POOL} has each one's state and why. The "
        "same why everywhere: look for what they share (network, DNS, a credential, a release, the health "
        "path). All draining: somebody forgot to undrain.",
        "",
    ),
    Trigger(
        "GatewayPanic",
        POOL,
        "Pool {#POOL} ignores health",
        _throughout("{gateway.pool.panic}", "{PANIC.FOR}", 1),
        "HIGH",
        "So few backends are well that requests go to sick ones too. /api/pools/{#POOL} says who is sick "
        "and why. Mend them; drain those that only fail.",
        "",
    ),
    Trigger(
        "GatewayRetryBudget",
        POOL,
        "Pool {#POOL} may retry no more",
        "avg({gateway.pool.no_budget.rate},5m)>0",
        "WARNING",
        "So much fails that the retry budget is spent, and clients get failures. /api/pools/{#POOL}: "
        "whose outcomes are failures? Mend those; raise the budget only if the rest of the pool has room.",
    ),
    Trigger(
        "GatewayShedding",
        POOL,
        "Pool {#POOL} turns requests away",
        "min({gateway.pool.shed.share},{SHED.FOR})>{SHED.MAX}",
        "HIGH",
        "They get 503. No backend well: see that problem. Else the pool has more to do than it can: add "
        "backends, undrain, give important routes priority, turn a cache on; or limits are too low.",
    ),
    Trigger(
        "GatewayQueue",
        POOL,
        "Requests of pool {#POOL} wait long",
        "min({gateway.pool.queue.p95},{QUEUE.FOR})>{QUEUE.MAX} and min({gateway.pool.waiting},{QUEUE.FOR})>0",
        "WARNING",
        "There is more to do than the pool can. Add backends, undrain, turn a cache on, raise limits that "
        "are too low; batch work belongs into priority low.",
    ),
    Trigger(
        "GatewayBackendDown",
        BACKEND,
        "Backend {#BACKEND} of pool {#POOL} is down",
        _in_state("down"),
        "WARNING",
        "Its health checks fail; others do its work. /api/pools/{#POOL} says why, then the model server's "
        "log. Restart or repair it: it comes back by itself. If it is to stay away, drain it, which ends "
        "this.",
    ),
    Trigger(
        "GatewayBackendDown",
        BACKEND,
        "Backend {#BACKEND} of pool {#POOL} is ejected",
        _in_state("ejected"),
        "WARNING",
        "Its traffic failed; others do its work. /api/pools/{#POOL} has its outcomes and ejections, then "
        "look at the model server's log. It is tried again by itself when the ejection is over.",
    ),
    Trigger(
        "GatewayBackendErrorRatio",
        BACKEND,
        "Too many attempts at backend {#BACKEND} of pool {#POOL} fail",
        "min({gateway.backend.failures.share},{BACKEND.ERRORS.FOR})>{BACKEND.ERRORS.MAX}"
        " and avg({gateway.backend.attempts.rate},5m)>{REQUESTS.MIN}",
        "WARNING",
        "/api/pools/{#POOL}, its outcomes: connect_error is the network or a dead process, timeout a hang "
        "or overload, reset a crash on the way, server_error the model server. Drain it while others can "
        "do its work, then look at its log.",
    ),
    Trigger(
        "GatewayErrorRatio",
        ROUTE,
        "Too many requests of route {#ROUTE} fail",
        "min({gateway.route.failures.share},{ERRORS.FOR})>{ERRORS.MAX}"
        " and avg({gateway.route.requests.rate},5m)>{REQUESTS.MIN}",
        "HIGH",
        "Clients get 5xx. Errors of the gateway's own (see that item): no backend, a full queue, "
        "deadlines. Else backends sent them: see their error ratios, and /api/decisions?limit=20 for "
        "where requests went.",
    ),
    Trigger(
        "GatewayLatency",
        ROUTE,
        "Route {#ROUTE} is slower than it was",
        "min({gateway.route.duration.p99},{LATENCY.FOR})>{LATENCY.FACTOR}"
        "*percentile({gateway.route.duration.p99},1d:now-15m,50)"
        " and min({gateway.route.duration.p99},{LATENCY.FOR})>{LATENCY.MIN}"
        f" and {ROUTE_BUSY}",
        "WARNING",
        "The 99th percentile is far above the median of its day. One backend: drain it and look at its "
        "machine. All of them: more load, longer prompts or answers, waiting, or fewer hits.",
    ),
    Trigger(
        "GatewayLatency",
        ROUTE,
        "Route {#ROUTE}: 95th percentile of latency is too high",
        _longer_than_allowed("{gateway.route.duration.p95}", "{LATENCY.P95.MAX}"),
        "WARNING",
        "One in twenty requests takes longer than you allow. One backend: drain it and look at its "
        "machine. All of them: more load, longer prompts or answers, waiting, or fewer hits.",
    ),
    Trigger(
        "GatewayLatency",
        ROUTE,
        "Route {#ROUTE}: mean latency is too high",
        _longer_than_allowed("{gateway.route.duration.mean}", "{LATENCY.MEAN.MAX}"),
        "WARNING",
        "Requests take longer than you allow. One backend: drain it and look at its machine. All of them: "
        "more load, longer prompts or answers, waiting, or fewer hits.",
    ),
    Trigger(
        "GatewayHitRatio",
        CACHED_ROUTE,
        "Hit ratio of route {#ROUTE} has collapsed",
        "max({gateway.cached.hits.share},{HITS.FOR})<{HITS.FACTOR}*"
        + DAY_BEFORE
        + f" and {DAY_BEFORE}>{{HITS.MIN}}"
        " and min({gateway.cached.requests.mean},{HITS.FOR})>{REQUESTS.MIN}",
        "WARNING",
        "Backends have that much more to do. /api/cache: off, evictions. Many by size: more max_size. A "
        "restart, a purge, a new model: it passes. Else clients changed what they send: gateway "
        "explain-cache A B says what.",
    ),
    Trigger(
        "GatewayCacheMismatch",
        CACHED_ROUTE,
        "Kept answers of route {#ROUTE} were wrong",
        "min({gateway.cached.mismatch},{MISMATCH.FOR})>{MISMATCH.MAX}",
        "WARNING",
        "Above max_mismatch its cache is turned off. Usual causes: requests without a temperature to "
        "servers whose default is above 0, or too much in `ignore`.",
    ),
)
