"""What does the admin side need to see and to do? The protocols it is written against."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.admin.cache import CacheHolder, RouteCount
from gateway.pool.figures import BackendFigures, PoolFigures
from gateway.pool.stats import Histogram

Rows = list[dict[str, object]]


class DegradedView(Protocol):
    """Whether a backend is slow for its peers and its past."""

    @property
    def degraded(self) -> bool: ...


class BackendView(BackendFigures, Protocol):
    """One backend as people see it."""

    @property
    def url(self) -> str: ...
    @property
    def why(self) -> str: ...
    @property
    def max_in_flight(self) -> int | None: ...
    @property
    def base_weight(self) -> float: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def waiting(self) -> int: ...
    @property
    def cool_until(self) -> float: ...
    @property
    def degraded(self) -> DegradedView: ...


class PoolView(PoolFigures, Protocol):
    """One pool as people see it, and the two things they may do to it."""

    @property
    def backends(self) -> Sequence[BackendView]: ...
    def explain(self, now: float) -> tuple[Rows, Rows]:
        """([{"backend", "score", <terms>}] best first, [{"backend", "why"}]), brought up to `now`."""

    def drain(self, name: str) -> None:
        """KeyError when there is no such backend."""

    def undrain(self, name: str) -> None:
        """KeyError when there is no such backend."""


class ExpositionView(Protocol):
    """What `/metrics` answers with."""

    async def scrape(self, accept: str) -> tuple[bytes, str]:
        """(body, content type) for a request with this `Accept`."""


class DecisionsView(Protocol):
    """The decisions that were recorded."""

    @property
    def recorded(self) -> int:
        """How many there have been."""

    def latest(self, limit: int, request_id: str | None = None) -> Rows:
        """Newest first, of all requests or of those with this id."""

    def brief(self, limit: int) -> Rows:
        """The same, each with only the best of its candidates and the first of those left out."""


class RouteView(RouteCount, Protocol):
    """One route's figures; `requests` by method and status."""

    @property
    def name(self) -> str: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def requests(self) -> Mapping[tuple[str, int], int]: ...
    @property
    def failed_below_500(self) -> int: ...
    @property
    def duration(self) -> Histogram: ...
    @property
    def bytes_in(self) -> int: ...
    @property
    def bytes_out(self) -> int: ...


class MetricsView(Protocol):
    """The figures that no pool owns; route "-" is that of requests no route took."""

    @property
    def routes(self) -> Mapping[str, RouteView]: ...


class AdminView(CacheHolder, Protocol):
    """The whole application; each property is read anew for every request."""

    @property
    def version(self) -> str: ...
    @property
    def started(self) -> float:
        """`clock.now()` when the process began to serve."""

    @property
    def compiled(self) -> bool: ...
    @property
    def config_hash(self) -> str: ...
    @property
    def listeners(self) -> Sequence[str]: ...
    @property
    def connections(self) -> int:
        """Open client connections."""

    @property
    def draining(self) -> bool: ...
    @property
    def pools(self) -> Mapping[str, PoolView]: ...
    @property
    def exposition(self) -> ExpositionView: ...
    @property
    def decisions(self) -> DecisionsView: ...
    @property
    def metrics(self) -> MetricsView: ...
    @property
    def configuration(self) -> Mapping[str, object]:
        """The configuration in force, without its secrets."""

    def ready(self) -> tuple[bool, str]:
        """(is there somebody to serve requests, why or why not)."""
