"""Each policy's own rule, on candidates small enough to check by hand."""

import random

import pytest

from gateway.balancing.least_latency import LeastLatency
from gateway.balancing.least_requests import LeastRequests
from gateway.balancing.policy import BackendView, PickContext
from gateway.balancing.random_choice import RandomChoice
from gateway.balancing.round_robin import RoundRobin


class View:
    """A backend as policies see it."""

    def __init__(
        self, name: str, latency: float | None = 0.1, in_flight: int = 0, weight: float = 1.0
    ) -> None:
        self.name = name
        self.weight = weight
        self.in_flight = in_flight
        self.latency = latency

    def latency_s(self, now: float) -> float | None:
        return self.latency


def context(seed: int = 1) -> PickContext:
    return PickContext(10.0, random.Random(seed))


def test_least_latency_multiplies_latency_and_queue() -> None:
    """0.1 x 4 beats 0.5 x 1 and loses to 0.35 x 1."""
    busy = View("a", 0.1, in_flight=3)
    assert LeastLatency().pick([busy, View("b", 0.5)], context()) is busy
    idle = View("b", 0.35)
    assert LeastLatency().pick([busy, idle], context()) is idle


def test_least_latency_divides_by_weight() -> None:
    """Twice the weight makes up for twice the latency, and a little more decides."""
    heavy = View("b", 0.19, weight=2.0)
    assert LeastLatency().pick([View("a", 0.1), heavy], context()) is heavy


def test_least_latency_gives_the_unmeasured_the_lower_median() -> None:
    """Of 0.1, 0.2, 0.3, 0.4 the newcomer gets 0.2; with nothing measured, requests in flight decide."""
    candidates = [View("a", 0.4), View("b", 0.1), View("c", None), View("d", 0.2), View("e", 0.3)]
    assert LeastLatency().scores(candidates, 0.0)[2]["latency_s"] == 0.2
    assert LeastLatency().pick(candidates, context()).name == "b"
    unknown = [View("a", None, in_flight=2), View("b", None, in_flight=1), View("c", None, in_flight=3)]
    assert LeastLatency().pick(unknown, context()).name == "b"


def test_the_unmeasured_are_asked_and_do_not_take_the_burst() -> None:
    """Beside an equal peer the newcomer gets half of twenty simultaneous requests, give or take one."""
    old, new = View("a", 0.1), View("b", None)
    for _ in range(20):
        picked = LeastLatency().pick([old, new], context())
        assert isinstance(picked, View)
        picked.in_flight += 1
    assert abs(old.in_flight - new.in_flight) <= 1


@pytest.mark.parametrize("policy", [LeastLatency(), LeastRequests()])
@pytest.mark.parametrize("latency", [0.1, None])
def test_ties_are_broken_at_random(policy: LeastLatency | LeastRequests, latency: float | None) -> None:
    """Equal candidates share alike: never the first by position."""
    candidates: list[BackendView] = [View(name, latency) for name in "abc"]
    at = context()
    picks = [policy.pick(candidates, at).name for _ in range(3000)]
    assert all(900 < picks.count(name) < 1100 for name in "abc")


def test_least_requests_compares_load_per_weight() -> None:
    """(5 + 1) / 4 beats (1 + 1) / 1, whatever the latencies."""
    heavy = View("a", 9.0, in_flight=5, weight=4.0)
    assert LeastRequests().pick([heavy, View("b", 0.1, in_flight=1)], context()) is heavy


def test_round_robin_is_smooth() -> None:
    """Weights 5, 1, 1: a a b a c a a, the sequence nginx documents."""
    candidates: list[BackendView] = [View("a", weight=5.0), View("b"), View("c")]
    policy = RoundRobin()
    assert "".join(policy.pick(candidates, context()).name for _ in range(14)) == "aabacaaaabacaa"


def test_round_robin_goes_on_when_one_leaves_and_returns() -> None:
    """Its turn comes by name, so the others keep theirs while one is away."""
    a, b, c = View("a"), View("b"), View("c")
    policy = RoundRobin()
    assert policy.pick([a, b, c], context()) is a
    assert policy.pick([a, c], context()) is c
    assert [policy.pick([a, b, c], context()).name for _ in range(3)].count("b") >= 1


def test_round_robin_forgets_names_that_are_gone() -> None:
    """Backends that come and go under new names do not fill the memory."""
    policy = RoundRobin()
    for number in range(1000):
        policy.pick([View(f"pod-{number}"), View("b")], context())
    assert len(policy._credit) <= 2 * 2 + 64


def test_round_robin_scores_tell_whose_turn_is_next() -> None:
    """The lowest score is the next pick, and asking does not take a turn."""
    candidates: list[BackendView] = [View("a", weight=3.0), View("b", weight=2.0), View("c")]
    policy = RoundRobin()
    for _ in range(12):
        scores = [row["score"] or 0.0 for row in policy.scores(candidates, 0.0)]
        assert policy.pick(candidates, context()) is candidates[scores.index(min(scores))]


def test_random_follows_weights_to_the_last() -> None:
    """A draw close to one picks the last candidate, a draw of zero the first."""

    class Draw(random.Random):
        def __init__(self, value: float) -> None:
            super().__init__(0)
            self.value = value

        def random(self) -> float:
            return self.value

    candidates: list[BackendView] = [View("a", weight=0.1), View("b", weight=0.2), View("c", weight=0.3)]
    for draw, expected in ((0.0, "a"), (0.4, "b"), (1.0 - 2**-53, "c")):
        assert RandomChoice().pick(candidates, PickContext(0.0, Draw(draw))).name == expected
