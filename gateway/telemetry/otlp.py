"""How do spans reach a collector? By OTLP over HTTP; all that is known of OpenTelemetry's libraries.

They are imported when tracing is configured, and their tracers are not used: spans are made once a request
has ended, from what was recorded on its way.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.messages import Trace
from gateway.telemetry.spans import Span

MISSING = "tracing needs OpenTelemetry's SDK and exporter: pip install 'model-gateway[otel]'"


class OtlpExporter:
    """Sends spans to `url` with the fields `headers`; one call takes `timeout_s` at most.

    Raises ImportError, with what to install, where the extra is missing. What the libraries read from the
    environment besides (`OTEL_RESOURCE_ATTRIBUTES`, `OTEL_EXPORTER_OTLP_CERTIFICATE`, …) holds.
    """

    def __init__(
        self, url: str, headers: Mapping[str, str], timeout_s: float, service: str, version: str
    ) -> None:
        try:
            from opentelemetry import trace as api
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk import trace as sdk
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace.export import SpanExportResult
            from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        except ImportError as error:
            raise ImportError(MISSING, name="opentelemetry") from error
        self._api: Any = api
        self._make: Any = sdk.ReadableSpan
        self._done = SpanExportResult.SUCCESS
        self._resource = Resource.create({"service.name": service, "service.version": version})
        self._scope = InstrumentationScope("gateway", version)
        self._exporter: Any = OTLPSpanExporter(endpoint=url, headers=dict(headers), timeout=timeout_s)
        self._kinds = {
            "server": api.SpanKind.SERVER,
            "client": api.SpanKind.CLIENT,
            "internal": api.SpanKind.INTERNAL,
        }
        self._failed = api.Status(api.StatusCode.ERROR)
        self._unset = api.Status(api.StatusCode.UNSET)

    def __repr__(self) -> str:
        return "<OtlpExporter>"

    def export(self, spans: Sequence[tuple[Trace, Span]], offset_s: float) -> bool:
        """Send spans; whether the collector has taken them. Blocks."""
        readable = [self._readable(trace, span, offset_s) for trace, span in spans]
        return bool(self._exporter.export(readable) is self._done)

    def close(self) -> None:
        """End an export that waits to be tried again, and let none begin."""
        self._exporter.shutdown()

    def _readable(self, trace: Trace, span: Span, offset_s: float) -> Any:
        of_client = span.parent_id == trace.parent_id
        return self._make(
            name=span.name,
            context=self._context(trace, span.span_id, False),
            parent=self._context(trace, span.parent_id, of_client) if span.parent_id else None,
            resource=self._resource,
            attributes=span.attributes,
            kind=self._kinds[span.kind],
            status=self._failed if span.failed else self._unset,
            start_time=int((span.start + offset_s) * 1e9),
            end_time=int((max(span.start, span.end) + offset_s) * 1e9),
            instrumentation_scope=self._scope,
        )

    def _context(self, trace: Trace, span_id: str, is_remote: bool) -> Any:
        api = self._api
        return api.SpanContext(
            int(trace.trace_id, 16),
            int(span_id, 16),
            is_remote,
            api.TraceFlags(int(trace.flags, 16)),
            api.TraceState.from_header([trace.state]) if trace.state else None,
        )
