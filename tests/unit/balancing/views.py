"""What do policies see in tests? Backends and requests that are whatever a test says."""

import random

from gateway.balancing.policy import NO_LIMIT, BackendView, PickContext

FACTS = ("base_weight", "expected", "in_flight", "latency", "limit", "name", "waiting", "weight")


class View(BackendView):
    """A backend as policies see it. Unless given, what is expected of it is latency x (in flight + 1).

    `waiting` is 0 unless set. Nobody is in slow start, unless `weight` is changed alone.
    """

    __slots__ = ("__weakref__", "expected", "latency", "waiting")

    def __init__(
        self,
        name: str,
        latency: float | None = 0.1,
        in_flight: int = 0,
        weight: float = 1.0,
        limit: int = NO_LIMIT,
        expected: float | None = None,
    ) -> None:
        self.name = name
        self.latency = latency
        self.in_flight = in_flight
        self.waiting = 0
        self.weight = self.base_weight = weight
        self.limit = limit
        self.expected = expected

    def __repr__(self) -> str:
        return f"<View {self.name}>"

    def latency_s(self, now: float) -> float | None:
        return self.latency

    def expected_s(self, now: float, context: PickContext) -> float:
        if self.expected is not None:
            return self.expected
        return (0.1 if self.latency is None else self.latency) * (self.in_flight + 1)

    def facts(self) -> tuple[object, ...]:
        return tuple([getattr(self, fact) for fact in FACTS])


def fleet(count: int) -> list[View]:
    """So many equal backends, in order by name."""
    return [View(f"b{number:04}") for number in range(count)]


def context(
    seed: int = 1, now: float = 10.0, key: int | None = None, prefixes: tuple[int, ...] = ()
) -> PickContext:
    return PickContext(now, random.Random(seed), key=key, prefixes=prefixes)


def picked(view: BackendView) -> View:
    """What a policy picked, as the view it is."""
    assert isinstance(view, View)
    return view
