"""What a request asks of the cache is read from its head, once; most heads ask nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.directives import MOST_S
from gateway.cache.wishes import AUTHORIZED, NONE, Wishes, wishes_of
from tests.heads import NOW_DATE, request_head


def asked(cache_control: bytes) -> Wishes:
    return wishes_of(request_head((b"Cache-Control", cache_control)))


def test_most_heads_ask_nothing() -> None:
    """They share two values, so that nothing is made for them."""
    assert wishes_of(request_head((b"Accept", b"*/*"))) is NONE
    for name in (b"Authorization", b"X-API-Key", b"api-key"):
        assert wishes_of(request_head((b"Accept", b"*/*"), (name, b"x"), method="POST")) is AUTHORIZED
    assert AUTHORIZED.authorized and not NONE.authorized
    assert not NONE.conditional and NONE.obstacle == ""


@pytest.mark.parametrize(
    ("value", "name", "expected"),
    [
        (b"no-cache", "no_cache", True),  # RFC 9111 5.2.1.4
        (b"No-Cache=x", "no_cache", True),
        (b"no-store", "no_store", True),  # 5.2.1.5
        (b"max-age=0, NO-STORE", "no_store", True),
        (b"only-if-cached", "only_if_cached", True),  # 5.2.1.7
        (b"max-age=60", "max_age_s", 60),  # 5.2.1.1
        (b'max-age="60"', "max_age_s", 60),
        (b"max-age=60, max-age=5", "max_age_s", 5),
        (b"max-age=5, max-age=60", "max_age_s", 5),
        (b"max-age=x", "max_age_s", 0),
        (b"max-age=-1", "max_age_s", 0),
        (b"max-age=1.5", "max_age_s", 0),
        (b"max-age", "max_age_s", 0),
        (b"max-age=99999999999", "max_age_s", MOST_S),
        (b"min-fresh=60", "min_fresh_s", 60),  # 5.2.1.3
        (b"min-fresh=60, min-fresh=90", "min_fresh_s", 90),
        (b"max-stale", "max_stale_s", MOST_S),  # 5.2.1.2
        (b"max-stale=60", "max_stale_s", 60),
        (b"max-stale, max-stale=60", "max_stale_s", 60),
        (b"max-stale=x", "max_stale_s", -1),
        (b"max-stale=", "max_stale_s", -1),
        (b"stale-if-error=60", "stale_if_error_s", 60),  # RFC 5861 4
        (b"stale-if-error=x", "stale_if_error_s", 0),
        (b'ext="no-store, max-age=1"', "no_store", False),
    ],
)
def test_each_directive_is_understood(value: bytes, name: str, expected: object) -> None:
    """RFC 9111 5.2.1; of several, and of what cannot be read, the stricter reading."""
    assert getattr(asked(value), name) == expected


@pytest.mark.parametrize("value", [b"no-transform", b"x", b"public", b"", b"s-maxage=5"])
def test_what_is_no_request_directive_asks_nothing(value: bytes) -> None:
    """RFC 9111 5.2.3: unknown directives are ignored."""
    wishes = asked(value)
    assert not (wishes.no_cache or wishes.no_store or wishes.only_if_cached)
    assert wishes.max_age_s == wishes.min_fresh_s == wishes.max_stale_s == -1


def test_pragma_is_read_where_there_is_no_cache_control() -> None:
    """RFC 9111 5.4."""
    assert wishes_of(request_head((b"Pragma", b"No-Cache"))).no_cache
    assert not wishes_of(request_head((b"Pragma", b"x"))).no_cache
    assert not wishes_of(request_head((b"Pragma", b"no-cache"), (b"Cache-Control", b"max-age=5"))).no_cache


@pytest.mark.parametrize(
    ("name", "method", "obstacle"),
    [
        (b"Range", "GET", "range"),
        (b"Range", "POST", "range"),
        (b"If-Match", "GET", "conditional"),
        (b"If-Unmodified-Since", "GET", "conditional"),
        (b"If-Range", "GET", "conditional"),
        (b"If-None-Match", "POST", "conditional"),
        (b"If-None-Match", "GET", ""),
        (b"If-None-Match", "HEAD", ""),
        (b"If-Modified-Since", "GET", ""),
        (b"If-Modified-Since", "POST", ""),
    ],
)
def test_what_only_the_backend_can_answer(name: bytes, method: str, obstacle: str) -> None:
    """RFC 9110 13.1 and 14.2: parts, and preconditions on what the backend holds now."""
    assert wishes_of(request_head((name, b'"x"'), method=method)).obstacle == obstacle


def test_an_upgrade_is_no_matter_for_a_cache() -> None:
    """Whatever else the head says, or does not."""
    head = request_head((b"Authorization", b"x"))
    head.websocket = True
    assert wishes_of(head).obstacle == "upgrade"
    assert wishes_of(head).authorized


def test_a_web_page_s_requests_are_known() -> None:
    """Starlette's CORS middleware answers them, and only them, with fields that their browsers insist on."""
    assert wishes_of(request_head((b"ORIGIN", b"https://a"), (b"Authorization", b"x"))).has_origin
    assert not NONE.has_origin and not asked(b"no-cache").has_origin


def test_conditions_are_kept_for_reads() -> None:
    """RFC 9110 13.1.3: If-Modified-Since means nothing beside If-None-Match, nor on a POST, nor twice."""
    match, since = (b"If-None-Match", b'"a"'), (b"If-Modified-Since", NOW_DATE)
    both = wishes_of(request_head(match, since))
    assert both.if_none_match == (b'"a"',) and both.if_modified_since == b"" and both.conditional
    assert wishes_of(request_head(since, method="HEAD")).if_modified_since == NOW_DATE
    assert not wishes_of(request_head(since, method="POST")).conditional
    assert not wishes_of(request_head(since, since)).conditional
    assert wishes_of(request_head(match, match)).if_none_match == (b'"a"', b'"a"')


@given(st.lists(st.tuples(st.sampled_from([b"Cache-Control", b"Pragma", b"If-None-Match", b"Range", b"X"]),
                          st.binary(max_size=30)), max_size=5),
       st.sampled_from(["GET", "POST"]))  # fmt: skip
def test_any_head_is_read(fields: list[tuple[bytes, bytes]], method: str) -> None:
    """Nothing raises, and its repr is fit for a log line."""
    assert repr(wishes_of(request_head(*fields, method=method))).startswith("<Wishes ")
