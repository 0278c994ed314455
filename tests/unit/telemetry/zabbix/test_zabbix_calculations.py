"""Formulas give what they say, with traffic and without; they are calculated here as Zabbix does it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.zabbix.calculations import mean, over, per_latency, percentile, share
from gateway.telemetry.zabbix.items import Calculated, Item

numbers = st.floats(min_value=1e-6, max_value=1e6)


def value(formula: str, **averages: float) -> float:
    """The formula with these averages; `=` asks, and gives 1 or 0."""
    formula = re.sub(r"avg\(\{([a-z_.]+)\},5m\)", lambda found: repr(averages[found[1]]), formula)
    assert re.fullmatch(r"[-+*/()=0-9.e]+", formula), formula
    return float(eval(formula.replace("=", "==")))


def formula(item: Item) -> str:
    assert isinstance(item.source, Calculated)
    return item.source.formula


@given(numbers, numbers, st.sampled_from([1, 100]))
def test_a_ratio_is_part_by_whole(part: float, whole: float, factor: int) -> None:
    """Times a factor; the whole may be a sum, which counts as one."""
    assert value(over("a", "b", factor=factor), a=part, b=whole) == pytest.approx(factor * part / whole)
    both = value(over("a", "a", "b", factor=factor, nothing=0), a=part, b=whole)
    assert both == pytest.approx(factor * part / (part + whole))


@pytest.mark.parametrize("nothing", [-1, 0])
def test_without_a_whole_there_is_no_division(nothing: int) -> None:
    """-1, which is not kept, or 0; of sums as well."""
    assert value(over("a", "b", nothing=nothing), a=0.0, b=0.0) == nothing
    assert value(over("a", "a", "b", factor=100, nothing=nothing), a=0.0, b=0.0) == nothing


def test_shares_are_0_and_means_are_none_while_nobody_asks() -> None:
    """No errors of no requests; no latency either, and below 0 nothing is kept."""
    assert value(formula(share("k", "n", "a", "b")), a=0.0, b=0.0) == 0
    assert value(formula(share("k", "n", "a", "b")), a=1.0, b=4.0) == 25
    total, count, result = mean("k", "n", "gateway_queue_seconds")
    assert value(formula(result), **{total.key: 0.0, count.key: 0.0}) < 0
    assert value(formula(result), **{total.key: 3.0, count.key: 2.0}) == 1.5
    assert value(formula(per_latency("k", "a", "b")), a=0.0, b=0.0) < 0
    assert value(formula(per_latency("k", "a", "b")), a=6.0, b=0.5) == 12


def test_percentiles_are_of_buckets() -> None:
    """Of five minutes, by the function that Zabbix has for it."""
    assert formula(percentile("k", "n", "gateway.b", 95)) == "bucket_percentile({buckets gateway.b},5m,95)"
    assert percentile("k", "n", "gateway.b", 95).key == "k.p95"
