"""What does the gateway know about one model-serving process?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from gateway.admission.limit import AutoLimit
from gateway.balancing.context import PickContext
from gateway.balancing.view import NO_LIMIT, BackendView
from gateway.health.degraded import DegradedRule, DegradedState
from gateway.health.outlier import REASONS, OutlierRule, OutlierState
from gateway.health.slow_start import SlowStart
from gateway.health.state import RESULTS, HealthRule, HealthState, Phase
from gateway.messages import Outcome
from gateway.pool.ewma import MAX_PENALTY_S, PeakEwma, Typical
from gateway.pool.speed import Speed
from gateway.pool.stats import Histogram, TokenStats
from gateway.pool.work import WorkModel

State = Literal["up", "down", "ejected", "draining", "starting"]
STATES: tuple[State, ...] = ("up", "down", "ejected", "draining", "starting")

#: How long a backend is spared that said it was overloaded, but not until when.
COOL_S = 1.0

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """A backend as configured. `name` defaults to host:port, with the path prefix if there is one.

    `weight` is a share (> 0) relative to its peers; `max_in_flight` None means no limit.
    """

    url: str
    name: str = ""
    weight: float = 1.0
    labels: Mapping[str, str] = field(default_factory=dict)
    max_in_flight: int | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """A backend's URL taken apart: `authority` is the Host header, `prefix` the path without last slash."""

    scheme: str
    host: str
    port: int
    authority: bytes
    prefix: str

    @property
    def label(self) -> str:
        """host:port and prefix, for a backend without a name of its own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}{self.prefix}"


def parse_url(url: str) -> Address:
    """Take `http[s]://host[:port][/prefix]` apart; ValueError says what is wrong with anything else."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"backend url {url!r}: write http://host:port or https://host:port")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(f"backend url {url!r}: user names, queries and fragments have no place here")
    port = parts.port or _PORTS[parts.scheme]
    host = parts.hostname
    shown = f"[{host}]" if ":" in host else host
    authority = shown if port == _PORTS[parts.scheme] else f"{shown}:{port}"
    return Address(
        parts.scheme,
        host,
        port,
        authority.encode("idna" if not host.isascii() else "ascii"),
        parts.path.rstrip("/"),
    )


@dataclass(frozen=True, slots=True)
class BackendRules:
    """What all backends of a pool go by. `limit`: attempts under way where a backend has no `max_in_flight`
    of its own, "auto" to find it, None for no limit. `slow_start_s`: length of the ramp, 0 for none."""

    health: HealthRule | None = None
    outlier: OutlierRule = field(default_factory=OutlierRule)
    degraded: DegradedRule = field(default_factory=DegradedRule)
    limit: int | Literal["auto"] | None = None
    slow_start_s: float = 30.0


class Metered(Protocol):
    """The connections to a backend, as far as the pool looks at them."""

    @property
    def pieces(self) -> int:
        """Pieces of streamed answers relayed to clients so far."""


class Backend(BackendView):
    """One backend of a pool: where it is, how it fares, what it has done.

    Owned by its pool, which alone changes `state`, `why` and `since`; a lease changes the counts.
    Outcomes are indexed by `Outcome`. `answered_at` is when a request was last answered well, 0.0 when it
    never was or one has failed since. `connections` belongs to the HTTP client.
    """

    __slots__ = (
        "answered_at",
        "authority",
        "connections",
        "cool_until",
        "degraded",
        "draining",
        "duration",
        "ejections",
        "first_byte",
        "health",
        "health_checks",
        "host",
        "labels",
        "latency",
        "limiter",
        "max_in_flight",
        "outcomes",
        "outlier",
        "pool",
        "port",
        "prefix",
        "promised",
        "rank",
        "scheme",
        "selected",
        "since",
        "slow_start",
        "speed",
        "state",
        "tokens",
        "typical",
        "url",
        "why",
    )

    def __init__(
        self,
        pool: str,
        spec: BackendSpec,
        rules: BackendRules | None = None,
        typical: Typical | None = None,
        model: WorkModel | None = None,
    ) -> None:
        address = parse_url(spec.url)
        rules = rules or BackendRules()
        self.pool = pool
        self.name = spec.name or address.label
        self.url = spec.url
        self.scheme = address.scheme
        self.host = address.host
        self.port = address.port
        self.authority = address.authority
        self.prefix = address.prefix
        self.rank = 0  # its place among the pool's backends
        self.in_flight = 0
        self.promised = 0  # requests that wait for this backend rather than take another
        self.latency = PeakEwma()
        self.typical = typical or Typical()
        self.speed = Speed(model or WorkModel())
        self.outcomes = [0] * len(Outcome)
        self.first_byte = Histogram()
        self.duration = Histogram()
        self.tokens = TokenStats()
        self.selected = 0
        self.health_checks: dict[str, int] = dict.fromkeys(RESULTS, 0)
        self.ejections: dict[str, int] = dict.fromkeys(REASONS, 0)
        self.health = HealthState(rules.health)
        self.outlier = OutlierState(rules.outlier)
        self.degraded = DegradedState(rules.degraded)
        self.slow_start = SlowStart(rules.slow_start_s)
        self.cool_until = 0.0
        self.draining = False
        self.answered_at = 0.0
        self.connections: Any = None
        self.limiter: AutoLimit | None = None
        self.limit = NO_LIMIT
        self.adopt(spec, rules)
        self.state: State = "up" if rules.health is None else "starting"
        self.why = "no active check" if rules.health is None else "not probed yet"
        self.since = 0.0

    def __repr__(self) -> str:
        seconds = self.latency.value_s
        latency = "never measured" if seconds is None else f"{seconds * 1000:.0f} ms"
        return f"<Backend {self.name} {self.state}, {self.in_flight} in flight, {latency}>"

    def adopt(self, spec: BackendSpec, rules: BackendRules) -> None:
        """Take over what a reload may change without making it another backend."""
        if not spec.weight > 0:
            raise ValueError(f"backend {spec.name or spec.url}: weight must be above 0, not {spec.weight}")
        if spec.max_in_flight is not None and spec.max_in_flight < 1:
            raise ValueError(f"backend {spec.name or spec.url}: max_in_flight must be 1 or more, or left out")
        self.base_weight = spec.weight
        self.weight = spec.weight
        self.labels = dict(spec.labels)
        self.max_in_flight = spec.max_in_flight
        self.health.adopt(rules.health)
        self.outlier.adopt(rules.outlier)
        self.degraded.rule = rules.degraded
        self.slow_start.window_s = rules.slow_start_s
        if spec.max_in_flight is not None or rules.limit != "auto":
            self.limiter = None
            fixed = spec.max_in_flight if spec.max_in_flight is not None else rules.limit
            self.limit = fixed if isinstance(fixed, int) else NO_LIMIT
        elif self.limiter is None:
            self.limiter = AutoLimit()
            self.limit = self.limiter.limit

    @property
    def settled(self) -> bool:
        """False while the next probes decide something: whether it is fit, or is there again."""
        return self.health.settled and not self.outlier.absent

    @property
    def pieces(self) -> int:
        """Pieces of streamed answers that came from it so far."""
        connections: Metered | None = self.connections
        return 0 if connections is None else connections.pieces

    @property
    def waiting(self) -> int:
        """Attempts under way without a first body byte."""
        return self.speed.waiting

    @property
    def present(self) -> bool:
        """Does it count as part of the pool? Not while an operator has it out, nor while it is loading."""
        return not self.draining and self.health.phase is not Phase.LOADING

    def doubted(self, now: float) -> bool:
        """Is it up, though the last check of it failed, and so have requests lately?"""
        return self.health.phase is Phase.UP and self.health.streak > 0 and self.speed.failing(now)

    @property
    def full(self) -> bool:
        """Is the limit on requests in flight reached?"""
        return self.in_flight >= self.limit

    def slowness(self, now: float) -> float:
        """How slow it is, 1 for an ordinary backend of the pool; see pool/speed.py."""
        speed = self.speed
        return speed.believed(now, self.pieces if speed.streaming else 0)

    def expected_s(self, now: float, context: PickContext) -> float:
        """Seconds until a request like the context's, sent now, would be answered; weight left out."""
        speed = self.speed
        in_flight = self.in_flight + self.promised
        seconds = self.slowness(now) * speed.model.cost_s(
            context.kind, in_flight, speed.ahead_s, speed.waiting + speed.streaming
        )
        if in_flight >= self.limit:  # it waits for a place first, and others with it
            seconds *= 1.0 + (in_flight + 1 - self.limit) / self.limit
        if now < self.cool_until:  # all rest, and the one that rests for the shortest time is asked
            seconds += self.cool_until - now
        return seconds

    def succeeded(self, now: float) -> None:
        """A request was answered well, to its end."""
        self.answered_at = now
        self.outlier.succeeded(now)
        self.slow_start.succeeded()

    def cool(self, now: float, retry_after_s: float | None) -> None:
        """It says that it is overloaded: spare it for the time it asks for, at most 300 s."""
        seconds = COOL_S if retry_after_s is None else min(retry_after_s, MAX_PENALTY_S)
        self.cool_until = max(self.cool_until, now + seconds)

    def reweigh(self, now: float, by_slowness: bool = False) -> None:
        """Bring the weight in line with slow start and degrading; `by_slowness`: slow ones are seen to be."""
        slowness = None
        if by_slowness and self.slow_start.ramping:
            slowness = self.speed.value(now, self.pieces if self.speed.streaming else 0)
        self.weight = self.base_weight * self.slow_start.factor(now, slowness) * self.degraded.factor

    def latency_s(self, now: float) -> float | None:
        """Seconds to the first body byte as expected now; None when never measured.

        The same as `latency.value_at(now, toward=typical)`, written out: policies call it per candidate.
        """
        latency = self.latency
        value = latency.value_s
        if value is None or (silence := now - latency.at) <= latency.fresh_s:
            return value
        toward = self.typical.median_s
        if toward is None:
            return value
        return toward + (value - toward) * exp(-silence / latency.tau_s)
