"""Which keys does a pool have, and what does each mean?"""

import ssl
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from gateway.settings.fields import (
    Duration,
    DurationOrZero,
    HeaderName,
    Name,
    Number,
    Share,
    Size,
    Statuses,
    Switch,
    Text,
    Trigger,
    Url,
    UrlPathOrNull,
)
from gateway.settings.kinds import at_least, choice, percentile, refused, whole, whole_or_auto

#: The names `policy` accepts; each is a key of the registry of policies.
POLICIES = (
    "least_latency", "least_requests", "peak_ewma", "p2c_ewma", "prequal", "consistent_hash", "prefix_aware",
    "round_robin", "random",
)  # fmt: skip
#: The names `health.preset` accepts; each is a key of health/presets.py.
PRESETS = ("vllm", "sglang", "tgi", "triton", "ollama", "llamacpp", "tcp")


class Section(BaseModel):
    """A mapping in the file: no unknown keys, never changed after loading."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True
    )


class BackendTls(Section):
    """How the certificate of an `https://` backend is checked."""

    ca: Text | None = None
    """PEM file with the certificates to trust in place of the system's. A relative path starts at the
    configuration file's folder."""
    verify: Switch = True
    """`off` accepts any certificate: the traffic is encrypted, but anyone may be answering."""

    @field_validator("ca")
    @classmethod
    def _readable(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        path = (info.context or {}).get("base", Path()) / value
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
        except (OSError, ValueError):
            raise refused("a readable file with PEM certificates") from None
        return str(path)

    @field_validator("verify")
    @classmethod
    def _useful(cls, value: bool, info: ValidationInfo) -> bool:
        if not value and info.data.get("ca") is not None:
            raise refused("on, because ca is given: certificates are of no use where nothing is checked")
        return value


class Backend(Section):
    """One model-serving process. The short form is its URL alone."""

    url: Url
    """Where it listens: `http://host:port` or `https://host:port`; a path is put before every request's."""
    name: Name = Field("", validate_default=False)
    """What metrics, logs and `X-Gateway-Backend` call it; unique in its pool. Default: its `host:port`
    (with the path, or a number, where two backends would otherwise have the same name)."""
    weight: Number = 1.0
    """Share of the work relative to the pool's other backends: 2 takes twice as much as 1."""
    labels: dict[Text, Text] = {}
    """Facts of your own, such as `zone: b`, shown by the admin API."""
    max_in_flight: Annotated[int, whole(1, 1_000_000)] | None = None
    """Most requests under way at once; a backend that has as many is no candidate. `null`: no limit."""
    tls: BackendTls = BackendTls()
    """How the certificate of an `https://` backend is checked."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"url": value} if isinstance(value, str) else value

    @field_validator("tls")
    @classmethod
    def _encrypted(cls, value: BackendTls, info: ValidationInfo) -> BackendTls:
        if value.model_fields_set and info.data.get("url", "https:").startswith("http:"):
            raise refused("no tls, because the url is http://, or an https:// url")
        return value


class Health(Section):
    """Active checks: a small GET to each backend, again and again, whether or not there is traffic."""

    path: UrlPathOrNull = "/health"
    """What is asked for. `null`: no active check; only the traffic itself shows that a backend is down."""
    interval: Duration = 5.0
    """From one check of a backend to the next."""
    timeout: Duration = Field(default_factory=lambda data: min(2.0, data.get("interval", 2.0)))
    """A check without an answer by then has failed. At most `interval`; the default gives way to a shorter
    one."""
    rise: Annotated[int, whole(1, 1000)] = 2
    """Successes in a row that bring a backend back."""
    fall: Annotated[int, whole(1, 1000)] = 3
    """Failures in a row that take a backend out."""
    expect: Statuses = "200-399"
    """Statuses that count as a success: one, a range, or several of them with commas: `200,204`."""
    preset: Annotated[str, choice(*PRESETS)] | None = None
    """What kind of server it is, so that the right question is asked and "loading" is understood: `path` and
    `expect` are then the preset's unless given. `tcp` only opens a connection."""

    @field_validator("timeout")
    @classmethod
    def _within_interval(cls, value: float, info: ValidationInfo) -> float:
        if value > info.data.get("interval", value):
            raise refused("a duration of at most the interval")
        return value


class Outlier(Section):
    """Passive checks: a backend whose traffic fails is taken out (ejected) for a while. Failures are 5xx,
    timeouts, cuts and connect errors; an overloaded answer (429, or 503 with Retry-After) and any 4xx are
    none."""

    consecutive_failures: Annotated[int, whole(0, 100_000)] = 5
    """Failures in a row that eject a backend; `0`: none do."""
    failure_ratio: Share = 0.5
    """Share of failures within `window` that ejects a backend, once it had `min_requests`; `0`: none does."""
    min_requests: Annotated[int, whole(1, 1_000_000)] = 20
    """Fewest answers within `window` for which the ratio is looked at."""
    window: Duration = 30.0
    """How far back the ratio looks."""
    ejection: Duration = 10.0
    """How long the first ejection lasts; the second lasts twice as long, and so on."""
    max_ejection: Duration = Field(default_factory=lambda data: max(300.0, data.get("ejection", 0.0)))
    """The longest an ejection becomes. At least `ejection`."""
    max_ejected: Share = 0.5
    """Most of a pool that may be ejected at once; `0` ejects nothing."""
    enforce: Switch = True
    """`off` ejects nobody and only counts who would have been (`gateway_ejections_total`, reason `would_…`):
    to see what the rules would do before they do it."""
    degraded: Share = 0.3
    """Share of its weight that a backend keeps while it is slow against its peers and against its own past;
    `100%` turns this off."""

    @field_validator("max_ejection")
    @classmethod
    def _at_least_ejection(cls, value: float, info: ValidationInfo) -> float:
        if value < info.data.get("ejection", value):
            raise refused("a duration of at least ejection")
        return value


class Timeouts(Section):
    """How long a request may take on the backend's side; each wait has a limit of its own."""

    connect: Duration = 2.0
    """Until a connection stands, TLS included."""
    first_byte: Duration = 120.0
    """From the sent request to the first byte of the answer's body."""
    idle: Duration = 60.0
    """Between two pieces of the answer's body."""
    total: Duration = 900.0
    """From the request's arrival to its answer's end, all attempts together."""


class Retries(Section):
    """When a request may be sent to another backend after one could not serve it."""

    attempts: Annotated[int, whole(1, 100)] = 2
    """Most attempts for one request, the first one included; 1 never sends again."""
    budget: Share = 0.2
    """Most retries, as a share of the pool's requests: a pool in trouble is not buried in repeats."""
    min_per_second: Annotated[int, whole(0, 1_000_000)] = 10
    """Retries per second that are allowed whatever the budget says, so that a quiet pool can retry too."""
    on: tuple[Trigger, ...] = ("connect", "reset", "429", "502", "503", "504")
    """What is worth another attempt: `connect` (no connection), `reset` (cut or broken before an answer),
    `timeout` (no answer in time), or a status: 408, 425, 429, 500 to 599. Nothing is sent again once a byte
    of the answer went to the client."""


class Hedging(Section):
    """A second attempt at another backend before the first has failed: cuts the slowest answers short, for
    a little more load. The answer that begins first is used, the other attempt is cancelled."""

    after: Annotated[float, percentile()] = 0.95
    """When: the percentile of the time to the first body byte of requests of this size, such as `p95`."""
    max: Annotated[int, whole(1, 1)] = 1
    """Most second attempts for one request."""
    budget: Share = 0.05
    """Most second attempts, as a share of the pool's requests; they are paid from `retries.budget` too."""


class Concurrency(Section):
    """How many requests a backend gets at once, and what becomes of those that have to wait."""

    limit: Annotated[int | Literal["auto"] | None, whole_or_auto(1, 1_000_000)] = None
    """Most requests under way at each backend without a `max_in_flight` of its own. `auto` finds the number
    at which more at once only means more waiting there. `null`: no limit, and nothing waits here."""
    queue: Annotated[int, whole(0, 1_000_000)] = 1000
    """Most requests that wait in the pool's queue for a backend below its limit; 503 above. `0`: none."""
    queue_timeout: Duration = 30.0
    """Longest wait there; 503 after it."""


class Affinity(Section):
    """What policies `consistent_hash` and `prefix_aware` go by."""

    header: HeaderName | None = None
    """consistent_hash: the header whose value is the key, such as `x-session-id`; the first that a request
    has of `header`, `field` and its prompt's beginning counts."""
    field: Text | None = None
    """consistent_hash: the member of the JSON body whose value is the key, such as `user`."""
    prefix: Size = 1024
    """How many bytes of the prompt's beginning are the key of consistent_hash."""
    balance: Annotated[float, at_least(1.01)] = 1.25
    """consistent_hash: a backend with this many times the average in flight passes requests on."""
    max_penalty: Duration = 2.0
    """prefix_aware: a request leaves the backend that has seen its beginning when that one is expected to
    answer this much later than the best other; one that has seen a part of it, that part of this."""


class Keepalive(Section):
    """Connections to backends that are kept open for the next request."""

    idle: DurationOrZero = 60.0
    """How long an unused connection is kept; best a little shorter than the backend's own limit."""
    max_idle: Annotated[int, whole(0, 100_000)] = 64
    """Most unused connections to one backend; 0 keeps none."""


class Pool(Section):
    """A named set of backends under one balancing policy."""

    policy: Annotated[str, choice(*POLICIES)] = "least_latency"
    """How one of the backends that can take a request is chosen."""
    backends: Annotated[tuple[Backend, ...], Field(min_length=1)]
    """The model servers, at least one: URLs, or mappings with the keys below."""
    health: Health = Health()
    """Active checks."""
    outlier: Outlier = Outlier()
    """Passive checks."""
    panic_below: Share = 0.5
    """With a smaller share of healthy backends than this, health is ignored and all of them are tried:
    a broken check must not take everything down. `0` never ignores health."""
    timeouts: Timeouts = Timeouts()
    """Limits on each wait."""
    slow_start: DurationOrZero = 30.0
    """How long a backend that has just come (back) gets less work, from a tenth of its weight to all of it;
    it must prove itself by answers too. Where the policy sees slowness, nine that are not slow end it. `0`:
    all at once. A pool's first backends start with all."""
    retries: Retries = Retries()
    """When a request is sent again."""
    hedging: Hedging | None = None
    """A second attempt before the first has failed. `null`: none."""
    concurrency: Concurrency = Concurrency()
    """How many requests at once, and the queue of those that wait."""
    affinity: Affinity = Affinity()
    """What ties a request to a backend, for the policies that care."""
    keepalive: Keepalive = Keepalive()
    """Idle connections to backends."""

    @field_validator("backends")
    @classmethod
    def _named(cls, backends: tuple[Backend, ...]) -> tuple[Backend, ...]:
        """Give every backend without a name its `host:port`, longer where that is taken."""
        taken = {backend.name for backend in backends if backend.name}
        named = []
        for backend in backends:
            if not backend.name:
                name = _free_name(backend, taken)
                taken.add(name)
                named.append(backend.model_copy(update={"name": name}))
            else:
                named.append(backend)
        return tuple(named)


def _free_name(backend: Backend, taken: set[str]) -> str:
    url = urlsplit(backend.url)
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    short = f"{host}:{url.port or (443 if url.scheme == 'https' else 80)}"
    for name in (short, short + url.path):
        if name not in taken:
            return name
    number = 2
    while f"{short}{url.path}#{number}" in taken:
        number += 1
    return f"{short}{url.path}#{number}"
