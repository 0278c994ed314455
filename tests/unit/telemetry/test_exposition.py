"""Are exemplars shown in the very bucket they lie in, where it is made of several that were counted?"""

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from gateway.messages import Exchange, Trace
from gateway.telemetry.exemplars import DURATION
from gateway.telemetry.exposition import Exposition
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.render import render
from gateway.telemetry.series import LATENCY_BUCKETS_S

#: Up to what lies between two requests here: they end in their order, as requests do.
SECONDS = st.lists(st.one_of(st.floats(0.0, 900.0), st.sampled_from(LATENCY_BUCKETS_S)), max_size=40)


@given(SECONDS)
def test_each_bucket_shows_the_last_that_lies_in_it(seconds):
    """One for each bucket that grew, the newest of it, for the strict parser of OpenMetrics."""
    metrics, last = Metrics("1"), {}
    for number, value in enumerate(seconds, 1):
        exchange = Exchange("GET", "/", "id", "10.0.0.9", 0.0)
        exchange.route, exchange.status = "chat", 200
        exchange.started, exchange.ended = number * 1e3, number * 1e3 + value
        value = exchange.ended - exchange.started
        exchange.trace = Trace(f"{number:032x}", "", "1" * 16, True, Random(1))
        metrics.observe(exchange)
        upper = next((bound for bound in LATENCY_BUCKETS_S if value <= bound), float("inf"))
        last[upper] = number
    text = "".join(render(Exposition(metrics, list).collect(), True))
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.exemplar is not None:
                assert family.name == DURATION
                assert sample.exemplar.value <= float(sample.labels["le"])
                found[float(sample.labels["le"])] = int(sample.exemplar.labels["trace_id"], 16)
    assert found == last
