"""Is a late timer measured as lag, and does one call reach all who keep count?"""

import asyncio

import pytest

from gateway.messages import AttemptTrace, Exchange
from gateway.pool.stats import Histogram
from gateway.telemetry.access_log import AccessLog
from gateway.telemetry.decisions import Decisions
from gateway.telemetry.lag import measure_lag
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.observer import Telemetry
from gateway.telemetry.series import LAG_BUCKETS_S


async def test_lag_is_how_late_the_timer_was():
    """A sleep of 0.5 s that takes 0.53 s is 30 ms of lag; one that is early is none."""
    clock, took = [100.0], iter([0.53, 0.5, 0.49])
    lag = Histogram(LAG_BUCKETS_S)

    async def sleep(_: float) -> None:
        step = next(took, None)
        if step is None:
            raise asyncio.CancelledError
        clock[0] += step

    with pytest.raises(asyncio.CancelledError):
        await measure_lag(lag, 0.5, lambda: clock[0], sleep)
    assert lag.total == 3
    assert lag.sum == pytest.approx(0.03)
    assert lag.counts[LAG_BUCKETS_S.index(0.05)] == 1


async def test_one_call_reaches_all():
    """Metrics count, the access log writes and decisions keep what `finished` is told, each once."""
    out: list[bytes] = []
    metrics, log, decisions = Metrics("1"), AccessLog(out.append), Decisions(per_second=1)
    telemetry = Telemetry(metrics, log, decisions)
    exchange = Exchange("POST", "/x", "id", "10.0.0.9", 1.0)
    exchange.route, exchange.status = "chat", 200
    telemetry.finished(exchange)
    exchange.decision = [AttemptTrace("p", "random", "a", [], [])]
    telemetry.finished(exchange)
    await log.close()
    assert metrics.route("chat").requests == {("POST", 200): 2}
    assert b"".join(out).count(b"\n") == 2
    assert len(decisions.latest(10)) == 1
    assert telemetry.route("chat") is metrics.route("chat")
    assert telemetry.wants_decision(5.0) and not telemetry.wants_decision(5.5)
