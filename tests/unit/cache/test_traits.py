"""What an answer says about keeping it is read from its head, once; in doubt it says no."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.directives import MOST_S
from gateway.cache.traits import PLAIN, Traits, forbids_stale, traits_of
from tests.heads import NOW, NOW_DATE, response_head


def said(*fields: tuple[bytes, bytes], status: int = 200) -> Traits:
    return traits_of(response_head(*fields, status=status), NOW)


def controlled(value: bytes, status: int = 200) -> Traits:
    return said((b"Cache-Control", value), status=status)


def test_most_heads_say_nothing() -> None:
    """They share one value, so that nothing is made for them."""
    assert said((b"content-type", b"application/json"), (b"date", NOW_DATE)) is PLAIN
    assert PLAIN.refusal == "" and PLAIN.lifetime_s == -1 and PLAIN.expires_at is None
    assert said(status=404).status == 404


@pytest.mark.parametrize(
    ("field", "refusal"),
    [
        ((b"Set-Cookie", b"a=b"), "set_cookie"),
        ((b"set-cookie2", b"a=b"), "set_cookie"),
        ((b"Content-Range", b"bytes 0-1/2"), "partial"),
        ((b"Vary", b"*"), "vary"),  # RFC 9111 4.1
        ((b"Vary", b"Accept, *"), "vary"),
        ((b"Vary", b"Accept, not a token"), "vary"),
        ((b"Vary", b", ".join(b"x-%d" % i for i in range(17))), "vary"),
        ((b"Vary", b"X-Forwarded-For"), "vary"),  # what the backend saw there is not what the client sent
        ((b"Vary", b"X-Request-ID"), "vary"),
        ((b"Cache-Control", b"no-store"), "no_store"),  # 5.2.2.5
        ((b"Cache-Control", b"max-age=60, No-Store"), "no_store"),
        ((b"Cache-Control", b"private"), "private"),  # 5.2.2.7
        ((b"Cache-Control", b'private="x-id", max-age=60'), "private"),
        ((b"Cache-Control", b'ext="a, no-store'), "no_store"),
        ((b"Cache-Control", b'ext="no-store"'), ""),
        ((b"Vary", b"Accept, Origin"), ""),
        ((b"Cache-Control", b"public"), ""),
        ((b"Pragma", b"no-cache"), ""),  # 5.4: means nothing in a response
    ],
)
def test_what_is_never_stored(field: tuple[bytes, bytes], refusal: str) -> None:
    """RFC 9111 3, and cookies, which nobody else may get."""
    assert said(field).refusal == refusal


def test_a_line_of_its_own_refuses_too() -> None:
    """RFC 9110 5.3: several lines are one list."""
    assert said((b"Cache-Control", b"max-age=60"), (b"cache-control", b"private")).refusal == "private"
    assert said((b"Vary", b"Accept"), (b"vary", b"*")).refusal == "vary"


@pytest.mark.parametrize(
    ("value", "status", "refusal"),
    [
        (b"must-understand, no-store, max-age=60", 200, ""),
        (b"must-understand, no-store", 404, ""),
        (b"must-understand, max-age=60", 599, "status"),
        (b"must-understand, no-store", 302, "no_store"),
    ],
)
def test_who_understands_the_status_overlooks_no_store(value: bytes, status: int, refusal: str) -> None:
    """RFC 9111 5.2.2.3."""
    assert controlled(value, status).refusal == refusal


@pytest.mark.parametrize(
    ("value", "lifetime_s"),
    [
        (b"max-age=60", 60), (b"MAX-AGE=60", 60), (b'max-age="60"', 60), (b"max-age=0", 0),
        (b"max-age=60, s-maxage=30", 30), (b"s-maxage=90, max-age=60", 90), (b"s-maxage=x, max-age=60", 0),
        (b"max-age=60, max-age=30", 30), (b"max-age=30, max-age=60", 30), (b"max-age=60, max-age=x", 0),
        (b"max-age=-1", 0), (b"max-age=1.5", 0), (b"max-age=60s", 0), (b"max-age", 0), (b"max-age=", 0),
        (b"max-age =60", 0), (b"max-age= 60", 0), (b"max-age='60'", 0), (b"max-age=99999999999", MOST_S),
        (b'ext="a, max-age=60', 0), (b'ext="max-age=60"', -1), (b"public", -1), (b"x-max-age=60", -1),
    ],
)  # fmt: skip
def test_a_lifetime_is_what_the_answer_says(value: bytes, lifetime_s: int) -> None:
    """RFC 9111 4.2.1: s-maxage before max-age; of several the shortest; what cannot be read has expired."""
    assert controlled(value).lifetime_s == lifetime_s


@pytest.mark.parametrize(
    ("fields", "expires_at"),
    [
        ([(b"Expires", NOW_DATE)], NOW),
        ([(b"Expires", b"0")], 0.0),  # RFC 9111 5.3
        ([(b"Expires", b"-1")], 0.0),
        ([(b"Expires", b"")], 0.0),
        ([(b"Expires", NOW_DATE), (b"expires", NOW_DATE)], 0.0),
        ([], None),
    ],
)
def test_expires_is_a_date_or_has_passed(fields: list[tuple[bytes, bytes]], expires_at: float | None) -> None:
    """RFC 9111 5.3 and 4.2.1."""
    assert said((b"Age", b"0"), *fields).expires_at == expires_at


@pytest.mark.parametrize(
    ("value", "no_stale", "authorized"),
    [
        (b"must-revalidate", True, True),  # RFC 9111 5.2.2.2
        (b"proxy-revalidate", True, False),  # 5.2.2.8
        (b"s-maxage=60", True, True),  # 5.2.2.10
        (b"no-cache", True, False),  # 5.2.2.4
        (b'no-cache="x-id"', False, False),
        (b"public, max-age=60", False, True),  # 5.2.2.9
        (b"max-age=60", False, False),
    ],
)
def test_what_forbids_stale_and_what_allows_others(value: bytes, no_stale: bool, authorized: bool) -> None:
    """RFC 9111 4.2.4 and 3.5."""
    traits = controlled(value)
    assert (traits.no_stale, traits.authorized) == (no_stale, authorized)
    assert forbids_stale([value]) is no_stale


@pytest.mark.parametrize(
    ("value", "no_cache", "held_back"),
    [
        (b"no-cache", True, set()),
        (b'no-cache=""', True, set()),
        (b"no-cache= x", True, set()),
        (b'no-cache="X-Id, x-other"', False, {b"x-id", b"x-other"}),
        (b"no-cache=x-id", False, {b"x-id"}),
        (b'no-cache="x-id", no-cache', True, {b"x-id"}),
        (b"max-age=1", False, set()),
    ],
)
def test_a_qualified_no_cache_holds_fields_back(value: bytes, no_cache: bool, held_back: set[bytes]) -> None:
    """RFC 9111 5.2.2.4: it is about those fields; what names none is about the whole answer."""
    traits = controlled(value)
    assert (traits.no_cache, traits.held_back) == (no_cache, held_back)


@pytest.mark.parametrize(
    ("value", "windows"),
    [
        (b"stale-while-revalidate=30, stale-if-error=60", (30, 60)),  # RFC 5861 3 and 4
        (b"stale-while-revalidate=x, stale-if-error=-1", (0, 0)),
        (b"stale-while-revalidate=9, stale-while-revalidate=3", (3, -1)),
        (b"max-age=1", (-1, -1)),
    ],
)
def test_stale_windows_are_the_answer_s_own(value: bytes, windows: tuple[int, int]) -> None:
    """RFC 5861; of several the shortest, what cannot be read is none."""
    traits = controlled(value)
    assert (traits.stale_while_s, traits.stale_if_error_s) == windows


@pytest.mark.parametrize(
    ("etags", "etag"),
    [
        ([b'"a"'], b'"a"'), ([b'W/"a"'], b'W/"a"'), ([b'""'], b'""'), ([b"a"], b""), ([b'w/"a"'], b""),
        ([b'"a'], b""), ([b'"a b"'], b""), ([b'"a"', b'"b"'], b""), ([b""], b""),
    ],
)  # fmt: skip
def test_an_entity_tag_is_one_in_form(etags: list[bytes], etag: bytes) -> None:
    """RFC 9110 8.8.3: what is none is no validator, and is never sent as one."""
    traits = said(*[(b"ETag", one) for one in etags])
    assert traits.etag == etag and traits.has_validator is bool(etag)


def test_last_modified_is_a_date() -> None:
    """RFC 9110 8.8.2."""
    assert said((b"Last-Modified", NOW_DATE)).last_modified == NOW_DATE
    assert said((b"Last-Modified", b"yesterday")).last_modified == b""


def test_vary_is_a_set_of_names() -> None:
    """RFC 9110 12.5.5: in any case and order, over several lines."""
    assert said((b"Vary", b"Origin, ACCEPT"), (b"vary", b"accept")).vary == (b"accept", b"origin")


def test_a_coded_answer_varies_by_what_is_accepted() -> None:
    """A backend that compresses and forgets Vary shall not send gzip to who cannot read it."""
    assert said((b"Content-Encoding", b"gzip")).vary == (b"accept-encoding",)
    assert said((b"Content-Encoding", b"identity")).vary == ()
    assert said((b"Content-Encoding", b"gzip"), (b"Vary", b"*")).refusal == "vary"


def test_age_and_date_are_read_where_they_count() -> None:
    """RFC 9111 4.2.3; a date that is none is as if there were none."""
    traits = said((b"Date", NOW_DATE), (b"Age", b"7"))
    assert (traits.date_at, traits.age_s) == (NOW, 7)
    assert said((b"Date", b"x"), (b"Age", b"7")).date_at is None


NAMES = [
    b"Age",
    b"Cache-Control",
    b"Content-Encoding",
    b"Date",
    b"ETag",
    b"Expires",
    b"Last-Modified",
    b"Vary",
]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=30)), max_size=6))
def test_any_head_is_read(fields: list[tuple[bytes, bytes]]) -> None:
    """Nothing raises, and its repr is fit for a log line."""
    assert repr(said(*fields)).startswith("<Traits 200 ")


TOLD = [
    "refusal", "no_cache", "lifetime_s", "authorized", "no_stale", "stale_while_s", "stale_if_error_s",
    "held_back",
]  # fmt: skip
WORDS = [b"public", b"private", b"no-store", b"no-cache", b"max-age=60", b"s-maxage=9", b"must-revalidate",
         b"stale-if-error=5", b'no-cache="x-id"', b"ext=1"]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), min_size=1, unique=True).flatmap(
    lambda words: st.tuples(st.just(words), st.permutations(words))), st.booleans())  # fmt: skip
def test_order_case_and_lines_mean_nothing(both: tuple[list[bytes], list[bytes]], lines: bool) -> None:
    """RFC 9111 5.2: the same directives, in whatever order, case and lines, say the same."""
    words, shuffled = both
    values = shuffled if lines else [b" , ".join(shuffled).upper()]
    one, other = controlled(b",".join(words)), said(*[(b"CACHE-CONTROL", value) for value in values])
    for name in TOLD:
        assert getattr(one, name) == getattr(other, name), name
