"""Which keys does a pool have, and what does each mean?"""

import ssl
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from gateway.settings.fields import (
    Duration,
    DurationOrZero,
    Name,
    Number,
    Share,
    Statuses,
    Switch,
    Text,
    Trigger,
    Url,
    UrlPathOrNull,
)
from gateway.settings.kinds import choice, refused, whole

#: The names `policy` accepts; each is a key of the registry of policies.
POLICIES = ("least_latency", "least_requests", "round_robin", "random")


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

    @field_validator("timeout")
    @classmethod
    def _within_interval(cls, value: float, info: ValidationInfo) -> float:
        if value > info.data.get("interval", value):
            raise refused("a duration of at most the interval")
        return value


class Outlier(Section):
    """Passive checks: a backend whose traffic fails is taken out (ejected) for a while."""

    consecutive_failures: Annotated[int, whole(0, 100_000)] = 5
    """Failures in a row (5xx, timeout, cut, connect error) that eject a backend; 4xx answers never count.
    `0` ejects nothing."""
    ejection: Duration = 10.0
    """How long the first ejection lasts; the second lasts twice as long, and so on."""
    max_ejection: Duration = Field(default_factory=lambda data: max(300.0, data.get("ejection", 0.0)))
    """The longest an ejection becomes. At least `ejection`."""
    max_ejected: Share = 0.5
    """Most of a pool that may be ejected at once; `0` ejects nothing."""

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
    retries: Retries = Retries()
    """When a request is sent again."""
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
