"""What is done to the model servers, and what is asked of them? Backends, events, requests. Pure, seeded."""

import json
import math
import random
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.shootout.engines import Batching

MODEL = "bench-a"
PATH = "/v1/chat/completions"
PROMPT_BYTES = 1024  # of a request without a prompt length of its own: the 1 KB POST of the other benchmarks
BYTES_PER_TOKEN = 4
SPREAD_TOKENS = 0.66  # sigma of the lognormal lengths: Azure's conversations 2023, output p99/p50 = 601/129
SPREAD_PROMPT = 0.60  # and input 4142/1020
MOST_LENGTHS = 4  # times the median: one request must not outlast a short round


@dataclass(frozen=True, slots=True)
class Backend:
    """One model server: `slots` requests at once, or a continuous batch if `batching` is given.

    `limit`: with as many requests inside, it answers 429 with a Retry-After. 0: it never does.
    """

    speed: float = 1.0
    slots: int = 4
    batching: Batching | None = None
    limit: int = 0

    @property
    def at_once(self) -> int:
        """What an operator knows as its limit."""
        return self.batching.streams if self.batching else self.slots


@dataclass(frozen=True, slots=True)
class Event:
    """At `at` seconds into the measurement, `backend` does something.

    speed: `value` times its own · failing: 503 after 2 ms while 1 · hung: reads, answers nothing while 1 ·
    loading: 503, also to health checks, while 1 · down: listener and connections gone · drain: listener gone,
    requests inside finish · up: listens again
    """

    at: float
    backend: int
    do: str
    value: float = 1.0


@dataclass(frozen=True, slots=True)
class Work:
    """How requests are drawn: `service_s` on average at speed 1, or lengths in tokens (medians)."""

    service_s: float = 0.0
    prompt: int = 0
    tokens: int = 0

    def draw(self, rng: random.Random) -> tuple[float, int, int]:
        """One request's seconds, prompt tokens and tokens to make; those that do not apply are 0."""
        if not self.tokens:
            return _service(rng, self.service_s), 0, 0
        return 0.0, _length(rng, self.prompt, SPREAD_PROMPT), _length(rng, self.tokens, SPREAD_TOKENS)

    def mean_lengths(self) -> tuple[float, float]:
        """Prompt and answer on average, of a lognormal: median · exp(sigma² / 2)."""
        return self.prompt * math.exp(SPREAD_PROMPT**2 / 2), self.tokens * math.exp(SPREAD_TOKENS**2 / 2)


def _service(rng: random.Random, mean_s: float) -> float:
    """A normal with standard deviation = mean, cut at 0, as in the Prequal paper; scaled to keep its mean.

    Cutting N(m, m) at 0 raises its mean to m · (1 + φ(1) / Φ(1)) = 1.2876 m.
    """
    middle = mean_s / 1.2876
    while True:
        drawn = rng.gauss(middle, middle)
        if drawn > 0:
            return drawn


def _length(rng: random.Random, median: int, sigma: float) -> int:
    return max(1, round(min(rng.lognormvariate(math.log(median), sigma), MOST_LENGTHS * median)))


def capacity(backend: Backend, work: Work) -> float:
    """Requests a second the backend can serve at its speed when it is always full."""
    if backend.batching is None:
        return backend.slots * backend.speed / work.service_s
    shape, (prompt, tokens) = backend.batching, work.mean_lengths()
    step_share_s = tokens * (shape.a_s + shape.b_s * shape.streams) / shape.streams
    return backend.speed / (step_share_s + prompt / shape.prefill)


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent `at` seconds into the measurement; before 0 it is warm-up, and not counted."""

    at: float
    service_s: float
    prompt: int
    tokens: int
    body: bytes


def requests(rate: float, work: Work, seconds: float, warm_up_s: float, seed: str) -> list[Request]:
    """Poisson arrivals from `-warm_up_s` to `seconds`. The same seed gives the same requests everywhere."""
    rng = random.Random(seed)
    found: list[Request] = []
    at = -warm_up_s + rng.expovariate(rate)
    while at < seconds:
        service_s, prompt, tokens = work.draw(rng)
        found.append(Request(at, service_s, prompt, tokens, body(rng, service_s, prompt, tokens)))
        at += rng.expovariate(rate)
    return found


def body(rng: random.Random, service_s: float, prompt: int, tokens: int) -> bytes:
    """A chat request with the work in its prompt, where even a proxy that rewrites the JSON leaves it alone.

    Each prompt begins with other words, so that a router which goes by prefixes has nothing to go by.
    """
    work = f"{rng.getrandbits(64):016x} work_us={round(service_s * 1e6)} prompt={prompt} tokens={tokens} "
    length = prompt * BYTES_PER_TOKEN if prompt else PROMPT_BYTES
    document: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": work + "x" * max(0, length - len(work))}],
    }
    if tokens:
        document |= {"max_tokens": tokens, "stream": True}
    return json.dumps(document, separators=(",", ":")).encode()


def as_json(backends: tuple[Backend, ...], events: tuple[Event, ...], ports: list[int]) -> str:
    """What the model server is started with."""
    rows = [asdict(backend) | {"port": port} for backend, port in zip(backends, ports, strict=True)]
    return json.dumps({"backends": rows, "events": [asdict(event) for event in events]})


def from_json(text: str) -> tuple[list[tuple[int, Backend]], list[Event]]:
    """The other side of `as_json`."""
    document = json.loads(text)
    backends = []
    for row in document["backends"]:
        port, batching = row.pop("port"), row.pop("batching")
        backends.append((port, Backend(**row, batching=Batching(**batching) if batching else None)))
    return backends, [Event(**event) for event in document["events"]]
