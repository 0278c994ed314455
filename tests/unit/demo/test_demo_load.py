"""Does the load send what it says, and does its table agree with what the servers counted?"""

import asyncio

import pytest

from gateway.demo import load
from gateway.demo.load import LoadOptions
from gateway.demo.model import load_model
from gateway.demo.options import ServerOptions
from gateway.demo.server import start

MODEL = load_model()


async def test_figures_agree_with_the_server() -> None:
    """Requests, failures by kind and tokens are those in the server's statistics."""
    options = ServerOptions(
        name="one", tokens_per_second=0, prefill_tokens_per_second=0, error_rate=0.1, cut_rate=0.1, seed=2
    )
    server = await start(options, MODEL)
    try:
        report = await load.run(LoadOptions(server.url + "/v1", requests=80, concurrency=8))
    finally:
        await server.close()
    stats = server.stats
    row = report.rows()[0]
    errors = [sample.error for sample in report.samples if sample.error]
    assert row.backend == "one"
    assert row.requests == stats.requests == 80
    assert row.failed == sum(stats.errors.values()) > 0
    assert errors.count("http_500") == stats.errors["error"]
    assert errors.count("cut") == stats.errors["cut"]
    assert 0 < row.tokens <= stats.completion_tokens
    assert sum(sample.streamed for sample in report.samples) == 40


async def test_at_most_so_many_at_once() -> None:
    """Never more requests in flight than were allowed."""
    server = await start(ServerOptions(tokens_per_second=2000, slots=64), MODEL)
    seen = 0

    async def watch() -> None:
        nonlocal seen
        while server.stats.completed < 40:
            seen = max(seen, server.stats.in_flight)
            await asyncio.sleep(0)

    try:
        report, _ = await asyncio.gather(
            load.run(LoadOptions(server.url, requests=40, concurrency=5, stream_share=0.0)), watch()
        )
    finally:
        await server.close()
    assert report.ok == 40
    assert 1 < seen <= 5


async def test_rate_spreads_the_load() -> None:
    """With a rate, the last request is not sent before its time."""
    server = await start(ServerOptions(tokens_per_second=0), MODEL)
    try:
        report = await load.run(LoadOptions(server.url, requests=11, rate=50.0))
    finally:
        await server.close()
    assert report.ok == 11
    assert report.took_s >= 0.2


async def test_nobody_there_is_a_figure_and_no_exception() -> None:
    """A load against a closed port reports connect errors."""
    server = await start(ServerOptions(), MODEL)
    await server.close()
    report = await load.run(LoadOptions(server.url, requests=3, timeout_s=5.0))
    assert [sample.error for sample in report.samples] == ["connect"] * 3
    assert report.rows()[0].backend == "-"


async def test_silence_is_a_timeout() -> None:
    """A server that never answers costs the time limit and no more."""
    server = await start(ServerOptions(hang_rate=1.0), MODEL)
    try:
        report = await load.run(LoadOptions(server.url, requests=2, timeout_s=0.2))
    finally:
        await server.close()
    assert [sample.error for sample in report.samples] == ["timeout"] * 2


@pytest.mark.parametrize("given", [["--requests=0"], ["--rate=0"], ["--stream-share=2"]])
def test_impossible_loads_are_bad_usage(given: list[str]) -> None:
    """Bad options end with 2 before anything is sent."""
    with pytest.raises(SystemExit) as ended:
        load.main(["http://127.0.0.1:1", *given])
    assert ended.value.code == 2
