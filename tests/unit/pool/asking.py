"""How is a pool asked in tests? As a request would ask it: now, and not those it has been to."""

import random

from gateway.balancing.context import PickContext
from gateway.messages import Outcome
from gateway.pool.lease import Lease
from gateway.pool.pool import Pool


def asked(
    now: float, *tried: str, size: int = 0, stream: bool = False, rng: random.Random | None = None
) -> PickContext:
    """A request that was at the backends called `tried`."""
    return PickContext(now, rng or random.Random(1), tried, size, stream)


def take(pool: Pool, now: float, *tried: str, size: int = 0, stream: bool = False) -> Lease:
    """A lease for such a request, which need not wait for it."""
    lease = pool.acquire(asked(now, *tried, size=size, stream=stream, rng=pool.rng))
    assert lease is not None, "the pool says that it has to wait"
    return lease


def take_from(pool: Pool, name: str, now: float, size: int = 0, stream: bool = False) -> Lease:
    """A lease on exactly that backend."""
    others = [backend.name for backend in pool.backends if backend.name != name]
    lease = take(pool, now, *others, size=size, stream=stream)
    assert lease.backend.name == name
    return lease


def at_work(pool: Pool, seconds: dict[str, float], until: float, since: float = 0.0) -> None:
    """Each of these backends has one request after the other from `since` to `until`, and takes so long."""
    under_way = [(since + seconds[name], take_from(pool, name, since)) for name in seconds]
    while under_way:
        now, lease = min(under_way, key=lambda pair: pair[0])
        under_way.remove((now, lease))
        lease.close(Outcome.OK, now)
        if now < until:
            name = lease.backend.name
            under_way.append((now + seconds[name], take_from(pool, name, now)))
