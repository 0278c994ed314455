"""Virtual time: what happens, in which order."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from gateway.simulation.engine import Engine


@given(st.lists(st.floats(0, 100), max_size=50))
def test_everything_happens_in_order_of_time(moments: list[float]) -> None:
    """Callbacks run at their time, whatever the order in which they were asked for."""
    engine = Engine()
    seen: list[float] = []
    for moment in moments:
        engine.at(moment, lambda: seen.append(engine.now))
    engine.run(100.0)
    assert seen == sorted(moments)


def test_what_is_due_together_runs_in_the_order_it_was_asked_for() -> None:
    """So that the same seed gives the same run."""
    engine = Engine()
    seen: list[str] = []
    for name in "abc":
        engine.at(1.0, lambda name=name: seen.append(name))  # type: ignore[misc]
    engine.run(1.0)
    assert seen == ["a", "b", "c"]


def test_a_run_ends_at_its_time_with_the_rest_to_come() -> None:
    """Up to and at `until`; what a callback asks for within that is part of it."""
    engine = Engine()
    seen: list[float] = []
    engine.at(1.0, lambda: engine.at(2.0, lambda: seen.append(engine.time())))
    engine.at(2.5, lambda: seen.append(engine.time()))
    engine.run(2.0)
    assert (seen, engine.now) == ([2.0], 2.0)
    engine.run(4.0)
    assert (seen, engine.now) == ([2.0, 2.5], 4.0)


def test_the_past_is_now_and_infinity_is_never() -> None:
    """Time does not go back."""
    engine = Engine()
    engine.run(5.0)
    seen: list[float] = []
    engine.at(1.0, lambda: seen.append(engine.now))
    engine.at(inf, lambda: seen.append(inf))
    engine.run(1e12)
    assert seen == [5.0]


def test_a_timer_can_be_cancelled() -> None:
    """Before its time, and after it without harm."""
    engine = Engine()
    seen: list[str] = []
    kept = engine.call_later(1.0, lambda: seen.append("kept"))
    engine.call_later(1.0, lambda: seen.append("cancelled")).cancel()
    engine.run(2.0)
    kept.cancel()
    assert seen == ["kept"]
    assert "0 to come" in repr(engine)
