"""What does the admin side need to see and to do? The protocols it is written against."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.admin.cache import CacheHolder
from gateway.pool.figures import BackendFigures, PoolFigures

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

    def latest(self, limit: int) -> Rows:
        """Newest first."""


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
    def ready(self) -> tuple[bool, str]:
        """(is there somebody to serve requests, why or why not)."""
