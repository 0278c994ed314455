"""Does each request make one true tree of spans, in the client's trace, and does nobody wait for it?"""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.app import App
from gateway.attempts.hedge import LEAST_SAMPLES
from gateway.clock import now
from tests.collector import Collector, Received, collector
from tests.harness import (
    BUSY,
    CHUNKED,
    FAILED,
    IN_TURN,
    Backend,
    Conversation,
    Handler,
    answers,
    call,
    chunk,
    gateway,
    get,
    left_over,
    ok,
    post,
    refusing,
    settled,
)
from tests.integration.test_hedging import HEDGED, Script, minds
from tests.integration.test_metrics_agree import scrape, total

CLIENT, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"traceparent: 00-{CLIENT}-{SPAN}-01", f"traceparent: 00-{CLIENT}-{SPAN}-00"
ASKED = {"model": "llama", "messages": [{"role": "user", "content": "a secret of mine"}]}
#: What stands between two ids and says that they are written as in a head.
FORM = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]")


@contextlib.asynccontextmanager
async def traced(
    *handlers: Handler, urls: tuple[str, ...] = (), sample: Any = 1.0, **settings: Any
) -> AsyncIterator[tuple[App, list[Backend], Collector]]:
    """A gateway that traces, with a pool of `urls` and of scripted backends named a, b, … in turn.

    The collector has all spans once the gateway has ended: look after `ended`.
    """
    pool = {**IN_TURN, "health": {"path": None}, **settings.pop("pool", {})}
    tracing = {"sample": sample, "timeout": "2s", **settings.pop("tracing", {})}
    async with contextlib.AsyncExitStack() as stack:
        taken = await stack.enter_async_context(collector())
        backends = [await stack.enter_async_context(Backend(handler)) for handler in handlers]
        named = [
            {"url": url, "name": name}
            for url, name in zip([*urls, *(b.url for b in backends)], "abcdef", strict=False)
        ]
        pools = {"default": {"backends": named, **pool}}
        tracing.setdefault("otlp", taken.url)
        app = await stack.enter_async_context(gateway(pools=pools, tracing=tracing, **settings))
        yield app, backends, taken


async def ended(app: App) -> None:
    """End the gateway, so that all spans are with the collector."""
    await settled(lambda: not left_over(app))
    await app.close()


def told(request: bytes) -> bytes:
    """The one traceparent that a backend was sent."""
    (line,) = [x for x in request.split(b"\r\n") if x.lower().startswith(b"traceparent:")]
    value = line.partition(b": ")[2]
    assert FORM.fullmatch(value)
    return value


def sent_by(span: Received) -> bytes:
    return f"00-{span.trace_id}-{span.span_id}-01".encode()


# One tree for each request.


async def test_a_plain_request() -> None:
    """A trace of its own: the gateway's span and its attempt's, with what the conventions ask for."""
    async with traced(answers(ok())) as (app, (backend,), taken):
        async with await call(app) as client:
            assert (await client.ask(post(ASKED, "/v1/chat/completions?key=hush"))).status == 200
        await ended(app)
    server, (attempt,) = taken.trace()
    assert server.parent_id == "" and server.name == "POST /*" and not server.failed
    assert server.resource["service.name"] == "gateway"
    for key, value in {
        "http.request.method": "POST",
        "http.route": "/*",
        "url.path": "/v1/chat/completions",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "server.address": "gateway.test",
        "client.address": "127.0.0.1",
        "gateway.route": "default",
        "gateway.backend": "a",
        "gateway.attempts": 1,
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "llama",
    }.items():
        assert server[key] == value, key
    assert attempt.kind == "client" and attempt.name == "POST a" and not attempt.failed
    for key, value in {
        "http.request.method": "POST",
        "url.full": f"{backend.url}/v1/chat/completions",
        "server.address": "127.0.0.1",
        "server.port": backend.port,
        "http.response.status_code": 200,
        "gateway.attempt.number": 1,
        "gateway.attempt.outcome": "ok",
        "gen_ai.provider.name": "openai",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "llama",
    }.items():
        assert attempt[key] == value, key
    assert "http.request.resend_count" not in attempt and "error.type" not in attempt
    assert told(backend.requests[0]) == sent_by(attempt)


async def test_the_client_s_trace_goes_on() -> None:
    """Its span is the parent of the gateway's, its tracestate goes on and stands in the spans."""
    async with traced(answers(ok())) as (app, (backend,), taken):
        async with await call(app) as client:
            for _ in range(2):  # read in full, and remembered
                await client.ask(get("/", SAMPLED, "tracestate: one=1,two=2"))
        await ended(app)
    servers = [span for span in taken.spans if span.kind == "server"]
    attempts = [span for span in taken.spans if span.kind == "client"]
    assert [(span.trace_id, span.parent_id) for span in servers] == [(CLIENT, SPAN)] * 2
    assert {span.trace_id for span in attempts} == {CLIENT}
    assert {told(request) for request in backend.requests} == {sent_by(span) for span in attempts}
    assert all(b"tracestate: one=1,two=2\r\n" in request for request in backend.requests)
    assert {span.state for span in taken.spans} == {"one=1,two=2"}


async def test_a_retry_after_a_dead_backend() -> None:
    """Two attempts: the first failed to connect, the second is a resend that answered."""
    with refusing() as dead:
        async with traced(answers(ok()), urls=(dead,)) as (app, (backend,), taken):
            async with await call(app) as client:
                for _ in range(2):  # in turn: one of them goes to the dead one first
                    assert (await client.ask(post(ASKED, "/v1/embeddings", SAMPLED))).status == 200
            await ended(app)
    (server,) = [span for span in taken.spans if span.get("gateway.attempts") == 2]
    attempts = [span for span in taken.spans if span.parent_id == server.span_id]
    first, second = sorted(attempts, key=lambda span: span["gateway.attempt.number"])
    assert not server.failed and server["http.response.status_code"] == 200
    assert first.failed and first["error.type"] == first["gateway.attempt.outcome"] == "connect_error"
    assert "http.response.status_code" not in first and first["server.port"] == urlsplit(dead).port
    assert not second.failed and second["http.request.resend_count"] == 1
    assert second["gen_ai.operation.name"] == "embeddings"
    assert first.end <= second.start
    assert sent_by(second) in map(told, backend.requests)


async def test_a_retry_after_a_failure_and_the_failure_that_is_passed_on() -> None:
    """Each attempt has its own status; the request failed with the last."""
    async with traced(answers(BUSY), answers(FAILED)) as (app, backends, taken):
        async with await call(app) as client:
            assert (await client.ask(get("/", SAMPLED))).status >= 500
        await ended(app)
    server, attempts = taken.trace()
    assert server.failed and server["error.type"] == str(server["http.response.status_code"])
    assert {span["error.type"] for span in attempts} <= {"500", "503"} and all(s.failed for s in attempts)
    received = {told(request) for backend in backends for request in backend.requests}
    assert received == {sent_by(span) for span in attempts} and len(received) == server["gateway.attempts"]


class Slow:
    """A backend that answers at once until it is to be slow; then when it is told to."""

    def __init__(self) -> None:
        self.slow = False
        self.go = asyncio.Event()

    async def __call__(self, conversation: Conversation) -> None:
        while await conversation.request():
            if self.slow:
                await self.go.wait()
            await conversation.send(ok())


async def test_a_hedged_request() -> None:
    """Both attempts are there: the late one lost, which is no failure; the second is marked as a hedge."""
    script = Script()
    servers = script.server("a"), script.server("b")
    hedged = {"hedging": HEDGED, "slow_start": 0}
    async with traced(*servers, sample=0.0, pool=hedged) as (app, backends, taken):
        async with await call(app) as client:
            for _ in range(2 * LEAST_SAMPLES):
                await client.ask(post())
            script.plan = [minds]
            assert (await client.ask(post(b"{}", "/", SAMPLED))).status == 200
        await ended(app)
    server, (late, hedge) = taken.trace()
    assert server["gateway.attempts"] == 2 and server["gateway.backend"] == hedge["gateway.backend"]
    assert late["gateway.attempt.lost"] and late["gateway.attempt.outcome"] == "cancelled" and not late.failed
    assert hedge["gateway.attempt.hedge"] and hedge["gateway.attempt.outcome"] == "ok" and not hedge.failed
    assert "gateway.attempt.hedge" not in late and late.start < hedge.start <= late.end
    received = {told(r) for b in backends for r in b.requests if CLIENT.encode() in r}
    assert received == {sent_by(hedge), sent_by(late)}


async def test_a_request_that_waits_in_the_queue() -> None:
    """The wait is a span of its own, before the attempt."""
    slow = Slow()
    slow.slow = True
    async with traced(slow, sample=0.0, pool={"concurrency": {"limit": 1}}) as (app, (backend,), taken):
        async with await call(app) as first, await call(app) as second:
            await first.send(get("/first"))
            await settled(lambda: len(backend.requests) == 1)
            await second.send(get("/second", SAMPLED))
            await settled(lambda: len(app.pools["default"].queue) == 1)
            slow.go.set()
            assert [(await client.answer()).status for client in (first, second)] == [200, 200]
        await ended(app)
    server, (wait, attempt) = taken.trace()
    assert (wait.name, wait.kind, wait["gateway.pool"]) == ("queue", "internal", "default")
    assert server.start <= wait.start < wait.end <= attempt.end and attempt.kind == "client"


async def test_a_request_that_is_turned_away() -> None:
    """The wait is there, no attempt, and the kind of error."""
    slow = Slow()
    slow.slow = True
    limits = {"concurrency": {"limit": 1, "queue_timeout": "50ms"}}
    async with traced(slow, sample=0.0, pool=limits) as (app, (backend,), taken):
        async with await call(app) as first, await call(app) as second:
            await first.send(get("/first"))
            await settled(lambda: len(backend.requests) == 1)
            assert (await second.ask(get("/second", SAMPLED))).status == 503
            slow.go.set()
            await first.answer()
        await ended(app)
    server, (wait,) = taken.trace()
    assert wait.name == "queue"
    assert server.failed and server["error.type"] == server["gateway.error"] == "queue_timeout"


async def test_hits_and_those_who_join() -> None:
    """A request that no backend was asked for is one span that says what the cache did."""
    slow = Slow()
    slow.slow = True
    async with traced(slow, sample=0.0, cache={}) as (app, (backend,), taken):
        async with await call(app) as leader, await call(app) as joins:
            await leader.send(post({**ASKED, "temperature": 0}))
            await settled(lambda: len(backend.requests) == 1)
            await joins.send(post({**ASKED, "temperature": 0}, "/v1/chat/completions", SAMPLED))
            assert app.cache is not None
            cache = app.cache
            await settled(lambda: cache.flights.joined == 1)
            slow.go.set()
            assert [(await client.answer()).status for client in (leader, joins)] == [200, 200]
            hit = await joins.ask(post({**ASKED, "temperature": 0}, "/v1/chat/completions", SAMPLED))
            assert "; hit" in hit["cache-status"]
        await ended(app)
    assert [span.kind for span in taken.spans] == ["server", "server"]
    assert [span["gateway.cache.result"] for span in taken.spans] == ["coalesced", "hit"]
    assert all(span["gateway.attempts"] == 0 and span.parent_id == SPAN for span in taken.spans)


async def test_a_client_that_leaves() -> None:
    """The request failed with client_closed, without a status; its attempt was cancelled."""
    slow = Slow()
    slow.slow = True
    async with traced(slow) as (app, (backend,), taken):
        async with await call(app) as client:
            await client.send(get("/", SAMPLED))
            await settled(lambda: len(backend.requests) == 1)
        await ended(app)
    server, (attempt,) = taken.trace()
    assert server.failed and server["error.type"] == "client_closed"
    assert "http.response.status_code" not in server
    assert attempt["gateway.attempt.outcome"] == attempt["error.type"] == "cancelled"


async def test_no_route() -> None:
    """A 404 of the gateway's is one span without route, and no failure of the server's."""
    routes = [{"name": "chat", "match": {"path": "/v1/*"}, "pool": "default"}]
    async with traced(answers(ok()), routes=routes) as (app, _, taken):
        async with await call(app) as client:
            assert (await client.ask(get("/elsewhere", SAMPLED))).status == 404
        await ended(app)
    server, rest = taken.trace()
    assert rest == [] and server.name == "GET" and not server.failed
    assert server["http.response.status_code"] == 404 and server["gateway.error"]
    assert not {"http.route", "gateway.route", "error.type"} & server.keys()


async def test_a_streamed_answer_and_one_that_breaks() -> None:
    """The spans last to the end; the first byte has its own time; a cut is a failure of both."""
    go = asyncio.Event()

    async def streams(conversation: Conversation) -> None:
        while request := await conversation.request():
            await conversation.send(CHUNKED + chunk(b"data: 1\n\n"))
            await go.wait()
            if b"/breaks" in request:
                conversation.abort()
                return
            await conversation.send(chunk(b"data: [DONE]\n\n") + chunk(b""))

    streamed = {**ASKED, "stream": True}
    async with traced(streams, pool={"retries": {"attempts": 1}}) as (app, _, taken):
        async with await call(app) as client:
            await client.send(post(streamed, "/v1/chat/completions", SAMPLED))
            assert (await client.head()).status == 200
            go.set()
            assert len([piece async for piece in client.chunks()]) >= 1
            await client.send(post(streamed, "/breaks/v1/chat/completions", SAMPLED))
            await client.head()
            await client.rest()
        await ended(app)
    whole, broken = [span for span in taken.spans if span.kind == "server"]
    by_parent = {span.parent_id: span for span in taken.spans if span.kind == "client"}
    attempt = by_parent[whole.span_id]
    assert attempt["gen_ai.request.stream"] is True
    assert attempt["gen_ai.response.time_to_first_chunk"] == attempt["gateway.attempt.first_byte"] > 0
    assert attempt.end - attempt.start > attempt["gateway.attempt.first_byte"] * 1e9
    assert not whole.failed
    assert broken.failed and broken["error.type"] == "reset" and broken["http.response.status_code"] == 200
    assert by_parent[broken.span_id].failed and by_parent[broken.span_id]["error.type"] == "reset"


@pytest.mark.parametrize("stream", [False, True])
async def test_tokens_of_an_answer(stream: bool) -> None:
    """What usage says stands on the attempt, of a whole answer and of a stream; a hit has none."""
    usage = b'"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15}'
    event = b'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    last = b'data: {"object":"chat.completion.chunk","choices":[],%b}\n\ndata: [DONE]\n\n' % usage
    streamed = CHUNKED + chunk(event) + chunk(last) + chunk(b"")
    whole = ok(b'{"object":"chat.completion","choices":[{"message":{"content":"a"}}],%b}' % usage)
    async with traced(answers(streamed if stream else whole), cache={}) as (app, _, taken):
        async with await call(app) as client:
            for _ in range(2):
                await client.ask(post({**ASKED, "stream": stream, "temperature": 0}))
        await ended(app)
    (attempt,) = [span for span in taken.spans if span.kind == "client"]
    assert (attempt["gen_ai.usage.input_tokens"], attempt["gen_ai.usage.output_tokens"]) == (12, 3)
    servers = [span for span in taken.spans if span.kind == "server"]
    assert [span["gateway.cache.result"] for span in servers] == ["miss", "hit"]
    assert not any("gen_ai.usage.input_tokens" in span for span in servers)


async def test_an_answer_that_stalls() -> None:
    """The gateway's own kind of error stands in both spans, not the outcome it counts as."""

    async def stalls(conversation: Conversation) -> None:
        await conversation.request()
        await conversation.send(CHUNKED + chunk(b"data: 1\n\n"))
        await conversation.reader.read()

    limits = {"retries": {"attempts": 1}, "timeouts": {"idle": "50ms"}}
    async with traced(stalls, pool=limits) as (app, _, taken):
        async with await call(app) as client:
            await client.send(get("/", SAMPLED))
            await client.head()
            await client.rest()
        await ended(app)
    server, (attempt,) = taken.trace()
    assert server["error.type"] == attempt["error.type"] == "idle_timeout"
    assert attempt["gateway.attempt.outcome"] == "timeout" and server.failed and attempt.failed


# What is continued, and what is not.


async def test_without_tracing_traceparent_passes_as_it_came() -> None:
    """Malformed or not, byte for byte, and none is added."""
    lines = [SAMPLED, "Traceparent: nonsense", f"TRACEPARENT: 00-{CLIENT.upper()}-{SPAN}-01"]
    async with Backend(answers(ok())) as backend, gateway(backend.url) as app, await call(app) as client:
        for line in lines:
            await client.ask(get("/", line, "tracestate: a=b"))
        await client.ask(get("/"))
    assert all(f"\r\n{line}\r\n".encode() in r for line, r in zip(lines, backend.requests, strict=False))
    assert all(b"tracestate: a=b\r\n" in request for request in backend.requests[:3])
    assert b"traceparent" not in backend.requests[3].lower()


async def test_unsampled_parents_make_no_spans() -> None:
    """What the client does not keep is not kept here, whatever the share; its line goes on as it came."""
    async with traced(answers(ok())) as (app, (backend,), taken):
        async with await call(app) as client:
            await client.ask(get("/", UNSAMPLED, "tracestate: a=b"))
        await ended(app)
    assert taken.spans == [] and taken.heads == []
    assert f"{UNSAMPLED}\r\n".encode() in backend.requests[0]
    assert b"tracestate: a=b\r\n" in backend.requests[0]


async def test_a_sampled_parent_is_kept_whatever_the_share() -> None:
    """With a share of nothing: the client's traces go on; those that begin here have ids, and no spans."""
    async with traced(answers(ok()), sample=0.0) as (app, (backend,), taken):
        async with await call(app) as client:
            await client.ask(get("/"))
            await client.ask(get("/", SAMPLED))
        await ended(app)
    assert {span.trace_id for span in taken.spans} == {CLIENT} and len(taken.spans) == 2
    assert told(backend.requests[0]).endswith(b"-00") and told(backend.requests[1]).endswith(b"-01")


@pytest.mark.parametrize(
    "lines",
    [
        ["traceparent: 00-0-0-01"],
        [f"traceparent: 00-{'0' * 32}-{SPAN}-01"],
        [f"traceparent: 00-{CLIENT}-{'0' * 16}-01"],
        [f"traceparent: ff-{CLIENT}-{SPAN}-01"],
        [f"traceparent: 00-{CLIENT}-{SPAN}-01-more"],
        [f"traceparent: 00-{CLIENT.upper()}-{SPAN}-01"],
        [SAMPLED, SAMPLED],
        [SAMPLED, f"TraceParent: 00-{'a' * 32}-{SPAN}-01"],
        [],
    ],
)
@pytest.mark.parametrize("sample", [0.0, 1.0])
async def test_what_is_malformed_is_replaced(lines: list[str], sample: float) -> None:
    """A new trace begins: one line goes on, and no tracestate, which belongs to the old one."""
    async with traced(answers(ok()), sample=sample) as (app, (backend,), taken):
        async with await call(app) as client:
            for _ in range(2):
                await client.ask(get("/", *lines, "TraceState: a=b", "X-Kept: tracestate: c=d"))
        await ended(app)
    assert len(backend.requests) == 2
    for request in backend.requests:
        trace_id = told(request)[3:35].decode()
        assert trace_id not in (CLIENT, CLIENT.upper(), "a" * 32, "0" * 32)
        assert told(request).endswith(b"-01" if sample else b"-00")
        assert b"\r\ntracestate:" not in request.lower() and b"X-Kept: tracestate: c=d\r\n" in request
    assert len({told(request)[3:35] for request in backend.requests}) == 2
    assert len(taken.spans) == (4 if sample else 0)
    assert all(span.state == "" and span.trace_id != CLIENT for span in taken.spans)


async def test_a_version_to_come_is_read_as_this_one() -> None:
    """What stands behind the flags is left out, and the gateway says 00."""
    line = f"traceparent: 01-{CLIENT}-{SPAN}-03-whatever"
    async with traced(answers(ok())) as (app, (backend,), taken):
        async with await call(app) as client:
            await client.ask(get("/", line))
        await ended(app)
    server, (attempt,) = taken.trace()
    assert (server.trace_id, server.parent_id) == (CLIENT, SPAN)
    assert told(backend.requests[0]) == f"00-{CLIENT}-{attempt.span_id}-03".encode()


async def test_a_share_of_traces_is_kept() -> None:
    """Half of them, decided by their ids: those backends were told are sampled are those that came."""
    async with traced(answers(ok()), sample="50%") as (app, (backend,), taken):
        app._rng.seed(7)
        async with await call(app) as client:
            for _ in range(60):
                await client.ask(get("/"))
        await ended(app)
    kept = {span.trace_id for span in taken.spans}
    said = {told(r)[3:35].decode() for r in backend.requests if told(r).endswith(b"-01")}
    assert kept == said and 15 < len(kept) < 45


# Nobody waits for it, and nothing gets out.


async def test_credentials_and_bodies_are_in_no_span() -> None:
    """Neither the client's fields, nor a query, nor what was asked and answered; the collector's are sent."""
    secrets = ["sk-client", "cookie-monster", "hush", "a secret of mine", "an answer of mine"]
    headers = {"authorization": "Bearer for-collector"}
    async with traced(
        answers(ok(b'{"text":"an answer of mine"}')), tracing={"headers": headers}
    ) as all_three:
        app, _, taken = all_three
        fields = [
            "Authorization: Bearer sk-client",
            "Cookie: cookie-monster",
            "X-Api-Key: sk-client",
            SAMPLED,
        ]
        async with await call(app) as client:
            await client.ask(post(ASKED, "/v1/chat/completions?api_key=hush", *fields))
        assert "for-collector" not in repr(app.settings)
        await ended(app)
    assert len(taken.spans) == 2
    data = b"".join(taken.raw)
    assert [secret for secret in [*secrets, "for-collector"] if secret.encode() in data] == []
    assert taken.heads[0]["authorization"] == "Bearer for-collector"
    assert taken.heads[0]["content-type"] == "application/x-protobuf"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("how", ["down", "hangs", "refuses"])
async def test_a_collector_that_fails_costs_requests_nothing(how: str) -> None:
    """All are answered, the end is bounded, and every span that did not arrive is counted."""
    with refusing() as dead:
        tracing = {"otlp": f"{dead}/v1/traces"} if how == "down" else {}
        async with traced(answers(ok()), tracing={**tracing, "timeout": "30s"}) as (app, _, taken):
            if how == "hangs":
                taken.hangs = asyncio.Event()
            taken.status = 403
            async with await call(app) as client:
                for _ in range(100):
                    assert (await client.ask(get("/"))).status == 200
            began = now()
            await app.close()
            assert now() - began < 10
            assert app.traces is not None
            if taken.hangs is not None:
                taken.hangs.set()
            assert (app.traces.exported, app.traces.dropped) == (0, 200)


async def test_what_is_exported_and_dropped_is_counted() -> None:
    """The counters of /metrics say so while it runs; without tracing they are not there."""
    async with traced(answers(ok())) as (app, _, taken):
        async with await call(app) as client:
            for _ in range(10):
                await client.ask(get("/"))
        await settled(lambda: len(taken.spans) == 20)
        traces = app.traces
        assert traces is not None
        await settled(lambda: traces.exported == 20)
        samples = await scrape(app)
        assert total(samples, "gateway_trace_spans_exported_total") == 20
        assert total(samples, "gateway_trace_spans_dropped_total") == 0
    async with gateway("http://127.0.0.1:1") as app:
        assert not any("trace_spans" in str(sample) for sample in await scrape(app))


async def test_the_access_log_names_the_trace() -> None:
    """The id under which spans are found stands in the request's line, and how long it took to be sent."""
    out: list[bytes] = []
    async with traced(answers(ok()), access_log=out.append) as (app, _, taken):
        async with await call(app) as client:
            await client.ask(get("/"))
            await client.ask(get("/", SAMPLED))
        await ended(app)
    lines = [json.loads(line) for line in b"".join(out).splitlines()]
    assert [line["trace_id"] for line in lines] == [s.trace_id for s in taken.spans if s.kind == "server"]
    assert lines[1]["traceparent"] == SAMPLED.partition(": ")[2]
    assert lines[0]["connect_ms"] > 0 and "connect_ms" not in lines[1], "the second found a connection"
    assert all(0 < line["sent_ms"] <= line["duration_ms"] for line in lines)


def test_a_missing_extra_is_said() -> None:
    """Without OpenTelemetry the gateway does not start, and says what to install."""
    code = """
import sys
sys.modules["opentelemetry"] = None
from gateway.app import run
from gateway.settings.load import from_dict
pools = {"p": {"backends": ["http://127.0.0.1:1"]}}
sys.exit(run(from_dict({"pools": pools, "tracing": {"otlp": "http://127.0.0.1:4318/v1/traces"}})))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert ran.returncode == 1 and "pip install 'model-gateway[otel]'" in ran.stderr


def test_nothing_of_it_is_loaded_unless_configured() -> None:
    """A gateway without tracing never imports OpenTelemetry."""
    code = """
import sys
from gateway.app import App
from gateway.settings.load import from_dict
App(from_dict({"pools": {"p": {"backends": ["http://127.0.0.1:1"]}}}))
sys.exit(any(name.startswith("opentelemetry") for name in sys.modules))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=50).returncode == 0
