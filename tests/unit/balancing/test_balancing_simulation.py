"""In a small simulated world least latency does what it is there for. Seeded: the same at every run."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from gateway.balancing.policy import PickContext, PolicyOptions
from gateway.messages import Outcome
from gateway.pool.backend import BackendSpec
from gateway.pool.lease import Lease
from gateway.pool.pool import Pool
from gateway.registry import POLICIES

SLOTS = 4
MEAN_WORK_S = 0.2


@dataclass
class World:
    """Servers with four slots and a queue each, Poisson arrivals, the production pool in front.

    `slowness(name, now)` multiplies the work of a request that begins then.
    """

    policy: str
    seed: int
    names: tuple[str, ...]
    slowness: Callable[[str, float], float]
    seconds: float
    rate: float
    answers: list[tuple[float, float, str]] = field(default_factory=list)  # (arrival, latency, backend)

    def run(self) -> "World":
        rng = random.Random(self.seed)
        context = PickContext(0.0, random.Random(self.seed + 2))
        pool = Pool(
            "sim",
            [BackendSpec(f"http://{name}.test", name) for name in self.names],
            self.policy,
            POLICIES[self.policy](PolicyOptions()),
            random.Random(self.seed + 1),
        )
        free = {name: [0.0] * SLOTS for name in self.names}
        ends: list[tuple[float, int, Lease]] = []
        now, number = 0.0, 0
        while now < self.seconds:
            now += rng.expovariate(self.rate)
            while ends and ends[0][0] <= now:
                end, _, lease = heapq.heappop(ends)
                lease.first_body_byte(end)
                lease.close(Outcome.OK, end)
            context.now = now
            lease = pool.acquire(context)
            assert lease is not None
            name = lease.backend.name
            begin = max(now, heapq.heappop(free[name]))
            work = max(0.01, rng.gauss(MEAN_WORK_S, MEAN_WORK_S / 2)) * self.slowness(name, begin)
            heapq.heappush(free[name], begin + work)
            number += 1
            heapq.heappush(ends, (begin + work, number, lease))
            self.answers.append((now, begin + work - now, name))
        return self

    def percentile(self, share: float) -> float:
        latencies = sorted(latency for arrival, latency, _ in self.answers if arrival > 5.0)
        return latencies[int(share * len(latencies))]

    def share(self, name: str, start: float, end: float) -> float:
        picked = [backend for arrival, _, backend in self.answers if start <= arrival < end]
        return picked.count(name) / len(picked)


def uneven(name: str, now: float) -> float:
    """Two ordinary servers, one twice and one four times as slow."""
    return {"a": 1.0, "b": 1.0, "c": 2.0, "d": 4.0}[name]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_least_latency_beats_the_others_on_unequal_servers(seed: int) -> None:
    """At two thirds of capacity its p95 is under half of round robin's, and below least requests'."""
    p95 = {
        policy: World(policy, seed, ("a", "b", "c", "d"), uneven, 60.0, rate=37.0).run().percentile(0.95)
        for policy in ("least_latency", "round_robin", "least_requests")
    }
    assert p95["least_latency"] < 0.5 * p95["round_robin"]
    assert p95["least_latency"] < p95["least_requests"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_least_latency_turns_away_from_a_server_that_became_slow_and_back(seed: int) -> None:
    """Five times slower from 30 s to 60 s: its share falls at once and returns afterwards."""

    def slowed(name: str, now: float) -> float:
        return 5.0 if name == "a" and 30.0 <= now < 60.0 else 1.0

    world = World("least_latency", seed, ("a", "b", "c", "d"), slowed, 120.0, rate=40.0).run()
    assert 0.125 < world.share("a", 10.0, 30.0) < 0.5
    assert world.share("a", 32.0, 60.0) < 0.06
    assert 0.125 < world.share("a", 80.0, 120.0) < 0.5


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_equal_servers_get_equal_shares(seed: int) -> None:
    """Nobody is favoured by name or position: each has between half and twice its part."""
    world = World("least_latency", seed, ("a", "b", "c", "d"), lambda *_: 1.0, 60.0, rate=40.0).run()
    assert all(0.125 < world.share(name, 5.0, 60.0) < 0.5 for name in "abcd")
