"""What does it cost to choose a backend? Nanoseconds a pick, for each policy and size of pool."""

import argparse
import random
import time
from collections.abc import Sequence
from itertools import cycle, islice

from gateway.balancing import least_latency
from gateway.balancing.policy import PickContext, PolicyOptions
from gateway.messages import Outcome
from gateway.pool.backend import Backend, BackendSpec
from gateway.pool.pool import Pool
from gateway.registry import POLICIES

SIZES = (4, 16, 64, 100, 1000)
BLOCKS = 8  # of each prompt: one of 4 KB
SAMPLES = 7  # the least of which counts: whatever else the machine does only adds


def backends(count: int) -> Sequence[Backend]:
    """The candidates of a pool that has been at work: all measured, some requests in flight on each."""
    rng = random.Random(count)
    specs = [BackendSpec(f"http://10.0.{number // 250}.{number % 250}:8000") for number in range(count)]
    pool = Pool("bench", specs, "round_robin", POLICIES["round_robin"](PolicyOptions()), rng)
    context = PickContext(0.0, rng, size=1024)
    for number in range(8 * count):
        context.now = number * 1e-3
        lease = pool.acquire(context)
        assert lease is not None
        if rng.random() < 0.5:
            lease.first_body_byte(context.now + rng.uniform(0.05, 0.5))
            lease.close(Outcome.OK, context.now + 1.0)
    return pool.candidates(context.now)


def requests(now: float) -> list[PickContext]:
    """Requests with a key and a prompt each, which all begin with the same two blocks."""
    rng = random.Random(1)
    return [
        PickContext(
            now,
            rng,
            size=4096,
            key=rng.getrandbits(64),
            prefixes=(1, 2, *[rng.getrandbits(63) for _ in range(BLOCKS - 2)]),
        )
        for _ in range(1000)
    ]


def pick_ns(policy: str, candidates: Sequence[Backend], picks: int) -> float:
    """The least of some samples of `picks` picks each."""
    pick = POLICIES[policy](PolicyOptions()).pick
    asked = requests(now=60.0)
    for context in asked:  # rings are built, names met, prompts known
        pick(candidates, context)
    samples = []
    for _ in range(SAMPLES):
        turns = list(islice(cycle(asked), picks))
        start = time.perf_counter()
        for context in turns:
            pick(candidates, context)
        samples.append((time.perf_counter() - start) / picks)
    return min(samples) * 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(POLICIES), default=list(POLICIES), metavar="POLICY")
    parser.add_argument("--picks", type=int, default=2000, help="in each of seven samples")
    options = parser.parse_args()
    compiled = not str(least_latency.__file__).endswith(".py")
    print(f"Nanoseconds a pick, the gateway {'' if compiled else 'not '}compiled\n")
    print(f"| policy | {' | '.join(map(str, SIZES))} | 1000 ÷ 100 |")
    print(f"|---|{'---:|' * (len(SIZES) + 1)}")
    pools = {size: backends(size) for size in SIZES}
    for policy in options.only:
        costs = {size: pick_ns(policy, pools[size], options.picks) for size in SIZES}
        cells = " | ".join(f"{cost:.0f}" for cost in costs.values())
        print(f"| {policy} | {cells} | {costs[1000] / costs[100]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
