"""Which graphs does the template have, and how do they stand on its dashboard?"""

from dataclasses import dataclass
from typing import Any

from gateway.telemetry.zabbix.items import Scope
from gateway.telemetry.zabbix.names import TEMPLATE, uuid
from gateway.telemetry.zabbix.of_gateway import GATEWAY
from gateway.telemetry.zabbix.of_pools import BACKEND, POOL
from gateway.telemetry.zabbix.of_routes import CACHED_ROUTE, ROUTE

COLORS = ("1A7C11", "F63100", "2774A4", "A54F10", "FC6EA3")
HALF, HEIGHT = 12, 5


@dataclass(frozen=True, slots=True)
class Graph:
    """Lines of some items of one scope; for each of what is discovered, if the scope is."""

    scope: Scope
    name: str
    keys: tuple[str, ...]

    @property
    def title(self) -> str:
        return self.scope.title + self.name

    def document(self) -> dict[str, Any]:
        return {
            "uuid": uuid("graph", self.title),
            "name": self.title,
            "ymin_type_1": "FIXED",
            "graph_items": [
                {
                    "sortorder": str(place),
                    "color": COLORS[place],
                    "item": {"host": TEMPLATE, "key": self.scope.key(key)},
                }
                for place, key in enumerate(self.keys)
            ],
        }


def _both(scope: Scope, begin: str, rate: str, failures: str) -> tuple[Graph, Graph]:
    return (
        Graph(scope, "requests per second", (f"{begin}.{rate}", f"{begin}.failures.rate")),
        Graph(scope, "error ratio", (failures,)),
    )


GRAPHS = (
    *_both(GATEWAY, "gateway", "requests.rate", "gateway.failures.share"),
    Graph(GATEWAY, "in flight", ("gateway.requests.in_flight", "gateway.connections")),
    Graph(GATEWAY, "bytes per second", ("gateway.received.rate", "gateway.sent.rate")),
    Graph(GATEWAY, "what it adds", ("gateway.overhead.mean", "gateway.lag.p99")),
    Graph(GATEWAY, "CPU cores", ("gateway.cpu",)),
    Graph(GATEWAY, "memory", ("gateway.memory", "gateway.cache.bytes", "gateway.held")),
    *_both(ROUTE, "gateway.route", "requests.rate", "gateway.route.failures.share"),
    Graph(
        ROUTE,
        "latency",
        ("gateway.route.duration.mean", "gateway.route.duration.p95", "gateway.route.duration.p99"),
    ),
    Graph(CACHED_ROUTE, "hit ratio", ("gateway.cached.hits.share",)),
    Graph(CACHED_ROUTE, "backend seconds saved per second", ("gateway.cached.saved.rate",)),
    Graph(POOL, "in flight and waiting", ("gateway.pool.in_flight", "gateway.pool.waiting")),
    Graph(
        POOL,
        "retries, hedges, turned away",
        ("gateway.pool.retries.rate", "gateway.pool.shed.rate", "gateway.pool.hedges.rate"),
    ),
    *_both(BACKEND, "gateway.backend", "attempts.rate", "gateway.backend.failures.share"),
    Graph(BACKEND, "latency", ("gateway.backend.duration.mean", "gateway.backend.first_byte.mean")),
    Graph(
        BACKEND,
        "time to the first token and between tokens",
        ("gateway.backend.first_token.mean", "gateway.backend.inter_token.mean"),
    ),
    Graph(
        BACKEND,
        "tokens per second",
        (
            "gateway.backend.tokens.completion.rate",
            "gateway.backend.tokens.prompt.rate",
            "gateway.backend.tokens.cached.rate",
        ),
    ),
    Graph(BACKEND, "in flight", ("gateway.backend.in_flight", "gateway.backend.limit")),
)

#: The dashboard's pages, with the scopes whose graphs stand there.
PAGES = {"Gateway": GATEWAY, "Backends": BACKEND, "Routes": ROUTE, "Cache": CACHED_ROUTE, "Pools": POOL}


def _widget(graph: Graph, place: int) -> dict[str, Any]:
    """A graph takes half of the width; those of what is discovered all of it, for two by two graphs each."""
    many = bool(graph.scope.discovered)
    field = "GRAPH_PROTOTYPE" if many else "GRAPH"
    shown = {"type": field, "name": "graphid", "value": {"host": TEMPLATE, "name": graph.title}}
    grid = [{"type": "INTEGER", "name": name, "value": "2"} for name in ("columns", "rows")]
    return {
        "type": "GRAPH_PROTOTYPE" if many else "GRAPH_CLASSIC",
        "x": "0" if many else str(place % 2 * HALF),
        "y": str(place * 2 * HEIGHT if many else place // 2 * HEIGHT),
        "width": str(2 * HALF if many else HALF),
        "height": str(2 * HEIGHT if many else HEIGHT),
        "fields": [*grid, shown] if many else [shown],
    }


def dashboard() -> dict[str, Any]:
    """One page for each scope."""
    return {
        "uuid": uuid("dashboard"),
        "name": "Model gateway",
        "pages": [
            {
                "name": page,
                "widgets": [
                    _widget(graph, place)
                    for place, graph in enumerate(graph for graph in GRAPHS if graph.scope is scope)
                ],
            }
            for page, scope in PAGES.items()
        ],
    }
