"""Does a bucket lead to a trace: in OpenMetrics, for its parser, and in a real Prometheus?"""

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from gateway.app import App
from gateway.telemetry.series import LATENCY_BUCKETS_S
from tests.harness import Backend, admin_url, answers, call, gateway, get, ok
from tests.prometheus_server import needs_prometheus, prometheus

SPAN = "00f067aa0ba902b7"
DURATION, FIRST_BYTE = "gateway_request_duration_seconds", "gateway_backend_first_byte_seconds"


def traced(number: int, flags: str = "01") -> str:
    return f"traceparent: 00-{number:032x}-{SPAN}-{flags}"


async def text(app: App, accept: str) -> str:
    async with (
        aiohttp.ClientSession() as session,
        session.get(admin_url(app, "/metrics"), headers={"Accept": accept}) as response,
    ):
        assert response.status == 200
        return await response.text()


async def exemplars(app: App) -> dict[str, list[Sample]]:
    """The samples with exemplars, by their families, as the library's strict parser has them."""
    families = text_string_to_metric_families(await text(app, "application/openmetrics-text"))
    found = {family.name: [s for s in family.samples if s.exemplar is not None] for family in families}
    return {name: samples for name, samples in found.items() if samples}


def bounds(sample: Sample) -> tuple[float, float]:
    upper = float(sample.labels["le"])
    return max((bound for bound in LATENCY_BUCKETS_S if bound < upper), default=0.0), upper


async def test_without_tracing_the_client_s_traces_are_shown() -> None:
    """One that the client keeps is an exemplar of its bucket; others are not, and plain text has none."""
    async with Backend(answers(ok())) as backend, gateway(backend.url) as app:
        async with await call(app) as client:
            for line in ["X: y", traced(1, "00"), "traceparent: nonsense"]:
                assert (await client.ask(get("/", line))).status == 200
            assert await exemplars(app) == {}
            await client.ask(get("/", traced(7)))
        ((name, (sample,)),) = (await exemplars(app)).items()
        assert name == DURATION and sample.name == f"{DURATION}_bucket"
        assert sample.exemplar is not None
        assert sample.exemplar.labels == {"trace_id": f"{7:032x}"}
        low, high = bounds(sample)
        assert low < sample.exemplar.value <= high
        assert sample.exemplar.timestamp is not None
        assert abs(float(sample.exemplar.timestamp) - time.time()) < 60
        plain = await text(app, "text/plain")
        assert f"{DURATION}_bucket" in plain and "trace_id" not in plain


async def test_with_tracing_backends_have_them_too() -> None:
    """A traced request is in its route's buckets and its backend's, of first bytes; the last one stays."""
    tracing = {"otlp": "http://127.0.0.1:9/v1/traces", "timeout": "10ms"}
    async with Backend(answers(ok())) as backend, gateway(backend.url, tracing=tracing) as app:
        async with await call(app) as client:
            for number in range(1, 30):
                await client.ask(get("/", traced(number)))
        found = await exemplars(app)
        assert found.keys() == {DURATION, FIRST_BYTE}
        for samples in found.values():
            ids = [int(s.exemplar.labels["trace_id"], 16) for s in samples if s.exemplar is not None]
            assert max(ids) == 29 and len(set(ids)) == len(ids)
            for sample in samples:
                assert sample.exemplar is not None
                assert bounds(sample)[0] <= sample.exemplar.value <= bounds(sample)[1]


@needs_prometheus
async def test_prometheus_keeps_them(tmp_path: Path) -> None:
    """It asks for OpenMetrics by itself, and gives the trace's id back for a query."""
    async with (
        Backend(answers(ok())) as backend,
        gateway(backend.url) as app,
        prometheus(app, tmp_path, "--enable-feature=exemplar-storage") as server,
    ):
        async with await call(app) as client:
            await client.ask(get("/", traced(11)))
        found: list[dict[str, Any]] = []
        for _ in range(100):
            when = time.time()
            query = {"query": f"{DURATION}_bucket", "start": f"{when - 60:.3f}", "end": f"{when + 60:.3f}"}
            found = await server.api("query_exemplars", **query) or []
            if found:
                break
            await asyncio.sleep(0.2)
        (series,) = found
        assert series["seriesLabels"]["route"] == "default"
        (exemplar,) = series["exemplars"]
        assert exemplar["labels"] == {"trace_id": f"{11:032x}"}
        assert 0 < float(exemplar["value"]) <= float(series["seriesLabels"]["le"])
