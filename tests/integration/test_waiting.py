"""Who waits for a backend, who is served next, and what is told to those who cannot be?"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.app import App
from tests.harness import (
    BUSY,
    IN_TURN,
    Answer,
    Backend,
    Caller,
    Conversation,
    Handler,
    answers,
    ask,
    call,
    gateway,
    get,
    left_over,
    listener,
    ok,
    outcomes,
    settled,
)
from tests.integration.test_metrics_agree import scrape, total


class Held:
    """A backend that answers when told to; `came` are the paths it was asked for, `most` how many at once."""

    def __init__(self, name: str = "a") -> None:
        self.came: list[str] = []
        self.under_way = 0
        self.most = 0
        self._name = name.encode()
        self._may = asyncio.Semaphore(0)

    async def __call__(self, conversation: Conversation) -> None:
        while request := await conversation.request():
            self.came.append(request.split(b" ")[1].decode())
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            await self._may.acquire()
            self.under_way -= 1
            await conversation.send(ok(self._name))

    def go(self, number: int = 1) -> None:
        """Answer so many requests, those that are there and those that come."""
        for _ in range(number):
            self._may.release()


@contextlib.asynccontextmanager
async def limited(
    *handlers: Handler,
    most: int | None = 1,
    pools: dict[str, Any] | None = None,
    access_log: Callable[[bytes], object] | None = None,
    routes: list[dict[str, Any]] | None = None,
    **pool: Any,
) -> AsyncIterator[tuple[App, list[Backend]]]:
    """A gateway with backends a, b, … that take no more than `most` requests at once each."""
    async with contextlib.AsyncExitStack() as stack:
        backends = [await stack.enter_async_context(Backend(handler)) for handler in handlers]
        named = [
            {"url": backend.url, "name": name, "max_in_flight": most}
            for backend, name in zip(backends, "abc", strict=False)
        ]
        default = {"backends": named, "health": {"path": None}, **IN_TURN, **pool}
        extra = {} if routes is None else {"routes": routes}
        app = await stack.enter_async_context(
            gateway(pools={"default": default, **(pools or {})}, access_log=access_log, **extra)
        )
        yield app, backends


class Crowd:
    """Clients that come one after the other, each known by the path it asks for."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.clients: dict[str, Caller] = {}

    async def __aenter__(self) -> "Crowd":
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self.clients.values():
            client.drop()

    @property
    def queue(self) -> Any:
        return self.app.pools["default"].queue

    async def served(self, path: str, *fields: str) -> None:
        """Somebody comes and a backend has room."""
        before = self.app.pools["default"].in_flight_total
        await self._comes(path, *fields)
        await settled(lambda: self.app.pools["default"].in_flight_total == before + 1)

    async def waits(self, path: str, *fields: str) -> None:
        """Somebody comes and has to wait."""
        before = len(self.queue)
        await self._comes(path, *fields)
        await settled(lambda: len(self.queue) == before + 1)

    async def _comes(self, path: str, *fields: str) -> None:
        self.clients[path] = await call(self.app)
        await self.clients[path].send(get(path, *fields))

    async def answer(self, path: str) -> Answer:
        return await self.clients[path].answer()

    async def answers(self) -> list[int]:
        """The statuses that all of them got, in the order in which they came."""
        return [(await client.answer()).status for client in self.clients.values()]


def told(answer: Answer) -> tuple[int, str, str]:
    """Status, X-Gateway-Error and the error object's code; Retry-After must be there and reasonable."""
    assert 1 <= int(answer["retry-after"]) <= 60
    return answer.status, answer["x-gateway-error"], answer.json()["error"]["code"]


# One after the other


@pytest.mark.parametrize("most", [1, 2])
@pytest.mark.parametrize("key", ["max_in_flight", "limit"])
async def test_no_backend_gets_more_at_once_than_its_limit(key: str, most: int) -> None:
    """What is over the limit, the backend's own or the pool's, waits and is served in order of arrival."""
    held = Held()
    own, pool = (most, {}) if key == "max_in_flight" else (None, {"concurrency": {"limit": most}})
    async with limited(held, most=own, **pool) as (app, _), Crowd(app) as crowd:
        for number in range(most):
            await crowd.served(f"/{number}")
        for number in range(most, 5):
            await crowd.waits(f"/{number}")
        await settled(lambda: len(held.came) == most)
        held.go(5)
        assert await crowd.answers() == [200] * 5
        assert held.came == [f"/{number}" for number in range(5)]
        assert held.most == most
        assert crowd.queue.granted == 5 - most


async def test_a_backend_s_own_limit_comes_before_the_pool_s() -> None:
    """`max_in_flight` is what counts where both are given."""
    held = Held()
    async with limited(held, most=1, concurrency={"limit": 3}) as (app, _), Crowd(app) as crowd:
        await crowd.served("/1")
        await crowd.waits("/2")
        held.go(2)
        assert await crowd.answers() == [200, 200]
        assert held.most == 1


@pytest.mark.parametrize("free", ["a", "b"])
async def test_who_waits_goes_to_the_backend_that_is_free_first(free: str) -> None:
    """A waiting request is bound to no backend before one has room."""
    servers = {"a": Held("a"), "b": Held("b")}
    async with limited(*servers.values()) as (app, _), Crowd(app) as crowd:
        await crowd.served("/1")
        await crowd.served("/2")
        await crowd.waits("/3")
        await settled(lambda: all(server.came for server in servers.values()))
        servers[free].go(2)
        answer = await crowd.answer("/3")
        assert (answer.status, answer["x-gateway-backend"], answer.body) == (200, free, free.encode())
        assert [len(server.came) for name, server in servers.items() if name != free] == [1]
        for server in servers.values():
            server.go()


async def test_who_leaves_the_queue_leaves_nothing_behind() -> None:
    """A waiting client that goes has never been at the backend, and the next one is served in its place."""
    held = Held()
    async with limited(held) as (app, _):
        async with Crowd(app) as crowd:
            await crowd.served("/1")
            await crowd.waits("/2")
            await crowd.waits("/3")
            crowd.clients.pop("/2").drop()
            await settled(lambda: len(crowd.queue) == 1)
            held.go(2)
            assert await crowd.answers() == [200, 200]
        await settled(lambda: not left_over(app))
        assert held.came == ["/1", "/3"]
        assert (crowd.queue.left, crowd.queue.granted) == (1, 1)
        assert outcomes(app) == {"ok": 2}
        assert app.pools["default"].shed == {}


async def test_a_place_given_to_a_client_that_goes_is_given_on() -> None:
    """The backend frees and the waiting client leaves at once: whoever waits behind it is served."""
    held = Held()
    async with limited(held, keepalive={"max_idle": 0}) as (app, _):
        async with Crowd(app) as crowd:
            await crowd.served("/1")
            for number in range(2, 8):
                await crowd.waits(f"/{number}")
            held.go(1)
            for number in range(2, 7):
                crowd.clients.pop(f"/{number}").drop()
            held.go(6)
            assert await crowd.answers() == [200, 200]
        await settled(lambda: not left_over(app))
        queue = crowd.queue
        assert (queue.entered, queue.left + queue.granted) == (6, 6)


# Those who cannot wait


async def test_a_full_queue_turns_away() -> None:
    """503 `queue_full` with a time to come back for one too many; those who wait are not touched by it."""
    held = Held()
    async with limited(held, concurrency={"queue": 1}) as (app, _), Crowd(app) as crowd:
        await crowd.served("/1")
        await crowd.waits("/2")
        async with await call(app) as client:
            answer = await client.ask(get("/3"))
            assert told(answer) == (503, "queue_full", "queue_full")
            assert "x-gateway-backend" not in answer
            held.go(2)
            assert await crowd.answers() == [200, 200]
            held.go()
            assert (await client.ask(get("/4"))).status == 200  # on the same connection
        assert held.came == ["/1", "/2", "/4"]
        assert app.pools["default"].shed == {"queue_full": 1}


async def test_without_a_queue_nobody_waits() -> None:
    """`queue: 0`: 503 at once where all are at their limits, and an answer as soon as they are not."""
    held = Held()
    async with limited(held, concurrency={"queue": 0}) as (app, _), Crowd(app) as crowd:
        await crowd.served("/1")
        async with await call(app) as client:
            assert told(await client.ask(get("/2"))) == (503, "queue_full", "queue_full")
            held.go(2)
            assert await crowd.answers() == [200]
            assert (await client.ask(get("/3"))).status == 200


async def test_the_wait_has_an_end() -> None:
    """Nobody had room within `queue_timeout`: 503, and the place in the queue is free again."""
    held = Held()
    async with limited(held, concurrency={"queue_timeout": "50ms"}) as (app, _), Crowd(app) as crowd:
        await crowd.served("/1")
        await crowd.waits("/2")
        assert told(await crowd.answer("/2")) == (503, "queue_timeout", "queue_timeout")
        assert len(crowd.queue) == 0
        held.go()
        assert (await crowd.answer("/1")).status == 200
        assert held.came == ["/1"]
        assert app.pools["default"].shed == {"queue_timeout": 1}


async def test_a_pool_whose_queue_is_full_has_a_fallback() -> None:
    """The route's fallback pool takes what the first pool cannot even let wait."""
    held = Held()
    async with Backend(answers(ok(b"spare"))) as spare:
        pools = {"spare": {"backends": [{"url": spare.url, "name": "s"}], "health": {"path": None}}}
        routes = [{"name": "all", "pool": "default", "fallback": ["spare"]}]
        queue = {"queue": 1}
        async with (
            limited(held, pools=pools, routes=routes, concurrency=queue) as (app, _),
            Crowd(app) as crowd,
        ):
            await crowd.served("/1")
            await crowd.waits("/2")
            async with await call(app) as client:
                answer = await client.ask(get("/3"))
                assert (answer.status, answer["x-gateway-backend"], answer.body) == (200, "s", b"spare")
            held.go(2)
            assert await crowd.answers() == [200, 200]
            assert held.came == ["/1", "/2"]
            assert len(spare.requests) == 1


# Whose turn it is

HIGH, LOW = "X-Gateway-Priority: high", "X-Gateway-Priority: low"


async def order(app: App, held: Held, requests: dict[str, tuple[str, ...]]) -> list[str]:
    """The paths in the order in which one backend is given them, when they wait in this order."""
    async with Crowd(app) as crowd:
        await crowd.served("/first")
        for path, fields in requests.items():
            await crowd.waits(path, *fields)
        held.go(1 + len(requests))
        assert await crowd.answers() == [200] * (1 + len(requests))
    await settled(lambda: not left_over(app))
    return held.came[1:]


async def test_high_comes_before_normal_before_low() -> None:
    """Of three that wait the most urgent is served first, whatever the order in which they came."""
    held = Held()
    async with limited(held) as (app, _):
        found = await order(app, held, {"/low": (LOW,), "/normal": (), "/high": (HIGH,)})
        assert found == ["/high", "/normal", "/low"]


async def test_low_is_not_starved() -> None:
    """Classes are served by weight: the first of the low ones does not wait for all of the high ones."""
    held = Held()
    requests = {f"/low{n}": (LOW,) for n in range(3)} | {f"/high{n}": (HIGH,) for n in range(3)}
    async with limited(held) as (app, _):
        assert await order(app, held, requests) == ["/high0", "/low0", "/high1", "/high2", "/low1", "/low2"]


@pytest.mark.parametrize(
    ("may", "expected"),
    [
        ("any", ["/up", "/plain", "/down"]),
        ("lower", ["/plain", "/down", "/up"]),  # two of the same class, and one lower, by weight
        ("off", ["/down", "/plain", "/up"]),
    ],
)
async def test_a_request_s_own_wish_counts_as_far_as_its_route_allows(may: str, expected: list[str]) -> None:
    """`priority_header`: any class, a lower one only, or none; the route's class is `normal` here."""
    held = Held()
    routes = [{"name": "all", "pool": "default", "priority_header": may}]
    async with limited(held, routes=routes) as (app, _):
        assert await order(app, held, {"/down": (LOW,), "/plain": (), "/up": (HIGH,)}) == expected


async def test_a_route_has_a_class() -> None:
    """Requests of a `high` route overtake those of a `low` one, and their own wish still counts."""
    held = Held()
    routes = [
        {"name": "urgent", "match": {"path": "/u*"}, "pool": "default", "priority": "high"},
        {"name": "rest", "pool": "default", "priority": "low"},
    ]
    async with limited(held, routes=routes) as (app, _):
        requests = {"/rest": (), "/middle": ("X-Gateway-Priority: normal",), "/urgent": ()}
        assert await order(app, held, requests) == ["/urgent", "/middle", "/rest"]


@pytest.mark.parametrize("field", ["Authorization: Bearer ", "X-Api-Key: ", "Api-Key: "])
async def test_credentials_take_turns(field: str) -> None:
    """Whoever sends many requests does not push back another's single one."""
    held = Held()
    a, b = (field + "a",), (field + "b",)
    async with limited(held) as (app, _):
        found = await order(app, held, {"/a1": a, "/a2": a, "/a3": a, "/b1": b})
        assert found == ["/a1", "/b1", "/a2", "/a3"]


async def test_without_credentials_all_are_one() -> None:
    """Requests without a credential are served in order, whatever else their fields say."""
    held = Held()
    requests = {f"/{n}": (f"X-Session: {n % 2}",) for n in range(4)}
    async with limited(held) as (app, _):
        assert await order(app, held, requests) == ["/0", "/1", "/2", "/3"]


# When something changes while they wait


async def test_those_who_wait_are_served_before_the_gateway_ends() -> None:
    """A drain lets the waiting requests finish like those under way."""
    held = Held()
    async with limited(held) as (app, _), Crowd(app) as crowd:
        await crowd.served("/1")
        await crowd.waits("/2")
        await crowd.waits("/3")
        draining = asyncio.ensure_future(app.drain())
        await settled(lambda: app.draining)
        held.go(3)
        assert await crowd.answers() == [200] * 3
        await draining
        assert held.came == ["/1", "/2", "/3"]


async def test_the_gateway_ends_while_somebody_waits() -> None:
    """`close` ends waiting requests too: nothing is held afterwards, and each was counted once."""
    held = Held()
    async with limited(held) as (app, _), Crowd(app) as crowd:
        await crowd.served("/1")
        await crowd.waits("/2")
        await app.close()
        assert (listener(app).connections, listener(app).held_bytes) == (set(), 0)
        assert (app.pools["default"].in_flight_total, len(crowd.queue)) == (0, 0)
        assert await crowd.clients["/2"].rest() == b""
        requests = [n for stats in app.metrics.routes.values() for n in stats.requests.values()]
        assert sum(requests) == 2
        # Whose end comes first is open; the one that waits may be given the other's place on the way.
        assert outcomes(app) in ({"cancelled": 1}, {"cancelled": 2})


async def test_those_who_wait_for_a_backend_that_dies_are_told() -> None:
    """The only backend goes: whoever waited for it is given it, finds nobody there, and gets a 502."""
    held = Held()
    async with limited(held) as (app, (backend,)), Crowd(app) as crowd:
        await crowd.served("/1")
        await crowd.waits("/2")
        await crowd.waits("/3")
        await settled(lambda: held.came == ["/1"])
        await backend.__aexit__()
        for path in crowd.clients:
            answer = await crowd.answer(path)
            assert (answer.status, answer["x-gateway-error"]) == (502, "connect_error"), path
        assert len(crowd.queue) == 0
        assert app.pools["default"].in_flight_total == 0


async def test_those_who_wait_for_a_backend_that_dies_are_answered_by_another() -> None:
    """One of two goes: its request and all who wait are answered by the other, none more than it may take."""
    dying, living = Held("a"), Held("b")
    async with limited(dying, living) as (app, backends), Crowd(app) as crowd:
        await crowd.served("/1")
        await crowd.served("/2")
        for number in range(3, 6):
            await crowd.waits(f"/{number}")
        await settled(lambda: len(dying.came) == len(living.came) == 1)
        await backends[0].__aexit__()
        living.go(10)
        assert await crowd.answers() == [200] * 5
        assert sorted(living.came) == [f"/{number}" for number in range(1, 6)]
        assert living.most == 1
        assert len(crowd.queue) == 0


async def test_who_is_drained_gets_none_of_those_who_wait() -> None:
    """An operator drains one of two: what it has finishes, and the other serves all who wait."""
    drained, other = Held("a"), Held("b")
    async with limited(drained, other) as (app, _), Crowd(app) as crowd:
        await crowd.served("/1")
        await crowd.served("/2")
        await crowd.waits("/3")
        app.pools["default"].drain("a")
        drained.go()
        first = "/1" if drained.came == ["/1"] else "/2"
        assert (await crowd.answer(first)).status == 200
        assert len(crowd.queue) == 1
        other.go(2)
        assert (await crowd.answer("/3"))["x-gateway-backend"] == "b"


async def test_a_backend_that_comes_back_is_given_to_those_who_wait() -> None:
    """Undrained, a backend takes who waits, although nothing else happened."""
    back, other = Held("a"), Held("b")
    async with limited(back, other) as (app, _), Crowd(app) as crowd:
        app.pools["default"].drain("a")
        await crowd.served("/1")
        await crowd.waits("/2")
        app.pools["default"].undrain("a")
        back.go()
        assert (await crowd.answer("/2"))["x-gateway-backend"] == "a"


async def test_a_second_attempt_waits_like_a_first() -> None:
    """503 from the one, the other full: the retry waits for the other instead of going back."""
    held = Held("b")
    async with limited(answers(BUSY), held) as (app, (busy, _)), Crowd(app) as crowd:
        app.pools["default"].drain("a")
        await crowd.served("/1")
        app.pools["default"].undrain("a")
        await crowd.waits("/2")  # behind its first attempt
        assert [request.split(b" ")[1] for request in busy.requests] == [b"/2"]
        held.go(2)
        answer = await crowd.answer("/2")
        assert (answer.status, answer["x-gateway-backend"]) == (200, "b")
        assert held.came == ["/1", "/2"]
        assert app.pools["default"].retries == {"tried": 1, "success": 1}


async def test_a_second_attempt_that_cannot_wait_is_told() -> None:
    """Where the retry finds the queue full, the client hears that; nothing is left behind."""
    held = Held("b")
    async with limited(answers(BUSY), held, concurrency={"queue": 0}) as (app, (busy, _)):
        async with Crowd(app) as crowd:
            app.pools["default"].drain("a")
            await crowd.served("/1")
            app.pools["default"].undrain("a")
            async with await call(app) as client:
                assert told(await client.ask(get("/2"))) == (503, "queue_full", "queue_full")
            held.go()
            assert await crowd.answers() == [200]
        await settled(lambda: not left_over(app))
        assert len(busy.requests) == 1


# What is counted


async def test_the_figures_say_who_waited() -> None:
    """Queue seconds and `queued_ms` for those who waited, no one else; waiting by class; shed by reason."""
    held, lines = Held(), []
    queue = {"queue": 2, "queue_timeout": "30s"}
    async with limited(held, concurrency=queue, access_log=lines.append) as (app, _):
        async with Crowd(app) as crowd:
            await crowd.served("/1")
            await crowd.waits("/2", HIGH)
            await crowd.waits("/3")
            assert await ask(app, 2, get("/no")) == [503, 503]
            samples = await scrape(app)
            waiting = {
                priority: total(samples, "gateway_queue_waiting", pool="default", priority=priority)
                for priority in ("high", "normal", "low")
            }
            assert waiting == {"high": 1, "normal": 1, "low": 0}
            assert total(samples, "gateway_queue_seconds_count", pool="default") == 0
            held.go(3)
            assert await crowd.answers() == [200] * 3
        await settled(lambda: not left_over(app))
        samples = await scrape(app)
        assert total(samples, "gateway_queue_waiting") == 0
        assert total(samples, "gateway_queue_seconds_count", pool="default") == 2
        assert total(samples, "gateway_shed_total", pool="default", reason="queue_full") == 2
        assert total(samples, "gateway_shed_total") == 2
        queued_s = total(samples, "gateway_queue_seconds_sum", pool="default")
    rows = {row["path"]: row for row in map(json.loads, b"".join(lines).splitlines())}
    assert {path for path, row in rows.items() if "queued_ms" in row} == {"/2", "/3"}
    logged_s = sum(row.get("queued_ms", 0.0) for row in rows.values()) / 1000
    assert logged_s == pytest.approx(queued_s, abs=0.02)  # one is noted when it is due, one when it runs
    assert rows["/no"]["error"] == "queue_full"
    assert (rows["/no"]["attempts"], rows["/no"]["backend"]) == (0, "")
