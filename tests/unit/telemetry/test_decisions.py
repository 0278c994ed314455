"""Are recent decisions kept, newest first, and never more recorded than a second allows?"""

import json

from hypothesis import given
from hypothesis import strategies as st

from gateway import clock
from gateway.messages import AttemptTrace, Exchange, Outcome
from gateway.telemetry.decisions import BRIEF, Decisions


def decided(number: int) -> Exchange:
    exchange = Exchange("POST", "/v1/chat", f"req-{number}", "10.0.0.9", clock.now())
    trace = AttemptTrace("gpus", "least_latency", "a", [{"backend": "a", "score": 0.5}], [])
    exchange.decision = [trace]
    return exchange


def test_the_ring_keeps_the_newest():
    """Of more decisions than there is room for, the last ones stay; `limit` cuts from the old end."""
    decisions = Decisions(size=3)
    for number in range(5):
        decisions.add(decided(number))
    assert [d["request_id"] for d in decisions.latest(10)] == ["req-4", "req-3", "req-2"]
    assert [d["request_id"] for d in decisions.latest(1)] == ["req-4"]


def test_exchanges_without_a_decision_are_not_kept():
    """Only recorded decisions take room."""
    decisions = Decisions()
    exchange = decided(1)
    exchange.decision = None
    decisions.add(exchange)
    exchange.decision = []
    decisions.add(exchange)
    assert decisions.latest(10) == []


def test_decisions_of_one_request():
    """By its id as it is shown, whatever a client put into it; how many there were ever is counted."""
    decisions = Decisions(size=3)
    for number in (1, 2, 1, 3):
        decisions.add(decided(number))
    assert decisions.recorded == 4
    assert [d["request_id"] for d in decisions.latest(10, "req-1")] == ["req-1"]
    assert decisions.latest(10, "req-9") == []
    odd = decided(7)
    odd.request_id = "a\ud800"
    decisions.add(odd)
    assert len(decisions.latest(10, decisions.latest(1)[0]["request_id"])) == 1


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 29))
def test_the_short_form_has_the_best_and_the_chosen(candidates: int, excluded: int, chosen: int):
    """The first candidates, the chosen one wherever it stood, the first left out, and how many there were."""
    exchange = decided(1)
    rows = [{"backend": f"b{n}", "score": n / 10} for n in range(candidates)]
    out = [{"backend": f"x{n}", "why": "down"} for n in range(excluded)]
    exchange.decision = [AttemptTrace("gpus", "least_latency", f"b{chosen}", rows, out)]
    decisions = Decisions()
    decisions.add(exchange)
    (attempt,) = decisions.brief(1)[0]["attempts"]
    assert attempt["candidates_total"] == candidates and attempt["excluded_total"] == excluded
    assert attempt["candidates"][:BRIEF] == rows[:BRIEF] and attempt["excluded"] == out[:BRIEF]
    among = [row["backend"] for row in attempt["candidates"]]
    assert (f"b{chosen}" in among) == (chosen < candidates)
    assert len(among) == len(set(among)) <= BRIEF + 1
    assert len(rows) == candidates and len(out) == excluded  # what is kept is whole


def test_a_decision_tells_the_whole_story():
    """Each attempt with its candidates, who was left out and why, and how it ended."""
    exchange = decided(1)
    first = AttemptTrace("gpus", "least_latency", "a", [{"backend": "a", "score": 0.1, "latency": 0.1}], [])
    first.outcome, first.error, first.ended_s = Outcome.CONNECT_ERROR, "connect_error", 0.25
    second = AttemptTrace(
        "gpus", "least_latency", "b", [{"backend": "b", "score": 0.2}], [{"backend": "a", "why": "tried"}]
    )
    exchange.decision = [first, second]
    exchange.wall, exchange.ended = 1_700_000_000.0, exchange.started + 1.5
    exchange.route, exchange.model, exchange.status = "chat", "m\ud800", 200
    exchange.queued_s = 0.125
    decisions = Decisions()
    decisions.add(exchange)
    (told,) = decisions.latest(1)
    assert told == {
        "time": "2023-11-14T22:13:20.000Z",
        "request_id": "req-1",
        "route": "chat",
        "model": "m\\ud800",
        "queued_s": 0.125,
        "status": 200,
        "error": None,
        "cache": None,
        "duration_s": 1.5,
        "attempts": [
            {
                "pool": "gpus",
                "policy": "least_latency",
                "backend": "a",
                "outcome": "connect_error",
                "error": "connect_error",
                "ended_s": 0.25,
                "candidates": [{"backend": "a", "score": 0.1, "latency": 0.1}],
                "excluded": [],
            },
            {
                "pool": "gpus",
                "policy": "least_latency",
                "backend": "b",
                "outcome": None,
                "error": None,
                "ended_s": 0.0,
                "candidates": [{"backend": "b", "score": 0.2}],
                "excluded": [{"backend": "a", "why": "tried"}],
            },
        ],
    }
    json.dumps(told).encode()


@given(st.lists(st.floats(0.0, 0.4), max_size=300), st.integers(1, 20))
def test_at_most_so_many_in_any_second(steps, per_second):
    """However requests arrive, no second has more than its share; the first ones are always recorded."""
    decisions = Decisions(per_second=per_second)
    now, granted = 100.0, []
    for step in steps:
        now += step
        if decisions.wants(now):
            granted.append(now)
    for index in range(len(granted) - per_second):
        assert granted[index + per_second] - granted[index] >= 1.0
    assert len(granted) >= min(len(steps), per_second)


@given(st.lists(st.floats(0.1, 10.0), max_size=100))
def test_at_night_everything_is_recorded(steps):
    """Below the limit nothing is left out."""
    decisions = Decisions(per_second=11)
    now = 0.0
    for step in steps:
        now += step
        assert decisions.wants(now)
