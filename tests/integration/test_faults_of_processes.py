"""Servers are killed, stopped and restarted under load: does a client see what a retry could have saved?"""

import asyncio
import signal

import pytest

from tests.harness import ask, outcomes, post, settled
from tests.integration.faults import (
    CUT,
    WHOLE,
    WITHIN_S,
    balanced,
    failures,
    in_front_of,
    known,
    load,
    servers,
    states,
)

#: Checks and ejections in the order of a second, so that a scene has its end in sight.
QUICK = {"health": {"interval": "200ms"}, "outlier": {"ejection": "1s"}}


async def test_one_of_three_is_killed() -> None:
    """kill -9 under 64 clients, all settings at their defaults: only streams that had begun there are cut,
    and the default budget pays for all the rest."""
    async with servers() as (victim, *others), in_front_of([victim, *others]) as app:
        async with load(app, 64) as seen:
            await seen.more(200)
            await settled(lambda: known(app, victim).in_flight >= 5)
            in_flight = known(app, victim).in_flight
            victim.send(signal.SIGKILL)
            await victim.ended()
            killed = seen.sent
            await seen.more(500)
        cut = [answer for answer in seen.answers if answer.verdict != WHOLE]
        assert all((one.verdict, one.stream, one.backend) == (CUT, True, victim.name) for one in cut), cut
        assert len(cut) <= in_flight
        assert seen.verdicts(killed).keys() == {WHOLE}
        assert seen.shares(killed).keys() == {server.name for server in others}
        assert app.pools["default"].retries["no_budget"] == 0
        assert failures(app, victim) <= 64  # those who were there, and no stream of newcomers
        await balanced(app, seen)


@pytest.mark.parametrize("policy", ["least_latency", "least_requests", "round_robin"])
async def test_two_of_three_are_killed(policy: str) -> None:
    """The third answers everybody, while the cap on ejections keeps a dead one in, and in panic, when the
    checks have given up the majority and all are candidates again."""
    async with servers() as (one, two, last), in_front_of([one, two, last], policy=policy, **QUICK) as app:
        async with load(app, 48, think_s=0.04) as seen:
            await seen.more(150)
            await asyncio.gather(one.kill(), two.kill())
            killed = seen.sent
            await seen.more(250)
            await settled(lambda: states(app) == ["down", "down", "up"])
            assert app.pools["default"].panic
            await seen.more(250)
        assert seen.verdicts(killed) == {WHOLE: seen.sent - killed}
        assert seen.verdicts().keys() <= {WHOLE, CUT}
        await balanced(app, seen)


@pytest.mark.parametrize("panic_below", ["50%", "0%"])
async def test_all_are_killed_and_come_back(panic_below: str) -> None:
    """While nobody is there every client is told so at once, and when to come back; when the servers have
    returned traffic flows again by itself."""
    async with servers() as everybody, in_front_of(everybody, panic_below=panic_below, **QUICK) as app:
        async with load(app, 24) as seen:
            await seen.more(150)
            await asyncio.gather(*(server.kill() for server in everybody))
            killed = seen.sent
            await settled(lambda: states(app) == ["down"] * 3)
            await seen.more(100)
            away = seen.after(killed)
            await asyncio.gather(*(server.start() for server in everybody))
            back = seen.sent
            await settled(lambda: states(app) == ["up"] * 3)
            well = seen.sent
            await seen.more(200)
        assert seen.verdicts(well) == {WHOLE: seen.sent - well}
        if panic_below == "50%":  # nobody waits for the checks
            assert seen.verdicts(back) == {WHOLE: seen.sent - back}
        assert set(seen.shares(well)) == {server.name for server in everybody}
        assert {one.verdict for one in away} <= {"502 connect_error", "503 no_backend"}
        assert all(one.patience is not None and int(one.patience) >= 1 for one in away), away[-1]
        await balanced(app, seen)


async def test_one_of_three_stops_for_ten_seconds() -> None:
    """SIGSTOP: it accepts and says nothing. Who waits for a first byte there is answered by others after
    `first_byte`; streams under way go on after SIGCONT; nobody sees an error, or an answer of another."""
    on = ["connect", "reset", "timeout", "429", "502", "503", "504"]
    pool = {"timeouts": {"first_byte": "2s"}, "retries": {"on": on}, "health": {"interval": "1s"}}
    async with servers() as (stopped, *others), in_front_of([stopped, *others], **pool) as app:
        async with load(app, 32, think_s=0.1) as seen:
            await seen.more(150)
            await settled(lambda: known(app, stopped).in_flight >= 3, WITHIN_S)
            stopped.send(signal.SIGSTOP)
            since = seen.sent
            await asyncio.sleep(10.0)
            while_stopped = seen.shares(since)
            stopped.send(signal.SIGCONT)
            await settled(lambda: states(app) == ["up"] * 3, WITHIN_S)
        assert seen.verdicts() == {WHOLE: seen.sent}
        assert while_stopped.total() >= 300 and while_stopped[stopped.name] == 0
        assert 1 <= failures(app, stopped) <= 32
        assert outcomes(app).keys() == {"ok", "timeout"}
        await balanced(app, seen)
        for server in others:
            app.pools["default"].drain(server.name)
        assert await ask(app, 10, post({"n": 0, "stream": False})) == [200] * 10
        assert (await stopped.seen())[-10:] == [0] * 10


@pytest.mark.parametrize("policy", ["least_latency", "least_requests"])
async def test_a_rolling_restart_is_not_noticed(policy: str) -> None:
    """SIGTERM to one after the other; each closes its idle connections, ends what it has begun, is away for a
    while and returns on the same port. No client sees any of it."""
    async with servers() as everybody, in_front_of(everybody, policy=policy) as app:
        async with load(app, 48, think_s=0.04) as seen:
            await seen.more(150)
            for server in everybody:
                server.send(signal.SIGTERM)
                await server.ended()
                await seen.more(200)
                await server.start()
                await seen.more(50)
        assert seen.verdicts() == {WHOLE: seen.sent}
        await balanced(app, seen)
