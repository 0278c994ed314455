"""What does the admin side tell about the gateway? The parts of an overview and of decisions that are shown.

Unknown members are passed over and those that may be missing have defaults, so that this program can watch a
gateway that is a little newer or older than itself. Times are seconds, counters begin with the process.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

#: Results of the cache for which no backend was asked.
GIVEN = ("hit", "stale", "coalesced")
#: Outcomes of attempts that are a failure of the backend: the same as in the recording rules for Prometheus.
FAILED = ("server_error", "timeout", "connect_error", "reset")

_Kind = TypeVar("_Kind")


class Strange(Exception):
    """The answer is none of a gateway's; the text says where it is not as it should be."""


class Status(msgspec.Struct, frozen=True):
    """The process; as `GET /api/status`."""

    version: str
    pid: int
    uptime_s: float
    ready: bool
    reason: str = ""
    draining: bool = False
    compiled: bool = False
    listeners: list[str] = []
    connections: int = 0


class Duration(msgspec.Struct, frozen=True):
    """How many took how long together; `counts` by bucket, of routes. Percentiles are since the start."""

    count: int = 0
    sum_s: float = 0.0
    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    counts: tuple[int, ...] = ()


class Route(msgspec.Struct, frozen=True):
    """One route's requests; `cache` counts them by what the cache did, empty for routes without one.

    `errors` are answers of 500 and above, and others that the gateway could not give as they should be.
    """

    name: str
    requests: int = 0
    errors: int = 0
    in_flight: int = 0
    duration: Duration = Duration()
    cache: dict[str, int] = {}
    saved_s: float = 0.0

    @property
    def asked(self) -> int:
        """Requests the cache had a part in, if only to let them pass."""
        return sum(self.cache.values())

    @property
    def given(self) -> int:
        """Those for which no backend was asked."""
        return sum(self.cache.get(result, 0) for result in GIVEN)


class Backend(msgspec.Struct, frozen=True):
    """One backend of a pool; `excluded` says why it may take no work, None when it may."""

    name: str
    url: str
    state: str
    why: str = ""
    in_flight: int = 0
    waiting: int = 0
    limit: int | None = None
    slowness: float | None = None
    degraded: bool = False
    latency_s: float | None = None
    selected: int = 0
    outcomes: dict[str, int] = {}
    duration: Duration = Duration()
    score: float | None = None
    excluded: str | None = None

    @property
    def well(self) -> bool:
        """Whether it is given work, if not just now because it is full or rests."""
        return self.state in ("up", "starting")

    @property
    def reason(self) -> str:
        """Why it may take no work or, where it may, why it is in its state; without the state's name."""
        return (self.excluded or self.why).removeprefix(f"{self.state}: ")

    @property
    def ended(self) -> int:
        """Attempts that ended, but for those whose client left."""
        return sum(self.outcomes.values()) - self.outcomes.get("cancelled", 0)

    @property
    def failed(self) -> int:
        """Attempts that ended in a failure of the backend."""
        return sum(self.outcomes.get(outcome, 0) for outcome in FAILED)


class Pool(msgspec.Struct, frozen=True):
    """One pool and its backends; `queue` counts those who wait, `shed` those turned away."""

    name: str
    policy: str
    backends: list[Backend]
    panic: bool = False
    queue: dict[str, int] = {}
    retries: dict[str, int] = {}
    shed: dict[str, int] = {}

    @property
    def queued(self) -> int:
        """How many wait for a backend below its limit."""
        return sum(self.queue.values())

    @property
    def well(self) -> int:
        """How many backends are."""
        return sum(backend.well for backend in self.backends)


class Cache(msgspec.Struct, frozen=True):
    """What is kept in memory; `off` are the routes whose cache was turned off because it was found wrong."""

    entries: int = 0
    bytes: int = 0
    max_bytes: int | None = None
    store: str = "memory"
    off: list[str] = []


class Overview(msgspec.Struct, frozen=True):
    """The gateway at one moment; `at_s` is its monotonic clock, `latency_bounds_s` belong to all `counts`."""

    at_s: float
    status: Status
    routes: list[Route]
    pools: list[Pool]
    latency_bounds_s: tuple[float, ...] = ()
    cache: Cache | None = None
    time: str = ""

    @property
    def in_flight(self) -> int:
        return sum(route.in_flight for route in self.routes)

    def pool(self, name: str) -> Pool | None:
        return next((pool for pool in self.pools if pool.name == name), None)


class Candidate(msgspec.Struct, frozen=True):
    """A backend that could be chosen, and what the policy made of it."""

    backend: str
    score: float | None = None


class Excluded(msgspec.Struct, frozen=True):
    """A backend that could not, and why."""

    backend: str
    why: str = ""


class Attempt(msgspec.Struct, frozen=True):
    """Where one attempt went; of many candidates, best first, only some are told."""

    pool: str
    policy: str
    backend: str | None = None
    outcome: str | None = None
    candidates: list[Candidate] = []
    excluded: list[Excluded] = []
    candidates_total: int = 0
    excluded_total: int = 0


class Verdict(msgspec.Struct, frozen=True):
    """What the cache did."""

    result: str
    detail: str | None = None


class Decision(msgspec.Struct, frozen=True):
    """What became of one request, and why."""

    request_id: str | None = None
    time: str = ""
    route: str | None = None
    model: str | None = None
    status: int = 0
    error: str | None = None
    cache: Verdict | None = None
    duration_s: float = 0.0
    queued_s: float = 0.0
    attempts: list[Attempt] = []


class Decisions(msgspec.Struct, frozen=True):
    """Some of them, newest first."""

    decisions: list[Decision]


def narrowed(overview: Overview, pool: Pool) -> Overview:
    """The same with no pool but `pool`."""
    return msgspec.structs.replace(overview, pools=[pool])


def read(body: bytes) -> Overview:
    """The overview in an answer's body. Raises Strange."""
    return _decoded(body, Overview)


def read_decisions(body: bytes) -> list[Decision]:
    """The decisions in the data of an event, newest first. Raises Strange."""
    return _decoded(body, Decisions).decisions


def _decoded(body: bytes, kind: type[_Kind]) -> _Kind:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Strange(str(error)) from None


def only(data: Mapping[str, Any], pool: str) -> dict[str, Any]:
    """The document `data` with no pool but `pool`."""
    return {**data, "pools": [one for one in data["pools"] if one["name"] == pool]}
