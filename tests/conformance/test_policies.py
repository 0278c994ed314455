"""What every policy in the registry keeps to; a new one is tested by being registered."""

import gc
import random
import weakref
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.balancing.policy import BackendView, PickContext, Policy
from gateway.registry import POLICIES

every_policy = pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES.keys())
Make = Callable[[], Policy]


class View:
    """A backend as policies see it."""

    __slots__ = ("__weakref__", "in_flight", "latency", "name", "weight")

    def __init__(
        self, name: str, latency: float | None = 0.1, in_flight: int = 0, weight: float = 1.0
    ) -> None:
        self.name = name
        self.latency = latency
        self.in_flight = in_flight
        self.weight = weight

    def latency_s(self, now: float) -> float | None:
        return self.latency

    def facts(self) -> tuple[object, ...]:
        return (self.name, self.latency, self.in_flight, self.weight)


views = st.lists(
    st.builds(
        View,
        st.text("abcdef0123456789", min_size=1, max_size=8),
        st.none() | st.floats(1e-6, 600.0),
        st.integers(0, 1000),
        st.floats(0.01, 1000.0),
    ),
    min_size=1,
    max_size=20,
    unique_by=lambda view: view.name,
).map(lambda found: sorted(found, key=lambda view: view.name))


def tally(policy: Policy, candidates: list[View], picks: int, hold: bool) -> Counter[str]:
    """How often each is picked; with `hold` a pick stays in flight for the next forty."""
    rng = random.Random(7)
    context = PickContext(1.0, rng)
    counts: Counter[str] = Counter()
    held: list[View] = []
    by_name = {view.name: view for view in candidates}
    for _ in range(picks):
        view = by_name[policy.pick(candidates, context).name]
        counts[view.name] += 1
        if hold:
            view.in_flight += 1
            held.append(view)
            if len(held) > 40:
                held.pop(rng.randrange(len(held))).in_flight -= 1
    return counts


@every_policy
@given(candidates=views, seed=st.integers(), tried=st.lists(st.text(max_size=3)).map(tuple))
def test_picks_a_candidate_and_changes_none(
    make: Make, candidates: list[View], seed: int, tried: tuple[str, ...]
) -> None:
    """Whatever latency, load and weight: one of those given, several times in a row, none written to."""
    policy, context = make(), PickContext(3.0, random.Random(seed), tried=tried)
    before = [view.facts() for view in candidates]
    for _ in range(3):
        picked = policy.pick(candidates, context)
        assert any(picked is view for view in candidates)
    assert [view.facts() for view in candidates] == before


@every_policy
def test_a_single_candidate_is_taken(make: Make) -> None:
    """However loaded, slow or light it is."""
    only = View("a", 500.0, in_flight=10_000, weight=0.001)
    assert make().pick([only], PickContext(0.0, random.Random(1))) is only


@every_policy
def test_weights_are_honoured(make: Make) -> None:
    """Alike but for weights 1, 2, 3: shares of a sixth, a third and a half, within two points."""
    candidates = [View("a", weight=1.0), View("b", weight=2.0), View("c", weight=3.0)]
    counts = tally(make(), candidates, 6000, hold=True)
    for view in candidates:
        assert abs(counts[view.name] / 6000 - view.weight / 6) < 0.02, counts


@every_policy
def test_the_order_of_candidates_does_not_matter(make: Make) -> None:
    """Given backwards, each still gets the same share, within two points."""
    forward = tally(make(), [View(name) for name in "abcd"], 4000, hold=False)
    backward = tally(make(), [View(name) for name in "dcba"], 4000, hold=False)
    for name in "abcd":
        assert abs(forward[name] - backward[name]) / 4000 < 0.04
        assert abs(forward[name] / 4000 - 0.25) < 0.03


@every_policy
def test_no_candidate_is_kept(make: Make) -> None:
    """After the call nothing holds the candidates: what is known of a backend belongs to the pool."""
    policy = make()
    candidates = [View("a"), View("b", None), View("c", 0.3)]
    for _ in range(5):
        policy.pick(candidates, PickContext(1.0, random.Random(1)))
        policy.scores(candidates, 1.0)
    gone = [weakref.ref(view) for view in candidates]
    del candidates
    gc.collect()
    assert [ref() for ref in gone] == [None, None, None]


@every_policy
def test_candidates_may_change_between_picks(make: Make) -> None:
    """Backends come and go; each pick is among those given then."""
    policy, rng = make(), random.Random(3)
    fleet = [View(f"b{number:02}") for number in range(12)]
    for _ in range(300):
        candidates = sorted(rng.sample(fleet, rng.randint(1, 12)), key=lambda view: view.name)
        picked = policy.pick(candidates, PickContext(1.0, rng))
        assert any(picked is view for view in candidates)


@every_policy
@given(candidates=views)
def test_scores_explain_each_candidate(make: Make, candidates: list[View]) -> None:
    """In the order given, with score and terms as numbers; twice the same, for asking changes nothing."""
    policy = make()
    scores = policy.scores(candidates, 5.0)
    assert len(scores) == len(candidates)
    for row, view in zip(scores, candidates, strict=True):
        assert {"score", "latency_s", "in_flight", "weight"} <= set(row)
        assert row["score"] is not None
        assert (row["in_flight"], row["weight"]) == (view.in_flight, view.weight)
    assert policy.scores(candidates, 5.0) == scores


@pytest.mark.parametrize("name", sorted(set(POLICIES) - {"random"}))  # its scores are chances
@given(candidates=views)
def test_the_pick_has_the_lowest_score(name: str, candidates: list[View]) -> None:
    """What the scores say is what happens."""
    policy = POLICIES[name]()
    scores = [row["score"] for row in policy.scores(candidates, 5.0)]
    picked = policy.pick(candidates, PickContext(5.0, random.Random(1)))
    assert scores[[view.name for view in candidates].index(picked.name)] == min(scores)  # type: ignore[type-var]


def test_registered_names_are_those_of_the_manual() -> None:
    """The names users write in `policy:`."""
    assert {"least_latency", "least_requests", "round_robin", "random"} <= set(POLICIES)
    views_: list[BackendView] = [View("a")]
    assert all(make().pick(views_, PickContext(0.0, random.Random(1))) for make in POLICIES.values())
