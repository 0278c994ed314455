"""The slope within backends, not between them; never falling, never below a share of the mean."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pool.line import LEAST_SLOPE, Line, Own


def test_the_first_sample_is_the_line() -> None:
    """It passes through it, and rises by the least."""
    line = Line()
    line.observe(Own(), 3.0, 2.0)
    assert (line.mean, line.n, line.slope) == (2.0, 3.0, LEAST_SLOPE * 2.0)
    assert line.at(3.0) == 2.0
    assert line.at(5.0) == pytest.approx(2.4)


def test_it_may_be_flat_where_that_is_allowed() -> None:
    """Then what does not depend on the number under way costs the same at any."""
    line, own = Line(least=0.0), Own()
    for n in (1.0, 5.0) * 100:
        line.observe(own, n, 2.0)
    assert line.at(0.0) == line.at(50.0) == 2.0


def test_two_samples_by_hand() -> None:
    """Means of both; the slope from the second one's distance to the first, 2 x 30 / (2 x 2 + 11) = 4."""
    line, own = Line(ridge=11.0), Own()
    line.observe(own, 1.0, 1.0)
    line.observe(own, 3.0, 31.0)
    assert (line.mean, line.n, line.slope) == (16.0, 2.0, 4.0)
    assert (own.n, own.y, own.seen) == (2.0, 16.0, 2)
    assert line.at(4.0) == 24.0


def test_what_is_supposed_holds_until_samples_speak_against_it() -> None:
    """As much evidence as the ridge is high leads half of the way."""
    line, own = Line(supposed=2.0, ridge=8.0), Own()
    assert line.slope == 2.0
    for n in (1.0, 3.0):  # a distance of 2, then one of 2 again
        line.observe(own, n, 10.0)
    assert line.slope == pytest.approx(2.0 * 8.0 / (4.0 + 8.0))
    for _ in range(3000):
        line.observe(own, 1.0, 10.0)
        line.observe(own, 3.0, 10.0)
    assert line.slope == LEAST_SLOPE * line.mean == pytest.approx(1.0)


@pytest.mark.parametrize("slope", [0.5, 2.0])
def test_a_slope_is_found_at_one_backend(slope: float) -> None:
    """y = 1 + slope n with noise of its own size, from a thousand samples: within 8 %."""
    rng, line, own = random.Random(3), Line(), Own()
    for _ in range(1000):
        n = float(rng.randint(1, 12))
        line.observe(own, n, (1.0 + slope * n) * rng.uniform(0.8, 1.2))
    assert line.slope == pytest.approx(slope, rel=0.08)


def test_a_fast_busy_and_a_slow_idle_backend_are_no_slope() -> None:
    """A line through both would fall; within each of them it rises by 0.5."""
    rng, line, busy, idle = random.Random(3), Line(), Own(), Own()
    for _ in range(2000):
        n = float(rng.randint(6, 14))
        line.observe(busy, n, -2.5 + 0.5 * n)
        n = float(rng.randint(1, 5))
        line.observe(idle, n, 5.0 + 0.5 * n)
    assert line.slope == pytest.approx(0.5, rel=0.05)


def test_it_never_falls() -> None:
    """What gets cheaper with more under way is taken for chance."""
    line, own = Line(), Own()
    for _ in range(500):
        for n in (1.0, 2.0, 3.0):
            line.observe(own, n, 10.0 - n)
    assert line.slope == LEAST_SLOPE * line.mean
    assert line.at(5.0) > line.at(1.0)


def test_far_below_what_was_seen_a_share_of_the_mean_is_left() -> None:
    """Nothing costs nothing, or less."""
    line, own = Line(), Own()
    for n in (1.0, 9.0) * 500:
        line.observe(own, n, n)
    assert line.slope == pytest.approx(1.0, rel=0.05)
    assert line.at(0.0) == line.at(-1000.0) == pytest.approx(0.2 * line.mean)


def test_old_samples_are_forgotten() -> None:
    """A pool that has become twice as steep is found to be so within some thousands of samples."""
    line, own = Line(), Own()
    for slope in (1.0, 2.0):
        for n in (1.0, 2.0, 3.0, 4.0) * 3000:
            line.observe(own, n, 1.0 + slope * n)
    assert line.slope == pytest.approx(2.0, rel=0.06)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(0, 1e5), st.floats(1e-9, 1e6)), min_size=1, max_size=80),
    st.floats(-1e6, 1e6),
)
def test_costs_are_positive_and_finite(samples: list[tuple[int, float, float]], n: float) -> None:
    """Whatever was measured at whatever number under way."""
    line, owns = Line(), [Own(), Own(), Own()]
    for index, at, y in samples:
        line.observe(owns[index], at, y)
    values = [y for _, _, y in samples]
    assert min(values) * 0.999 <= line.mean <= max(values) * 1.001
    assert line.slope >= LEAST_SLOPE * line.mean > 0.0
    assert 0.199 * line.mean <= line.at(n) < 1e30
    assert line.at(n) <= line.at(n + 1.0)
