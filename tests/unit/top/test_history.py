"""What is remembered: a window, courses with a bound, restarts, silences."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.top.document import Overview
from gateway.top.history import POINTS, Course, History, highest
from tests.unit.top.documents import backend, overview, pool, route


def at(second: float, requests: int = 0, pid: int = 7, **members: float) -> Overview:
    outcomes = {"ok": requests}
    return overview(
        at_s=second,
        pid=pid,
        routes=[route("r", requests=requests)],
        pools=[pool("p", backend("x", outcomes=outcomes, **members))],
    )


def test_figures_look_back_on_the_window() -> None:
    """Not on the last second alone, and not beyond."""
    history = History(window_s=5.0)
    history.add(at(0.0, 1000))
    assert history.figures is None
    for second in range(1, 11):
        history.add(at(float(second), 1000 + 10 * second))
    assert history.figures is not None
    assert (history.figures.seconds, history.figures.total.per_s) == (5.0, 10.0)


def test_courses_are_of_each_interval() -> None:
    """The rate between two documents, the latency of each."""
    history = History()
    for second, requests, latency_s in ((0.0, 0, 0.5), (1.0, 10, 0.25), (2.0, 40, 0.2)):
        history.add(at(second, requests, latency_s=latency_s))
    assert list(history.total.rate) == [None, 10.0, 30.0]
    assert list(history.course("p", "x").rate) == [None, 10.0, 30.0]
    assert list(history.course("p", "x").latency) == [0.5, 0.25, 0.2]
    assert highest([history.course("p", "x")]) == 30.0
    assert highest([Course()]) == 0.0


def test_a_restart_begins_anew() -> None:
    """It is counted, no figure spans it, the course has a gap."""
    history = History()
    history.add(at(100.0, 500))
    history.add(at(101.0, 510))
    history.failed("connection refused", 1000.0)
    history.add(at(103.0, 4, pid=8))
    assert (history.restarts, history.figures, history.silence) == (1, None, None)
    history.add(at(104.0, 10, pid=8))
    assert history.figures is not None
    assert history.figures.total.per_s == 6.0
    assert list(history.total.rate) == [None, 10.0, None, 6.0]


def test_silence_counts_from_the_first_failure() -> None:
    """The latest reason is shown; what was known stays in sight."""
    history = History()
    history.add(at(1.0, 5))
    history.failed("no answer", 50.0)
    history.failed("connection refused", 60.0)
    assert history.silence is not None
    assert (history.silence.since, history.silence.why) == (50.0, "connection refused")
    assert history.latest is not None


def test_backends_that_went_are_forgotten() -> None:
    """A gateway whose backends change does not fill the memory of who watches it."""
    history = History()
    for second in range(50):
        name = f"b{second}"
        history.add(overview(at_s=float(second), pools=[pool("p", backend(name), backend("kept"))]))
        assert history.backends.keys() == {("p", name), ("p", "kept")}
    assert len(history.course("p", "kept").rate) == 50
    assert not history.course("p", "b0").rate


@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=200))
def test_nothing_grows_without_end(steps: list[float]) -> None:
    """However documents come, the same twice included, the window is kept and courses have a bound."""
    history, now = History(window_s=5.0), 0.0
    for step in steps:
        now += step
        history.add(at(now, int(now)))
        assert len(history.total.rate) <= POINTS
        if history.figures is not None:
            assert history.figures.seconds < 5.0 + 3.0
    assert history.restarts == 0
