"""The kinds of value that have a word beside their numbers, or a bound of their own."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings.kinds import at_least, percentile, whole_or_auto

LIMIT = whole_or_auto(1, 1000)
PERCENTILE = percentile()
RATIO = at_least(1.01)


@pytest.mark.parametrize(
    ("value", "read"), [(5, 5), ("5", 5), ("auto", "auto"), (None, None), ("null", None), (1000, 1000)]
)
def test_a_limit_is_a_number_a_word_or_nothing(value: object, read: object) -> None:
    """`auto` stays the word, null is none."""
    assert LIMIT.read(value) == read


@pytest.mark.parametrize("wrong", [0, 1001, -1, 1.5, "5.0", "", "Auto", "none", True, [], "٣"])
def test_what_is_no_limit_is_refused(wrong: object) -> None:
    """With all that would be accepted."""
    with pytest.raises(ValueError, match="1000, auto, or null for none"):
        LIMIT.read(wrong)


@pytest.mark.parametrize(
    ("value", "share"), [("p50", 0.5), ("p95", 0.95), ("p99.9", 0.999), ("p99.99", 0.9999), (0.95, 0.95)]
)
def test_percentiles_are_shares(value: object, share: float) -> None:
    """As people write them; a share that was read already stays."""
    assert PERCENTILE.read(value) == pytest.approx(share)


@pytest.mark.parametrize(
    "wrong",
    ["p49", "p5", "p100", "95", "p", "p95%", "P95", 95, 0.4, 1.0, True, None, "p99.999", "p٩٩", "p95\n"],
)
def test_what_is_no_percentile_is_refused(wrong: object) -> None:
    """Below the median a second attempt would be the rule."""
    with pytest.raises(ValueError, match="a percentile from p50"):
        PERCENTILE.read(wrong)


@given(st.integers(5000, 9999))
def test_a_percentile_shown_is_read_back(basis_points: int) -> None:
    """Showing and reading loses nothing."""
    share = basis_points / 10_000
    assert PERCENTILE.show is not None
    assert PERCENTILE.read(PERCENTILE.show(share)) == pytest.approx(share)


@pytest.mark.parametrize(("value", "number"), [(1.01, 1.01), ("1.25", 1.25), (2, 2.0), (1_000_000, 1e6)])
def test_numbers_have_a_least(value: object, number: float) -> None:
    """And a most, far away."""
    assert RATIO.read(value) == number


@pytest.mark.parametrize(
    "wrong", [1.0, "1", 0, -5, True, None, "", "x", float("nan"), float("inf"), 1_000_001, []]
)
def test_what_is_below_the_least_is_refused(wrong: object) -> None:
    """Also what is no number at all."""
    with pytest.raises(ValueError, match=re.escape("a number from 1.01 to 1000000")):
        RATIO.read(wrong)


@given(st.text() | st.integers() | st.floats() | st.none() | st.booleans() | st.lists(st.none()))
def test_anything_is_read_or_refused(value: Any) -> None:
    """No input leads to another exception than ValueError, and none to a value out of bounds."""
    for kind, good in (
        (LIMIT, lambda read: read is None or read == "auto" or 1 <= read <= 1000),
        (PERCENTILE, lambda read: 0.5 <= read < 1.0),
        (RATIO, lambda read: 1.01 <= read <= 1e6),
    ):
        try:
            assert good(kind.read(value))
        except ValueError as error:
            assert str(error)
