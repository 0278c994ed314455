"""Is a client that asks told why its request went where it did, and nobody else?"""

import asyncio
import json
from datetime import datetime
from typing import Any

import pytest

from gateway.registry import POLICIES
from gateway.telemetry.lines import DECISION_S
from tests.harness import (
    BUSY,
    FAILED,
    LIMITED,
    Answer,
    Backend,
    answers,
    ask,
    call,
    gateway,
    left_over,
    ok,
    post,
    refusing,
    scripted,
    settled,
    state,
)
from tests.integration.test_waiting import Crowd, Held, limited

EXPLAIN = post({"user": "u"}, "/v1/chat/completions", "X-Gateway-Explain: 1")


def decision(answer: Answer) -> list[dict[str, Any]]:
    """What X-Gateway-Decision says, one row for each attempt."""
    rows: list[dict[str, Any]] = json.loads(answer["x-gateway-decision"])
    for row in rows:
        assert row.keys() == {"pool", "policy", "backend", "candidates", "excluded"}
        for candidate in row["candidates"]:
            assert {"backend", "score"} <= candidate.keys()
        for left_out in row["excluded"]:
            assert left_out.keys() == {"backend", "why"}
        names = [entry["backend"] for entry in row["candidates"] + row["excluded"]]
        assert len(names) == len(set(names))
    return rows


def why(row: dict[str, Any]) -> dict[str, str]:
    """The first word of why each backend was left out."""
    return {entry["backend"]: entry["why"].split()[0].rstrip(":") for entry in row["excluded"]}


def names(row: dict[str, Any]) -> set[str]:
    return {candidate["backend"] for candidate in row["candidates"]}


@pytest.mark.parametrize("policy", sorted(POLICIES))
async def test_the_decision_has_every_candidate_with_its_score(policy: str) -> None:
    """For every policy: pool, policy, who was chosen, and all candidates with scores, lowest first."""
    pool = {"policy": policy, "affinity": {"field": "user"}}
    async with scripted(answers(ok()), answers(ok()), **pool) as (app, _), await call(app) as client:
        for _ in range(5):
            answer = await client.ask(EXPLAIN)
            (row,) = decision(answer)
            assert (row["pool"], row["policy"]) == ("default", policy)
            assert row["backend"] == answer["x-gateway-backend"]
            assert names(row) == {"a", "b"}
            assert row["excluded"] == []
            scores = [entry["score"] for entry in row["candidates"]]
            known = [score for score in scores if score is not None]
            assert scores == sorted(known) + [None] * (len(scores) - len(known))


async def test_the_default_policy_s_score_has_its_terms() -> None:
    """least_latency says slowness, and whatever else its score is made of, as numbers."""
    async with scripted(answers(ok()), policy="least_latency") as (app, _), await call(app) as client:
        assert (await client.ask(post())).status == 200
        (row,) = decision(await client.ask(EXPLAIN))
        (terms,) = row["candidates"]
        assert terms["slowness"] > 0.0
        assert len(terms) >= 4
        assert all(isinstance(value, int | float) for key, value in terms.items() if key != "backend")


@pytest.mark.parametrize("value", ["1", "true", "yes", "on", "TRUE"])
async def test_it_is_said_to_whoever_asks(value: str) -> None:
    """Every way to say yes is understood, and the backend hears nothing of it."""
    async with scripted(answers(ok())) as (app, (backend,)), await call(app) as client:
        assert decision(await client.ask(post(b"{}", "/", f"X-Gateway-Explain: {value}")))
        assert b"explain" not in backend.requests[0].lower()


@pytest.mark.parametrize("fields", [(), ("X-Gateway-Explain: 0",), ("X-Gateway-Explain: no",)])
async def test_it_is_not_said_unasked(fields: tuple[str, ...]) -> None:
    """No field where nobody asked, neither on an answer nor on an error, also right after one who did."""
    async with scripted(answers(ok())) as (app, _), await call(app) as client:
        decision(await client.ask(EXPLAIN))
        answer = await client.ask(post(b"{}", "/", *fields))
        assert answer.status == 200
        assert "x-gateway-decision" not in answer
    with refusing() as nobody:
        async with gateway(nobody) as app, await call(app) as client:
            answer = await client.ask(post(b"{}", "/", *fields))
            assert answer.status == 502
            assert "x-gateway-decision" not in answer


@pytest.mark.parametrize("asked", [True, False])
async def test_a_backend_cannot_say_it(asked: bool) -> None:
    """A backend's own X-Gateway-Decision is dropped; the gateway's is the only one."""
    own = ok().replace(b"\r\n\r\n", b"\r\nX-Gateway-Decision: [1]\r\n\r\n", 1)
    async with scripted(answers(own)) as (app, _), await call(app) as client:
        answer = await client.ask(EXPLAIN if asked else post())
        assert answer.status == 200
        assert [name for name, _ in answer.fields].count("x-gateway-decision") == asked
        if asked:
            assert decision(answer)[0]["backend"] == "a"


# Who was left out


async def test_who_is_drained_rests_or_is_ejected_is_said_to_be() -> None:
    """Each backend that may not work stands among the excluded with its reason."""
    healthy = answers(ok())
    async with (
        scripted(
            healthy, answers(LIMITED), answers(FAILED), healthy, outlier={"consecutive_failures": 1}
        ) as (
            app,
            _,
        ),
        await call(app) as client,
    ):
        app.pools["default"].drain("a")
        while app.pools["default"].backend("b").cool_until == 0.0 or state(app, "c") != "ejected":
            await client.ask(post())
        (row,) = decision(await client.ask(EXPLAIN))
        assert why(row) == {"a": "draining", "b": "resting", "c": "ejected"}
        assert names(row) == {"d"}
        assert row["backend"] == "d"


async def test_who_is_full_is_said_to_be() -> None:
    """A backend at its limit is excluded as full, with the figures."""
    held, other = Held("a"), Held("b")
    async with limited(held, other) as (app, _), Crowd(app) as crowd, await call(app) as client:
        app.pools["default"].drain("b")
        await crowd.served("/1")
        app.pools["default"].undrain("b")
        other.go()
        (row,) = decision(await client.ask(EXPLAIN))
        assert row["excluded"] == [{"backend": "a", "why": "full: 1 of 1 in flight"}]
        assert row["backend"] == "b"
        held.go()
        assert await crowd.answers() == [200]


async def test_a_retry_says_who_was_tried() -> None:
    """Two attempts, two rows, in order; in the second the first one's backend is excluded as tried."""
    async with scripted(answers(BUSY), answers(ok())) as (app, (busy, _)), await call(app) as client:
        rows: list[dict[str, Any]] = []
        while not busy.requests:
            rows = decision(await client.ask(EXPLAIN))
        assert [row["backend"] for row in rows] == ["a", "b"]
        assert why(rows[0]) == {}
        assert why(rows[1]) == {"a": "tried"}
        assert names(rows[1]) == {"b"}


# On errors too


async def test_an_error_of_the_backend_s_is_explained() -> None:
    """A relayed 500 carries the decision."""
    async with scripted(answers(FAILED)) as (app, _), await call(app) as client:
        answer = await client.ask(EXPLAIN)
        assert answer.status == 500
        assert decision(answer)[0]["backend"] == "a"


async def test_an_error_of_the_gateway_s_is_explained() -> None:
    """A 502 tells of every attempt that failed, in order."""
    with refusing() as one, refusing() as two:
        backends = [{"url": one, "name": "a"}, {"url": two, "name": "b"}]
        pool = {"backends": backends, "health": {"path": None}, "policy": "round_robin"}
        async with gateway(pools={"default": pool}) as app, await call(app) as client:
            answer = await client.ask(EXPLAIN)
            assert (answer.status, answer["x-gateway-error"]) == (502, "connect_error")
            rows = decision(answer)
            assert sorted(row["backend"] for row in rows) == ["a", "b"]
            assert why(rows[1]) == {rows[0]["backend"]: "tried"}


async def test_a_refusal_is_explained() -> None:
    """Where nobody could take it, the decision says of each backend why not."""
    held = Held()
    async with limited(held, concurrency={"queue": 0}) as (app, _), Crowd(app) as crowd:
        await crowd.served("/1")
        async with await call(app) as client:
            answer = await client.ask(EXPLAIN)
            assert (answer.status, answer["x-gateway-error"]) == (503, "queue_full")
            (row,) = decision(answer)
            assert (row["backend"], row["candidates"], why(row)) == ("", [], {"a": "full"})
            app.pools["default"].drain("a")
            answer = await client.ask(EXPLAIN)
            assert (answer.status, answer["x-gateway-error"]) == (503, "no_backend")
            (row,) = decision(answer)
            assert (row["backend"], row["candidates"], why(row)) == ("", [], {"a": "draining"})
        held.go()
        assert await crowd.answers() == [200]


async def test_a_refused_retry_is_explained() -> None:
    """The attempt that was made has its backend, the one that could not be has none."""
    held = Held("b")
    async with limited(answers(BUSY), held, concurrency={"queue": 0}) as (app, _), Crowd(app) as crowd:
        app.pools["default"].drain("a")
        await crowd.served("/1")
        app.pools["default"].undrain("a")
        async with await call(app) as client:
            rows = decision(await client.ask(EXPLAIN))
            assert [(row["backend"], names(row), why(row)) for row in rows] == [
                ("a", {"a"}, {"b": "full"}),
                ("", set(), {"a": "tried", "b": "full"}),
            ]
        held.go()
        assert await crowd.answers() == [200]


async def test_an_error_before_any_choice_has_no_decision() -> None:
    """Where no backend was looked for there is nothing to explain."""
    async with scripted(answers(ok())) as (app, _), await call(app) as client:
        answer = await client.ask(post(b"{}", "/", "X-Gateway-Explain: 1", "X-Gateway-Timeout: soon"))
        assert answer.status == 400
        assert "x-gateway-decision" not in answer


async def test_a_fallback_is_explained() -> None:
    """Both pools' decisions are told, the first that could not take it and the one that did."""
    async with Backend(answers(ok())) as backend:
        with refusing() as nobody:
            pools = {
                "first": {"backends": [{"url": nobody, "name": "n"}], "health": {"path": None}},
                "second": {"backends": [{"url": backend.url, "name": "s"}], "health": {"path": None}},
            }
            routes = [{"name": "all", "pool": "first", "fallback": ["second"]}]
            async with gateway(pools=pools, routes=routes) as app, await call(app) as client:
                rows = decision(await client.ask(EXPLAIN))
                assert [(row["pool"], row["backend"]) for row in rows] == [("first", "n"), ("second", "s")]


# The header has bounds, the log is a sample


async def test_a_large_pool_s_decision_stays_readable() -> None:
    """Of 40 candidates the best are told, so that the field stays below what clients take."""
    async with Backend(answers(ok())) as backend:
        backends = [{"url": backend.url, "name": f"backend-{n}"} for n in range(40)]
        pool = {"backends": backends, "health": {"path": None}}
        async with gateway(pools={"default": pool}) as app, await call(app) as client:
            answer = await client.ask(EXPLAIN)
            (row,) = decision(answer)
            assert len(row["candidates"]) == 16
            assert len(answer["x-gateway-decision"]) < 8000


async def test_the_access_log_has_a_sample_of_decisions() -> None:
    """Of many requests within a second one line tells its decision, and a second later the next."""
    lines: list[bytes] = []
    async with Backend(answers(ok())) as backend:
        async with gateway(backend.url, access_log=lines.append) as app:
            assert await ask(app, 30) == [200] * 30
            await asyncio.sleep(DECISION_S)
            assert await ask(app, 30) == [200] * 30
            await settled(lambda: not left_over(app))
        rows = [json.loads(line) for line in b"".join(lines).splitlines()]
        assert len(rows) == 60
        told_at = []
        for row in rows:
            at = datetime.fromisoformat(row["time"]).timestamp()
            due = not told_at or at - told_at[-1] >= DECISION_S
            if abs(at - (told_at or [0.0])[-1] - DECISION_S) > 0.002:  # times are rounded to milliseconds
                assert ("decision" in row) == due
            if "decision" in row:
                told_at.append(at)
        assert len(told_at) >= 2
        (attempt,) = rows[0]["decision"]
        assert attempt["backend"] == rows[0]["backend"]
        assert attempt["outcome"] == "ok"
        assert [entry["backend"] for entry in attempt["candidates"]] == [rows[0]["backend"]]
