"""What is read of pools and backends when somebody scrapes? The protocols of the exposition."""

from collections.abc import Sequence
from typing import Protocol

from gateway.cache.figures import CacheFigures
from gateway.pool.figures import BackendFigures, PoolFigures


class ConnectionFigures(Protocol):
    """How many connections to a backend are `open`, and how many of those are `idle`."""

    @property
    def open(self) -> int: ...
    @property
    def idle(self) -> int: ...


class ScrapedBackend(BackendFigures, Protocol):
    """One backend, with its connections."""

    @property
    def connections(self) -> ConnectionFigures | None: ...


class ScrapedPool(PoolFigures, Protocol):
    """One pool; `candidates` brings the states of its backends up to `now`."""

    @property
    def backends(self) -> Sequence[ScrapedBackend]: ...
    @property
    def panics(self) -> int: ...
    @property
    def prefix_entries(self) -> int | None: ...
    def candidates(self, now: float) -> object: ...


class ScrapedCache(CacheFigures, Protocol):
    """The cache."""
