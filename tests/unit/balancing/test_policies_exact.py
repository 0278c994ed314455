"""Each policy's own rule, on candidates small enough to check by hand."""

import random
from collections import Counter

import pytest

from gateway.balancing.latencies import latencies_s
from gateway.balancing.least_latency import LeastLatency
from gateway.balancing.least_requests import LeastRequests
from gateway.balancing.p2c_ewma import P2cEwma
from gateway.balancing.peak_ewma import PeakEwma
from gateway.balancing.policy import BackendView, PickContext, Policy
from gateway.balancing.prequal import Prequal
from gateway.balancing.random_choice import RandomChoice
from tests.unit.balancing.views import View, context, fleet, picked


class Draw(random.Random):
    """Dice that fall as told, the last fall again and again."""

    def __init__(self, *falls: float) -> None:
        super().__init__(0)
        self.falls = list(falls)

    def random(self) -> float:
        return self.falls.pop(0) if len(self.falls) > 1 else self.falls[0]


# Ties, for all that compare.


@pytest.mark.parametrize(
    "policy", [LeastLatency(), LeastRequests(), PeakEwma(), P2cEwma(), Prequal()], ids=str
)
@pytest.mark.parametrize("latency", [0.1, None])
def test_ties_are_broken_at_random(policy: Policy, latency: float | None) -> None:
    """Equal candidates share alike: never the first by position."""
    candidates: list[BackendView] = [View(name, latency) for name in "abc"]
    at = context()
    picks = [policy.pick(candidates, at).name for _ in range(3000)]
    assert all(900 < picks.count(name) < 1100 for name in "abc")


# Latency of the unmeasured.


def test_the_unmeasured_have_the_lower_median() -> None:
    """Of 0.1, 0.2, 0.3, 0.4 the newcomer gets 0.2; with nothing measured all are the same."""
    candidates = [View("a", 0.4), View("b", 0.1), View("c", None), View("d", 0.2), View("e", 0.3)]
    assert latencies_s(candidates, 0.0) == [0.4, 0.1, 0.2, 0.2, 0.3]
    assert len(set(latencies_s([View("a", None), View("b", None)], 0.0))) == 1


def test_what_is_measured_stays_in_order() -> None:
    """Filling in sorts a copy."""
    assert latencies_s([View("a", 0.4), View("b", 0.1)], 0.0) == [0.4, 0.1]


# Least latency.


def test_least_latency_goes_by_what_is_expected_for_the_weight() -> None:
    """0.5 at three times the weight beats 0.2, which beats 0.3."""
    heavy = View("c", weight=3.0, expected=0.5)
    others = [View("a", expected=0.3), View("b", expected=0.2)]
    assert LeastLatency().pick([*others, heavy], context()) is heavy
    assert LeastLatency().pick(others, context()).name == "b"


# Peak EWMA.


def test_peak_ewma_multiplies_latency_and_queue() -> None:
    """0.1 x 4 beats 0.5 x 1 and loses to 0.35 x 1."""
    busy = View("a", 0.1, in_flight=3)
    assert PeakEwma().pick([busy, View("b", 0.5)], context()) is busy
    idle = View("b", 0.35)
    assert PeakEwma().pick([busy, idle], context()) is idle


def test_peak_ewma_divides_by_weight() -> None:
    """Twice the weight makes up for twice the latency, and a little more decides."""
    heavy = View("b", 0.19, weight=2.0)
    assert PeakEwma().pick([View("a", 0.1), heavy], context()) is heavy


def test_peak_ewma_asks_the_unmeasured_and_gives_them_no_burst() -> None:
    """Beside an equal peer the newcomer gets half of twenty simultaneous requests, give or take one."""
    old, new = View("a", 0.1), View("b", None)
    for _ in range(20):
        picked(PeakEwma().pick([old, new], context())).in_flight += 1
    assert abs(old.in_flight - new.in_flight) <= 1


def test_peak_ewma_shows_the_latency_it_goes_by() -> None:
    """The median for what was never measured, and the product as score."""
    rows = PeakEwma().scores([View("a", 0.2, in_flight=1), View("b", None, weight=2.0)], context())
    assert [row["latency_s"] for row in rows] == [0.2, 0.2]
    assert [row["score"] for row in rows] == [0.4, 0.1]


# Two choices.


@pytest.mark.parametrize(
    ("first", "second", "pair"),
    [(0.0, 0.0, "ab"), (0.0, 0.99, "ad"), (0.3, 0.0, "ab"), (0.3, 0.4, "bc"), (0.99, 0.99, "cd")],
)
def test_p2c_compares_the_two_that_are_drawn(first: float, second: float, pair: str) -> None:
    """The better of the two wins whatever the others are; never is one compared with itself."""
    for better, worse in (pair, reversed(pair)):
        candidates = [View(name, {better: 0.2, worse: 0.3}.get(name, 0.1)) for name in "abcd"]
        assert P2cEwma().pick(candidates, PickContext(0.0, Draw(first, second))).name == better


def test_p2c_draws_all_pairs_alike() -> None:
    """Four candidates in order of quality: the best is in half of the pairs, the last wins none."""
    candidates = [View(name, latency) for name, latency in zip("abcd", (0.1, 0.2, 0.3, 0.4), strict=True)]
    at = context()
    counts = Counter(P2cEwma().pick(candidates, at).name for _ in range(6000))
    for name, sixths in (("a", 3), ("b", 2), ("c", 1), ("d", 0)):
        assert abs(counts[name] - 1000 * sixths) < 150


def test_p2c_gives_the_unmeasured_the_others_latency() -> None:
    """Then requests in flight decide."""
    new = View("a", None, in_flight=1)
    assert P2cEwma().pick([new, View("b", 0.1, in_flight=2)], context()) is new
    assert P2cEwma().pick([new, View("b", 9.0)], context()).name == "b"


# Hot and cold.


def test_prequal_takes_the_quickest_of_the_cold() -> None:
    """Loads 0, 1, 2, 9, 9: the quantile 0.6 is the third of five, so 9 is hot however quick."""
    candidates = [
        View("a", 0.3, in_flight=0),
        View("b", 0.2, in_flight=2),
        View("c", 0.25, in_flight=1),
        View("d", 0.1, in_flight=9),
        View("e", 0.1, in_flight=9),
    ]
    assert Prequal().pick(candidates, context()).name == "b"
    rows = Prequal().scores(candidates, context())
    assert [row["score"] for row in rows] == [0.3, 0.2, 0.25, 9.3, 9.3]
    assert {row["hot_above"] for row in rows} == {2.0}
    assert [row["load"] for row in rows] == [0.0, 2.0, 1.0, 9.0, 9.0]


def test_prequal_with_two_takes_the_less_busy() -> None:
    """Of two the busier is hot; equally busy, both are cold and the quicker wins."""
    quick, slow = View("a", 0.1, in_flight=1), View("b", 5.0)
    assert Prequal().pick([quick, slow], context()) is slow
    slow.in_flight = 1
    assert Prequal().pick([quick, slow], context()) is quick


def test_prequal_measures_load_by_weight() -> None:
    """Six in flight at weight 4 are less than two at weight 1."""
    heavy = View("a", 0.2, in_flight=6, weight=4.0)
    assert Prequal().pick([heavy, View("b", 0.1, in_flight=2)], context()) is heavy


def test_prequal_measures_load_by_limits_where_all_are_known() -> None:
    """Four of 16 are less than two of 4; with one limit unknown, two are less than four."""
    large, small = View("a", in_flight=4, limit=16), View("b", in_flight=2, limit=4)
    assert Prequal().pick([large, small], context()) is large
    assert Prequal().pick([View("a", in_flight=4), small], context()) is small


def test_prequal_before_anything_is_measured_takes_the_less_busy() -> None:
    """All latencies are equal then: the burst is spread, not thrown at any of the cold."""
    candidates = [View(name, None) for name in "abcd"]
    for _ in range(40):
        picked(Prequal().pick(candidates, context())).in_flight += 1
    assert {view.in_flight for view in candidates} == {10}


@pytest.mark.parametrize(("quantile", "name"), [(0.0, "a"), (0.5, "b"), (1.0, "c")])
def test_prequal_s_quantile_decides_who_is_cold(quantile: float, name: str) -> None:
    """0: the least busy only; 1: all, and latency alone decides."""
    candidates = [View("a", 0.3, in_flight=0), View("b", 0.2, in_flight=1), View("c", 0.1, in_flight=2)]
    assert Prequal(quantile).pick(candidates, context()).name == name


# Least requests.


def test_least_requests_compares_load_per_weight() -> None:
    """(5 + 1) / 4 beats (1 + 1) / 1, whatever the latencies."""
    heavy = View("a", 9.0, in_flight=5, weight=4.0)
    assert LeastRequests().pick([heavy, View("b", 0.1, in_flight=1)], context()) is heavy


# Random.


def test_random_follows_weights_to_the_last() -> None:
    """A draw close to one picks the last candidate, a draw of zero the first."""
    candidates: list[BackendView] = [View("a", weight=0.1), View("b", weight=0.2), View("c", weight=0.3)]
    for draw, expected in ((0.0, "a"), (0.4, "b"), (1.0 - 2**-53, "c")):
        assert RandomChoice().pick(candidates, PickContext(0.0, Draw(draw))).name == expected


def test_random_in_a_large_pool_follows_weights_too() -> None:
    """Of 200, one with 20 times the weight of the others: its part, within a standard deviation or four;
    also when it comes later, and when it has gone.
    """
    candidates, policy, at = fleet(200), RandomChoice(), context()

    def share() -> float:
        return sum(policy.pick(candidates, at) is candidates[150] for _ in range(20_000)) / 20_000

    assert abs(share() - 1 / 200) < 0.003
    candidates[150].weight = 20.0
    assert abs(share() - 20 / 219) < 0.009
    candidates[150].weight = 1.0
    assert abs(share() - 1 / 200) < 0.003


def test_random_forgets_a_weight_that_has_gone() -> None:
    """A thousand times the weight of all others, then no more: after one look at all it is forgotten."""
    candidates, policy, at = fleet(200), RandomChoice(), context()
    candidates[3].weight = 1000.0
    policy.pick(candidates, at)
    assert policy._heaviest == 1000.0
    candidates[3].weight = 1.0
    for _ in range(100):
        policy.pick(candidates, at)
    assert policy._heaviest == 1.0
