"""Is a backend that says it is overloaded spared, by every policy, for as long as it asks?"""

import pytest

from gateway.registry import POLICIES
from tests.harness import (
    FAILED,
    LIMITED,
    Conversation,
    answers,
    ask,
    call,
    ok,
    outcomes,
    post,
    scripted,
    settled,
    state,
)

PATIENCE = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy"
BARE = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\nbusy"
#: Requests alike but for what ties them to backends, so that policies that go by it ask everybody.
REQUESTS = [
    post({"user": f"u{n}", "messages": [{"role": "user", "content": f"{n} " * 40}]}) for n in range(60)
]


class Tires:
    """A backend that answers until it is `tired`, and then with `tired`; `asked` counts the latter."""

    def __init__(self) -> None:
        self.tired: bytes | None = None
        self.asked = 0

    async def __call__(self, conversation: Conversation) -> None:
        while await conversation.request():
            if self.tired is not None:
                self.asked += 1
            await conversation.send(ok(b"fine") if self.tired is None else self.tired)


@pytest.mark.parametrize("answer", [LIMITED, PATIENCE], ids=["429", "503"])
@pytest.mark.parametrize("policy", sorted(POLICIES))
async def test_a_backend_that_asks_for_a_rest_has_it(policy: str, answer: bytes) -> None:
    """After one 429, or 503 with Retry-After, nothing goes there while others are there."""
    tires = Tires()
    pool = {"policy": policy, "affinity": {"field": "user"}, "slow_start": "0"}
    async with scripted(tires, answers(ok(b"b")), answers(ok(b"c")), **pool) as (app, (_, two, three)):
        tires.tired = answer
        async with await call(app) as client:
            seen = [(await client.ask(request)).status for request in REQUESTS]
        assert seen == [200] * len(REQUESTS)
        assert tires.asked == 1
        assert len(two.requests) + len(three.requests) == len(REQUESTS)
        backend = app.pools["default"].backend("a")
        assert (backend.outlier.failures, state(app, "a")) == (0, "up")
        assert outcomes(app) == {"ok": len(REQUESTS), "overloaded": 1}


@pytest.mark.parametrize("policy", sorted(POLICIES))
async def test_when_all_rest_they_are_asked_all_the_same(policy: str) -> None:
    """Nobody is there but those that rest: the request is not refused for it, and each is asked."""
    servers = [Tires(), Tires()]
    pool = {"policy": policy, "affinity": {"field": "user"}}
    async with scripted(*servers, **pool) as (app, backends):
        for server in servers:
            server.tired = LIMITED
        async with await call(app) as client:
            answer = await client.ask(REQUESTS[0])
            assert (answer.status, answer["retry-after"], answer.body) == (429, "7", b"limited")
            assert [server.asked for server in servers] == [1, 1]
            for server in servers:
                server.tired = None
            for request in REQUESTS[:10]:
                assert (await client.ask(request)).body == b"fine"
        assert sum(len(backend.requests) for backend in backends) == 12


async def test_the_rest_is_said_where_one_asks_why() -> None:
    """The decision names the backend that rests and for how long."""
    tires = Tires()
    tires.tired = LIMITED
    async with scripted(tires, answers(ok())) as (app, _), await call(app) as client:
        while not tires.asked:
            assert (await client.ask(post())).status == 200
        answer = await client.ask(post(b"{}", "/", "X-Gateway-Explain: 1"))
        assert '"why":"resting for 6.' in answer["x-gateway-decision"] or (
            '"why":"resting for 7.0' in answer["x-gateway-decision"]
        )


async def test_who_does_not_say_how_long_rests_for_a_moment() -> None:
    """A 429 without Retry-After spares the backend for a second, and then it is asked again."""
    tires = Tires()
    async with scripted(tires, answers(ok())) as (app, _):
        tires.tired = BARE
        assert await ask(app, 20) == [200] * 20
        assert tires.asked == 1
        tires.tired = None
        backend = app.pools["default"].backend("a")
        backend.cool_until -= 1.0
        app.pools["default"].changed()
        assert await ask(app, 4) == [200] * 4
        await settled(lambda: backend.in_flight == 0)
        assert backend.outcomes[0] >= 1


async def test_an_error_is_no_request_for_a_rest() -> None:
    """A plain 500, or 503 without Retry-After, counts as a failure instead: the backend is asked again."""
    tires = Tires()
    tires.tired = FAILED
    async with scripted(tires, answers(ok()), outlier={"consecutive_failures": 0}) as (app, _):
        assert sorted(await ask(app, 6)) == [200] * 3 + [500] * 3
        assert app.pools["default"].backend("a").cool_until == 0.0
        assert outcomes(app) == {"ok": 3, "server_error": 3}
