"""Do metrics and access log say of tokens exactly what backends made and clients got?"""

import asyncio
import contextlib
import gzip
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.app import App
from tests.harness import (
    BUSY,
    CHUNKED,
    Answer,
    Backend,
    Caller,
    Conversation,
    Handler,
    answers,
    call,
    chunk,
    demo,
    gateway,
    get,
    left_over,
    ok,
    post,
    settled,
)
from tests.integration.test_metrics_agree import Samples, scrape, total

NAMES = ("b0", "b1", "b2")
#: How requests go, and how many of ten do.
WAYS = ["whole", "whole", "stream", "stream", "stream", "bare", "retried", "leaves", "breaks", "cached"]


class Work:
    """What one request is to get: so many prompt, cached and completion tokens; read from its body."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.id: str = body["user"]
        self.way: str = body["way"]
        self.prompt: int = body["prompt"]
        self.tokens: int = body["max_tokens"]
        self.cached = self.prompt // 3
        self.stream: bool = body["stream"]

    @property
    def usage(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt,
            "total_tokens": self.prompt + self.tokens,
            "completion_tokens": self.tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached},
        }

    def event(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        made = {"id": self.id, "object": "chat.completion.chunk", "created": 1, "choices": choices} | more
        return b"data: " + json.dumps(made).encode() + b"\n\n"

    def content(self, text: str) -> bytes:
        return self.event([{"index": 0, "delta": {"content": text}}])

    @property
    def opening(self) -> bytes:
        return self.event([{"index": 0, "delta": {"role": "assistant", "content": ""}}])

    @property
    def closing(self) -> bytes:
        """The reason for the end, the usage unless the request is `bare`, and the last event."""
        end = self.event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
        return end + (b"" if self.way == "bare" else self.event([], usage=self.usage)) + b"data: [DONE]\n\n"


class Fleet:
    """Model servers, and what they have done: outcomes by backend, tokens by backend and kind."""

    def __init__(self) -> None:
        self.refused: set[str] = set()  # ids of those that were sent away once
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.got: dict[str, asyncio.Event] = {}  # a client has what it leaves with, or what breaks off

    def handler(self, name: str) -> Handler:
        async def handle(conversation: Conversation) -> None:
            while request := await conversation.request():
                work = Work(json.loads(request.partition(b"\r\n\r\n")[2]))
                if work.way == "retried" and work.id not in self.refused:
                    self.refused.add(work.id)
                    self.outcomes[name, "server_error"] += 1
                    await conversation.send(BUSY)
                elif work.stream:
                    if not await self._stream(conversation, work, name):
                        return
                else:
                    self.outcomes[name, "ok"] += 1
                    answer = {"object": "chat.completion", "choices": [], "usage": work.usage}
                    await conversation.send(ok(json.dumps(answer).encode()))

        return handle

    async def _stream(self, conversation: Conversation, work: Work, name: str) -> bool:
        """Whether the connection can be used again."""
        await conversation.send(CHUNKED + chunk(work.opening))
        left = work.tokens
        while left:  # one token to three in a piece
            size = min(left, 1 + left % 3)
            await conversation.send(chunk(b"".join(work.content(f"w{left - n}") for n in range(size))))
            left -= size
            await asyncio.sleep(0)
        if work.way in ("leaves", "breaks"):
            await self.got[work.id].wait()
            self.outcomes[name, "cancelled" if work.way == "leaves" else "reset"] += 1
            if work.way == "breaks":
                conversation.abort()
            else:
                await conversation.reader.read()
            return False
        self.outcomes[name, "ok"] += 1
        await conversation.send(chunk(work.closing) + chunk(b""))
        return True


def contents(body: bytes) -> int:
    """How many events with content a client has got."""
    events = [event.removeprefix(b"data: ") for event in body.split(b"\n\n")[:-1]]
    chunks = [json.loads(event) for event in events if event != b"[DONE]"]
    return sum(bool(one["choices"] and one["choices"][0]["delta"].get("content")) for one in chunks)


class Load:
    """A bounded load, and what its clients have counted."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.tokens: Counter[tuple[str, str]] = Counter()  # by backend and kind
        self.streams: Counter[str] = Counter()  # with content, by backend
        self.events: Counter[str] = Counter()
        self.codes: Counter[tuple[str, str]] = Counter()  # by route and status
        self.cache: Counter[str] = Counter()
        self.lines: dict[str, tuple[int | None, int | None, bool]] = {}  # by request id, as the log has them

    async def run(self, app: App, seed: int, requests: int) -> None:
        rng = random.Random(seed)
        client = await call(app)
        try:
            for number in range(requests):
                way = rng.choice(WAYS)
                body = {
                    "user": f"{seed}-{number}",
                    "way": way,
                    "prompt": rng.randrange(1, 1000),
                    "max_tokens": rng.randrange(1, 40),
                    "stream": way != "whole" and (way != "cached" or rng.random() < 0.5),
                    "temperature": 0,
                }
                if way == "cached":  # few that are the same
                    n = rng.randrange(6)
                    body |= {"user": f"c{n}", "prompt": n + 1, "max_tokens": n + 2, "stream": n % 2 == 0}
                await self._one(client, Work(body), body)
                if way in ("leaves", "breaks"):
                    client.drop()
                    client = await call(app)
        finally:
            client.drop()

    async def _one(self, client: Caller, work: Work, body: dict[str, Any]) -> None:
        if work.way in ("leaves", "breaks"):
            self.fleet.got[work.id] = asyncio.Event()
        path = "/cached" if work.way == "cached" else "/v1/chat/completions"
        await client.send(post(body, path))
        if work.way not in ("leaves", "breaks"):
            answer = await client.answer()
        else:
            answer = await client.head()
            while contents(answer.body) < work.tokens:
                answer.body += await client.chunk()
            self.fleet.got[work.id].set()
            if work.way == "breaks":
                assert await client.rest() == b""
        self._count(work, answer)

    def _count(self, work: Work, answer: Answer) -> None:
        came = contents(answer.body) if work.stream else 0
        self.codes[path_of(work), "499" if work.way == "leaves" else str(answer.status)] += 1
        if work.way == "cached":
            said = answer["cache-status"]
            result = "hit" if "hit" in said else "coalesced" if "collapsed" in said else "miss"
            self.cache[result] += 1
            if result != "miss":
                self.lines[answer["x-request-id"]] = (None, None, False)
                return
        backend = answer["x-gateway-backend"]
        whole = work.way in ("whole", "stream", "retried", "cached")
        assert not work.stream or came == work.tokens
        if whole:
            self.tokens[backend, "prompt"] += work.prompt
            self.tokens[backend, "cached"] += work.cached
        self.tokens[backend, "completion"] += work.tokens
        self.lines[answer["x-request-id"]] = (work.prompt if whole else None, work.tokens, work.stream)
        if came:
            self.streams[backend] += 1
            self.events[backend] += came


def path_of(work: Work) -> str:
    return "cached" if work.way == "cached" else "plain"


@contextlib.asynccontextmanager
async def loaded(**settings: Any) -> AsyncIterator[tuple[App, Load, list[bytes]]]:
    """A gateway after 400 requests, what their clients got, and the access log."""
    fleet, lines = Fleet(), []  # type: ignore[var-annotated]
    async with contextlib.AsyncExitStack() as stack:
        backends = [await stack.enter_async_context(Backend(fleet.handler(name))) for name in NAMES]
        pool: dict[str, Any] = {
            "backends": [{"url": b.url, "name": name} for b, name in zip(backends, NAMES, strict=True)],
            "health": {"path": None},
            "retries": {"attempts": 2, "budget": "100%", "min_per_second": 1000},
            "outlier": {"consecutive_failures": 0, "failure_ratio": 0},
        }
        routes = [
            {"name": "cached", "match": {"path": "/cached"}, "pool": "p", "cache": "on"},
            {"name": "plain", "pool": "p"},
        ]
        app = await stack.enter_async_context(
            gateway(pools={"p": pool}, routes=routes, access_log=lines.append, **settings)
        )
        load = Load(fleet)
        await asyncio.gather(*(load.run(app, seed, 40) for seed in range(10)))
        await settled(lambda: not left_over(app))
        yield app, load, lines


def by(samples: Samples, name: str, *labels: str) -> dict[Any, float]:
    """The values of one series that are not 0, by these labels."""
    return {
        tuple(dict(found)[label] for label in labels): value
        for (key, found), value in samples.items()
        if key == name and value
    }


async def test_tokens_agree_with_what_clients_got() -> None:
    """Streamed and whole, retried, given from the cache, left and broken off: to the last token."""
    async with loaded() as (app, load, _):
        samples = await scrape(app)
    assert set(load.cache) >= {"hit", "miss"}
    assert set(load.fleet.outcomes) >= {(n, o) for n in NAMES for o in ("ok", "cancelled", "reset")}
    assert by(samples, "gateway_tokens_total", "backend", "kind") == dict(load.tokens)
    first, gaps = "gateway_time_to_first_token_seconds_count", "gateway_inter_token_seconds_count"
    assert by(samples, first, "backend") == {(name,): load.streams[name] for name in NAMES}
    assert by(samples, gaps, "backend") == {(n,): load.events[n] - load.streams[n] for n in NAMES}


async def test_requests_agree_with_what_clients_got() -> None:
    """Requests by route and code, attempts by backend and outcome, cache results that sum to the requests."""
    async with loaded() as (app, load, _):
        samples = await scrape(app)
    assert by(samples, "gateway_requests_total", "route", "code") == dict(load.codes)
    assert total(samples, "gateway_requests_total") == 400
    assert by(samples, "gateway_backend_requests_total", "backend", "outcome") == dict(load.fleet.outcomes)
    assert by(samples, "gateway_retries_total", "result") == dict.fromkeys(
        [("tried",), ("success",)], len(load.fleet.refused)
    )
    assert by(samples, "gateway_cache_requests_total", "route", "result") == {
        ("cached", result): count for result, count in load.cache.items()
    }
    assert load.cache.total() == sum(n for (route, _), n in load.codes.items() if route == "cached") > 0


async def test_the_access_log_agrees_with_what_clients_got() -> None:
    """Each line has the tokens of its own answer; none has those of an answer that was there already."""
    async with loaded() as (_, load, lines):
        pass  # closing writes what is left
    rows = [json.loads(line) for line in b"".join(lines).splitlines()]
    found = {
        row["request_id"]: (row.get("prompt_tokens"), row.get("completion_tokens"), "ttft_ms" in row)
        for row in rows
    }
    assert len(rows) == 400
    assert found == load.lines
    for row in rows:
        assert "ttft_ms" not in row or row["ttft_ms"] >= row["first_byte_ms"] >= 0
        assert row["cache"] == "miss" if row["route"] == "cached" and row["attempts"] else True


async def test_tokens_can_be_left_uncounted() -> None:
    """With `metrics.tokens: off` no series and no field appears; everything else is counted."""
    async with loaded(metrics={"tokens": "off"}) as (app, load, lines):
        samples = await scrape(app)
    assert by(samples, "gateway_requests_total", "route", "code") == dict(load.codes)
    assert not [name for name, _ in samples if "token" in name]
    assert b"_tokens" not in b"".join(lines) and b"ttft_ms" not in b"".join(lines)


USAGE = b'{"usage": {"prompt_tokens": 5, "completion_tokens": 7}}'


def typed(body: bytes, kind: bytes, status: bytes = b"200 OK", *fields: bytes) -> bytes:
    more = b"".join(field + b"\r\n" for field in fields)
    head = b"HTTP/1.1 %b\r\nContent-Type: %b\r\n%bContent-Length: %d\r\n\r\n"
    return head % (status, kind, more, len(body)) + body


@pytest.mark.parametrize(
    ("answer", "request_", "counted"),
    [
        (typed(USAGE, b"application/json; charset=utf-8"), post(), 12),
        (typed(USAGE, b"APPLICATION/JSON", b"201 Created", b"Content-Encoding: identity"), post(), 12),
        (typed(USAGE, b"application/json"), get("/v1/responses/resp_1"), 0),
        (typed(USAGE, b"application/json", b"429 Too Many Requests"), post(), 0),
        (typed(USAGE, b"text/plain"), post(), 0),
        (typed(gzip.compress(USAGE), b"application/json", b"200 OK", b"Content-Encoding: gzip"), post(), 0),
        (typed(USAGE, b"application/json", b"200 OK", b"Content-Encoding: gzip"), post(), 0),
        (typed(b"data: " + USAGE + b"\n\n", b"text/event-stream"), post(), 12),
    ],
    ids=["JSON", "201", "GET", "429", "text", "gzip", "said to be gzip", "events at once"],
)
async def test_which_answers_are_looked_into(answer: bytes, request_: bytes, counted: int) -> None:
    """2xx to POST, JSON or event streams, not compressed; a GET is given what was made before."""

    async with Backend(answers(answer)) as backend, gateway(backend.url) as app:
        async with await call(app) as client:
            got = await client.ask(request_)
        assert got.body == answer.partition(b"\r\n\r\n")[2]
        await settled(lambda: not left_over(app))
        tokens = app.pools["default"].backends[0].tokens
        assert tokens.prompt + tokens.completion == counted


async def test_a_long_answer_in_pieces_is_looked_into_at_its_end() -> None:
    """JSON of a megabyte, of which the gateway holds only the end."""
    body = json.dumps({"data": [0.25] * 200_000, "usage": {"prompt_tokens": 6}}).encode()
    async with Backend(answers(ok(body))) as backend, gateway(backend.url) as app:
        async with await call(app) as client:
            assert (await client.ask(post())).body == body
        await settled(lambda: not left_over(app))
        assert app.pools["default"].backends[0].tokens.prompt == 6


ODD = [
    b"event: done\n\n",
    b"event:\n\n",
    b"event: response.output_text.delta\n\n",
    b"data:\n\ndata\n\n\n\n\r\n\r\n",
    b": comment\n\nid: 7\n\nretry: 1\n\n",
    b"data: {\n\ndata: []\n\ndata: \xff\xfe\n\n",
    b"\n\n\n",
    b"x" * 40_000,
    b'data: {"choices":[{"delta":{"content":"\n\n',
    b'"usage":{{{{}}}}"usage":"usage":{',
]


@pytest.mark.parametrize("pieces", [[b"".join(ODD)], ODD, [odd[i : i + 1] for odd in ODD for i in range(50)]])
async def test_odd_streams_pass_as_they_are(pieces: list[bytes]) -> None:
    """Whatever a backend writes, its client gets it to the last byte, and nothing of it is a token."""
    pieces = [piece for piece in pieces if piece]
    stream = CHUNKED + b"".join(map(chunk, pieces)) + chunk(b"")
    async with Backend(answers(stream)) as backend, gateway(backend.url) as app:
        async with await call(app) as client:
            for _ in range(2):
                assert (await client.ask(post())).body == b"".join(pieces)
        await settled(lambda: not left_over(app))
        tokens = app.pools["default"].backends[0].tokens
        assert tokens.prompt == tokens.completion == tokens.first.total == 0


async def test_a_model_server_and_the_gateway_count_alike() -> None:
    """The demo's model server, asked with and without usage: its own count of tokens is the gateway's."""
    async with demo() as model:
        asked = {"model": model.service.options.model, "max_tokens": 9, "seed": 1}
        asked["messages"] = [{"role": "user", "content": "Tell me of gateways."}]
        async with gateway(model.url) as app:
            async with await call(app) as client:
                whole = (await client.ask(post(asked))).json()["usage"]
                for more in ({}, {"stream_options": {"include_usage": True}}):
                    answer = await client.ask(post(asked | {"stream": True} | more))
                    assert contents(answer.body) <= whole["completion_tokens"]
            await settled(lambda: not left_over(app))
            tokens = app.pools["default"].backends[0].tokens
            assert tokens.prompt == 2 * whole["prompt_tokens"]
            assert tokens.completion == 2 * whole["completion_tokens"] + contents(answer.body)
            assert tokens.first.total == 2
