"""Does a second attempt cut a slow answer short, once, and leave nothing behind whichever attempt answers?"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from gateway.app import App
from gateway.attempts.hedge import CANCELS, LEAST_SAMPLES
from tests.harness import (
    BUSY,
    CHUNKED,
    FAILED,
    LIMITED,
    Backend,
    Caller,
    Conversation,
    ask,
    call,
    chunk,
    left_over,
    ok,
    outcomes,
    post,
    scripted,
    settled,
)
from tests.integration.test_metrics_agree import scrape, total

Reply = Callable[[Conversation], Awaitable[None]]
HEDGED = {"after": "p50", "budget": "50%"}


class Script:
    """What backends answer: each attempt in turn takes the next reply of `plan`, and 200 when it is over.

    `asked` are the names of the backends in the order of the attempts.
    """

    def __init__(self) -> None:
        self.plan: list[Reply] = []
        self.asked: list[str] = []

    def server(self, name: str) -> Reply:
        async def handler(conversation: Conversation) -> None:
            while await conversation.request():
                self.asked.append(name)
                reply = self.plan.pop(0) if self.plan else says(ok(name.encode()))
                await reply(conversation)

        return handler


def says(*parts: bytes, once: asyncio.Event | None = None) -> Reply:
    """Answers with `parts`: at once, or when `once` is set."""

    async def reply(conversation: Conversation) -> None:
        if once is not None:
            await once.wait()
        for part in parts:
            await conversation.send(part)

    return reply


async def minds(conversation: Conversation) -> None:
    """Does not answer, and stops when the client closes its side."""
    await conversation.reader.read()
    conversation.writer.close()


async def minds_not(conversation: Conversation) -> None:
    """Does not answer, and keeps the connection whatever the client does."""
    await asyncio.Event().wait()


def breaks(once: asyncio.Event) -> Reply:
    """Says what is no HTTP when `once` is set."""
    return says(b"nonsense\r\n\r\n", once=once)


@contextlib.asynccontextmanager
async def warm(number: int = 2, **pool: Any) -> AsyncIterator[tuple[App, Script, list[Backend]]]:
    """A pool that knows how long answers take, and has second attempts to spend."""
    script = Script()
    handlers = [script.server(name) for name in "abc"[:number]]
    async with scripted(*handlers, **{"hedging": HEDGED, **pool}) as (app, backends):
        assert await ask(app, LEAST_SAMPLES) == [200] * LEAST_SAMPLES
        assert len(script.asked) == LEAST_SAMPLES
        script.asked.clear()
        for backend in app.pools["default"].backends:
            backend.outcomes = [0] * len(backend.outcomes)
        yield app, script, backends


def hedges(app: App) -> dict[str, int]:
    """What became of second attempts; the reasons why none was made are left out."""
    found = app.pools["default"].hedges
    return {key: found[key] for key in ("won", "lost", "failed") if found[key]}


async def raced(app: App, script: Script, client: Caller, *plan: Reply, attempts: int = 2) -> None:
    """Send a request whose attempts get these replies, and see all of them made."""
    script.plan[:] = plan
    await client.send(post())
    await settled(lambda: len(script.asked) == attempts)


# Who answers


async def test_a_backend_that_does_not_answer_is_hedged() -> None:
    """The second attempt goes elsewhere, and its answer is the client's, whole and once."""
    async with warm() as (app, script, _):
        async with await call(app) as client:
            await raced(app, script, client, minds, says(ok(b"second")))
            answer = await client.answer()
            assert (answer.status, answer.body) == (200, b"second")
            assert len(set(script.asked)) == 2
            assert answer["x-gateway-backend"] == script.asked[1]
            assert (await client.ask(post())).status == 200  # nothing else came on this connection
        await settled(lambda: not left_over(app))
        assert hedges(app) == {"won": 1}
        assert outcomes(app) == {"cancelled": 1, "ok": 2}
        assert app.pools["default"].retries == {}


async def test_a_stream_is_hedged() -> None:
    """A streamed answer of the second attempt is relayed piece by piece, from its first to its last."""
    more = asyncio.Event()

    async def streams(conversation: Conversation) -> None:
        await conversation.send(CHUNKED + chunk(b"one"))
        await more.wait()
        await conversation.send(chunk(b"two") + chunk(b""))

    async with warm() as (app, script, _):
        async with await call(app) as client:
            await raced(app, script, client, minds, streams)
            head = await client.head()
            assert (head.status, head["x-gateway-backend"]) == (200, script.asked[1])
            assert await client.chunk() == b"one"
            assert app.pools["default"].backend(script.asked[0]).in_flight == 0  # given up by now
            more.set()
            assert [piece async for piece in client.chunks()] == [b"two"]
        await settled(lambda: not left_over(app))
        assert hedges(app) == {"won": 1}


async def test_a_head_alone_wins_nothing() -> None:
    """A backend that sends its headers and nothing behind them has not begun to answer."""
    async with warm() as (app, script, _), await call(app) as client:
        await raced(app, script, client, minds, says(CHUNKED), attempts=2)
        await asyncio.sleep(0.05)
        assert app.pools["default"].in_flight_total == 2
        assert hedges(app) == {}


async def test_the_first_may_still_answer() -> None:
    """When the first answers while the second runs, the first is relayed and the second given up."""
    now = asyncio.Event()
    async with warm() as (app, script, _):
        async with await call(app) as client:
            await raced(app, script, client, says(ok(b"first"), once=now), minds)
            now.set()
            answer = await client.answer()
            assert (answer.status, answer.body) == (200, b"first")
            assert answer["x-gateway-backend"] == script.asked[0]
        await settled(lambda: not left_over(app))
        assert hedges(app) == {"lost": 1}
        assert outcomes(app) == {"ok": 1, "cancelled": 1}
        assert app.pools["default"].retries == {}  # a second attempt is no retry


@pytest.mark.parametrize("problem", [BUSY, FAILED, LIMITED], ids=["503", "500", "429"])
async def test_an_error_does_not_beat_an_answer(problem: bytes) -> None:
    """A second attempt that is answered 503, 500 or 429 is dropped; the first answers well in the end."""
    now = asyncio.Event()
    async with warm() as (app, script, _):
        async with await call(app) as client:
            await raced(app, script, client, says(ok(b"first"), once=now), says(problem))
            await settled(lambda: app.pools["default"].in_flight_total == 1)  # its place is free at once
            now.set()
            answer = await client.answer()
            assert (answer.status, answer.body) == (200, b"first")
            assert answer["x-gateway-backend"] == script.asked[0]
        await settled(lambda: not left_over(app))
        assert hedges(app) == {"failed": 1}
        word = "overloaded" if problem is LIMITED else "server_error"
        assert outcomes(app) == {"ok": 1, word: 1}
        assert app.pools["default"].retries == {}


async def test_an_error_of_the_caller_s_is_an_answer() -> None:
    """A 404 of the second attempt says nothing against it: it is relayed like any answer."""
    missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno."
    async with warm() as (app, script, _), await call(app) as client:
        await raced(app, script, client, minds, says(missing))
        assert (await client.answer()).status == 404
        assert hedges(app) == {"won": 1}


@pytest.mark.parametrize("kept", [64, 0], ids=["kept connections", "new connections"])
async def test_the_second_answers_for_a_first_that_fails(kept: int) -> None:
    """The first breaks while the second runs: the second is waited for, and no third is made."""
    broken, now = asyncio.Event(), asyncio.Event()
    async with warm(keepalive={"max_idle": kept}) as (app, script, _):
        async with await call(app) as client:
            await raced(app, script, client, breaks(broken), says(ok(b"second"), once=now))
            broken.set()
            first = app.pools["default"].backend(script.asked[0])
            await settled(lambda: first.connections.open == first.connections.idle)
            now.set()
            answer = await client.answer()
            assert (answer.status, answer.body) == (200, b"second")
            assert answer["x-gateway-backend"] == script.asked[1]
        await settled(lambda: not left_over(app))
        assert len(script.asked) == 2
        assert hedges(app) == {"won": 1}
        assert outcomes(app) == {"reset": 1, "ok": 1}
        assert first.outlier.failures == 1


@pytest.mark.parametrize("problem", [BUSY, FAILED, LIMITED], ids=["503", "500", "429"])
async def test_the_second_answers_for_a_first_that_cannot(problem: bytes) -> None:
    """The first says 503, 500 or 429 while the second runs: the second is waited for."""
    cannot, now = asyncio.Event(), asyncio.Event()
    async with warm() as (app, script, _):
        async with await call(app) as client:
            await raced(app, script, client, says(problem, once=cannot), says(ok(b"second"), once=now))
            cannot.set()
            await asyncio.sleep(0.02)
            assert len(script.asked) == 2
            now.set()
            answer = await client.answer()
            assert (answer.status, answer.body) == (200, b"second")
            assert answer["x-gateway-backend"] == script.asked[1]
        await settled(lambda: not left_over(app))
        assert len(script.asked) == 2
        assert hedges(app) == {"won": 1}
        word = "overloaded" if problem is LIMITED else "server_error"
        assert outcomes(app) == {"ok": 1, word: 1}
        assert app.pools["default"].retries == {}


@pytest.mark.parametrize("sooner", [0, 1])
async def test_when_neither_can_the_first_s_answer_stands(sooner: int) -> None:
    """500 from both, and no rule that repeats it: the client gets the first's, whichever came sooner."""
    cannot = [asyncio.Event(), asyncio.Event()]
    async with warm() as (app, script, _):
        async with await call(app) as client:
            other = FAILED.replace(b"broken", b"second")
            await raced(app, script, client, says(FAILED, once=cannot[0]), says(other, once=cannot[1]))
            cannot[sooner].set()
            await asyncio.sleep(0.02)
            cannot[1 - sooner].set()
            answer = await client.answer()
            assert (answer.status, answer.body) == (500, b"broken")
            assert answer["x-gateway-backend"] == script.asked[0]
        await settled(lambda: not left_over(app))
        assert len(script.asked) == 2
        assert hedges(app) == {"failed": 1}
        assert outcomes(app) == {"server_error": 2}


@pytest.mark.parametrize("fails", [False, True])
async def test_the_second_is_waited_for_when_a_kept_connection_was_closed(fails: bool) -> None:
    """The first finds its kept connection closed, which is nobody's fault: the second's answer is used, and
    only if it has none the first is sent anew."""
    closed, now = asyncio.Event(), asyncio.Event()

    async def closes(conversation: Conversation) -> None:
        await closed.wait()
        conversation.abort()

    async with warm() as (app, script, _):
        async with await call(app) as client:
            second = says(b"nonsense\r\n\r\n" if fails else ok(b"second"), once=now)
            await raced(app, script, client, closes, second)
            closed.set()
            await asyncio.sleep(0.02)
            assert len(script.asked) == 2
            now.set()
            answer = await client.answer()
            first = script.asked[0]
            assert answer.status == 200
            assert answer["x-gateway-backend"] == (first if fails else script.asked[1])
        await settled(lambda: not left_over(app))
        assert script.asked[2:] == ([first] if fails else [])
        assert hedges(app) == {"failed" if fails else "won": 1}
        assert outcomes(app) == ({"ok": 1, "reset": 1} if fails else {"ok": 1, "cancelled": 1})
        assert app.pools["default"].backend(first).outlier.failures == 0


async def test_when_both_fail_the_retry_rules_decide() -> None:
    """Two broken attempts: a third where retries allow it, always at the backend not asked yet."""
    pool = {
        "policy": "random",
        "outlier": {"consecutive_failures": 0},
        "hedging": {**HEDGED, "budget": "100%"},
    }
    rounds = 8
    async with warm(3, **pool) as (app, script, _):
        for number in range(rounds):
            first, second = asyncio.Event(), asyncio.Event()
            async with await call(app) as client:
                script.asked.clear()
                await raced(app, script, client, breaks(first), breaks(second))
                sooner, later = (first, second) if number % 2 else (second, first)
                sooner.set()
                await asyncio.sleep(0.01)
                later.set()
                assert (await client.answer()).status == 200
                assert sorted(script.asked) == ["a", "b", "c"]
            await settled(lambda: not left_over(app))
        assert hedges(app) == {"failed": rounds}
        assert app.pools["default"].retries == {"tried": rounds, "success": rounds}
        assert outcomes(app) == {"reset": 2 * rounds, "ok": rounds}


@pytest.mark.parametrize("order", ["first", "second"])
async def test_when_both_fail_and_nothing_may_be_repeated_the_client_is_told(order: str) -> None:
    """`attempts: 1`: what the first failed with is the client's answer, whichever failed sooner."""
    breaking = [asyncio.Event(), asyncio.Event()]
    async with warm(retries={"attempts": 1}) as (app, script, _):
        async with await call(app) as client:
            await raced(app, script, client, breaks(breaking[0]), breaks(breaking[1]))
            sooner, later = breaking if order == "first" else breaking[::-1]
            sooner.set()
            await asyncio.sleep(0.02)
            later.set()
            answer = await client.answer()
            assert (answer.status, answer["x-gateway-error"]) == (502, "bad_response")
        await settled(lambda: not left_over(app))
        assert len(script.asked) == 2
        assert hedges(app) == {"failed": 1}
        assert outcomes(app) == {"reset": 2}


async def test_a_second_attempt_that_finds_nobody_changes_nothing() -> None:
    """Where the second attempt goes nobody listens: it has failed, and the first is waited for."""
    now = asyncio.Event()
    async with warm(keepalive={"max_idle": 0}) as (app, script, backends):
        async with await call(app) as client:
            assert (await client.ask(post())).body == b"a"  # and the next one is b's turn
            await backends[0].__aexit__()
            await raced(app, script, client, says(ok(b"first"), once=now), attempts=2)
            await settled(lambda: outcomes(app) == {"ok": 1, "connect_error": 1})
            now.set()
            answer = await client.answer()
            assert (answer.body, answer["x-gateway-backend"]) == (b"first", "b")
        await settled(lambda: not left_over(app))
        assert script.asked == ["a", "b"]
        assert hedges(app) == {"failed": 1}
        assert outcomes(app) == {"ok": 2, "connect_error": 1}
        assert app.pools["default"].retries == {}


# The one that is given up


async def freed(app: App) -> tuple[int, int]:
    hedger: Any = app.pools["default"].hedger
    return hedger._freed, hedger._stuck


async def test_a_loser_that_minds_is_seen_to_stop() -> None:
    """Only the sending side is closed at first; a backend that closes then counts as freed."""
    ends: list[bytes] = []

    async def listens(conversation: Conversation) -> None:
        ends.append(await conversation.reader.read())
        conversation.writer.close()

    async with warm() as (app, script, _), await call(app) as client:
        await raced(app, script, client, listens, says(ok(b"second")))
        assert (await client.answer()).body == b"second"
        await settled(lambda: not [row for row in left_over(app) if "Listener" not in row])
        assert ends == [b""]  # an end, not a reset
        assert await freed(app) == (1, 0)


async def test_a_loser_that_answers_all_the_same_has_not_stopped() -> None:
    """An answer after the half-close counts as stuck and reaches nobody; its connection is gone."""
    late = asyncio.Event()
    async with warm() as (app, script, _), await call(app) as client:
        await raced(app, script, client, says(ok(b"late"), once=late), says(ok(b"second")))
        assert (await client.answer()).body == b"second"
        assert await freed(app) == (0, 0)
        late.set()
        await settled(lambda: app.pools["default"].hedger._stuck == 1)  # type: ignore[union-attr]
        first = app.pools["default"].backend(script.asked[0])
        await settled(lambda: first.connections.open == first.connections.idle)
        for _ in range(4):
            assert (await client.ask(post())).body in (b"a", b"b")


async def test_hedging_turns_itself_off_where_giving_up_frees_nothing() -> None:
    """Eight losers that keep their connections for a second: no more second attempts for a while."""
    async with warm(hedging={**HEDGED, "budget": "100%"}) as (app, script, _):
        hedger = app.pools["default"].hedger
        assert hedger is not None
        async with contextlib.AsyncExitStack() as stack:
            for number in range(1, CANCELS + 1):
                client = await stack.enter_async_context(await call(app))
                await raced(app, script, client, minds_not, says(ok(b"second")), attempts=2 * number)
                assert (await client.answer()).body == b"second"
            assert hedger.off_until == 0.0
            await settled(lambda: hedger.off_until > 0.0)
            await settled(lambda: all(b.connections.open == b.connections.idle for b in _backends(app)))
            script.asked.clear()
            now = asyncio.Event()
            client = await stack.enter_async_context(await call(app))
            await raced(app, script, client, says(ok(b"alone"), once=now), attempts=1)
            await asyncio.sleep(0.05)
            now.set()
            assert (await client.answer()).body == b"alone"
            assert len(script.asked) == 1
        await settled(lambda: not left_over(app))
        assert hedges(app) == {"won": CANCELS}


def _backends(app: App) -> tuple[Any, ...]:
    return app.pools["default"].backends


async def test_the_client_leaves_during_a_race() -> None:
    """Both leases are closed as cancelled, both backends see their connection end, nobody is blamed."""
    async with warm() as (app, script, backends):
        async with await call(app) as client:
            await raced(app, script, client, minds, minds)
            running = [conversation for backend in backends for conversation in backend.conversations]
        await settled(lambda: not left_over(app))
        for conversation in running:
            await settled(conversation.writer.transport.is_closing)
        assert outcomes(app) == {"cancelled": 2}
        assert [backend.outlier.failures for backend in _backends(app)] == [0, 0]
        assert hedges(app) == {"lost": 1}


# When none is made


async def alone(app: App, script: Script, request: bytes) -> None:
    """This request is answered by its first attempt, and nobody else was asked meanwhile."""
    now = asyncio.Event()
    script.plan[:] = [says(ok(b"alone"), once=now)]
    async with await call(app) as client:
        await client.send(request)
        await settled(lambda: len(script.asked) == 1)
        await asyncio.sleep(0.05)  # many times what an answer takes here
        now.set()
        assert (await client.answer()).body == b"alone"
    await settled(lambda: not left_over(app))
    assert len(script.asked) == 1
    assert hedges(app) == {}


async def test_an_answer_in_time_is_not_hedged() -> None:
    """Nothing is asked twice while answers come at once."""
    async with warm(hedging={"after": "p99", "budget": "100%"}) as (app, script, _):
        app.pools["default"].hedger._percentile_s[:] = [10.0] * 64  # type: ignore[union-attr]
        assert await ask(app, 20) == [200] * 20
        assert len(script.asked) == 20
        assert app.pools["default"].hedges == {}


async def test_nothing_is_hedged_before_enough_is_known() -> None:
    """The first answers of a pool teach it only."""
    script = Script()
    async with scripted(script.server("a"), script.server("b"), hedging=HEDGED) as (app, _):
        assert await ask(app, LEAST_SAMPLES - 1) == [200] * (LEAST_SAMPLES - 1)
        script.asked.clear()
        await alone(app, script, post())


async def test_a_streamed_upload_is_not_hedged() -> None:
    """A body that is not held cannot be sent twice."""
    async with warm() as (app, script, _):
        await alone(app, script, post(b"x" * 3_000_000))


async def test_nothing_is_hedged_while_somebody_waits() -> None:
    """A second attempt takes nobody's place: not while the queue holds someone, nor where all are full."""
    async with warm(concurrency={"limit": 1}) as (app, script, _):
        now = asyncio.Event()
        script.plan[:] = [says(ok(b"one"), once=now), says(ok(b"two"), once=now)]
        async with await call(app) as one, await call(app) as two, await call(app) as three:
            app.pools["default"].drain("a")
            await one.send(post())
            await settled(lambda: script.asked == ["b"])
            await two.send(post())
            await settled(lambda: len(app.pools["default"].queue) == 1)
            await asyncio.sleep(0.05)
            assert script.asked == ["b"]
            app.pools["default"].undrain("a")
            now.set()
            for client in (one, two):
                assert (await client.answer()).status == 200
            assert (await three.ask(post())).status == 200
        assert hedges(app) == {}
        assert app.pools["default"].hedges["no_backend"] >= 1


async def test_nothing_is_hedged_without_a_budget() -> None:
    """20 requests at 1 % have not paid for a second attempt; the counter says so."""
    async with warm(hedging={"after": "p50", "budget": "1%"}) as (app, script, _):
        await alone(app, script, post())
        assert app.pools["default"].hedges == {"no_budget": 1}


async def test_second_attempts_are_paid_from_the_retries_budget_too() -> None:
    """What retries may not spend, second attempts may not either."""
    async with warm(retries={"budget": "0%", "min_per_second": 0}) as (app, script, _):
        await alone(app, script, post())
        assert app.pools["default"].hedges == {"no_budget": 1}


async def test_the_only_backend_is_not_hedged() -> None:
    """There is nobody else to ask."""
    async with warm(1) as (app, script, _):
        await alone(app, script, post())
        assert app.pools["default"].hedges == {"no_backend": 1}


# What is counted


@pytest.mark.parametrize("winner", ["first", "second"])
async def test_decisions_and_record_show_both_attempts(winner: str) -> None:
    """Two attempts are counted, both are among the decisions with their ends, and the winner is named."""
    now = asyncio.Event()
    plans: dict[str, list[Reply]] = {
        "first": [says(ok(b"first"), once=now), minds],
        "second": [minds, says(ok(b"second"), once=now)],
    }
    async with warm() as (app, script, _):
        async with await call(app) as client:
            await raced(app, script, client, *plans[winner])
            now.set()
            answer = await client.answer()
        first, second = script.asked
        name = {"first": first, "second": second}[winner]
        assert answer["x-gateway-backend"] == name
        await settled(lambda: not left_over(app))
        (row,) = app.decisions.latest(1)
        attempts: Any = row["attempts"]
        assert [attempt["backend"] for attempt in attempts] == [first, second]
        ends = {attempt["backend"]: attempt["outcome"] for attempt in attempts}
        assert ends == {name: "ok", ({first, second} - {name}).pop(): "cancelled"}
        assert [row["why"].split(":")[0] for row in attempts[1]["excluded"]] == ["tried"]
        record = app.decisions._ring[-1]
        assert record.started <= record.sent < record.first_byte <= record.ended
        latency = app.pools["default"].backend(name).latency
        assert latency.at == record.first_byte  # measured at the winner's first byte
        assert float(answer["server-timing"].rpartition("dur=")[2]) > 0.0
        assert (record.attempts, record.backend) == (2, name)
        samples = await scrape(app)
        result = "lost" if winner == "first" else "won"
        assert total(samples, "gateway_hedges_total", pool="default", result=result) == 1
