"""Durations, sizes and shares."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings.quantities import (
    MAX_DURATION_S,
    MAX_SIZE_BYTES,
    parse_duration,
    parse_share,
    parse_size,
    show_duration,
    show_share,
    show_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("5s", 5.0),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("1.5 s", 1.5),
        ("7", 7.0),
        (3, 3.0),
        (0.1, 0.1),
    ],
)
def test_durations_are_read_as_seconds(text: object, seconds: float) -> None:
    """Every way to write a duration gives seconds, exactly."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64KiB", 65536),
        ("10MB", 10_000_000),
        ("10mb", 10_000_000),
        ("1.5 KiB", 1536),
        ("2GiB", 2 << 30),
        ("512", 512),
        ("5B", 5),
        (0, 0),
    ],
)
def test_sizes_are_read_as_bytes(text: object, size: int) -> None:
    """KiB is 1024, KB is 1000, a number is bytes, and the case does not matter."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "share"), [("20%", 0.2), ("0.2", 0.2), (1, 1.0), (0.5, 0.5), ("12.5%", 0.125)]
)
def test_shares_are_read_as_numbers_up_to_one(text: object, share: float) -> None:
    """Per cent and plain numbers mean the same."""
    assert parse_share(text) == share


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "s",
        "5 minutes",
        "-1s",
        "1e3",
        "٣s",
        "5s\n",
        " 5s",
        True,
        None,
        -1,
        float("nan"),
        float("inf"),
        [],
        "9999h",
    ],
)
def test_what_is_no_duration_is_refused(wrong: object) -> None:
    """Signs, other words, other digits, booleans, infinity and more than a year raise ValueError."""
    with pytest.raises(ValueError, match="a duration"):
        parse_duration(wrong)


@pytest.mark.parametrize("wrong", ["64k", "1.5B", 1.5, "-1", "2000TiB", "0x10", True, None])
def test_what_is_no_size_is_refused(wrong: object) -> None:
    """A unit that could mean two things, parts of a byte and the absurdly large raise ValueError."""
    with pytest.raises(ValueError, match="a size"):
        parse_size(wrong)


@pytest.mark.parametrize("wrong", [20, "20", "101%", -0.1, "half", False])
def test_what_is_no_share_is_refused(wrong: object) -> None:
    """A bare 20 is more than everything: it is not taken for 20%."""
    with pytest.raises(ValueError, match="a share"):
        parse_share(wrong)


@given(st.integers(0, int(MAX_DURATION_S) * 1000))
def test_a_duration_shown_is_read_back(milliseconds: int) -> None:
    """Showing and reading a duration loses nothing."""
    seconds = milliseconds / 1000
    assert parse_duration(show_duration(seconds)) == seconds


@given(st.integers(0, MAX_SIZE_BYTES))
def test_a_size_shown_is_read_back(size: int) -> None:
    """Showing and reading a size loses nothing."""
    assert parse_size(show_size(size)) == size


@given(st.integers(0, 10_000))
def test_a_share_shown_is_read_back(basis_points: int) -> None:
    """Showing and reading a share loses nothing."""
    share = basis_points / 10_000
    assert parse_share(show_share(share)) == share


@given(st.text() | st.integers() | st.floats() | st.none() | st.booleans())
def test_anything_is_read_or_refused(value: object) -> None:
    """No input leads to another exception than ValueError, and none to a value out of bounds."""
    for parse, most in ((parse_duration, MAX_DURATION_S), (parse_size, MAX_SIZE_BYTES), (parse_share, 1)):
        try:
            assert 0 <= parse(value) <= most
        except ValueError as error:
            assert str(error).startswith("a ")


def test_round_values_are_shown_as_people_write_them() -> None:
    """Defaults in the manual read like the file."""
    assert [show_duration(s) for s in (0.25, 5.0, 75.0, 120.0, 900.0, 3600.0)] == [
        "250ms",
        "5s",
        "75s",
        "2m",
        "15m",
        "1h",
    ]
    assert [show_size(s) for s in (65536, 10_000_000, 1500, 0)] == ["64KiB", "10MB", "1500B", "0B"]
    assert [show_share(s) for s in (0.5, 0.29, 0.125)] == ["50%", "29%", "0.125"]
