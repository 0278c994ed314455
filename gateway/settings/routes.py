"""Which keys does a route have, and what does each mean?"""

from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator

from gateway.settings.cache import RouteCache
from gateway.settings.fields import (
    Duration,
    HeaderName,
    Method,
    Name,
    Number,
    PathPattern,
    Switch,
    Text,
    UrlPath,
)
from gateway.settings.kinds import choice
from gateway.settings.pools import Section

Priority = Literal["high", "normal", "low"]
PriorityHeader = Literal["any", "lower", "off"]


class Match(Section):
    """Which requests a route takes: all that is given must hold; nothing given takes everything."""

    path: PathPattern = "/*"
    """The request's path without query: exact, or everything below with `*` at the end."""
    methods: tuple[Method, ...] = ()
    """Methods, such as `[POST]`; empty: any."""
    model: Text | None = None
    """The `model` in the JSON body; each `*` stands for any run of characters. `null`: any, or none."""
    headers: dict[HeaderName, Text] = Field(default_factory=dict)
    """Header fields that must be there with exactly this value."""


class Split(Section):
    """One pool's part of a route's requests."""

    pool: Name
    """The pool."""
    weight: Number = 1.0
    """Its share relative to the split's other pools."""


class Rewrite(Section):
    """What is changed in a request before it goes to a backend."""

    model: Text | None = None
    """The body's `model` is replaced by this name. `null`: left as it is."""
    prefix: UrlPath | None = None
    """Takes the place of the part of the path that `match.path` names (up to its `*`): with
    `path: /openai/*` and `prefix: /`, `/openai/v1/models` becomes `/v1/models`. `null`: left as it is."""


class RouteTimeouts(Section):
    """Limits that take the place of the pool's for this route's requests; `null`: the pool's."""

    connect: Duration | None = None
    """Until a connection stands, TLS included."""
    first_byte: Duration | None = None
    """From the sent request to the first byte of the answer's body."""
    idle: Duration | None = None
    """Between two pieces of the answer's body."""
    total: Duration | None = None
    """From the request's arrival to its answer's end, all attempts together."""


class Route(Section):
    """Which requests go to which pool. Routes are tried from top to bottom; the first match takes it."""

    name: Name
    """What metrics and logs call it; unique."""
    match: Match = Match()
    """Which requests it takes; without it, every request."""
    pool: Name | None = None
    """Where they go. Exactly one of `pool` and `split` is given."""
    split: Annotated[tuple[Split, ...], Field(min_length=1)] | None = None
    """Or several pools, by weight: `[{pool: a, weight: 90}, {pool: b, weight: 10}]`."""
    fallback: tuple[Name, ...] = ()
    """Pools that are tried in this order when no backend of the first can take a request."""
    rewrite: Rewrite = Rewrite()
    """What is changed on the way."""
    timeouts: RouteTimeouts = RouteTimeouts()
    """Limits for this route, in place of its pool's."""
    priority: Annotated[Priority, choice(*get_args(Priority))] = "normal"
    """The class in which its requests wait when backends are at their limits. Classes are served by weight,
    16 : 4 : 1; `low` is turned away first."""
    priority_header: Annotated[PriorityHeader, choice(*get_args(PriorityHeader))] = "any"
    """What a request's own `X-Gateway-Priority: high | normal | low` may do: `any` sets its class, `lower`
    only lowers it, `off` nothing."""
    cache: RouteCache | None = None
    """Whether answers are kept and given again: `on`, `off`, or the keys of [`cache`](#cache) that are
    different here. `null`: off."""
    replayable: Switch = True
    """`on`: a POST here is a computation and may be sent again if nothing of an answer came. `off`: only
    a failed connect is retried."""

    @field_validator("cache", mode="before")
    @classmethod
    def _switched(cls, value: object) -> object:
        if value is True or value in ("on", "true"):
            return {}
        return None if value is False or value in ("off", "false", "null") else value
