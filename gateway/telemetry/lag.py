"""How long does the event loop make others wait? Measured by how late a timer runs."""

import asyncio
from collections.abc import Awaitable, Callable

from gateway import clock
from gateway.pool.stats import Histogram

INTERVAL_S = 0.5


async def measure_lag(
    lag: Histogram,
    interval_s: float = INTERVAL_S,
    now: Callable[[], float] = clock.now,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Observe in `lag`, every `interval_s`, the seconds by which a timer was late; until cancelled."""
    while True:
        due = now() + interval_s
        await sleep(interval_s)
        lag.observe(max(0.0, now() - due))
