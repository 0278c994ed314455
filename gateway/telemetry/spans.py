"""Which spans does a finished request make, and what do they say? A tree, from what was recorded on its way.

Names of attributes are those of OpenTelemetry's semantic conventions, HTTP (stable) and GenAI (in
development), and `gateway.*` for what they have no word for. Never among them: bodies, queries, fields of
heads but Host.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from gateway.messages import Exchange, Outcome, Trace, TracedAttempt
from gateway.telemetry.metrics import METHODS, NO_ROUTE
from gateway.telemetry.text import tame

Value = str | int | float | bool

#: Ends of paths, the longest first → (operation, whose API it is).
_OPERATIONS = (
    ("/chat/completions", "chat", "openai"),
    ("/completions", "text_completion", "openai"),
    ("/embeddings", "embeddings", "openai"),
    ("/responses", "chat", "openai"),
    ("/messages", "chat", "anthropic"),
    ("/api/chat", "chat", "ollama"),
    ("/api/generate", "text_completion", "ollama"),
    ("/api/embed", "embeddings", "ollama"),
)


@dataclass(slots=True)
class Span:
    """One span; `parent_id` "" is none. `start` and `end` are seconds of `clock.now()`."""

    name: str
    kind: Literal["server", "client", "internal"]
    span_id: str
    parent_id: str
    start: float
    end: float
    attributes: dict[str, Value] = field(default_factory=dict)
    failed: bool = False


def spans_of(exchange: Exchange, patterns: Mapping[str, str]) -> list[Span]:
    """The gateway's span, then its waits and attempts; `patterns` are the routes' paths by their names."""
    trace = exchange.trace
    if trace is None:
        return []
    spans = [_server(exchange, trace, patterns)]
    for span_id, pool, since, until in trace.waits:
        waited: dict[str, Value] = {"gateway.pool": pool}
        spans.append(Span("queue", "internal", span_id, trace.span_id, since, until, waited))
    made = [_attempt(exchange, trace, attempt, number) for number, attempt in enumerate(trace.attempts)]
    answered = [span for span, one in zip(made, trace.attempts, strict=True) if one.status and not one.lost]
    if answered:
        _count_tokens(answered[-1].attributes, exchange)
    return spans + made


def _count_tokens(attributes: dict[str, Value], exchange: Exchange) -> None:
    """What the answer cost, on the attempt that gave it alone: whoever adds spans up counts it once."""
    if exchange.prompt_tokens >= 0:
        attributes["gen_ai.usage.input_tokens"] = exchange.prompt_tokens
    if exchange.completion_tokens >= 0:
        attributes["gen_ai.usage.output_tokens"] = exchange.completion_tokens


def _server(exchange: Exchange, trace: Trace, patterns: Mapping[str, str]) -> Span:
    method = METHODS.get(exchange.method, "_OTHER")
    pattern = patterns.get(exchange.route, "")
    attributes: dict[str, Value] = {
        "http.request.method": method,
        "url.path": tame(exchange.path),
        "url.scheme": "http",
        "client.address": exchange.client,
        "gateway.request_id": tame(exchange.request_id),
        "gateway.attempts": exchange.attempts,
        "gateway.overhead": round(exchange.overhead_s, 6),
    }
    _address(attributes, "//" + trace.host.decode("latin-1"))
    if pattern:
        attributes["http.route"] = pattern
    if exchange.route != NO_ROUTE:
        attributes["gateway.route"] = exchange.route
    named = {
        "gateway.pool": exchange.pool,
        "gateway.backend": exchange.backend,
        "gateway.cache.result": exchange.cache,
        "gateway.cache.detail": exchange.cache_detail,
        "gateway.error": exchange.error,
    }
    attributes |= {key: text for key, text in named.items() if text}
    _of_model(attributes, exchange)
    status, gone = exchange.status, exchange.error == "client_closed"
    if status and not (gone and status == 499):  # which stands for a client that left, and was never sent
        attributes["http.response.status_code"] = status
    failed = status >= 500 or gone or (exchange.error is not None and status < 400)
    if failed:
        attributes["error.type"] = exchange.error or str(status)
    name = "HTTP" if method == "_OTHER" else method
    if pattern:
        name += f" {pattern}"
    return Span(
        name, "server", trace.span_id, trace.parent_id, exchange.started, exchange.ended, attributes, failed
    )


def _attempt(exchange: Exchange, trace: Trace, attempt: TracedAttempt, number: int) -> Span:
    method = METHODS.get(exchange.method, "_OTHER")
    attributes: dict[str, Value] = {
        "http.request.method": method,
        "url.full": tame(attempt.url, 1024),
        "network.protocol.version": "1.1",
        "gateway.pool": attempt.pool,
        "gateway.backend": attempt.backend,
        "gateway.attempt.number": number + 1,
        "gateway.attempt.outcome": attempt.outcome.label,
    }
    _address(attributes, attempt.url)
    if number:
        attributes["http.request.resend_count"] = number
    if attempt.hedge:
        attributes["gateway.attempt.hedge"] = True
    if attempt.sent:
        attributes["gateway.attempt.connect"] = round(max(0.0, attempt.sent - attempt.started), 6)
    if attempt.first_byte:
        attributes["gateway.attempt.first_byte"] = round(max(0.0, attempt.first_byte - attempt.sent), 6)
    if attempt.status:
        attributes["http.response.status_code"] = attempt.status
    if _of_model(attributes, exchange):
        attributes["gen_ai.provider.name"] = _operation(exchange.path)[1]
        if exchange.stream:
            attributes["gen_ai.request.stream"] = True
            if attempt.first_byte:
                attributes["gen_ai.response.time_to_first_chunk"] = attributes["gateway.attempt.first_byte"]
    failed = attempt.outcome is not Outcome.OK and not attempt.lost
    if failed:
        broken = attempt.error or (str(attempt.status) if attempt.status >= 400 else "")
        attributes["error.type"] = broken or attempt.outcome.label
    if attempt.lost:
        attributes["gateway.attempt.lost"] = True
    name = f"{'HTTP' if method == '_OTHER' else method} {attempt.backend}"
    return Span(
        name, "client", attempt.span_id, trace.span_id, attempt.started, attempt.ended, attributes, failed
    )


def _of_model(attributes: dict[str, Value], exchange: Exchange) -> bool:
    """What is asked of which model; whether it is a call of one."""
    operation = _operation(exchange.path)[0]
    if operation:
        attributes["gen_ai.operation.name"] = operation
    if exchange.model is not None:
        attributes["gen_ai.request.model"] = tame(exchange.model)
    return bool(operation)


def _operation(path: str) -> tuple[str, str]:
    """(operation, provider) by a path, "" where it is no model's."""
    for end, operation, provider in _OPERATIONS:
        if path.endswith(end):
            return operation, provider
    return "", ""


def _address(attributes: dict[str, Value], url: str) -> None:
    """Where the server is that `url` names; nothing where it names none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return
    if host:
        attributes["server.address"] = tame(host)
        if port or parts.scheme:
            attributes["server.port"] = port or (443 if parts.scheme == "https" else 80)
