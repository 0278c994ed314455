"""What an access log says of machines and work."""

import json
from datetime import UTC, datetime

import pytest

from gateway.simulation.replay import Entry, entries, most_at_once, rebuild, speeds

LINE = {
    "time": "2026-01-02T03:04:05.250Z",
    "pool": "chat",
    "backend": "a",
    "status": 200,
    "stream": True,
    "bytes_in": 900,
    "duration_ms": 2010.0,
    "first_byte_ms": 150.0,
    "overhead_ms": 10.0,
}


def lines(*changes: dict[str, object]) -> list[bytes]:
    return [json.dumps({**LINE, **change}).encode() for change in changes]


def entry(
    at: float, backend: str, first_s: float | None, total_s: float | None = None, size: int = 100
) -> Entry:
    total_s = first_s if total_s is None else total_s
    return Entry(at, "p", backend, total_s != first_s, size, first_s, total_s)


def test_lines_become_entries() -> None:
    """Times from sending to the backend; a whole answer ends with its first byte."""
    streamed, whole = entries(lines({}, {"stream": False}))
    at = datetime(2026, 1, 2, 3, 4, 5, 250_000, UTC).timestamp()
    assert streamed == Entry(at, "chat", "a", True, 900, 0.15, 2.0)
    assert (whole.first_s, whole.total_s) == (0.15, 0.15)


def test_what_got_no_good_answer_has_no_times() -> None:
    """But it came, and wants to be served."""
    failed, unanswered = entries(
        lines({"status": 503}, {"status": 502, "first_byte_ms": None, "backend": ""})
    )
    assert (failed.first_s, failed.total_s) == (None, None)
    assert (unanswered.first_s, unanswered.total_s) == (None, None)


def test_other_lines_are_passed_over() -> None:
    """Messages, lines of other programs, half a line, and requests that no pool was asked for."""
    odd = [
        b"",
        b"{",
        b"[1]",
        b"3",
        b'{"time": "x"}',
        *lines({"pool": ""}, {"bytes_in": "many"}, {"time": "x"}),
    ]
    assert list(entries([*odd, *lines({})])) == list(entries(lines({})))


def test_speeds_are_against_requests_of_the_same_kind() -> None:
    """A backend that got the large requests is not slow for that; one that takes twice as long is."""
    small = [entry(0, "a", 0.1, size=100), entry(0, "b", 0.1, size=100), entry(0, "c", 0.2, size=100)]
    large = [entry(0, "b", 1.0, size=5000), entry(0, "c", 2.0, size=5000), entry(0, "a", 1.0, size=5000)]
    found = speeds([*small, *large, *[entry(0, "b", 1.0, size=5000)] * 5, entry(0, "b", None)])
    assert found == {"a": pytest.approx(1.0), "b": pytest.approx(1.0), "c": pytest.approx(0.5)}


def test_most_at_once_is_counted_by_backend() -> None:
    """One that ends as another begins is not there any more."""
    log = [
        entry(0, "a", 2.0),
        entry(1, "a", 2.0),
        entry(2, "a", 1.0),
        entry(0, "b", 1.0),
        entry(5, "b", None),
    ]
    assert most_at_once(log) == {"a": 2, "b": 1}


def test_a_log_becomes_machines_and_tasks() -> None:
    """Names, limits and speeds of backends; times from the first request; work as on a typical machine."""
    log = [
        entry(105.0, "slow", 0.4, 4.0),
        entry(100.0, "fast", 0.1, 1.0),
        entry(101.0, "fast", 0.1, 1.0),
        entry(102.0, "usual", 0.2, 2.0),
        entry(103.0, "slow", 0.4, 4.0),
        entry(104.0, "usual", 0.2, 2.0),
    ]
    scenario, tasks = rebuild(log, {"fast": 7, "slow": None, "new": None})
    assert [(group.name, group.places, group.speed) for group in scenario.machines] == [
        ("fast", 7, pytest.approx(2.0)),
        ("new", 2, 1.0),
        ("slow", 2, pytest.approx(0.5)),
    ]
    assert [task.at for task in tasks] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert [task.number for task in tasks] == list(range(6))
    assert all(task.work_s == pytest.approx(2.0) and task.first_s == pytest.approx(0.2) for task in tasks)
    assert all(task.stream for task in tasks)
    assert scenario.duration_s == pytest.approx(5.0, abs=0.01)
    assert scenario.warmup_s == 0.0


def test_the_unanswered_want_what_is_usual_for_their_kind() -> None:
    """Or for all, where nothing of their kind was answered."""
    log = [
        entry(0.0, "a", 0.1),
        entry(1.0, "a", 0.3),
        entry(2.0, "a", 0.2),
        entry(3.0, "", None),
        entry(4.0, "", None, size=99_999),
    ]
    _, tasks = rebuild(log, {"a": None})
    assert [task.work_s for task in tasks[3:]] == pytest.approx([0.2, 0.2])
    assert tasks[3].first_s == 0.0


def test_an_empty_log_is_refused() -> None:
    """There is nothing to replay."""
    with pytest.raises(ValueError, match="no request"):
        rebuild([], {"a": None})
