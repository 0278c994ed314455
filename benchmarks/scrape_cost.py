"""What does a scrape of /metrics cost, and how long does it hold up requests? By the number of backends."""

import argparse
import asyncio
import gc
import random
import time
from collections.abc import Sequence
from statistics import median

import uvloop

from gateway.balancing.policy import PolicyOptions
from gateway.messages import Exchange, Outcome
from gateway.pool import stats
from gateway.pool.backend import BackendSpec
from gateway.pool.pool import Pool
from gateway.registry import POLICIES
from gateway.telemetry.exposition import Exposition
from gateway.telemetry.metrics import Metrics

SIZES = (3, 50, 200)
ROUTES = 10
OPENMETRICS = "application/openmetrics-text"


class Connections:
    """A backend's connections, as far as a scrape looks at them."""

    open, idle, pieces = 8, 5, 0


def made(count: int) -> Exposition:
    """The figures of a gateway with so many backends in one pool, all of which have been at work."""
    rng = random.Random(count)
    specs = [BackendSpec(f"http://10.0.{n // 250}.{n % 250}:8000", max_in_flight=64) for n in range(count)]
    pool = Pool("chat", specs, "least_latency", POLICIES["least_latency"](PolicyOptions()), rng)
    for backend in pool.backends:
        backend.connections = Connections()
        tokens = backend.tokens
        for _ in range(200):
            backend.first_byte.observe(rng.lognormvariate(-1, 1))
            backend.duration.observe(rng.lognormvariate(1, 1))
            tokens.first.observe(rng.lognormvariate(-1, 1))
            tokens.gaps.observe_times(rng.lognormvariate(-4, 1), 50)
        tokens.prompt, tokens.completion, tokens.cached = 123_456, 65_432, 1234
        backend.latency.observe(0.1, 1.0)
        backend.outcomes[Outcome.OK] = 200
    metrics = Metrics("bench")
    for number in range(ROUTES):
        for code in (200, 400, 429, 499, 502):
            exchange = Exchange("POST", "/v1/chat/completions", "id", "10.0.0.1", 0.0)
            exchange.route, exchange.status, exchange.cache = f"route-{number}", code, "miss"
            exchange.ended = rng.lognormvariate(0, 1)
            metrics.observe(exchange)
    return Exposition(metrics, lambda: [pool])


async def turns(until: asyncio.Event) -> list[float]:
    """CPU seconds of each turn of the event loop: what else the machine does is no part of them."""
    lengths = []
    at = time.thread_time()
    while not until.is_set():
        await asyncio.sleep(0)
        now = time.thread_time()
        lengths.append(now - at)
        at = now
    return lengths


async def measure(source: Exposition, accept: str, scrapes: int) -> tuple[list[float], list[float], int]:
    """CPU seconds of each scrape, its longest turn of the event loop, and the bytes of the last."""
    cpu, longest, size = [], [], 0
    for _ in range(scrapes):
        done = asyncio.Event()
        began = time.process_time()
        body, _ = await source.scrape(accept)
        cpu.append(time.process_time() - began)
        size = len(body)
        watching = asyncio.ensure_future(turns(done))
        await asyncio.sleep(0)
        await source.scrape(accept)
        done.set()
        longest.append(max(await watching))
    return cpu, longest, size


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backends", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--scrapes", type=int, default=30)
    options = parser.parse_args(arguments)
    compiled = not str(stats.__file__).endswith(".py")
    print(f"Milliseconds a scrape, the gateway {'' if compiled else 'not '}compiled: least and median\n")
    print("| backends | format | KB | CPU least | CPU median | longest turn least | longest turn median |")
    print("|---:|---|---:|---:|---:|---:|---:|")
    for count in options.backends:
        source = made(count)
        gc.collect()
        gc.freeze()  # as the gateway does when it has started
        for name, accept in (("text", ""), ("OpenMetrics", OPENMETRICS)):
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                cpu, longest, size = runner.run(measure(source, accept, options.scrapes))
            cells = [min(cpu), median(cpu), min(longest), median(longest)]
            shown = " | ".join(f"{seconds * 1e3:.2f}" for seconds in cells)
            print(f"| {count} | {name} | {size // 1000} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
