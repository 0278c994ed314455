"""May the cache have a part in a request, and may the answer be kept: the rules for a shared cache."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.rules import (
    BYPASS_REASONS,
    KEEP_S,
    STORE_REASONS,
    CacheRule,
    Verdict,
    bypass_reason,
    invalidates,
    judge,
)
from gateway.cache.traits import traits_of
from gateway.cache.wishes import wishes_of
from tests.heads import NOW, NOW_DATE, request_head, response_head

RULE = CacheRule(ttl_s=100.0, stale_while_revalidate_s=10.0, stale_if_error_s=20.0)
AUTHORIZATION = (b"Authorization", b"Bearer x")
EARLIER = b"Tue, 24 Nov 2026 08:59:30 GMT"  # 30 s before NOW
LATER = b"Tue, 24 Nov 2026 09:01:00 GMT"  # 60 s after NOW


def judged(
    *fields: tuple[bytes, bytes],
    rule: CacheRule = RULE,
    method: str = "GET",
    status: int = 200,
    asked: tuple[bytes, bytes] | None = None,
    delay_s: float = 0.0,
) -> Verdict:
    head = request_head(*([asked] if asked else []), method=method)
    traits = traits_of(response_head(*fields, status=status), NOW)
    return judge(rule, head, wishes_of(head), traits, NOW, delay_s)


def control(value: bytes) -> tuple[bytes, bytes]:
    return (b"Cache-Control", value)


# Requests.


@pytest.mark.parametrize(
    ("fields", "method", "reason"),
    [
        ([], "GET", None),
        ([AUTHORIZATION], "POST", None),
        ([], "PUT", "method"),
        ([control(b"no-store")], "POST", "no_store"),  # RFC 9111 5.2.1.5
        ([control(b"no-cache")], "POST", None),  # 5.2.1.4: what comes back is new, and kept
        ([(b"Pragma", b"no-cache")], "GET", None),
        ([control(b"only-if-cached")], "GET", None),
        ([(b"Range", b"bytes=0-1")], "GET", "range"),
        ([(b"If-Match", b'"x"')], "GET", "conditional"),
        ([(b"If-None-Match", b'"x"')], "POST", "conditional"),
        ([(b"If-None-Match", b'"x"')], "GET", None),
    ],
)
def test_what_goes_past_the_cache_by_its_head(
    fields: list[tuple[bytes, bytes]], method: str, reason: str | None
) -> None:
    """And every reason is one of the closed set."""
    head = request_head(*fields, method=method)
    assert bypass_reason(RULE, head, wishes_of(head), False, False) == reason
    assert reason is None or reason in BYPASS_REASONS


def test_what_goes_past_the_cache_by_its_body() -> None:
    """Without the body there is no key; what is drawn by chance is kept only if the route says so."""
    head = request_head(method="POST")
    wishes = wishes_of(head)
    assert bypass_reason(RULE, head, wishes, True, False) == "body"
    assert bypass_reason(RULE, head, wishes, False, True) == "sampled"
    assert bypass_reason(replace(RULE, sampled="store"), head, wishes, False, True) is None


def test_an_upgrade_goes_past_the_cache() -> None:
    """A WebSocket is no answer."""
    head = request_head()
    head.websocket = True
    assert bypass_reason(RULE, head, wishes_of(head), False, False) == "upgrade"


# Statuses.


@pytest.mark.parametrize(
    ("status", "method", "reason"),
    [
        (200, "GET", "stored"), (200, "POST", "stored"), (203, "GET", "stored"), (204, "GET", "stored"),
        (204, "POST", "status"), (201, "POST", "status"), (202, "POST", "status"), (205, "POST", "status"),
        (206, "GET", "partial"), (301, "GET", "status"), (304, "GET", "status"), (401, "GET", "status"),
        (404, "GET", "status"), (429, "POST", "status"), (500, "POST", "status"), (503, "GET", "status"),
    ],
)  # fmt: skip
def test_only_whole_successes_are_kept(status: int, method: str, reason: str) -> None:
    """RFC 9110 15.3, RFC 9111 3.3; an error is about this one time, and its key is not held for it."""
    verdict = judged(method=method, status=status)
    assert verdict.reason == reason
    assert verdict.store is (reason == "stored")
    assert not verdict.hold


def test_no_error_is_kept_unless_the_operator_says_so() -> None:
    """However much the backend wishes for it."""
    kept = {
        status for status in range(200, 600) if judged(control(b"public, max-age=60"), status=status).store
    }
    assert kept == {200, 203, 204}


def test_with_negative_ttl_errors_that_the_request_explains_are_kept() -> None:
    """Never those that are about who asks, when, or how the backend fares: 401, 403, 408, 425, 429, 5xx."""
    rule = replace(RULE, negative_ttl_s=5.0)
    kept = {status for status in range(200, 600) if judged(rule=rule, status=status).store}
    assert kept == {200, 203, 204, 400, 404, 405, 410, 413, 414, 415, 422, 501}


@pytest.mark.parametrize(
    ("value", "fresh_s"),
    [(b"public", 5.0), (b"max-age=60", 5.0), (b"max-age=2", 2.0), (b"max-age=60, stale-if-error=9", 5.0)],
)
def test_an_error_is_kept_no_longer_than_the_operator_says(value: bytes, fresh_s: float) -> None:
    """And never given stale."""
    verdict = judged(control(value), rule=replace(RULE, negative_ttl_s=5.0), status=404)
    assert verdict.fresh_s == fresh_s
    assert verdict.stale_while_s == verdict.stale_if_error_s == 0.0


@pytest.mark.parametrize("value", [b"no-store", b"private", b"max-age=0", b"no-cache"])
def test_an_error_s_own_refusal_counts_once(value: bytes) -> None:
    """The next answer under its key may be another one: it is not held."""
    verdict = judged(control(value), rule=replace(RULE, negative_ttl_s=5.0), status=404)
    assert not verdict.store and not verdict.hold


# What answers say of themselves.


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        (control(b"no-store"), "no_store"),
        (control(b"private, max-age=60"), "private"),
        (control(b"no-cache"), "no_cache"),
        ((b"Set-Cookie", b"a=b"), "set_cookie"),
        ((b"Vary", b"*"), "vary"),
        (control(b"max-age=0"), "expired"),
        ((b"Expires", b"0"), "expired"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_an_answer_forbids_its_key_is_held_for(
    field: tuple[bytes, bytes], reason: str, method: str
) -> None:
    """RFC 9111 3: it will be forbidden the next time too, so nobody shall wait for it."""
    rule = replace(RULE, stale_while_revalidate_s=0.0, stale_if_error_s=0.0)
    verdict = judged(field, rule=rule, method=method)
    assert (verdict.store, verdict.reason, verdict.hold) == (False, reason, True)
    assert not verdict.shareable


def test_content_range_in_a_200_is_no_whole_answer() -> None:
    """RFC 9110 14.4 gives it a meaning in 206 and 416 only: whatever it is, it is not kept."""
    assert judged((b"Content-Range", b"bytes 0-1/2")).reason == "partial"


def test_what_goes_past_the_cache_is_not_kept() -> None:
    """RFC 9111 5.2.1.5, should anybody ask."""
    assert judged(asked=control(b"no-store")).reason == "request"
    assert judged(asked=(b"Range", b"bytes=0-1")).reason == "request"


SSE = (b"Content-Type", b"text/event-stream; charset=utf-8")


@pytest.mark.parametrize("value", [b"no-cache", b"No-Cache, no-transform"])
def test_an_event_stream_s_idiom_keeps_no_computation_from_being_kept(value: bytes) -> None:
    """no-cache on an event stream that answers a POST is there for proxies' buffers; it may be stale, too."""
    verdict = judged((b"Cache-Control", value), SSE, method="POST")
    assert (verdict.store, verdict.fresh_s, verdict.stale_while_s) == (True, 100.0, 10.0)


@pytest.mark.parametrize(
    ("value", "kind", "method"),
    [
        (b"no-cache", SSE, "GET"),
        (b"no-cache", (b"Content-Type", b"application/json"), "POST"),
        (b"no-cache, must-revalidate", SSE, "POST"),
        (b"no-cache, max-age=0", SSE, "POST"),
        (b"no-cache, no-store", SSE, "POST"),
        (b"no-cache, private", SSE, "POST"),
    ],
)
def test_no_cache_means_what_it_says_elsewhere(value: bytes, kind: tuple[bytes, bytes], method: str) -> None:
    """Beside another word, on other types, and where a GET is answered."""
    assert not judged((b"Cache-Control", value), kind, method=method).store


def test_no_cache_with_a_validator_is_kept_to_be_asked_about() -> None:
    """RFC 9111 5.2.2.4: for GET it saves the body; nobody is given it unasked, nor while it arrives."""
    verdict = judged(control(b"no-cache, max-age=60"), (b"ETag", b'"a"'))
    assert verdict.store and not verdict.shareable
    assert (verdict.fresh_s, verdict.stale_while_s, verdict.stale_if_error_s) == (0.0, 0.0, 0.0)
    assert verdict.keep_s == KEEP_S
    assert judged(control(b"no-cache"), (b"ETag", b'"a"'), method="POST").reason == "no_cache"


@pytest.mark.parametrize(
    ("value", "method", "shared", "kept"),
    [
        (b"", "GET", True, False),
        (b"max-age=60", "HEAD", True, False),
        (b"proxy-revalidate, max-age=60", "GET", True, False),
        (b"public", "GET", True, True),
        (b"s-maxage=60", "GET", True, True),
        (b"max-age=60, must-revalidate", "GET", True, True),
        (b"", "GET", False, True),  # the credential is part of the key
        (b"", "POST", True, True),  # the operator has named both method and scope
    ],
)
def test_an_answer_to_a_credential_is_for_others_if_it_says_so(
    value: bytes, method: str, shared: bool, kept: bool
) -> None:
    """RFC 9111 3.5."""
    rule = replace(RULE, shared_scope=shared)
    verdict = judged(control(value), rule=rule, method=method, asked=AUTHORIZATION)
    assert verdict.store is kept
    assert kept or (verdict.reason == "authorization" and verdict.hold)
    assert judged(control(value), rule=rule, method=method).store


def test_vary_is_handed_on() -> None:
    """RFC 9111 4.1."""
    assert judged((b"Vary", b"Origin, Accept")).vary == (b"accept", b"origin")


# Freshness.


@pytest.mark.parametrize(
    ("fields", "fresh_s"),
    [
        ([], 100.0),  # the route's
        ([control(b"public")], 100.0),
        ([control(b"max-age=60")], 60.0),
        ([control(b"max-age=60, s-maxage=30")], 30.0),
        ([(b"Date", NOW_DATE), (b"Expires", LATER)], 60.0),
        ([(b"Date", EARLIER), (b"Expires", LATER)], 90.0),
        ([(b"Expires", LATER)], 60.0),  # without a Date it is as of now
        ([control(b"max-age=7"), (b"Expires", LATER)], 7.0),
        ([control(b"max-age=7"), (b"Expires", b"0")], 7.0),  # 5.3
        ([control(b"max-age=99999999999")], 2.0**31),
    ],
)
def test_how_long_it_is_fresh(fields: list[tuple[bytes, bytes]], fresh_s: float) -> None:
    """RFC 9111 4.2.1: s-maxage, else max-age, else Expires less Date; else what the route says."""
    assert judged(*fields).fresh_s == fresh_s


@pytest.mark.parametrize(
    ("fields", "delay_s", "age_s"),
    [
        ([], 0.0, 0.0),
        ([control(b"max-age=60")], 0.0, 0.0),
        ([control(b"max-age=60"), (b"Age", b"10")], 0.0, 10.0),
        ([control(b"max-age=60"), (b"Age", b"10")], 5.0, 15.0),  # it may have aged while it travelled
        ([control(b"max-age=60"), (b"Date", EARLIER)], 5.0, 30.0),
        ([control(b"max-age=60"), (b"Date", EARLIER), (b"Age", b"40")], 0.0, 40.0),
        ([control(b"max-age=60"), (b"Date", LATER)], 0.0, 0.0),  # a clock that is ahead
        ([control(b"max-age=60"), (b"Date", b"x")], 0.0, 0.0),
        ([(b"Date", EARLIER)], 5.0, 0.0),  # the route's ttl counts from here, whatever a clock says
        ([(b"Age", b"10")], 5.0, 10.0),
    ],
)
def test_how_old_it_is(fields: list[tuple[bytes, bytes]], delay_s: float, age_s: float) -> None:
    """RFC 9111 4.2.3: what Date says, or what Age says and the wait, whichever is more."""
    assert judged(*fields, delay_s=delay_s).age_s == age_s


@pytest.mark.parametrize(
    ("value", "windows"),
    [
        (b"max-age=60", (10.0, 20.0)),  # the route's
        (b"max-age=60, stale-while-revalidate=3", (3.0, 20.0)),  # RFC 5861 3
        (b"max-age=60, stale-if-error=0", (10.0, 0.0)),  # RFC 5861 4
        (b"max-age=60, must-revalidate, stale-if-error=9", (0.0, 0.0)),
        (b"max-age=60, proxy-revalidate", (0.0, 0.0)),
        (b"s-maxage=60, stale-while-revalidate=9", (0.0, 0.0)),  # RFC 9111 5.2.2.10
    ],
)
def test_how_long_it_may_be_given_stale(value: bytes, windows: tuple[float, float]) -> None:
    """The answer's own word before the route's; not at all where the answer forbids it (RFC 9111 4.2.4)."""
    verdict = judged(control(value))
    assert (verdict.stale_while_s, verdict.stale_if_error_s) == windows


def test_what_has_expired_is_kept_only_while_it_is_of_use() -> None:
    """RFC 9111 4.2: for the stale windows, or to ask about it; its age alone holds no key."""
    old = (control(b"max-age=60"), (b"Age", b"75"))
    assert judged(*old).store and not judged(*old).shareable
    assert judged(control(b"max-age=60"), (b"Age", b"80")).reason == "expired"
    assert not judged(control(b"max-age=60"), (b"Age", b"80")).hold
    assert judged(control(b"max-age=60"), (b"Age", b"80"), (b"ETag", b'"a"')).store


@pytest.mark.parametrize(
    ("method", "status", "field", "keep_s"),
    [
        ("GET", 200, (b"ETag", b'"a"'), KEEP_S),
        ("HEAD", 200, (b"Last-Modified", NOW_DATE), KEEP_S),
        ("POST", 200, (b"ETag", b'"a"'), 0.0),
        ("GET", 203, (b"ETag", b'"a"'), 0.0),
        ("GET", 200, (b"X", b"y"), 0.0),
    ],
)
def test_what_has_a_validator_is_kept_longer(
    method: str, status: int, field: tuple[bytes, bytes], keep_s: float
) -> None:
    """RFC 9111 4.3: a 304 is cheaper than the answer."""
    assert judged(field, method=method, status=status).keep_s == keep_s


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [
        ("POST", 200, True), ("PUT", 204, True), ("DELETE", 303, True), ("PATCH", 200, True),
        ("X", 200, True),
        ("POST", 400, False), ("DELETE", 500, False), ("POST", 101, False),
        ("GET", 200, False), ("HEAD", 200, False), ("OPTIONS", 204, False), ("QUERY", 200, False),
    ],
)  # fmt: skip
def test_what_changes_something_invalidates(method: str, status: int, expected: bool) -> None:
    """RFC 9111 4.4: an unsafe method, answered without an error."""
    assert invalidates(method, status) is expected


PIECES = st.sampled_from(
    [
        control(b"max-age=60"), control(b"no-store"), control(b"private"), control(b"no-cache"),
        control(b"public"), control(b"s-maxage=5"), control(b"must-revalidate"), (b"Set-Cookie", b"a"),
        (b"Vary", b"*"), (b"Vary", b"Accept"), (b"ETag", b'"a"'), (b"Age", b"70"), (b"Expires", b"0"),
        (b"Content-Range", b"x"), (b"Date", EARLIER), (b"Expires", LATER),
    ]
)  # fmt: skip


@given(
    st.lists(PIECES, max_size=5), st.sampled_from(["GET", "HEAD", "POST"]), st.integers(200, 599),
    st.booleans(), st.booleans(), st.sampled_from([0.0, 5.0]), st.sampled_from([None, AUTHORIZATION]),
)  # fmt: skip
def test_whatever_is_kept_may_be(
    fields: list[tuple[bytes, bytes]],
    method: str,
    status: int,
    shared: bool,
    windows: bool,
    negative_ttl_s: float,
    asked: tuple[bytes, bytes] | None,
) -> None:
    """In every mixture: no cookie, nothing private, no error unasked; and reasons are of the closed set."""
    rule = CacheRule(60.0, 9.0 * windows, 9.0 * windows, negative_ttl_s=negative_ttl_s, shared_scope=shared)
    verdict = judged(*fields, rule=rule, method=method, status=status, asked=asked)
    assert verdict.reason in STORE_REASONS
    assert verdict.store is (verdict.reason == "stored")
    assert repr(verdict).startswith("<Verdict ")
    if verdict.store:
        forbidden = [control(b"no-store"), control(b"private"), (b"Set-Cookie", b"a"), (b"Vary", b"*")]
        assert not [field for field in fields if field in forbidden]
        assert status in (200, 203, 204) or negative_ttl_s
        assert not verdict.hold
        beyond = max(verdict.stale_while_s, verdict.stale_if_error_s, verdict.keep_s)
        assert verdict.age_s < verdict.fresh_s + beyond
