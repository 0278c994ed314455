"""What does the gateway know about one model-serving process?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp
from typing import Any, Literal
from urllib.parse import urlsplit

from gateway.health.outlier import OutlierRule, OutlierState
from gateway.health.state import HealthRule, HealthState
from gateway.messages import Outcome
from gateway.pool.ewma import PeakEwma, Typical
from gateway.pool.stats import Histogram

State = Literal["up", "down", "ejected", "draining", "starting"]
STATES: tuple[State, ...] = ("up", "down", "ejected", "draining", "starting")

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


class Backend:
    """One backend of a pool: where it is, how it fares, what it has done.

    Owned by its pool, which alone changes `state`, `why` and `since`; a lease changes the counts.
    Outcomes are indexed by `Outcome`. `connections` belongs to the HTTP client.
    """

    __slots__ = (
        "authority",
        "base_weight",
        "connections",
        "draining",
        "duration",
        "ejections",
        "first_byte",
        "health",
        "health_checks",
        "host",
        "in_flight",
        "labels",
        "latency",
        "max_in_flight",
        "name",
        "outcomes",
        "outlier",
        "pool",
        "port",
        "prefix",
        "scheme",
        "selected",
        "since",
        "state",
        "typical",
        "url",
        "weight",
        "why",
    )

    def __init__(
        self,
        pool: str,
        spec: BackendSpec,
        health: HealthRule | None = None,
        outlier: OutlierRule | None = None,
        typical: Typical | None = None,
    ) -> None:
        address = parse_url(spec.url)
        self.pool = pool
        self.name = spec.name or address.label
        self.url = spec.url
        self.scheme = address.scheme
        self.host = address.host
        self.port = address.port
        self.authority = address.authority
        self.prefix = address.prefix
        self.adopt(spec)
        self.in_flight = 0
        self.latency = PeakEwma()
        self.typical = typical or Typical()
        self.outcomes = [0] * len(Outcome)
        self.first_byte = Histogram()
        self.duration = Histogram()
        self.selected = 0
        self.health_checks = {"success": 0, "failure": 0}
        self.ejections = {"consecutive_failures": 0}
        self.health = HealthState(health)
        self.outlier = OutlierState(outlier or OutlierRule())
        self.draining = False
        self.connections: Any = None
        self.state: State = "up" if health is None else "starting"
        self.why = "no active check" if health is None else "not probed yet"
        self.since = 0.0

    def __repr__(self) -> str:
        seconds = self.latency.value_s
        latency = "never measured" if seconds is None else f"{seconds * 1000:.0f} ms"
        return f"<Backend {self.name} {self.state}, {self.in_flight} in flight, {latency}>"

    def adopt(self, spec: BackendSpec) -> None:
        """Take over what a reload may change without making it another backend."""
        if not spec.weight > 0:
            raise ValueError(f"backend {spec.name or spec.url}: weight must be above 0, not {spec.weight}")
        if spec.max_in_flight is not None and spec.max_in_flight < 1:
            raise ValueError(f"backend {spec.name or spec.url}: max_in_flight must be 1 or more, or left out")
        self.base_weight = spec.weight
        self.weight = spec.weight
        self.labels = dict(spec.labels)
        self.max_in_flight = spec.max_in_flight

    @property
    def full(self) -> bool:
        """Is the limit on requests in flight reached?"""
        return self.max_in_flight is not None and self.in_flight >= self.max_in_flight

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
