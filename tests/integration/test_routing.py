"""Does each request reach the pool its route names, changed as the route says and no further?"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from gateway.app import App
from tests.harness import Answer, Backend, Conversation, call, chunk, gateway, get, ok, post, settled, url

Routes = list[dict[str, Any]]


@contextlib.asynccontextmanager
async def routed(routes: Routes, *names: str) -> AsyncIterator[tuple[App, dict[str, Backend]]]:
    """A gateway with pools of these names, each a backend that answers with its pool's name."""
    async with contextlib.AsyncExitStack() as stack:
        backends = {}
        for name in names:
            backends[name] = await stack.enter_async_context(Backend(names_itself(name)))
        pools = {name: {"backends": [b.url], "health": {"path": None}} for name, b in backends.items()}
        yield await stack.enter_async_context(gateway(pools=pools, routes=routes)), backends


def names_itself(name: str) -> Any:
    async def handler(conversation: Conversation) -> None:
        while await conversation.request():
            await conversation.send(ok(name.encode()))

    return handler


async def where(app: App, *requests: bytes) -> list[str]:
    """Which pool each request went to, or the kind of error."""
    went = []
    for request in requests:
        async with await call(app) as client:
            answer = await client.ask(request)
        went.append(answer.body.decode() if answer.status == 200 else answer["x-gateway-error"])
    return went


async def test_paths() -> None:
    """Exact paths and prefixes, the first match from the top; the query is no part of the path."""
    routes: Routes = [
        {"name": "exact", "match": {"path": "/v1/chat"}, "pool": "a"},
        {"name": "below", "match": {"path": "/v1/chat/*"}, "pool": "b"},
        {"name": "prefix", "match": {"path": "/v1/e*"}, "pool": "c"},
    ]
    async with routed(routes, "a", "b", "c") as (app, _):
        asked = ["/v1/chat", "/v1/chat?x=/v1/e", "/v1/chat/", "/v1/chat/x/y", "/v1/embed", "/v1/e"]
        assert await where(app, *map(get, asked)) == ["a", "a", "b", "b", "c", "c"]
        lost = ["/", "/v1/chatter", "/V1/chat", "/v1/"]
        assert await where(app, *map(get, lost)) == ["route_not_found"] * 4


async def test_methods() -> None:
    """Another method than the route takes is 405, and Allow names those it takes."""
    routes: Routes = [
        {"name": "chat", "match": {"path": "/chat", "methods": ["POST", "PUT"]}, "pool": "a"},
        {"name": "read", "match": {"path": "/read", "methods": ["GET"]}, "pool": "b"},
        {"name": "write", "match": {"path": "/read", "methods": ["POST"]}, "pool": "a"},
    ]
    async with routed(routes, "a", "b") as (app, backends):
        assert await where(app, post(path="/chat"), get("/read"), post(path="/read")) == ["a", "b", "a"]
        async with await call(app) as client:
            for path, request, allowed in (
                ("/chat", get("/chat"), {"POST", "PUT"}),
                ("/read", b"DELETE /read HTTP/1.1\r\nHost: a\r\n\r\n", {"GET", "POST"}),
            ):
                answer = await client.ask(request)
                assert (answer.status, answer["x-gateway-error"]) == (405, "method_not_allowed"), path
                assert set(answer["allow"].replace(" ", "").split(",")) - {"HEAD", "OPTIONS"} == allowed
        assert sum(len(backend.requests) for backend in backends.values()) == 3


async def test_headers() -> None:
    """All the fields a route names must be there, with exactly these values, in any spelling of the names."""
    routes: Routes = [
        {"name": "gold", "match": {"headers": {"X-Tier": "gold", "x-zone": "b"}}, "pool": "gold"},
        {"name": "rest", "pool": "rest"},
    ]
    async with routed(routes, "gold", "rest") as (app, _):
        went = await where(
            app,
            get("/", "x-tier: gold", "X-ZONE: b"),
            get("/", "X-Tier: gold"),
            get("/", "X-Tier: Gold", "X-Zone: b"),
            get("/", "X-Tier: silver", "X-Tier: gold", "X-Zone: b"),
            get("/"),
        )
        assert went == ["gold", "rest", "rest", "gold", "rest"]


def asking(model: object) -> bytes:
    return post({"messages": [], "model": model})


async def test_model_patterns() -> None:
    """`*` stands for any run of characters; a body without a usable model takes the route that needs none."""
    routes: Routes = [
        {"name": "llama", "match": {"model": "llama-*"}, "pool": "llama"},
        {"name": "small", "match": {"model": "*-small"}, "pool": "small"},
        {"name": "exact", "match": {"model": "gpt [1]"}, "pool": "exact"},
        {"name": "rest", "match": {"path": "/v1/*"}, "pool": "rest"},
    ]
    async with routed(routes, "llama", "small", "exact", "rest") as (app, _):
        models = ["llama-3", "llama-small", "phi-small", "gpt [1]", "gpt 1", "Llama-3", "", 5, None]
        went = await where(app, *map(asking, models))
        assert went == ["llama", "llama", "small", "exact", "rest", "rest", "rest", "rest", "rest"]
        no_json = [post(b"not json"), post(b""), post(b'["model"]'), get("/v1/x")]
        assert await where(app, *no_json) == ["rest"] * 4
        # The same names written with escapes are the same names.
        assert await where(app, post(b'{"model": "\\u006clama-3"}')) == ["llama"]


async def test_a_model_nobody_has() -> None:
    """404 model_not_found with the name, 400 without a model; the connection goes on."""
    routes: Routes = [{"name": "llama", "match": {"model": "llama-*"}, "pool": "llama"}]
    async with routed(routes, "llama") as (app, _), await call(app) as client:
        answer = await client.ask(asking("gpt"))
        assert (answer.status, answer.json()["error"]["code"]) == (404, "model_not_found")
        assert "gpt" in answer.json()["error"]["message"]
        answer = await client.ask(post({}))
        assert (answer.status, answer["x-gateway-error"]) == (400, "bad_request")
        assert (await client.ask(asking("llama-3"))).status == 200


async def test_several_pools_without_routes() -> None:
    """The body's model is the pool's name; the list of models is the gateway's own, for GET and HEAD."""
    async with routed([], "alpha", "org/beta") as (app, backends):
        assert await where(app, asking("org/beta"), asking("alpha")) == ["org/beta", "alpha"]
        assert await where(app, asking("gamma"), get("/v1/other")) == ["model_not_found", "bad_request"]
        async with await call(app) as client:
            answer = await client.ask(get("/v1/models"))
            assert answer["content-type"] == "application/json"
            assert [entry["id"] for entry in answer.json()["data"]] == ["alpha", "org/beta"]
            assert (await client.ask(get("/v1/models/alpha"))).json()["object"] == "model"
            assert (await client.ask(get("/v1/models/none"))).status == 404
            await client.send(get("/v1/models").replace(b"GET", b"HEAD"))
            head = await client.answer(without_body=True)
            assert (head.status, head["content-length"]) == (200, answer["content-length"])
            assert (await client.ask(asking("alpha"))).body == b"alpha"
        assert sum(len(backend.requests) for backend in backends.values()) == 3


async def test_a_large_body_is_held_for_its_model() -> None:
    """Where the model decides, a body beyond `buffer_body` is held all the same, chunked ones too."""
    pad = "x" * 50_000
    body = json.dumps({"pad": pad, "model": "b"}).encode()
    chunked = post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    async with Backend(names_itself("a")) as a, Backend(names_itself("b")) as b:
        off = {"path": None}
        pools = {"a": {"backends": [a.url], "health": off}, "b": {"backends": [b.url], "health": off}}
        async with gateway(pools=pools, limits={"buffer_body": 1000}) as app:
            assert await where(app, post(body)) == ["b"]
            async with await call(app) as client:
                await client.send(chunked + chunk(body[:20_000]))
                await client.send(chunk(body[20_000:]) + chunk(b""))
                assert (await client.answer()).body == b"b"
        assert [request.partition(b"\r\n\r\n")[2] for request in b.requests] == [body, body]


async def test_multipart_forms_name_a_model_too() -> None:
    """OpenAI's audio endpoints take forms: the part `model` decides, and the file arrives unchanged."""
    sound = bytes(range(256)) * 40
    async with routed([], "whisper", "other") as (app, backends):
        async with aiohttp.ClientSession() as session:
            form = aiohttp.FormData()
            form.add_field("file", sound, filename="model.wav", content_type="audio/wav")
            form.add_field("model", "whisper")
            async with session.post(url(app, "/v1/audio/transcriptions"), data=form) as response:
                assert (response.status, await response.text()) == (200, "whisper")
        (request,) = backends["whisper"].requests
        assert sound in request


async def test_rewriting_the_prefix() -> None:
    """The matched part of the path is replaced; the rest, escapes and query pass byte for byte."""
    routes: Routes = [
        {"name": "strip", "match": {"path": "/openai/*"}, "pool": "a", "rewrite": {"prefix": "/"}},
        {"name": "swap", "match": {"path": "/api/v2/*"}, "pool": "a", "rewrite": {"prefix": "/v1/"}},
        {"name": "one", "match": {"path": "/exact"}, "pool": "a", "rewrite": {"prefix": "/other"}},
        {"name": "rest", "pool": "a"},
    ]
    asked = {
        "/openai/v1/models?a=%20b": "/v1/models?a=%20b",
        "/openai/": "/",
        "/api/v2/x%2Fy//z": "/v1/x%2Fy//z",
        "/exact?q=/exact": "/other?q=/exact",
        "/untouched/../x;y": "/untouched/../x;y",
    }
    async with routed(routes, "a") as (app, backends):
        assert await where(app, *map(get, asked)) == ["a"] * len(asked)
        assert [r.split(b" ")[1].decode() for r in backends["a"].requests] == list(asked.values())


async def test_a_path_in_the_backend_s_url_comes_first() -> None:
    """A backend below a path gets that path before each request's, after the route's rewriting."""
    async with Backend(names_itself("a")) as backend:
        routes: Routes = [{"name": "r", "match": {"path": "/in/*"}, "pool": "p", "rewrite": {"prefix": "/"}}]
        pools = {"p": {"backends": [backend.url + "/deep/"], "health": {"path": None}}}
        async with gateway(pools=pools, routes=routes) as app:
            assert await where(app, get("/in/v1?x=1")) == ["a"]
        assert backend.requests[0].startswith(b"GET /deep/v1?x=1 HTTP/1.1\r\n")


async def test_rewriting_the_model() -> None:
    """Only the model changes: every other member keeps its bytes; the length is right; no body stays none."""
    routes: Routes = [{"name": "r", "pool": "a", "rewrite": {"model": "llama-3-70b"}}]
    body = b'{"model" : "small", "n": 1.0e3, "text": "\\u00e4\xc3\xa4", "deep": {"model": "kept"}}'
    async with routed(routes, "a") as (app, backends):
        assert await where(app, post(body), get("/")) == ["a", "a"]
        head, _, sent = backends["a"].requests[0].partition(b"\r\n\r\n")
        assert f"content-length: {len(sent)}" in head.decode().lower()
        for part in (b'"n":1.0e3', b'"text":"\\u00e4\xc3\xa4"', b'{"model": "kept"}'):
            assert part in sent.replace(b'": ', b'":').replace(b'{"model":"kept"}', b'{"model": "kept"}')
        assert json.loads(sent) == json.loads(body) | {"model": "llama-3-70b"}
        assert not backends["a"].requests[1].partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("limit", ["first_byte", "total"])
async def test_a_route_may_be_less_patient_than_its_pool(limit: str) -> None:
    """The route's own limit ends the wait with 504; another route to the same pool keeps the pool's."""
    go_on = asyncio.Event()

    async def handler(conversation: Conversation) -> None:
        while await conversation.request():
            await go_on.wait()
            await conversation.send(ok())

    async with Backend(handler) as backend:
        pools = {"p": {"backends": [backend.url], "health": {"path": None}}}
        routes: Routes = [
            {"name": "quick", "match": {"path": "/quick"}, "pool": "p", "timeouts": {limit: "100ms"}},
            {"name": "rest", "pool": "p"},
        ]
        async with (
            gateway(pools=pools, routes=routes) as app,
            await call(app) as patient,
            await call(app) as hasty,
        ):
            await patient.send(post(path="/patient"))
            await settled(lambda: len(backend.requests) == 1)
            answer: Answer = await hasty.ask(post(path="/quick"))
            assert (answer.status, answer["x-gateway-error"]) == (504, f"{limit}_timeout")
            go_on.set()
            assert (await patient.answer()).status == 200
