"""Figures in few cells: how they read, and that they never need more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.top import text

POSITIVE = st.floats(0, 1e11)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"), (0, "0"), (0.004, "0"), (0.42, "0.42"), (1, "1"), (4.2, "4.2"), (9.97, "10"),
        (42.4, "42"), (999, "999"), (999.6, "1.0k"), (4200, "4.2k"), (123456, "123k"),
        (5e6, "5M"), (2.5e9, "2.5G"),
    ],
)  # fmt: skip
def test_numbers(value: float | None, shown: str) -> None:
    """Two digits that matter, and a unit for thousands."""
    assert text.number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"), (0.0, "0 µs"), (0.00085, "850 µs"), (0.0042, "4.2 ms"), (0.042, "42 ms"),
        (0.9996, "1.00 s"), (1.254, "1.25 s"), (42.3, "42 s"), (99.6, "2 min"),
        (720, "12 min"), (6000, "1.7 h"),
    ],
)  # fmt: skip
def test_seconds(value: float | None, shown: str) -> None:
    """In the unit in which they are said."""
    assert text.seconds(value) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (None, "–"),
        (0, "0%"),
        (0.0001, "0.1%"),
        (0.042, "4.2%"),
        (0.42, "42%"),
        (0.9999, "99%"),
        (1.0, "100%"),
    ],
)
def test_shares(share: float | None, shown: str) -> None:
    """One failure in ten thousand is not none, and one success less than all is not all."""
    assert text.percent(share) == shown


@given(POSITIVE)
def test_figures_keep_to_their_columns(value: float) -> None:
    """However large they are."""
    assert len(text.number(value)) <= 5
    assert len(text.seconds(min(value, 3.6e6))) <= 8
    assert len(text.seconds(min(value, 5900))) <= 6
    assert len(text.percent(value % 1)) <= 4


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (185, "3 min 5 s"), (7440, "2 h 4 min"), (273600, "3 d 4 h")],
)
def test_ages(seconds: float, shown: str) -> None:
    """Two units at most."""
    assert text.age(seconds) == shown


def test_sizes_and_clocks() -> None:
    """Bytes in powers of two, times of day in UTC."""
    assert [text.size(value) for value in (0, 512, 4300, 44040192, 3 << 30)] == [
        "0 B", "512 B", "4.2 KiB", "42 MiB", "3 GiB",
    ]  # fmt: skip
    assert text.clock(1_700_000_000.9) == "22:13:20"


def test_bars_show_what_there_was() -> None:
    """From 0 to the top, the newest last; what is unknown is blank, what is little more than nothing."""
    assert text.bars([0, 1, 4, 8], 4) == "▁▂▅█"
    assert text.bars([None, 0.001, 8], 5) == "   ▂█"
    assert text.bars([1, 2, 3], 2, top=6) == "▃▅"
    assert text.bars([0, 0], 3) == " ▁▁"
    assert text.bars([1], 0) == ""


@given(st.lists(st.none() | POSITIVE), st.integers(0, 50), st.none() | POSITIVE)
def test_bars_are_as_wide_as_asked(values: list[float | None], width: int, top: float | None) -> None:
    """Whatever the values are, more than the top included."""
    assert len(text.bars(values, width, top)) == width


@given(st.text(), st.integers(0, 30))
def test_cells_are_filled_and_cut(words: str, width: int) -> None:
    """Exactly as many as asked, in any script."""
    for fill in (text.left, text.right, text.tail):
        assert text.cells(fill(words, width)) == width
    assert text.cells(text.cut(words, width)) <= width


def test_wide_letters_count_twice() -> None:
    """As terminals draw them."""
    assert text.cells("模型-1") == 6
    assert text.left("模型模型", 6) == "模型… "
    assert text.cut("gpu-long-name", 6) == "gpu-l…"


def test_nothing_is_obeyed() -> None:
    """Names and reasons come from elsewhere: what would steer the terminal is shown as a blot."""
    assert text.clean("a\x1b[2Jb\n\u202ec") == "a�[2Jb��c"
