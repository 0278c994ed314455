"""Do the spans of a request say what happened to it, in the words of the conventions?"""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.messages import Exchange, Outcome, Trace, TracedAttempt
from gateway.telemetry.spans import spans_of

PATTERNS = {"chat": "/v1/*"}


def exchange(**more) -> Exchange:
    made = Exchange("POST", "/v1/chat/completions", "req-1", "10.0.0.9", 100.0)
    made.route, made.pool, made.backend, made.model, made.status = "chat", "gpus", "gpu-1", "llama", 200
    made.ended = 101.5
    made.trace = Trace("a" * 32, "", "b" * 16, True, Random(1))
    made.trace.host = b"gateway.test:8080"
    for name, value in more.items():
        setattr(made, name, value)
    return made


def attempt(record: Exchange, outcome: Outcome = Outcome.OK, **more) -> TracedAttempt:
    assert record.trace is not None
    made = record.trace.attempt("gpus", "gpu-1", "https://gpu-1.test/v1/chat/completions", 100.25)
    assert made is not None
    made.outcome, made.ended = outcome, 101.25
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_no_trace_no_spans():
    """A request that is not traced makes none."""
    assert spans_of(exchange(trace=None), PATTERNS) == []


def test_a_tree():
    """The gateway's span, its waits and its attempts, each with its times."""
    record = exchange()
    assert record.trace is not None
    record.trace.waited("gpus", 100.0, 100.25)
    one = attempt(record, sent=100.5, first_byte=101.0, status=200)
    server, wait, client = spans_of(record, PATTERNS)
    assert (server.name, server.kind, server.start, server.end) == ("POST /v1/*", "server", 100.0, 101.5)
    assert (wait.name, wait.kind, wait.start, wait.end) == ("queue", "internal", 100.0, 100.25)
    assert (client.name, client.kind, client.start, client.end) == ("POST gpu-1", "client", 100.25, 101.25)
    assert (server.parent_id, wait.parent_id, client.parent_id) == ("", server.span_id, server.span_id)
    assert client.span_id == one.span_id and len({server.span_id, wait.span_id, client.span_id}) == 3
    assert record.trace.size == 3
    assert (server.attributes["server.address"], server.attributes["server.port"]) == ("gateway.test", 8080)
    assert (client.attributes["server.address"], client.attributes["server.port"]) == ("gpu-1.test", 443)
    assert client.attributes["gateway.attempt.connect"] == 0.25
    assert client.attributes["gateway.attempt.first_byte"] == 0.5
    assert "gen_ai.response.time_to_first_chunk" not in client.attributes, "it was no stream"


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (200, None, None),
        (404, None, None),
        (404, "no_route", None),
        (429, None, None),
        (500, None, "500"),
        (503, "queue_full", "queue_full"),
        (200, "reset", "reset"),
        (499, "client_closed", "client_closed"),
    ],
)
def test_whether_a_request_failed(status, error, kind):
    """As servers see it: not for what is wrong with the request, but for 5xx, a cut, a client that left."""
    server, *_ = spans_of(exchange(status=status, error=error), PATTERNS)
    assert server.failed == (kind is not None)
    assert server.attributes.get("error.type") == kind
    assert server.attributes.get("gateway.error") == error
    assert server.attributes.get("http.response.status_code") == (None if status == 499 else status)


@pytest.mark.parametrize(
    ("outcome", "status", "error", "lost", "kind"),
    [
        (Outcome.OK, 200, "", False, None),
        (Outcome.CLIENT_ERROR, 404, "", False, "404"),
        (Outcome.OVERLOADED, 429, "", False, "429"),
        (Outcome.TIMEOUT, 0, "first_byte_timeout", False, "first_byte_timeout"),
        (Outcome.RESET, 200, "reset", False, "reset"),
        (Outcome.CANCELLED, 0, "", False, "cancelled"),
        (Outcome.CANCELLED, 0, "", True, None),
    ],
)
def test_whether_an_attempt_failed(outcome, status, error, lost, kind):
    """As clients see it, 4xx included; not what was given up because another one had answered."""
    record = exchange()
    attempt(record, outcome, status=status, error=error, lost=lost)
    _, client = spans_of(record, PATTERNS)
    assert client.failed == (kind is not None)
    assert client.attributes.get("error.type") == kind
    assert client.attributes["gateway.attempt.outcome"] == outcome.label
    assert client.attributes.get("gateway.attempt.lost") == (True if lost else None)


@pytest.mark.parametrize(
    ("path", "operation", "provider"),
    [
        ("/v1/chat/completions", "chat", "openai"),
        ("/openai/v1/completions", "text_completion", "openai"),
        ("/v1/embeddings", "embeddings", "openai"),
        ("/v1/responses", "chat", "openai"),
        ("/v1/messages", "chat", "anthropic"),
        ("/api/chat", "chat", "ollama"),
        ("/v1/models", None, None),
        ("/", None, None),
    ],
)
def test_what_is_asked_of_a_model(path, operation, provider):
    """The operation is told by the path; whose API it is, by the call to the backend alone."""
    record = exchange(path=path, stream=True)
    attempt(record, sent=100.5, first_byte=101.0, status=200)
    server, client = spans_of(record, PATTERNS)
    for span in (server, client):
        assert span.attributes.get("gen_ai.operation.name") == operation
        assert span.attributes["gen_ai.request.model"] == "llama"
    assert "gen_ai.provider.name" not in server.attributes
    assert client.attributes.get("gen_ai.provider.name") == provider
    streamed = 0.5 if operation else None
    assert client.attributes.get("gen_ai.response.time_to_first_chunk") == streamed


def test_tokens_are_counted_once():
    """On the attempt that answered: not on one that failed or was given up, nor on the request."""
    record = exchange(prompt_tokens=7, completion_tokens=0)
    attempt(record, Outcome.SERVER_ERROR, status=503)
    attempt(record, status=200)
    attempt(record, Outcome.CANCELLED, status=200, lost=True)
    spans = spans_of(record, PATTERNS)
    keys = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
    assert [[span.attributes.get(key) for key in keys] for span in spans] == [
        [None, None],
        [None, None],
        [7, 0],
        [None, None],
    ]
    record.prompt_tokens, record.completion_tokens = -1, 5
    assert [spans_of(record, PATTERNS)[2].attributes.get(key) for key in keys] == [None, 5]
    record.completion_tokens = -1
    assert not any(span.attributes.keys() & set(keys) for span in spans_of(record, PATTERNS))


def test_methods_are_a_closed_set():
    """One that is not known is _OTHER, and HTTP in names."""
    record = exchange(method="PROPFIND", route="-")
    attempt(record)
    server, client = spans_of(record, PATTERNS)
    assert (server.name, client.name) == ("HTTP", "HTTP gpu-1")
    assert server.attributes["http.request.method"] == client.attributes["http.request.method"] == "_OTHER"
    assert not {"http.route", "gateway.route"} & server.attributes.keys()


@given(st.text(max_size=2000), st.text(max_size=2000), st.binary(max_size=300))
def test_strangers_text_is_tamed(path, model, host):
    """Whatever a client says: attributes are short, printable, and never missing because of it."""
    record = exchange(path=path, model=model)
    assert record.trace is not None
    record.trace.host = host
    server, *_ = spans_of(record, PATTERNS)
    for key in ("url.path", "gen_ai.request.model", "server.address"):
        value = server.attributes.get(key, "")
        assert isinstance(value, str) and len(value) <= 256 * 10
        value.encode()
