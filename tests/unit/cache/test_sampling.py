"""Which requests are answered by lot."""

import json

import pytest

from gateway.cache.canonical import canonical_body


@pytest.mark.parametrize(
    ("members", "sampled"),
    [
        ({}, False),
        ({"temperature": 0}, False),
        ({"temperature": 0.0}, False),
        ({"temperature": None}, False),
        ({"temperature": 0.01}, True),
        ({"temperature": 1}, True),
        ({"temperature": "0.7"}, True),
        ({"temperature": "0"}, False),
        ({"temperature": "warm"}, False),
        ({"temperature": True}, True),
        ({"temperature": [1]}, False),
        ({"temperature": -1}, False),
        ({"temperature": 10**400}, True),
        ({"temperature": 1, "seed": 7}, False),
        ({"temperature": 1, "seed": 0}, False),
        ({"temperature": 1, "seed": None}, True),
        ({"temperature": 1, "seed": -1}, True),
        ({"temperature": 1, "seed": "-1"}, True),
        ({"temperature": 1, "seed": ""}, True),
        ({"n": 1}, False),
        ({"n": 2}, True),
        ({"n": 2.0}, True),
        ({"n": 2, "seed": 1}, False),
        ({"n": 2, "temperature": 0}, True),
        ({"best_of": 2}, True),
        ({"best_of": 1}, False),
        ({"options": {"temperature": 0.8}}, True),
        ({"options": {"temperature": 0.8, "seed": 1}}, False),
        ({"options": {"temperature": 0.8}, "seed": 1}, False),
        ({"options": {"seed": 1}, "temperature": 0.8}, True),
        ({"parameters": {"temperature": 0.8}}, True),
        ({"sampling_params": {"n": 4}}, True),
        ({"messages": [{"temperature": 1}]}, False),
        ({"options": "temperature"}, False),
    ],
)
def test_sampled(members: dict[str, object], sampled: bool) -> None:
    """Temperature above 0, or more than one answer, without a seed."""
    body = json.dumps(members).encode()
    assert canonical_body(body, b"application/json", frozenset()).sampled is sampled


def test_what_is_ignored_is_looked_at_first() -> None:
    """A route that ignores the temperature in its keys does not make the answer less of a draw."""
    body = b'{"temperature":1,"seed":3}'
    assert not canonical_body(body, b"application/json", frozenset(("seed",))).sampled
    assert canonical_body(b'{"temperature":1}', b"application/json", frozenset(("temperature",))).sampled


@pytest.mark.parametrize(
    ("body", "sampled"),
    [
        (b'{"temperature":0,"temperature":1}', True),
        (b'{"temperature" : 1, "x":NaN}', True),
        (b'{"a":1,"a":2}', False),
        (b'{"n":2', True),
    ],
)
def test_json_in_doubt_is_taken_for_sampled_when_it_may_be(body: bytes, sampled: bool) -> None:
    """Rather an answer too few from the cache than one too many."""
    assert canonical_body(body, b"application/json", frozenset()).sampled is sampled


def test_other_bodies_are_not_sampled() -> None:
    """They cannot say so; nor can a list."""
    assert not canonical_body(b'{"temperature":1}', b"text/plain", frozenset()).sampled
    assert not canonical_body(b'[{"temperature":1}]', b"application/json", frozenset()).sampled
