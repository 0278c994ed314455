"""When is which backend asked how it is? A probe loop per backend, on connections of its own."""

import asyncio
import random
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import aiohttp

from gateway import clock
from gateway.health.probes import Probe, Probed, http, open_session
from gateway.health.state import HealthRule, Result
from gateway.rounds import Rounds
from gateway.tasks import Tasks

#: How soon to ask again while the next probes decide something.
SOON_S = 1.0
JITTER = 0.1
#: Most probes left out in a row. Traffic proves that a server can answer, not that it wants more: one that is
#: about to leave says so on its health path while it still answers well, and has to be heard.
MOST_SKIPPED = 5

#: (backend, what came of the probe, why in a few words)
Report = Callable[[Probed, Result, str], None]


@dataclass(frozen=True, slots=True)
class Target:
    """A backend to probe, how, and with which TLS settings (None: the usual ones)."""

    backend: Probed
    rule: HealthRule
    tls: ssl.SSLContext | None = None
    probe: Probe = http


class HealthChecker:
    """Probes every target for ever and reports each result; knows nothing of pools.

    The report is expected to pass the result on to the backend, whose `settled` then tells how
    soon the next probe is due. A probe that live traffic makes needless is left out and reported as skipped.
    `now` is the clock that `answered_at` goes by.
    """

    def __init__(
        self, tasks: Tasks, report: Report, rng: random.Random, now: Callable[[], float] = clock.now
    ) -> None:
        self._rounds = Rounds(tasks, "health", open_session, self._loop)
        self._report = report
        self._rng = rng
        self._now = now

    def __repr__(self) -> str:
        return f"<HealthChecker {len(self._rounds)} backends>"

    async def start(self, targets: Iterable[Target]) -> None:
        """Begin to probe; the first probe of each goes out at once."""
        self._rounds.start()
        self.update(targets)

    def update(self, targets: Iterable[Target]) -> None:
        """Probe exactly these from now on. A target that is as before goes on undisturbed."""
        self._rounds.update({(target.backend.pool, target.backend.name): target for target in targets})

    async def close(self) -> None:
        """Stop probing and close the connections."""
        await self._rounds.close()

    async def _loop(self, session: aiohttp.ClientSession, target: Target) -> None:
        first, skipped = True, 0
        while True:
            proven_s = proven_for_s(target.backend, target.rule.interval_s, self._now())
            if proven_s > 0.0 and skipped < MOST_SKIPPED:
                skipped += 1
                self._report(target.backend, "skipped", "its traffic is answered well")
                await asyncio.sleep(proven_s)
                continue
            result, why = await target.probe(session, target.backend, target.rule, target.tls)
            self._report(target.backend, result, why)
            pause = pause_s(target.rule.interval_s, target.backend.settled, first, self._rng)
            await asyncio.sleep(pause)
            first, skipped = False, 0


def proven_for_s(backend: Probed, interval_s: float, now: float) -> float:
    """Seconds from `now` for which the backend's traffic answers what a probe would ask; 0 or less: ask.

    Only of a backend that is up, with no probe speaking against it: what is out, or in doubt, is probed.
    """
    if backend.state != "up" or not backend.settled or not backend.answered_at:
        return 0.0
    return backend.answered_at + interval_s - now


def pause_s(interval_s: float, settled: bool, first: bool, rng: random.Random) -> float:
    """Seconds until the next probe: the interval, a tenth more or less; at most about 1 s while undecided.

    After the first probe it is a random part of the interval, which spreads the probes of backends that
    were all added at the same moment.
    """
    if settled and first:
        return interval_s * rng.random()
    interval_s = interval_s if settled else min(SOON_S, interval_s)
    return interval_s * (1.0 - JITTER + 2.0 * JITTER * rng.random())
