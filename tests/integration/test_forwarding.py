"""What do backend and client learn of each other, and what stays with the gateway?"""

import re
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from gateway.app import App
from tests.harness import Answer, Backend, answers, ask, call, gateway, get, ok, post, refusing

MADE_ID = re.compile(r"[0-9a-f]{12}-[0-9a-f]+")


def fields_of(request: bytes) -> dict[str, str]:
    """The fields a backend received, names in lower case; each stands once."""
    lines = request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


async def seen(request: bytes, **settings: Any) -> dict[str, str]:
    """The fields a backend receives for `request`."""
    async with Backend(answers(ok())) as backend, gateway(backend.url, **settings) as app:
        assert await ask(app, 1, request) == [200]
        return fields_of(backend.requests[0])


async def answered(response: bytes, request: bytes = get()) -> Answer:
    """What the client gets where the backend says `response`."""
    async with Backend(answers(response)) as backend, gateway(backend.url) as app, await call(app) as client:
        return await client.ask(request)


CLAIMS = (
    "X-Forwarded-For: 203.0.113.9",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: public.example",
    "Forwarded: for=203.0.113.9",
    "X-Real-IP: 203.0.113.9",
)


async def test_a_backend_learns_who_asked() -> None:
    """The client's address, scheme and host; Via; the request's id; the client's own fields as they are."""
    fields = await seen(
        get("/", "Accept: text/x-odd;q=0.5", "Authorization: Bearer x", "X-Mixed-CASE: Value")
    )
    assert fields["x-forwarded-for"] == "127.0.0.1"
    assert fields["x-forwarded-proto"] == "http"
    assert fields["x-forwarded-host"] == "gateway.test"
    assert fields["via"] == "1.1 gateway"
    assert MADE_ID.fullmatch(fields["x-request-id"])
    assert fields["accept"] == "text/x-odd;q=0.5"
    assert fields["authorization"] == "Bearer x"
    assert fields["x-mixed-case"] == "Value"
    assert re.fullmatch(r"127\.0\.0\.1:\d+", fields["host"])


async def test_what_strangers_claim_is_dropped() -> None:
    """From an address that is not trusted, none of the claims about where a request came from survives."""
    fields = await seen(get("/", *CLAIMS))
    assert fields["x-forwarded-for"] == "127.0.0.1"
    assert fields["x-forwarded-proto"] == "http"
    assert fields["x-forwarded-host"] == "gateway.test"
    assert "203.0.113.9" not in str(fields)
    other = await seen(get("/", *CLAIMS), trusted_proxies=["10.0.0.0/8"])
    assert other["x-forwarded-for"] == "127.0.0.1"


async def test_what_trusted_proxies_claim_is_passed_on() -> None:
    """A proxy of ours is believed: its address joins the list, scheme and host are the first client's."""
    fields = await seen(get("/", *CLAIMS), trusted_proxies=["127.0.0.0/8"])
    assert fields["x-forwarded-for"] == "203.0.113.9, 127.0.0.1"
    assert fields["x-forwarded-proto"] == "https"
    assert fields["x-forwarded-host"] == "public.example"
    fields = await seen(
        get("/", "X-Forwarded-For: a", "X-Forwarded-For: b, c"), trusted_proxies=["127.0.0.1/32"]
    )
    assert fields["x-forwarded-for"] == "a, b, c, 127.0.0.1"
    assert (fields["x-forwarded-proto"], fields["x-forwarded-host"]) == ("http", "gateway.test")


async def test_each_request_on_a_connection_is_taken_by_itself() -> None:
    """Claims and hosts of one request say nothing about the next on the same connection."""
    async with Backend(answers(ok())) as backend:
        async with gateway(backend.url, trusted_proxies=["127.0.0.0/8"]) as app, await call(app) as client:
            await client.ask(get("/", *CLAIMS))
            await client.ask(get("/"))
            await client.ask(get("/").replace(b"gateway.test", b"other.test"))
            await client.ask(get("/"))
        hosts = [fields_of(request)["x-forwarded-host"] for request in backend.requests]
        assert hosts == ["public.example", "gateway.test", "other.test", "gateway.test"]
        clients = [fields_of(request)["x-forwarded-for"] for request in backend.requests]
        assert clients == ["203.0.113.9, 127.0.0.1"] + ["127.0.0.1"] * 3


@pytest.mark.parametrize("given", ["abc", "A.b_c-9", "x" * 64])
async def test_a_well_formed_request_id_is_kept(given: str) -> None:
    """The same id at the client and at the backend."""
    async with Backend(answers(ok())) as backend, gateway(backend.url) as app, await call(app) as client:
        answer = await client.ask(get("/", f"X-Request-ID: {given}"))
    assert answer["x-request-id"] == fields_of(backend.requests[0])["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "has space", "x" * 65, "semi;colon", "ümlaut"])
async def test_any_other_request_id_is_replaced(given: str) -> None:
    """What could confuse a log gets an id of the gateway's own making, one for each request."""
    async with Backend(answers(ok())) as backend, gateway(backend.url) as app, await call(app) as client:
        ids = set()
        for number in range(3):
            answer = await client.ask(get("/", f"X-Request-ID: {given}"))
            assert MADE_ID.fullmatch(answer["x-request-id"])
            assert fields_of(backend.requests[number])["x-request-id"] == answer["x-request-id"]
            ids.add(answer["x-request-id"])
        assert len(ids) == 3


async def test_traceparent_is_passed_on() -> None:
    """A trace goes through unchanged."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert (await seen(get("/", f"traceparent: {trace}")))["traceparent"] == trace


async def test_fields_of_one_hop_end_here() -> None:
    """Connection, what it names, and the other hop-by-hop fields reach neither side."""
    fields = await seen(
        get(
            "/",
            "Connection: keep-alive, X-Hop",
            "X-Hop: 1",
            "Keep-Alive: timeout=5",
            "TE: trailers",
            "Proxy-Connection: keep-alive",
            "Proxy-Authorization: Basic x",
            "Upgrade: h2c",
            "X-Stays: 1",
        )
    )
    assert fields.keys().isdisjoint(
        {"x-hop", "keep-alive", "te", "proxy-connection", "proxy-authorization", "upgrade", "connection"}
    )
    assert fields["x-stays"] == "1"
    answer = await answered(
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n"
        b"Proxy-Authenticate: Basic\r\nX-Stays: 1\r\nContent-Length: 2\r\n\r\nok"
    )
    for name in ("x-hop", "keep-alive", "proxy-authenticate", "connection"):
        assert name not in answer
    assert answer["x-stays"] == "1"


async def test_what_the_client_learns() -> None:
    """Backend, id, timing, Via, and a Date even where the backend sent none."""
    answer = await answered(ok(b"body"))
    assert re.fullmatch(r"127\.0\.0\.1:\d+", answer["x-gateway-backend"])
    assert answer["via"] == "1.1 gateway"
    found = re.fullmatch(r"gateway;dur=(\d+\.\d{2}), backend;dur=(\d+\.\d{2})", answer["server-timing"])
    assert found is not None and all(float(part) < 5000 for part in found.groups())
    assert parsedate_to_datetime(answer["date"]).tzinfo is not None
    assert answer["content-length"] == "4"


async def test_a_backend_s_date_and_server_are_kept() -> None:
    """One Date, the backend's; its other fields pass in their order, repeated ones too."""
    answer = await answered(
        b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: model/1\r\nSet-Cookie: a=1\r\n"
        b"Set-Cookie: b=2\r\nContent-Length: 0\r\n\r\n"
    )
    assert answer["date"] == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert answer["server"] == "model/1"
    assert [value for name, value in answer.fields if name == "set-cookie"] == ["a=1", "b=2"]


async def test_a_backend_cannot_speak_for_the_gateway() -> None:
    """X-Gateway-Backend, X-Gateway-Error and the id are the gateway's own, whatever a backend says."""
    answer = await answered(
        b"HTTP/1.1 200 OK\r\nX-Gateway-Backend: other\r\nX-Gateway-Error: internal\r\nX-Request-ID: mine\r\n"
        b"Content-Length: 0\r\n\r\n",
        get("/", "X-Request-ID: asked"),
    )
    assert answer["x-gateway-backend"] != "other"
    assert "x-gateway-error" not in answer
    assert answer["x-request-id"] == "asked"


async def test_the_gateway_s_own_answers_have_the_same_fields() -> None:
    """Its errors name id, Via and Date, and the backend where there was one; the body is OpenAI's error."""
    with refusing() as nobody:
        async with gateway(nobody) as app, await call(app) as client:
            answer = await client.ask(post(b"{}", "/", "X-Request-ID: asked"))
            assert (answer.status, answer["x-request-id"], answer["via"]) == (502, "asked", "1.1 gateway")
            assert answer["x-gateway-backend"] == nobody.removeprefix("http://")
            assert answer["content-type"] == "application/json"
            assert parsedate_to_datetime(answer["date"]).tzinfo is not None
            error = answer.json()["error"]
            assert set(error) == {"message", "type", "param", "code"}
            malformed = await client.ask(b"GET / HTTP/1.1\r\n\r\n")
            assert (malformed.status, malformed["x-gateway-error"]) == (400, "bad_request")
            assert MADE_ID.fullmatch(malformed["x-request-id"])


async def test_the_target_and_the_body_s_framing() -> None:
    """The target goes on byte for byte; the Host is the backend's; a bodiless GET gets no length."""
    async with Backend(answers(ok())) as backend, gateway(backend.url) as app:
        target = "/a%2Fb/../c;d?e=%zz&f=[]"
        await one(app, get(target))
        await one(app, b"GET http://origin.test/x?y HTTP/1.1\r\nHost: ignored.test\r\n\r\n")
        await one(app, b"POST /empty HTTP/1.1\r\nHost: a\r\n\r\n")
        lines = [request.partition(b"\r\n")[0].decode() for request in backend.requests]
        assert lines == [f"GET {target} HTTP/1.1", "GET /x?y HTTP/1.1", "POST /empty HTTP/1.1"]
        plain, absolute, empty = map(fields_of, backend.requests)
        assert plain.keys().isdisjoint({"content-length", "transfer-encoding"})
        assert absolute["x-forwarded-host"] == "origin.test"
        assert empty["content-length"] == "0"


async def one(app: App, request: bytes) -> None:
    assert await ask(app, 1, request) == [200]


async def test_a_1_0_client_is_served_with_1_1() -> None:
    """The backend is asked in HTTP/1.1; the client is answered in a way it can read, its connection kept
    where it asked for that."""
    async with (
        Backend(answers(ok(b"body"))) as backend,
        gateway(backend.url) as app,
        await call(app) as client,
    ):
        for _ in range(2):
            answer = await client.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert (answer.status, answer.body, answer["connection"]) == (200, b"body", "keep-alive")
        answer = await client.ask(b"GET / HTTP/1.0\r\n\r\n")
        assert answer["connection"] == "close"
        assert await client.rest() == b""
        for request in backend.requests:
            assert request.startswith(b"GET / HTTP/1.1\r\n")
            assert "x-forwarded-host" not in fields_of(request)
