"""Does the overview say what the figures are, and are its percentiles honest?"""

from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.overview import quantile, route_figures
from gateway.messages import Exchange
from gateway.pool.stats import LATENCY_BOUNDS_S, Histogram
from gateway.telemetry.metrics import Metrics


def finished(status: int, error: str | None = None, route: str = "chat") -> Exchange:
    exchange = Exchange("POST", "/", "id", "127.0.0.1", 1.0)
    exchange.route, exchange.status, exchange.error, exchange.ended = route, status, error, 1.5
    return exchange


def test_errors_are_counted_once() -> None:
    """5xx of backends, 5xx of the gateway's own and answers that broke off are each one error; any 4xx and
    clients that left are none."""
    metrics = Metrics("0")
    for exchange in (
        finished(200),
        finished(404),
        finished(500),
        finished(503, "no_backend"),
        finished(200, "reset"),
        finished(413, "body_too_large"),
        finished(499, "client_closed"),
    ):
        metrics.observe(exchange)
    figures = route_figures(metrics.routes["chat"])
    assert figures["errors"] == 3
    assert figures["requests"] == 7
    assert figures["by_class"] == {"2xx": 2, "4xx": 3, "5xx": 2}


@given(st.lists(st.floats(0.0, 700.0), min_size=1, max_size=50), st.floats(0.01, 1.0))
def test_a_quantile_lies_in_the_bucket_of_the_value(values: list[float], share: float) -> None:
    """Between the bounds around the value of that rank; beyond all bounds it is the last."""
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    exact = sorted(values)[max(0, -int(-share * len(values) // 1) - 1)]
    found = quantile(histogram, share)
    assert found is not None
    upper = next((bound for bound in LATENCY_BOUNDS_S if exact <= bound), LATENCY_BOUNDS_S[-1])
    lower = max((bound for bound in LATENCY_BOUNDS_S if bound < exact), default=0.0)
    assert min(lower, upper) - 1e-6 <= found <= upper + 1e-6


def test_no_values_have_no_quantile() -> None:
    """Absent, not 0."""
    assert quantile(Histogram(), 0.5) is None
