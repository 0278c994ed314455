"""What is asked of `/metrics` and of other items, and what fails when it is generated."""

from typing import Any

import pytest

from gateway.telemetry.zabbix.items import Buckets, Calculated, Item, Label, Read, Scope, Uptime, rule

ITEM = Item("gateway.some.rate", "Some", Read("gateway_retries_total", "rate", {"result": "tried"}), "/s")
RATIO = Item(
    "gateway.some.share",
    "Share",
    Calculated("avg({gateway.some.rate},5m)+bucket_percentile({buckets gateway.b},5m,95)", "Some share."),
)
POOLS = Scope("pool", "Pool {#POOL}: ", (ITEM, RATIO), ("pool",), "gateway_panic")
PLAIN = Scope("plain", "", (ITEM, RATIO))


def steps(source: Any, **labels: str) -> list[tuple[str, list[str], str | None, str | None]]:
    return [
        (step["type"], step["parameters"], step.get("error_handler"), step.get("error_handler_params"))
        for step in source.steps(labels)
    ]


def test_a_rate_is_the_change_of_a_sum_that_begins_at_0() -> None:
    """What has not been counted yet is 0, so that the first count is a change."""
    assert steps(ITEM.source, pool="{#POOL}") == [
        (
            "PROMETHEUS_PATTERN",
            ['gateway_retries_total{pool="{#POOL}",result="tried"}', "function", "sum"],
            "CUSTOM_VALUE",
            "0",
        ),
        ("CHANGE_PER_SECOND", [""], None, None),
    ]


def test_what_cannot_be_told_has_no_value() -> None:
    """A gauge without a line; a number is 0 there, and so is the count of lines."""
    assert steps(Read("gateway_backend_limit", "gauge"))[0][2:] == ("DISCARD_VALUE", None)
    assert steps(Read("gateway_panic", "number"))[0][1:] == (
        ["gateway_panic", "function", "sum"],
        "CUSTOM_VALUE",
        "0",
    )
    assert steps(Read("gateway_panic", "lines"))[0][1][-1] == "count"


def test_a_state_is_its_place_and_none_is_before_all() -> None:
    """The label of the line that says 1, by its index; a backend without lines is at -1."""
    found, place = steps(Label("gateway_backend_state", "state", ("up", "down")), pool="p")
    assert found == (
        "PROMETHEUS_PATTERN",
        ['gateway_backend_state{pool="p"} == 1', "label", "state"],
        "CUSTOM_VALUE",
        "absent",
    )
    assert place[1] == ["return ['up', 'down'].indexOf(value);"]


def test_a_label_is_kept_when_it_changes() -> None:
    """A version is text and need not be stored four times a minute."""
    assert [step[0] for step in steps(Label("gateway_build_info", "version"))] == [
        "PROMETHEUS_PATTERN",
        "DISCARD_UNCHANGED_HEARTBEAT",
    ]
    with pytest.raises(ValueError, match="no label kind"):
        steps(Label("gateway_build_info", "kind"))


def test_uptime_counts_from_the_start() -> None:
    """The process says when it began."""
    assert steps(Uptime())[0][1] == ["process_start_time_seconds", "value", ""]


def test_keys_have_their_scope_s_labels() -> None:
    """In quotes, since names may have commas and brackets; none where there is nothing to discover."""
    assert POOLS.key("gateway.some.rate") == 'gateway.some.rate["{#POOL}"]'
    assert PLAIN.key("gateway.some.rate") == "gateway.some.rate"


def test_formulas_name_items_that_exist() -> None:
    """Whole keys are put in, of a host or of the item's own; buckets are all of the scope's."""
    assert POOLS.filled("last({gateway.some.rate})>0", "H") == 'last(/H/gateway.some.rate["{#POOL}"])>0'
    document = POOLS.document(RATIO)
    assert document["params"] == (
        'avg(//gateway.some.rate["{#POOL}"],5m)+bucket_percentile(//gateway.b[*,"{#POOL}"],5m,95)'
    )
    assert PLAIN.document(RATIO)["params"].endswith("bucket_percentile(//gateway.b[*],5m,95)")
    for wrong in ("gateway.some", "gateway.other.rate"):
        with pytest.raises(ValueError, match=f"no item {wrong}"):
            POOLS.filled(f"last({{{wrong}}})")


def test_read_items_come_from_the_text_and_calculated_ones_by_themselves() -> None:
    """The former come with the text; the latter have an interval, and keep no value below 0."""
    read, calculated = POOLS.document(ITEM), POOLS.document(RATIO)
    assert (read["type"], read["master_item"], read["delay"]) == (
        "DEPENDENT",
        {"key": "gateway.metrics"},
        "0",
    )
    assert (calculated["type"], calculated["delay"]) == ("CALCULATED", "{$GATEWAY.INTERVAL}")
    assert "master_item" not in calculated
    assert [step["type"] for step in calculated["preprocessing"]] == ["CHECK_NOT_SUPPORTED", "IN_RANGE"]
    assert read["description"] == "Retries, by what became of them."
    assert calculated["description"] == "Some share."


def test_buckets_have_their_bound_first() -> None:
    """That is where bucket_percentile() looks for it."""
    buckets = Buckets("gateway.b", "gateway_queue_seconds", POOLS)
    assert buckets.document()["key"] == 'gateway.b["{#LE}","{#POOL}"]'
    assert buckets.document()["preprocessing"][0]["parameters"][0] == (
        'gateway_queue_seconds_bucket{pool="{#POOL}",le="{#LE}"}'
    )
    with pytest.raises(ValueError, match=r"series\.py"):
        Buckets("gateway.b", "gateway_panic", POOLS).document()


def test_rules_find_sets_of_labels() -> None:
    """By a series that has those labels; values are left out, or there would be news every time."""
    found = rule("pool", "gateway_panic", {"pool": "{#POOL}"}, [])
    assert found["lld_macro_paths"] == [{"lld_macro": "{#POOL}", "path": "$['pool']"}]
    assert "labels" in found["preprocessing"][1]["parameters"][0]
    with pytest.raises(ValueError, match="no label backend"):
        rule("pool", "gateway_panic", {"backend": "{#BACKEND}"}, [])
