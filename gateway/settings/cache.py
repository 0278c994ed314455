"""Which keys does the response cache have, for the gateway and for one route, and what does each mean?"""

from typing import Annotated, Literal, get_args

from gateway.settings.fields import Duration, DurationOrZero, Method, Share, Size, Switch, Text, text
from gateway.settings.kinds import Kind, choice, whole
from gateway.settings.pools import Section

StoreName = Literal["memory", "disk", "redis"]
Eviction = Literal["cost", "lru", "lfu"]
Sampled = Literal["bypass", "store"]
Replay = Literal["instant", "recorded"]

_MIB = 1024 * 1024
SCOPE = "credential, shared, or header:NAME[,NAME] with the names of request fields"


def _scope(value: object) -> str:
    if isinstance(value, str):
        if value in ("credential", "shared"):
            return value
        kind, _, names = value.partition(":")
        listed = [name.strip() for name in names.split(",")]
        if kind == "header" and len(listed) <= 16 and all(_is_token(name) for name in listed):
            return "header:" + ",".join(name.lower() for name in listed)
    raise ValueError(SCOPE)


def _is_token(name: str) -> bool:
    return 0 < len(name) <= 100 and all(c.isascii() and (c.isalnum() or c in "!#$%&'*+.^_`|~-") for c in name)


Scope = Annotated[str, Kind("`credential` \\| `shared` \\| `header:NAME`", _scope, {"type": "string"})]


def _version(value: object) -> str:
    if isinstance(value, str) and value.startswith("header:") and not _is_token(value[7:].strip()):
        raise ValueError("text of your own, header:NAME with the name of a response field, models, or null")
    return text(value)


Version = Annotated[
    str, Kind("text \\| `header:NAME` \\| `models`", _version, {"type": ["string", "integer"]})
]


def _redis_url(value: object) -> str:
    if (
        isinstance(value, str)
        and value.startswith(("redis://", "rediss://", "unix://"))
        and value.isprintable()
    ):
        return value
    raise ValueError("a URL such as redis://redis:6379/0, rediss://… for TLS, or unix:///path/to/socket")


RedisUrl = Annotated[str, Kind("redis URL", _redis_url, {"type": "string", "pattern": "^(rediss?|unix)://"})]


class Redis(Section):
    """The server that `store: redis` shares entries through: Redis or Valkey."""

    url: RedisUrl = "redis://127.0.0.1:6379/0"
    """`redis://` or `rediss://` (TLS), with user and password where the server wants them; they belong into
    the environment: `redis://:${REDIS_PASSWORD}@redis:6379/0`."""
    namespace: Text = "gateway"
    """What the names of all its keys begin with; gateways with the same one share their entries."""
    timeout: Duration = 0.05
    """Longest that one question to it may take; beyond that it is a miss."""


class Audit(Section):
    """A check of what is kept: hits are asked for anew while their pool is idle, and the answers compared."""

    share: Share = 0.0
    """Share of hits that are audited, at most one a second. `0`: none."""
    max_mismatch: Share = 0.05
    """Above this share of other answers among the last 100 audits the route's cache goes off."""
    min_checked: Annotated[int, whole(1, 100)] = 20
    """Audits before that is decided."""


class RouteCache(Section):
    """A route's cache. The short form is `on` or `off`. A key that is left out is as in [`cache`](#cache)."""

    ttl: Duration | None = None
    """How long an answer that does not say so itself is fresh."""
    stale_while_revalidate: DurationOrZero | None = None
    """How long beyond that it is still given at once, while one request asks for it anew."""
    stale_if_error: DurationOrZero | None = None
    """How long beyond that it stands in where backends fail."""
    methods: tuple[Method, ...] | None = None
    """Methods whose answers are kept."""
    max_entry: Size | None = None
    """Largest answer that is kept."""
    scope: Scope | None = None
    """Whose answers a request may be given."""
    ignore: tuple[Text, ...] | None = None
    """Members of JSON bodies that make no difference to the answer."""
    sampled: Annotated[Sampled, choice(*get_args(Sampled))] | None = None
    """What is done with requests whose answers are drawn by chance."""
    coalesce: Switch | None = None
    """Whether identical requests wait for one answer."""
    negative_ttl: DurationOrZero | None = None
    """How long errors that the request itself explains are kept."""
    replay: Annotated[Replay, choice(*get_args(Replay))] | None = None
    """How a stored stream is given again."""
    fingerprint: Version | None = None
    """Which version of the model answers."""


class Cache(Section):
    """The response cache: where answers are kept, and the rules for every route that says `cache: on`.
    Without `routes`, writing this block turns it on for everything."""

    store: Annotated[StoreName, choice(*get_args(StoreName))] = "memory"
    """`memory`: this process. `disk`: a file on this machine, which survives a restart. `redis`: shared by
    all gateways with the same server and namespace. Memory stays in front of both."""
    max_size: Size = 256 * _MIB
    """Most memory that entries take, and most that the file takes."""
    max_entry: Size = 2 * _MIB
    """Largest answer that is kept."""
    eviction: Annotated[Eviction, choice(*get_args(Eviction))] = "cost"
    """Which entries go when there is no room. `cost`: those that save the fewest backend seconds per byte.
    `lru`: those that were not asked for the longest. `lfu`: those that are asked for least."""
    path: Text | None = None
    """The file of `store: disk`; with `store: memory`, a snapshot that is written at the end and read at the
    start. `null`: none, which `disk` does not allow."""
    redis: Redis = Redis()
    """The server of `store: redis`."""
    salt: Text | None = None
    """A secret that goes into the keys, so that no credential can be guessed from them; gateways that share a
    store need the same one. `null`: with `memory` and no `path` a random one, else none."""
    ttl: Duration = 3600.0
    """How long an answer that does not say so itself (`Cache-Control`, `Expires`) is fresh."""
    stale_while_revalidate: DurationOrZero = 0.0
    """How long beyond that it is still given at once, while one request asks for it anew."""
    stale_if_error: DurationOrZero = 0.0
    """How long beyond that it stands in where backends fail, are all down or turn requests away."""
    methods: tuple[Method, ...] = ("GET", "HEAD", "POST")
    """Methods whose answers are kept."""
    scope: Scope = "credential"
    """Whose answers a request may be given: those to the same credential (`Authorization`, `X-API-Key`,
    `Cookie` and their like), to everybody (`shared`), or to the same values of request fields."""
    ignore: tuple[Text, ...] = ("user", "stream_options")
    """Members of JSON bodies that make no difference to the answer."""
    sampled: Annotated[Sampled, choice(*get_args(Sampled))] = "bypass"
    """What is done with requests whose answers are drawn by chance: `temperature` above 0 or `n` above 1, and
    no `seed`. `bypass`: always asked anew. `store`: one draw is kept and given again."""
    coalesce: Switch = True
    """Whether identical requests under way wait for one answer, streamed ones from its first piece on."""
    negative_ttl: DurationOrZero = 0.0
    """How long errors that the request itself explains (400, 404, 405, 410, 413, 414, 415, 422, 501) are
    kept; no other error ever is. `0`: not at all."""
    replay: Annotated[Replay, choice(*get_args(Replay))] = "instant"
    """How a stored stream is given again: all at once, or at the pace at which it came (`recorded`)."""
    fingerprint: Version | None = None
    """Which version of the model answers: only its own answers are given. A text of your own, changed with
    the model; `header:NAME`, a field of the answers that names it; `models`, what backends say at
    `/v1/models`. `null`: versions are not told apart."""
    audit: Audit = Audit()
    """Whether what is kept is checked against the backends."""
