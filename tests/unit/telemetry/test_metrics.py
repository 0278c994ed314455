"""Is every finished request counted once, in series that are bounded and come out as declared?"""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gateway.balancing.context import PickContext
from gateway.balancing.least_requests import LeastRequests
from gateway.balancing.prefix_aware import PrefixAware
from gateway.errors import RULES
from gateway.messages import Exchange, Outcome
from gateway.pool.backend import STATES, BackendSpec
from gateway.pool.pool import Pool
from gateway.pool.stats import LATENCY_BOUNDS_S
from gateway.telemetry import readings
from gateway.telemetry.exposition import ROWS, Exposition
from gateway.telemetry.metrics import NO_ROUTE, Metrics
from gateway.telemetry.readings import HISTOGRAMS, VALUES
from gateway.telemetry.render import render, wants_openmetrics
from gateway.telemetry.series import LATENCY_BUCKETS_S, SERIES
from tests.unit.pool.asking import take

KINDS = ("prompt", "completion", "cached")
HOSTILE = 'a"b\\c\nd}'


def finished(method="POST", status=200, route="chat", seconds=0.5, **more) -> Exchange:
    exchange = Exchange(method, "/v1/x", "id", "10.0.0.1", 100.0)
    exchange.route, exchange.status, exchange.ended = route, status, 100.0 + seconds
    for name, value in more.items():
        setattr(exchange, name, value)
    return exchange


def make_pool(names=("a", "b")) -> Pool:
    specs = [BackendSpec(f"http://10.0.0.1:{8000 + i}", name=name) for i, name in enumerate(names)]
    return Pool("chat", specs, "least_requests", LeastRequests(), random.Random(1))


class Connections:
    open, idle, pieces = 5, 3, 0


def full_exposition() -> Exposition:
    """Every series has at least one value."""
    metrics, pool = Metrics("1.2.3"), make_pool(("a", HOSTILE))
    metrics.observe(finished(seconds=0.5, overhead_s=0.0003, bytes_in=10, bytes_out=20))
    metrics.observe(finished("BREW", 502, "", 3.0, error="reset"))
    metrics.loop_lag.observe(0.003)
    for series in SERIES:
        if series.name not in VALUES and series.type != "histogram":
            metrics.watch(series.name, lambda: 7)
    pool.policy = PrefixAware()
    pool.retries["sent"] += 2
    pool.shed["full"] += 1
    for seconds in (0.2, 700.0):
        lease = take(pool, 1.0)
        lease.first_body_byte(1.0 + seconds)
        lease.close(Outcome.OK, 1.0 + seconds)
    for backend in pool.backends:
        backend.connections = Connections()
        backend.tokens.prompt, backend.tokens.completion, backend.tokens.cached = 30, 20, 10
        backend.tokens.first.observe(0.3)
        backend.tokens.gaps.observe_times(0.012, 19)
        pool.probed(backend, "success", "200", 2.0)
    return Exposition(metrics, lambda: [pool], now=lambda: 3.0)


def text_of(source: Exposition, openmetrics: bool) -> str:
    return "".join(render(source.registry.collect(), openmetrics))


def values(source: Exposition) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = parse_text(text_of(source, False))
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_every_series_is_read():
    """What is declared and what is read are the same, but for series that others bring."""
    read = VALUES.keys() | HISTOGRAMS.keys()
    plain = {s.name for s in SERIES if not s.labels and s.type != "histogram"}
    declared = [series.name for series in SERIES]
    assert len(declared) == len(set(declared))
    assert read <= set(declared)
    assert set(declared) - read <= plain


def test_declarations_follow_the_naming_rules():
    """`_total` on counters and only there; the unit stands in the name; histograms have buckets."""
    for series in SERIES:
        assert series.name.startswith("gateway_")
        assert series.name.endswith("_total") == (series.type == "counter")
        assert series.name.removesuffix("_total").endswith(series.unit)
        assert bool(series.buckets) == (series.type == "histogram")
        assert series.help.endswith(".") or ";" in series.help
    assert set(LATENCY_BUCKETS_S) <= set(LATENCY_BOUNDS_S)
    assert LATENCY_BUCKETS_S[-1] == LATENCY_BOUNDS_S[-1]
    assert readings.STATES == STATES


@pytest.mark.parametrize("openmetrics", [False, True])
def test_text_parses_back_to_what_was_collected(openmetrics):
    """Both formats say, to the library's own parsers, exactly what the families hold."""
    source = full_exposition()
    parse = parse_openmetrics if openmetrics else parse_text
    parsed = {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in parse(text_of(source, openmetrics))
        for s in family.samples
        if s.name.startswith("gateway_")
    }
    collected = {
        (s.name, tuple(sorted(s.labels.items()))): float(s.value)
        for family in source.collect()
        for s in family.samples
    }
    assert parsed == collected


@pytest.mark.parametrize("openmetrics", [False, True])
def test_families_have_the_declared_names_types_and_labels(openmetrics):
    """Each declared series appears under its name (OpenMetrics families drop `_total`), type and labels."""
    parse = parse_openmetrics if openmetrics else parse_text
    families = {family.name: family for family in parse(text_of(full_exposition(), openmetrics))}
    for series in SERIES:
        family = families.pop(series.name.removesuffix("_total"))
        assert family.type == series.type
        assert family.documentation == series.help
        if openmetrics:
            assert family.unit == series.unit
        for sample in family.samples:
            assert sample.labels.keys() - {"le"} == set(series.labels)
    assert not [name for name in families if name.startswith("gateway_")]
    assert "process_cpu_seconds" in families and "python_info" in families


def test_values_equal_what_was_counted():
    """Counters, gauges and cumulative buckets carry the numbers that went in."""
    seen = values(full_exposition())
    a = (("backend", "a"), ("pool", "chat"))
    assert seen["gateway_requests_total", (("code", "200"), ("method", "POST"), ("route", "chat"))] == 1
    assert seen["gateway_errors_total", (("kind", "reset"), ("route", NO_ROUTE))] == 1
    assert seen["gateway_request_bytes_total", (("route", "chat"),)] == 10
    assert seen["gateway_response_bytes_total", (("route", "chat"),)] == 20
    assert seen["gateway_overhead_seconds_count", ()] == 2
    assert seen["gateway_overhead_seconds_bucket", (("le", "0.0005"),)] == 2
    assert seen["gateway_overhead_seconds_bucket", (("le", "0.0002"),)] == 1
    assert seen["gateway_backend_up", a] == 1
    assert seen["gateway_backend_requests_total", (*a[:1], ("outcome", "ok"), *a[1:])] == 1
    assert seen["gateway_backend_selected_total", (*a[:1], ("policy", "least_requests"), *a[1:])] == 1
    assert seen["gateway_backend_connections", (*a, ("state", "busy"))] == 2
    assert seen["gateway_backend_connections", (*a, ("state", "idle"))] == 3
    assert seen["gateway_health_checks_total", (*a, ("result", "success"))] == 1
    assert seen["gateway_retries_total", (("pool", "chat"), ("result", "sent"))] == 2
    assert seen["gateway_shed_total", (("pool", "chat"), ("reason", "full"))] == 1
    assert seen["gateway_connections", ()] == 7
    tokens = {kind: seen["gateway_tokens_total", (*a[:1], ("kind", kind), *a[1:])] for kind in KINDS}
    assert tokens == {"prompt": 30, "completion": 20, "cached": 10}
    assert seen["gateway_time_to_first_token_seconds_bucket", (*a[:1], ("le", "0.2"), *a[1:])] == 0
    assert seen["gateway_time_to_first_token_seconds_bucket", (*a[:1], ("le", "0.5"), *a[1:])] == 1
    assert seen["gateway_inter_token_seconds_bucket", (*a[:1], ("le", "0.015"), *a[1:])] == 19
    duration = {
        labels: value
        for (name, labels), value in seen.items()
        if name == "gateway_backend_duration_seconds_count"
    }
    assert sum(duration.values()) == 2


def test_a_value_past_every_bucket_is_in_infinity_only():
    """700 s is beyond the last bound of 600 s: it counts in +Inf, count and sum."""
    metrics = Metrics("1")
    metrics.observe(finished(seconds=700.0))
    seen = values(Exposition(metrics, list))
    assert seen["gateway_request_duration_seconds_bucket", (("le", "600.0"), ("route", "chat"))] == 0
    assert seen["gateway_request_duration_seconds_bucket", (("le", "+Inf"), ("route", "chat"))] == 1
    assert seen["gateway_request_duration_seconds_sum", (("route", "chat"),)] == 700.0


@given(st.lists(st.floats(0.0, 1000.0), max_size=30))
def test_shown_buckets_count_what_is_at_most_their_bound(durations):
    """Each bucket shown holds exactly the values at or below it, though more bounds are counted in."""
    metrics = Metrics("1")
    for seconds in durations:
        metrics.route("r").duration.observe(seconds)
    metrics.route("r")
    seen = values(Exposition(metrics, list))
    for bound in LATENCY_BUCKETS_S:
        key = ("gateway_request_duration_seconds_bucket", (("le", repr(bound)), ("route", "r")))
        assert seen[key] == sum(seconds <= bound for seconds in durations)


def test_states_are_one_hot_and_follow_the_pool():
    """A drained backend is not up, its state is `draining`, and every other state is 0."""
    pool = make_pool()
    pool.drain("a", 1.0)
    seen = values(Exposition(Metrics("1"), lambda: [pool]))
    a = (("backend", "a"), ("pool", "chat"))
    states = {state: seen["gateway_backend_state", (*a, ("state", state))] for state in STATES}
    assert states == {state: float(state == "draining") for state in STATES}
    assert seen["gateway_backend_up", a] == 0


def test_an_ejection_that_is_over_is_not_shown():
    """States are brought up to the time of the scrape even when no request has asked for a backend since."""
    pool = make_pool()
    clock = [10.0]
    source = Exposition(Metrics("1"), lambda: [pool], now=lambda: clock[0])
    key = ("gateway_backend_up", (("backend", "a"), ("pool", "chat")))
    assert pool.eject(pool.backend("a"), 10.0)
    assert values(source)[key] == 0
    clock[0] = 10_000.0
    assert values(source)[key] == 1


def test_the_prefix_table_is_shown_of_pools_that_have_one():
    """One entry for each beginning of each prompt; a pool with another policy has no such series."""
    specs = [BackendSpec("http://a.test", "a"), BackendSpec("http://b.test", "b")]
    pool = Pool("talk", specs, "prefix_aware", PrefixAware(), random.Random(1))
    source = Exposition(Metrics("1"), lambda: [make_pool(), pool])

    def entries() -> dict[str, float]:
        seen = values(source).items()
        return {
            dict(labels)["pool"]: n for (name, labels), n in seen if name == "gateway_prefix_table_entries"
        }

    assert entries() == {"talk": 0.0}
    for prompt in ((1, 2, 3), (1, 2, 4)):
        pool.acquire(PickContext(1.0, pool.rng, prefixes=prompt))
    assert entries() == {"talk": 4.0}


def test_backends_without_tokens_have_no_series_of_them():
    """Two long histograms of nothing for each backend would only make scrapes longer."""
    pool = make_pool()
    pool.backend("a").tokens.completion = 3
    seen = values(Exposition(Metrics("1"), lambda: [pool]))
    found = {(name, dict(labels)["backend"]) for name, labels in seen if "token" in name}
    assert found == {("gateway_tokens_total", "a")}


def test_latency_is_absent_until_measured():
    """No sample is no value, rather than 0 or NaN."""
    seen = values(Exposition(Metrics("1"), lambda: [make_pool()]))
    assert not [name for name, _ in seen if name == "gateway_backend_latency_ewma_seconds"]


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=40))
def test_labels_from_clients_are_bounded(strangers):
    """Methods and error kinds that nobody knows share one label each, whatever clients think of."""
    metrics = Metrics("1")
    for method, kind in strangers:
        metrics.observe(finished(method.lower() + "!", error=f"{kind}!"))
    stats = metrics.route("chat")
    assert {method for method, _ in stats.requests} <= {"OTHER"}
    assert set(stats.errors) <= {"other"}
    assert sum(stats.requests.values()) == sum(stats.errors.values()) == len(strangers)


def test_known_methods_and_errors_keep_their_names():
    """The nine methods of HTTP and the gateway's kinds of error are labels of their own."""
    metrics = Metrics("1")
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"):
        metrics.observe(finished(method))
    for kind in RULES:
        metrics.observe(finished(error=kind))
    assert len(metrics.route("chat").requests) == 9
    assert metrics.route("chat").errors == dict.fromkeys(RULES, 1)


def test_a_request_without_route_has_a_label_no_route_can_have():
    """What no route took is counted under "-"."""
    metrics = Metrics("1")
    metrics.observe(finished(route="", status=404))
    assert metrics.routes.keys() == {NO_ROUTE}
    assert metrics.route("") is metrics.routes[NO_ROUTE]


def test_upgraded_connections_are_counted_but_not_timed():
    """A tunnel that stood for an hour is no slow request."""
    metrics = Metrics("1")
    metrics.observe(finished(status=101, seconds=3600.0, upgraded=True))
    assert metrics.route("chat").duration.total == 0
    assert metrics.route("chat").requests == {("POST", 101): 1}


def test_time_never_runs_backwards_in_sums():
    """A negative difference counts as 0: a sum that falls would look like a restart."""
    metrics = Metrics("1")
    metrics.observe(finished(seconds=-5.0, overhead_s=-1.0))
    assert metrics.route("chat").duration.sum == metrics.overhead.sum == 0.0


def test_only_declared_plain_series_can_be_watched():
    """A reader for an unknown or labelled series is refused with what to do."""
    metrics = Metrics("1")
    for name in ("gateway_nothing", "gateway_requests_total", "gateway_overhead_seconds"):
        with pytest.raises(KeyError, match="declare it in SERIES"):
            metrics.watch(name, lambda: 0)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", True),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1", True),
        ("text/plain, application/openmetrics-text;q=0.1", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=high", False),
        ("text/html, application/xhtml+xml;q=0.9, */*;q=0.8", False),
    ],
)
def test_the_format_follows_accept(accept, expected):
    """OpenMetrics only for those who ask for it, at the weights they give."""
    assert wants_openmetrics(accept) is expected


@pytest.mark.parametrize("openmetrics", [False, True])
def test_long_families_are_made_in_parts_and_read_as_one(openmetrics):
    """No part is longer than a millisecond's work; in the text each family has one head and all samples."""
    pool = make_pool([f"gpu-{i}" for i in range(200)])
    source = Exposition(Metrics("1"), lambda: [pool])
    parts = list(source.collect())
    assert max(len(part.samples) for part in parts) <= ROWS
    text = text_of(source, openmetrics)
    heads = [line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads))
    parse = parse_openmetrics if openmetrics else parse_text
    read = [s for family in parse(text) for s in family.samples if s.name.startswith("gateway_")]
    assert len(read) == sum(len(part.samples) for part in parts)
    assert sum(s.name == "gateway_backend_duration_seconds_count" for s in read) == 200


async def test_a_scrape_lets_others_run():
    """A scrape of many backends is made in slices: something else runs between them."""
    pool = make_pool([f"gpu-{i}" for i in range(200)])
    source = Exposition(Metrics("1"), lambda: [pool])
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    body, content_type = await source.scrape("application/openmetrics-text")
    task.cancel()
    assert turns > 20
    assert body.endswith(b"# EOF\n")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
