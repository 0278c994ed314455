"""What a request costs by its size and by what is under way, learnt from answers of backends of any speed."""

import random
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pool.line import LEAST_SLOPE, Own
from gateway.pool.work import AHEAD, LEAST_TAU_S, MOST_TAU_S, PIECES, TAU_SAMPLES, UNKNOWN_S, WorkModel
from gateway.sizes import KINDS, STREAMED, kind_of

SMALL, LARGE = kind_of(100, False), kind_of(100_000, False)
STREAM = kind_of(100, True)


def plain(
    model: WorkModel, kind: int, seconds: float, own: Own | None = None, n: int = 1, slow: float = 1.0
) -> float:
    return model.answered(kind, own or Own(), n, 0.0, seconds, slow)


# Before and after the first answers.


def test_nothing_known_decides_nothing() -> None:
    """Every request costs the same then, however much is under way."""
    model = WorkModel()
    assert {model.cost_s(SMALL, n, 0.0, 0) for n in range(5)} == {UNKNOWN_S}
    assert {model.cost_s(STREAM, n, 0.0, n) for n in range(5)} == {UNKNOWN_S}
    assert model.first_s(SMALL) == model.first_s(STREAM) == 0.0


def test_the_first_answer_is_what_it_takes() -> None:
    """Also of a backend that is known to be twice as slow as an ordinary one: half of its time."""
    model = WorkModel()
    assert plain(model, SMALL, 3.0, slow=2.0) == 1.5
    assert model.first_s(SMALL) == 1.5
    assert model.cost_s(SMALL, 0, 0.0, 0) == pytest.approx(1.5)


def test_means_are_plain_at_first() -> None:
    """Of two answers half of each."""
    model, own = WorkModel(), Own()
    plain(model, SMALL, 1.0, own)
    plain(model, SMALL, 3.0, own)
    assert model.first_s(SMALL) == pytest.approx(2.0)


def test_an_unknown_size_takes_what_the_nearest_known_does() -> None:
    """The smaller of two as near; streams learn from streams, and plain answers from plain ones."""
    model = WorkModel()
    plain(model, 5, 1.0)
    plain(model, 9, 2.0)
    assert [model.first_s(kind) for kind in (0, 6, 7, 8, 31)] == [1.0, 1.0, 1.0, 2.0, 2.0]
    assert model.first_s(STREAM) == 0.0
    model.answered(STREAM, Own(), 1, 0.0, 0.5, 1.0)
    assert model.first_s(STREAM + 3) == 0.5
    assert model.first_s(31) == 2.0


def test_sizes_are_learnt_apart() -> None:
    """Small and large in turn: each keeps its own."""
    rng, model, own = random.Random(2), WorkModel(), Own()
    for _ in range(2000):
        plain(model, SMALL, rng.uniform(0.05, 0.15), own)
        plain(model, LARGE, rng.uniform(1.0, 3.0), own)
    assert model.cost_s(SMALL, 0, 0.0, 0) == pytest.approx(0.1, rel=0.05)
    assert model.cost_s(LARGE, 0, 0.0, 0) == pytest.approx(2.0, rel=0.05)


@given(st.lists(st.tuples(st.integers(0, KINDS - 1), st.booleans()), max_size=40))
def test_an_unknown_size_is_taken_for_the_nearest(steps: list[tuple[int, bool]]) -> None:
    """Of the same half, the smaller of two, whatever was asked before it became known; 0 where none is."""
    model, known = WorkModel(), set[int]()
    for kind, learnt in steps:
        if learnt:
            model.answered(kind, Own(), 1, 0.0, 1.0 + kind, 1.0)
            known.add(kind)
        else:
            half = [other for other in known if (other < STREAMED) == (kind < STREAMED)]
            nearest = min(half, key=lambda other: (abs(other - kind), other), default=None)
            assert model.first_s(kind) == (0.0 if nearest is None else model.first_s(nearest))
            assert nearest is None or model.first_s(nearest) > 0.0


# What is under way.


def test_plain_answers_cost_more_in_a_crowd() -> None:
    """0.1 s alone and 0.1 s more for each one beside it: found from answers at 1 to 8 in flight."""
    rng, model, own = random.Random(2), WorkModel(), Own()
    for _ in range(4000):
        n = rng.randint(1, 8)
        plain(model, SMALL, 0.1 * n * rng.uniform(0.8, 1.2), own, n)
    for n in (2, 4, 8):
        assert model.cost_s(SMALL, n - 1, 0.0, 0) == pytest.approx(0.1 * n, rel=0.1)


def test_without_any_effect_fewer_is_still_better() -> None:
    """Backends that take the same time however many they have cost a little more with each one."""
    model, own = WorkModel(), Own()
    for n in (1, 2, 3, 4) * 1000:
        plain(model, SMALL, 1.0, own, n)
    costs = [model.cost_s(SMALL, n, 0.0, 0) for n in range(5)]
    assert costs == sorted(set(costs))
    assert costs[4] / costs[0] == pytest.approx(1.0 + 4 * LEAST_SLOPE, rel=0.15)


def test_a_stream_costs_its_prompt_what_is_ahead_and_its_first_pieces() -> None:
    """0.5 s of reading, 20 ms from piece to piece with one more stream of nine: exactly that."""
    model, own = WorkModel(), Own()
    assert model.answered(STREAM, own, 1, 0.0, 0.5, 1.0) == 0.5
    assert model.wrote(Own(), 10.0, 6.0, 0.02, 1.0) == pytest.approx(0.12)
    assert model.cost_s(STREAM, 9, 0.0, 9) == pytest.approx(0.5 + PIECES * 0.02)
    # No more and no less with fewer streams, as long as nothing is known of that.
    assert model.cost_s(STREAM, 9, 0.0, 4) == pytest.approx(0.5 + PIECES * 0.02)
    # A second of reading ahead is read first, and holds up those who write as well.
    assert model.cost_s(STREAM, 9, 1.0, 9) == pytest.approx(0.5 + AHEAD * 1.0 + PIECES * 0.02)


def test_reading_ahead_is_no_slowness() -> None:
    """A prompt of 0.2 s that waits for one to four others, one after the other: 0.2 s stays what it takes."""
    rng, model, own = random.Random(4), WorkModel(), Own()
    for _ in range(3000):
        ahead = rng.randint(0, 4)
        model.answered(STREAM, own, ahead + 1, ahead * 0.2, (ahead + 1) * 0.2 * rng.uniform(0.9, 1.1), 1.0)
    assert model.cost_s(STREAM, 0, 0.0, 0) == pytest.approx(0.2, rel=0.15)
    assert model.queue.slope == pytest.approx(1.0, rel=0.1)


def test_a_decode_step_is_fitted_to_pieces() -> None:
    """a + b n with a = 10 ms, b = 1 ms, at backends of 4 to 16 and of 20 to 40 streams: within 10 %.

    A batch of ten that is taken for a third of its cost would make its backend look three times as slow.
    """
    rng, model, few, many = random.Random(4), WorkModel(), Own(), Own()
    for _ in range(3000):
        for own, low, high in ((few, 4, 16), (many, 20, 40)):
            n = float(rng.randint(low, high))
            model.wrote(own, n, 10.0, (0.010 + 0.001 * n) * rng.uniform(0.9, 1.1), 1.0)
    for n in (10, 20, 30):
        assert model.gap.at(n) == pytest.approx(0.010 + 0.001 * n, rel=0.1)


def test_pieces_of_a_slow_backend_are_taken_for_what_they_would_be_elsewhere() -> None:
    """20 ms from piece to piece at one that is twice as slow: 10 ms at an ordinary one."""
    model = WorkModel()
    assert model.wrote(Own(), 4.0, 10.0, 0.02, 2.0) == pytest.approx(0.1)
    assert model.gap.at(4.0) == pytest.approx(0.01)


# How far back.


def test_it_reaches_back_over_some_answers_within_bounds() -> None:
    """Twelve samples of each backend, or eight times what one takes; from 1.5 s to 20 s."""
    reach = {}
    for name, seconds, each_s in (
        ("busy", 0.01, 0.005),
        ("quiet", 0.01, 60.0),
        ("slow", 60.0, 0.1),
        ("even", 0.1, 2.0),
    ):
        model, own, now = WorkModel(), Own(), 0.0
        for _ in range(400):
            now += each_s
            for _ in range(2):  # two backends
                plain(model, SMALL, seconds, own)
            if now >= model.due:
                model.pace(now, 2)
        reach[name] = model.tau_s
    assert (reach["busy"], reach["quiet"], reach["slow"]) == (LEAST_TAU_S, MOST_TAU_S, MOST_TAU_S)
    assert reach["even"] == pytest.approx(min(TAU_SAMPLES * 2.0, MOST_TAU_S), rel=0.1)


def test_nobody_asked_is_no_pace() -> None:
    """Without a backend that was asked nothing changes but when to look again."""
    model = WorkModel()
    model.pace(5.0, 0)
    assert model.tau_s == LEAST_TAU_S
    assert model.due == pytest.approx(5.0 + WorkModel.REFRESH_S)


# Whatever comes.

_answers = st.lists(
    st.tuples(
        st.sampled_from([0, SMALL, LARGE, STREAM, 63]),
        st.integers(1, 1000),
        st.floats(0.0, 1e3),
        st.floats(0.0, 1e4),
        st.floats(1e-3, 1e3),
    ),
    max_size=60,
)


@given(_answers, st.integers(0, 1000), st.floats(0.0, 1e4))
def test_costs_are_positive_and_finite(
    answers: list[tuple[int, int, float, float, float]], in_flight: int, ahead_s: float
) -> None:
    """Also of answers in no time, and of backends a thousand times slower or faster than their peers."""
    model, own = WorkModel(), Own()
    for kind, n, ahead, seconds, relative in answers:
        given_s = model.answered(kind, own, n, ahead, seconds, relative)
        assert 0.0 < given_s < inf
    for kind in (0, SMALL, LARGE, STREAM, 63):
        assert 0.0 < model.cost_s(kind, in_flight, ahead_s, in_flight) < inf
