"""What does the admin side need to see and to do? The protocols it is written against."""

from collections.abc import Mapping, Sequence
from typing import Protocol

Rows = list[dict[str, object]]


class HistogramView(Protocol):
    """Counts by bucket, not cumulative, and the sum of what was observed."""

    @property
    def counts(self) -> Sequence[int]: ...
    @property
    def sum(self) -> float: ...


class BackendView(Protocol):
    """One backend as people see it; `outcomes` is indexed by `messages.Outcome`."""

    @property
    def name(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def why(self) -> str: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def max_in_flight(self) -> int | None: ...
    @property
    def weight(self) -> float: ...
    @property
    def base_weight(self) -> float: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def outcomes(self) -> Sequence[int]: ...
    @property
    def first_byte(self) -> HistogramView: ...
    @property
    def duration(self) -> HistogramView: ...
    @property
    def selected(self) -> int: ...
    @property
    def health_checks(self) -> Mapping[str, int]: ...
    @property
    def ejections(self) -> Mapping[str, int]: ...
    @property
    def waiting(self) -> int: ...
    @property
    def limit(self) -> int: ...
    @property
    def cool_until(self) -> float: ...
    @property
    def degraded(self) -> "DegradedView": ...
    def latency_s(self, now: float) -> float | None: ...
    def slowness(self, now: float) -> float: ...


class DegradedView(Protocol):
    """Whether a backend is slow for its peers and its past."""

    @property
    def degraded(self) -> bool: ...


class QueueView(Protocol):
    """Those who wait for a backend of a pool."""

    def waiting(self, priority: int) -> int:
        """How many of this class: 0 high, 1 normal, 2 low."""


class PoolView(Protocol):
    """One pool as people see it, and the two things they may do to it."""

    @property
    def name(self) -> str: ...
    @property
    def policy_name(self) -> str: ...
    @property
    def backends(self) -> Sequence[BackendView]: ...
    @property
    def retries(self) -> Mapping[str, int]: ...
    @property
    def hedges(self) -> Mapping[str, int]: ...
    @property
    def shed(self) -> Mapping[str, int]: ...
    @property
    def queue(self) -> QueueView: ...
    @property
    def queued(self) -> HistogramView: ...
    @property
    def panic(self) -> bool: ...
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


class AdminView(Protocol):
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
