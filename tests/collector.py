"""An OpenTelemetry collector for tests: takes OTLP over HTTP, and remembers the spans."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

otlp = pytest.importorskip(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2",
    reason="no OpenTelemetry: pip install 'model-gateway[otel]' opentelemetry-proto",
)
pytest.importorskip(
    "opentelemetry.exporter.otlp.proto.http", reason="no exporter: pip install 'model-gateway[otel]'"
)

KINDS = {1: "internal", 2: "server", 3: "client"}


class Received:
    """A span as it came over the wire."""

    def __init__(self, span: Any, resource: dict[str, Any]) -> None:
        self.name: str = span.name
        self.kind = KINDS[span.kind]
        self.trace_id: str = span.trace_id.hex()
        self.span_id: str = span.span_id.hex()
        self.parent_id: str = span.parent_span_id.hex()
        self.state: str = span.trace_state
        self.start: int = span.start_time_unix_nano
        self.end: int = span.end_time_unix_nano
        self.failed = span.status.code == 2
        self.resource = resource
        self._attributes = _plain(span.attributes)

    def __repr__(self) -> str:
        return f"<Received {self.kind} {self.name} {self._attributes}>"

    def __getitem__(self, key: str) -> Any:
        return self._attributes[key]

    def __contains__(self, key: str) -> bool:
        return key in self._attributes

    def get(self, key: str) -> Any:
        return self._attributes.get(key)

    def keys(self) -> set[str]:
        return set(self._attributes)


def _plain(attributes: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


class Collector:
    """What came; `status` is what it answers, and with `hangs` it answers once that is set."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.raw: list[bytes] = []
        self.heads: list[dict[str, str]] = []
        self.status = 200
        self.hangs: asyncio.Event | None = None
        self.url = ""

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.heads.append({name.lower(): value for name, value in request.headers.items()})
        if self.hangs is not None:
            await self.hangs.wait()
        if self.status == 200:
            self.raw.append(body)
            for resource in otlp.ExportTraceServiceRequest.FromString(body).resource_spans:
                about = _plain(resource.resource.attributes)
                for scope in resource.scope_spans:
                    self.spans += [Received(span, about) for span in scope.spans]
        return web.Response(
            body=otlp.ExportTraceServiceResponse().SerializeToString(),
            status=self.status,
            content_type="application/x-protobuf",
        )

    def trace(self) -> tuple[Received, list[Received]]:
        """The only tree: the gateway's span, and those below it by their starts. Fails for anything else."""
        (server,) = (span for span in self.spans if span.kind == "server")
        rest = sorted((span for span in self.spans if span is not server), key=lambda span: span.start)
        for span in rest:
            assert (span.trace_id, span.parent_id) == (server.trace_id, server.span_id)
            assert server.start <= span.start <= span.end <= server.end + 1000, "a microsecond for rounding"
        assert len({span.span_id for span in self.spans}) == len(self.spans)
        return server, rest


@contextlib.asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    """One that listens on a free port."""
    taken = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", taken._take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    taken.url = f"http://127.0.0.1:{port}/v1/traces"
    try:
        yield taken
    finally:
        if taken.hangs is not None:
            taken.hangs.set()
        await runner.cleanup()
