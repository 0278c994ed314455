"""How does a gateway, or a server, answer under load? A bounded load of chat requests, and its report."""

import argparse
import asyncio
import random
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import aiohttp

from gateway import clock
from gateway.demo.report import Report, Sample

PROMPTS = (
    "What does a health check tell me?",
    "Explain least latency routing in a few sentences.",
    "Why is the time to the first token important?",
    "When should a request be retried, and when not?",
    "How does a cache know that two questions are the same?",
    "Hello, who are you?",
    "What happens when a server is overloaded?",
    "Tell me about streaming and back-pressure.",
)
BACKEND_HEADERS = ("X-Gateway-Backend", "x-demo-server")  # who answered; the second without a gateway
_TOKENS = re.compile(rb'"completion_tokens":\s*(\d+)')
_TAIL = 1024  # bytes at the end of an answer that hold its usage
_END_OF_STREAM = b"[DONE]"


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """`requests` in all, at most `concurrency` at once, `rate` a second (None: as fast as answers come).

    With a rate, latency counts from the moment a request was due, so that a slow server cannot hide by
    being asked less often. `url` is the server's address, with or without `/v1`. Times are seconds.
    Raises ValueError when a value cannot be.
    """

    url: str
    requests: int = 300
    concurrency: int = 16
    stream_share: float = 0.5
    rate: float | None = None
    model: str = "demo"
    max_tokens: tuple[int, int] = (16, 64)
    seed: int = 1
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        if self.requests < 1 or self.concurrency < 1:
            raise ValueError("give at least 1 request, and 1 at once")
        if not 0 <= self.stream_share <= 1:
            raise ValueError(f"the streamed share is {self.stream_share}; give 0 to 1")
        if self.rate is not None and self.rate <= 0:
            raise ValueError(f"the rate is {self.rate}; give more than 0 requests a second")

    @property
    def endpoint(self) -> str:
        return self.url.rstrip("/").removesuffix("/v1") + "/v1/chat/completions"


async def run(options: LoadOptions) -> Report:
    """Send the load and wait for every answer; failures are in the report, never raised."""
    plan = iter(_plan(options))
    samples: list[Sample] = []
    began = clock.now()
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=options.timeout_s)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def worker() -> None:
            for due_s, body in plan:
                await asyncio.sleep(max(0.0, began + due_s - clock.now()))
                due = began + due_s if options.rate else clock.now()
                samples.append(await _ask(session, options.endpoint, body, due))

        await asyncio.gather(*(worker() for _ in range(min(options.concurrency, options.requests))))
    return Report(tuple(samples), clock.now() - began)


def _plan(options: LoadOptions) -> list[tuple[float, dict[str, object]]]:
    """When each request is due, in seconds after the start, and what it asks: the same for the same seed."""
    rng = random.Random(options.seed)
    streamed = round(options.requests * options.stream_share)
    streams = [True] * streamed + [False] * (options.requests - streamed)
    rng.shuffle(streams)
    return [
        (number / options.rate if options.rate else 0.0, _body(options, rng, stream))
        for number, stream in zip(count(), streams)
    ]


def _body(options: LoadOptions, rng: random.Random, stream: bool) -> dict[str, object]:
    body: dict[str, object] = {
        "model": options.model,
        "messages": [{"role": "user", "content": rng.choice(PROMPTS)}],
        "max_tokens": rng.randint(*options.max_tokens),
    }
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


async def _ask(session: aiohttp.ClientSession, url: str, body: dict[str, object], due: float) -> Sample:
    """Send one request and read its whole answer."""
    sample = Sample(streamed="stream" in body)
    try:
        async with session.post(url, json=body) as response:
            sample.status = response.status
            sample.backend = next((h for name in BACKEND_HEADERS if (h := response.headers.get(name))), "-")
            await _read(response, sample, due)
    except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
        sample.error = _kind(error)
    sample.total_s = clock.now() - due
    return sample


async def _read(response: aiohttp.ClientResponse, sample: Sample, due: float) -> None:
    tail = b""
    async for piece in response.content.iter_any():
        if not tail:
            sample.first_byte_s = clock.now() - due
        tail = (tail + piece)[-_TAIL:]
    if response.status != 200:
        sample.error = f"http_{response.status}"
    elif sample.streamed and _END_OF_STREAM not in tail:
        sample.error = "cut"
    elif found := _TOKENS.findall(tail):
        sample.tokens = int(found[-1])


def _kind(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    return "connect" if isinstance(error, aiohttp.ClientConnectorError) else "cut"


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m gateway.demo.load`: 0 when every request was answered well, else 1."""
    default = LoadOptions("")
    parser = argparse.ArgumentParser(
        prog="python -m gateway.demo.load",
        description="Send a bounded load of chat requests and print who answered how fast.",
        epilog="example: python -m gateway.demo.load http://127.0.0.1:8080 --requests 500 --concurrency 32",
    )
    add = parser.add_argument
    add("url", help="address of the gateway or server, with or without /v1")
    add("--requests", type=int, default=default.requests, metavar="N", help="default: %(default)s")
    add("--concurrency", type=int, default=default.concurrency, metavar="N", help="default: %(default)s")
    add("--stream-share", type=float, default=default.stream_share, metavar="N", help="0 to 1: %(default)s")
    add("--rate", type=float, metavar="N", help="requests a second (default: as fast as answers come)")
    add("--model", default=default.model, help="default: %(default)s")
    given = parser.parse_args(argv)
    try:
        options = LoadOptions(**vars(given))
    except ValueError as error:
        parser.error(str(error))
    report = asyncio.run(run(options))
    print(report.render())
    return 0 if report.ok == len(report.samples) else 1


if __name__ == "__main__":
    sys.exit(main())
