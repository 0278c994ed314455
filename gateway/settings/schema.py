"""Which keys does the configuration file have at its top, and what does each mean?

A key's docstring is its text in the manual. Attributes are named as the keys; durations are seconds,
sizes bytes, shares 0 to 1.
"""

from typing import Annotated, Literal, get_args

from pydantic import Field, ValidationInfo, field_validator, model_validator

from gateway.settings.cache import Cache, RouteCache
from gateway.settings.fields import (
    Address,
    Duration,
    DurationOrZero,
    Name,
    Network,
    Size,
    SizeOrZero,
    Switch,
    split_address,
)
from gateway.settings.kinds import choice, refused, whole
from gateway.settings.pools import (
    POLICIES,
    Affinity,
    Backend,
    BackendTls,
    Concurrency,
    Health,
    Hedging,
    Keepalive,
    Outlier,
    Pool,
    Retries,
    Section,
    Timeouts,
)
from gateway.settings.routes import Match, Rewrite, Route, RouteTimeouts, Split
from gateway.settings.tracing import Tracing

__all__ = [
    "POLICIES",
    "Affinity",
    "Backend",
    "BackendTls",
    "Cache",
    "Concurrency",
    "Health",
    "Hedging",
    "Keepalive",
    "Limits",
    "Listener",
    "Log",
    "Match",
    "Metrics",
    "Outlier",
    "Pool",
    "Retries",
    "Rewrite",
    "Route",
    "RouteCache",
    "RouteTimeouts",
    "Section",
    "Settings",
    "Shutdown",
    "Split",
    "Timeouts",
    "Tracing",
    "split_address",
]

Level = Literal["debug", "info", "warning", "error"]
Access = Literal["json", "off"]

_KIB, _MIB = 1024, 1024 * 1024


class Listener(Section):
    """One address that accepts clients. The short form is the address alone."""

    address: Address
    """`host:port`; `0.0.0.0` and `[::]` are every address of the machine."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"address": value} if isinstance(value, str) else value


class Log(Section):
    """What is written: messages to standard error, the access log to standard output."""

    level: Annotated[Level, choice(*get_args(Level))] = "info"
    """The least important messages that are written."""
    access: Annotated[Access, choice(*get_args(Access))] = "json"
    """One JSON line for each request, or none."""


class Metrics(Section):
    """What is counted, beyond what is always counted."""

    tokens: Switch = True
    """Tokens of answers, and the times between them, for metrics and access log; a streamed event costs some
    tenths of a microsecond more."""


class Limits(Section):
    """What one client, and all together, may ask of the gateway."""

    max_body: Size = 64 * _MIB
    """Largest request body; 413 above."""
    buffer_body: SizeOrZero = Field(
        default_factory=lambda data: min(8 * _MIB, data.get("max_body", 8 * _MIB))
    )
    """Up to here a request body is held, so that its `model` can be read and it can be sent again; a larger
    one is streamed through. At most `max_body`; the default gives way to a smaller one."""
    buffer_total: SizeOrZero = Field(
        default_factory=lambda data: max(512 * _MIB, data.get("buffer_body", 512 * _MIB))
    )
    """All held bodies together; beyond it bodies are streamed through, and refused with 503 where they
    must be held. At least `buffer_body`."""
    max_header: Size = 32 * _KIB
    """Largest request head; 431 above."""
    max_connections: Annotated[int, whole(1, 1_000_000)] = 10_000
    """Most client connections at once."""
    header_timeout: Duration = 10.0
    """For the whole request head; 408 and close after it."""
    body_timeout: Duration = 30.0
    """Between two pieces of a request body."""
    keepalive_timeout: Duration = 75.0
    """How long a client's connection may stay without a request."""

    @field_validator("buffer_body")
    @classmethod
    def _held_is_allowed(cls, value: int, info: ValidationInfo) -> int:
        if value > info.data.get("max_body", value):
            raise refused("a size of at most max_body")
        return value

    @field_validator("buffer_total")
    @classmethod
    def _holds_one(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("buffer_body", value):
            raise refused("a size of at least buffer_body")
        return value


class Shutdown(Section):
    """What happens on SIGTERM: readiness fails, the listeners close, requests in flight finish."""

    drain: DurationOrZero = 30.0
    """How long requests in flight may take to finish before they are cut."""


class Settings(Section):
    """The whole file."""

    listen: Annotated[tuple[Listener, ...], Field(min_length=1)] = (Listener(address="0.0.0.0:8080"),)
    """Where clients connect: one address, or a list of them."""
    admin: Address = "127.0.0.1:9901"
    """Metrics, health and the admin API; never on a port of `listen`. It has no password: leave it on an
    address that only you can reach."""
    log: Log = Log()
    """What is written, and how much of it."""
    metrics: Metrics = Metrics()
    """What is counted."""
    limits: Limits = Limits()
    """What clients may ask of the gateway."""
    shutdown: Shutdown = Shutdown()
    """How it ends."""
    cache: Cache | None = None
    """The response cache."""
    tracing: Tracing | None = None
    """Spans of requests for an OpenTelemetry collector."""
    trusted_proxies: tuple[Network, ...] = ()
    """Networks of your own proxies, such as `[10.0.0.0/8]`: what they say in `X-Forwarded-For`, `-Proto` and
    `-Host` is believed. From anyone else these fields are dropped."""
    pools: Annotated[dict[Name, Pool], Field(min_length=1)]
    """The backends, in named pools, at least one. Without `routes`, everything goes to the only pool; with
    several, the body's `model` picks the pool of that name."""
    routes: tuple[Route, ...] = ()
    """Which requests go to which pool, the first match from the top. Without routes, see `pools`."""

    @field_validator("listen", mode="before")
    @classmethod
    def _one_address(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value
