"""Do listeners wake together, and is what they ask for kept within bounds?"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.live import EARLY_S, event, parse_interval, until_beat


@pytest.mark.parametrize("text", ["", "0", "0.4", "10.1", "-1", "nan", "inf", "1s", "1e9"])
def test_intervals_out_of_bounds_are_refused(text: str) -> None:
    """0.5 to 10 seconds, and nothing that is no number."""
    assert parse_interval(text) is None


@pytest.mark.parametrize(("text", "seconds"), [("1", 1.0), ("0.5", 0.5), ("0.7", 1.0), ("10", 10.0)])
def test_intervals_are_multiples_of_the_beat(text: str, seconds: float) -> None:
    """Rounded up: nobody is sent more than he asked for."""
    assert parse_interval(text) == seconds


@given(st.floats(0, 1e6), st.integers(1, 20))
def test_those_with_one_interval_wake_together(now: float, beats: int) -> None:
    """At the next multiple of it, or the one after where that is only a moment away: never at once."""
    interval_s = beats / 2
    wait = until_beat(now, interval_s)
    assert EARLY_S < wait <= interval_s + EARLY_S
    assert abs((now + wait) / interval_s - round((now + wait) / interval_s)) < 1e-6


def test_an_event_is_one_block() -> None:
    """Name and data on a line each, and a blank line that ends it; line breaks in values are escaped."""
    data = json.dumps({"why": "a\nb\n\nevent: x"}).encode()
    assert event("overview", data) == b"event: overview\ndata: " + data + b"\n\n"
    assert data.count(b"\n") == 0
