"""Is what leaves for a collector the span that was made, by the word of OpenTelemetry's own protocol?"""

import sys
from random import Random

import pytest

from gateway.messages import Trace
from gateway.telemetry.otlp import OtlpExporter
from gateway.telemetry.spans import Span

pytest.importorskip(
    "opentelemetry.exporter.otlp.proto.http", reason="no exporter: pip install 'model-gateway[otel]'"
)

URL = "http://127.0.0.1:9/v1/traces"


def exporter(headers: dict[str, str] | None = None) -> OtlpExporter:
    return OtlpExporter(URL, headers or {}, 1.0, "edge", "1.2.3")


def encoded(made: OtlpExporter, trace: Trace, *spans: Span):
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    (resource,) = encode_spans([made._readable(trace, span, 1000.0) for span in spans]).resource_spans
    (scope,) = resource.scope_spans
    about = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
    return about, scope.scope, list(scope.spans)


def test_a_span_is_what_was_made():
    """Ids, parents, kinds, times in nanoseconds, attributes with their types, state and failure."""
    trace = Trace("a" * 32, "c" * 16, "b" * 16, True, Random(1))
    trace.state = "one=1,two=2"
    server = Span("GET /", "server", "b" * 16, "c" * 16, 1.5, 2.5, {"n": 1, "x": 0.5, "is": True, "s": "é"})
    client = Span("GET a", "client", "d" * 16, "b" * 16, 2.0, 1.0, {}, True)
    about, scope, (one, other) = encoded(exporter(), trace, server, client)
    assert (about["service.name"], about["service.version"]) == ("edge", "1.2.3")
    assert (scope.name, scope.version) == ("gateway", "1.2.3")
    assert one.trace_id == bytes.fromhex("a" * 32) == other.trace_id
    assert (one.span_id.hex(), one.parent_span_id.hex()) == ("b" * 16, "c" * 16)
    assert (other.span_id.hex(), other.parent_span_id.hex()) == ("d" * 16, "b" * 16)
    assert (one.kind, other.kind) == (2, 3)
    assert (one.start_time_unix_nano, one.end_time_unix_nano) == (1001_500_000_000, 1002_500_000_000)
    assert other.start_time_unix_nano == other.end_time_unix_nano == 1002_000_000_000, (
        "never before its start"
    )
    values = {pair.key: pair.value for pair in one.attributes}
    assert (values["n"].int_value, values["x"].double_value) == (1, 0.5)
    assert (values["is"].bool_value, values["s"].string_value) == (True, "é")
    assert (one.status.code, other.status.code) == (0, 2)
    assert one.trace_state == other.trace_state == "one=1,two=2"
    assert one.flags & 0x300 == 0x300 and other.flags & 0x300 == 0x100, "the client's span is elsewhere"


def test_a_trace_that_begins_here_has_no_parent():
    """The first span is a root."""
    trace = Trace("a" * 32, "", "b" * 16, True, Random(1))
    _, _, (one,) = encoded(exporter(), trace, Span("GET /", "server", "b" * 16, "", 1.0, 2.0))
    assert one.parent_span_id == b"" and one.trace_state == ""


def test_credentials_are_in_no_text():
    """Nor where it goes: its representation says nothing."""
    assert repr(exporter({"authorization": "Bearer secret"})) == "<OtlpExporter>"


def test_what_is_missing_is_named(monkeypatch):
    """Without the extra, the error says what to install."""
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ImportError, match=r"pip install 'model-gateway\[otel\]'"):
        exporter()
