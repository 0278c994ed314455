"""Size classes: bit lengths, apart for plain and streamed answers, and no more than there are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sizes import KINDS, STREAMED, kind_of


@pytest.mark.parametrize(
    ("size", "kind"), [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (1023, 10), (1024, 11), (2**20, 21)]
)
def test_a_class_is_a_doubling(size: int, kind: int) -> None:
    """Bodies within a factor of two of each other are of one class or of two neighbours."""
    assert kind_of(size, False) == kind
    assert kind_of(size, True) == kind + STREAMED


@given(st.integers(0, 1 << 62), st.booleans())
def test_there_are_no_others(size: int, stream: bool) -> None:
    """Every size has a class, streamed ones in the upper half, a larger body never a smaller class."""
    kind = kind_of(size, stream)
    assert 0 <= kind < KINDS
    assert (kind >= STREAMED) is stream
    assert kind <= kind_of(size * 2, stream)


def test_the_largest_share_a_class() -> None:
    """From a gibibyte on it makes no difference."""
    assert kind_of(1 << 30, False) == kind_of(1 << 60, False) == STREAMED - 1
    assert kind_of(1 << 60, True) == KINDS - 1
