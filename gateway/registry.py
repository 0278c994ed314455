"""Which implementations can be named in a configuration? Every extension point on one screen."""

from collections.abc import Callable
from pathlib import Path
from random import Random

from gateway.balancing.consistent_hash import ConsistentHash
from gateway.balancing.least_latency import LeastLatency
from gateway.balancing.least_requests import LeastRequests
from gateway.balancing.p2c_ewma import P2cEwma
from gateway.balancing.peak_ewma import PeakEwma
from gateway.balancing.policy import Policy, PolicyOptions
from gateway.balancing.prefix_aware import PrefixAware
from gateway.balancing.prequal import Prequal
from gateway.balancing.random_choice import RandomChoice
from gateway.balancing.round_robin import RoundRobin
from gateway.cache.disk import DiskOptions, DiskStore
from gateway.cache.redis import RedisOptions, RedisStore
from gateway.cache.store import SharedStore
from gateway.health import probes
from gateway.settings.cache import Cache as CacheSettings

#: Each makes a policy of its own for one pool.
POLICIES: dict[str, Callable[[PolicyOptions], Policy]] = {
    "least_latency": lambda _: LeastLatency(),
    "least_requests": lambda _: LeastRequests(),
    "peak_ewma": lambda _: PeakEwma(),
    "p2c_ewma": lambda _: P2cEwma(),
    "prequal": lambda _: Prequal(),
    "consistent_hash": lambda options: ConsistentHash(options.balance),
    "prefix_aware": lambda options: PrefixAware(options.max_penalty_s),
    "round_robin": lambda _: RoundRobin(),
    "random": lambda _: RandomChoice(),
}

PROBES: dict[str, probes.Probe] = {
    "http": probes.http,
    "tcp": probes.tcp,
}

#: What is behind memory, by `cache.store`; each is made from that block. `memory` is nothing behind it.
STORES: dict[str, Callable[[CacheSettings, Random], SharedStore]] = {
    "disk": lambda settings, _: DiskStore(
        DiskOptions(Path(settings.path or ""), settings.max_size, settings.max_entry)
    ),
    "redis": lambda settings, rng: RedisStore(
        RedisOptions(
            settings.redis.url,
            settings.redis.namespace,
            settings.max_entry,
            settings.redis.timeout,
            settings.redis.timeout,
        ),
        rng,
    ),
}
