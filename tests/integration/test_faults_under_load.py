"""Servers run but answer badly, under load: does a client see what a retry could have saved?"""

from collections import Counter
from typing import Any

import pytest

from tests.harness import outcomes
from tests.integration.faults import (
    CUT,
    WHOLE,
    balanced,
    failures,
    in_front_of,
    known,
    load,
    servers,
)

CLIENTS = 32

#: What a user sets whose answers begin within a second.
PATIENT = {
    "timeouts": {"first_byte": "1s"},
    "retries": {"on": ["connect", "reset", "timeout", "429", "502", "503", "504"]},
}


@pytest.mark.parametrize(
    "behaviour",
    [
        {"fault": "busy"},
        {"fault": "busy", "retry_after_s": 1},
        {"fault": "silent"},
        {"fault": "resets"},
        {"fault": "closes"},
        {"fault": "stops at the head"},
    ],
    ids=lambda behaviour: " ".join(str(value) for value in behaviour.values()),
)
async def test_one_of_three_answers_nothing_of_use(behaviour: dict[str, Any]) -> None:
    """Every request that fails there before its first byte is answered by another; and however fast the
    failures come they draw no traffic."""
    async with servers() as (sick, *others), in_front_of([sick, *others], **PATIENT) as app:
        async with load(app, CLIENTS) as seen:
            await seen.more(150)
            await sick.be(**behaviour)
            since = seen.sent
            await seen.more(300)
        assert seen.verdicts() == {WHOLE: seen.sent}
        assert seen.shares(since)[sick.name] == 0
        assert 1 <= failures(app, sick) <= CLIENTS
        await balanced(app, seen)


@pytest.mark.parametrize("fault", ["ends half-way", "breaks half-way"])
async def test_one_of_three_cuts_its_bodies(fault: str) -> None:
    """Each answer cut there after its first byte is seen as cut by its client, never as complete, and was
    asked for once. In turns, and without ejections, that is every third."""
    in_turns = {"policy": "round_robin", "outlier": {"max_ejected": 0}}
    async with servers() as (sick, *others), in_front_of([sick, *others], **in_turns) as app:
        await sick.be(fault)
        async with load(app, CLIENTS) as seen:
            await seen.more(300)
        assert {(answer.verdict, answer.backend == sick.name) for answer in seen.answers} == {
            (WHOLE, False),
            (CUT, True),
        }
        assert seen.verdicts()[CUT] >= 80
        arrived = Counter([number for server in (sick, *others) for number in await server.seen()])
        assert arrived == Counter(range(1, seen.sent + 1))
        assert outcomes(app) == {"ok": seen.verdicts()[WHOLE], "reset": seen.verdicts()[CUT]}
        await balanced(app, seen)


async def test_one_of_three_becomes_ten_times_slower() -> None:
    """Its share falls from a third below a hundredth, so that not even the 99th percentile of the clients
    meets it."""
    quick: dict[str, Any] = {"delay_s": 0.05, "pause_s": 0.005, "pieces": 3}
    async with servers(**quick) as (slow, *others), in_front_of([slow, *others]) as app:
        async with load(app, 16) as seen:
            await seen.more(150)
            assert seen.shares()[slow.name] >= 30
            await slow.be(**{**quick, "delay_s": 0.5, "pause_s": 0.05})
            await seen.more(200)
            since = seen.sent
            await seen.more(400)
            assert seen.shares(since)[slow.name] <= 4
        assert seen.verdicts() == {WHOLE: seen.sent}
        await balanced(app, seen)


@pytest.mark.parametrize("how", [{"fault": "keeps for nothing"}, {"idle_s": 0.02}], ids=["next use", "timer"])
async def test_kept_connections_die_at_their_next_use(how: dict[str, Any]) -> None:
    """Servers that close a kept connection just when the next request comes, each time or by a timer as long
    as the clients' pauses: no request suffers, no retry is spent, and no backend has failed."""
    async with servers(**how) as everybody, in_front_of(everybody) as app:
        async with load(app, CLIENTS, think_s=0.02) as seen:
            await seen.more(300)
        assert seen.verdicts() == {WHOLE: seen.sent}
        assert outcomes(app) == {"ok": seen.sent}
        assert app.pools["default"].retries.total() == 0
        assert all(known(app, server).outlier.failures == 0 for server in everybody)
        if "fault" in how:
            twice = sum([len(await server.seen()) for server in everybody]) - seen.sent
            assert twice >= seen.sent // 2
        await balanced(app, seen)


async def test_late_answers_are_nobody_s() -> None:
    """One of three begins to answer just after its client was sent elsewhere, and is asked again and again:
    no late answer is taken for that of another request."""
    pool = {
        "policy": "round_robin",
        "outlier": {"max_ejected": 0},
        "timeouts": {"first_byte": "500ms"},
        "retries": {"on": ["connect", "reset", "timeout"], "budget": "50%"},
    }
    async with servers() as (late, *others), in_front_of([late, *others], **pool) as app:
        await late.be(delay_s=0.6)
        async with load(app, CLIENTS) as seen:
            await seen.more(200)
        assert seen.verdicts() == {WHOLE: seen.sent}
        assert failures(app, late) >= 50
        await balanced(app, seen)
