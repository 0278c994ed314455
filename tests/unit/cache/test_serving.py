"""A kept answer is given fresh, or stale where both sides allow it; else the backend is asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.entry import Entry
from gateway.cache.serving import ERRORS, Serve, may_serve_on_error, serve
from gateway.cache.wishes import wishes_of
from tests.heads import NOW, request_head


def kept(
    age_s: float = 0.0, swr: float = 0.0, sie: float = 0.0, control: bytes = b"max-age=60", status: int = 200
) -> Entry:
    """An entry of that age now, fresh for 60 s."""
    return Entry(
        status=status, fields=b"Cache-Control: %b\r\n" % control, body=b"x", stored_at=NOW - age_s, age_s=0.0,
        fresh_s=60.0, stale_while_s=swr, stale_if_error_s=sie, cost_s=1.0, route="r", pool="p", model="m",
        backend="b",
    )  # fmt: skip


def served(entry: Entry | None, asked: bytes = b"") -> Serve:
    return serve(entry, wishes_of(request_head((b"Cache-Control", asked))), NOW)


@pytest.mark.parametrize(
    ("age_s", "asked", "expected"),
    [
        (0.0, b"", Serve.FRESH),
        (59.0, b"", Serve.FRESH),
        (60.0, b"", Serve.REVALIDATE),  # RFC 9111 4.2: fresh while the lifetime exceeds the age
        (0.0, b"no-cache", Serve.REQUEST),  # 5.2.1.4
        (99.0, b"no-cache", Serve.REVALIDATE),
        (10.0, b"max-age=10", Serve.FRESH),  # 5.2.1.1
        (11.0, b"max-age=10", Serve.REQUEST),
        (0.0, b"max-age=0", Serve.REQUEST),
        (61.0, b"max-age=99", Serve.REVALIDATE),
        (10.0, b"min-fresh=50", Serve.FRESH),  # 5.2.1.3
        (11.0, b"min-fresh=50", Serve.REQUEST),
        (0.0, b"min-fresh=99", Serve.REQUEST),
        (61.0, b"max-stale", Serve.STALE_ALLOWED),  # 5.2.1.2
        (9999.0, b"max-stale", Serve.STALE_ALLOWED),
        (70.0, b"max-stale=10", Serve.STALE_ALLOWED),
        (71.0, b"max-stale=10", Serve.REVALIDATE),
        (70.0, b"max-stale=10, max-age=65", Serve.REVALIDATE),
        (70.0, b"max-stale=10, max-age=75", Serve.STALE_ALLOWED),
        (70.0, b"max-stale, min-fresh=1", Serve.REVALIDATE),
        (70.0, b"max-stale, no-cache", Serve.REVALIDATE),
        (10.0, b"max-stale=10", Serve.FRESH),
        (10.0, b"only-if-cached", Serve.FRESH),
        (70.0, b"only-if-cached", Serve.REVALIDATE),
        (70.0, b"only-if-cached, max-stale", Serve.STALE_ALLOWED),
    ],
)
def test_what_the_client_takes(age_s: float, asked: bytes, expected: Serve) -> None:
    """RFC 9111 4.2 and 5.2.1."""
    assert served(kept(age_s), asked) is expected


@pytest.mark.parametrize(
    ("age_s", "asked", "expected"),
    [
        (59.0, b"", Serve.FRESH),
        (60.0, b"", Serve.STALE_REVALIDATE),
        (69.0, b"", Serve.STALE_REVALIDATE),
        (70.0, b"", Serve.REVALIDATE),
        (65.0, b"no-cache", Serve.REVALIDATE),
        (65.0, b"max-age=90", Serve.REVALIDATE),
        (65.0, b"min-fresh=1", Serve.REVALIDATE),
        (65.0, b"max-stale=1", Serve.REVALIDATE),
        (65.0, b"max-stale=5", Serve.STALE_ALLOWED),
    ],
)
def test_while_it_is_asked_for_anew(age_s: float, asked: bytes, expected: Serve) -> None:
    """RFC 5861 3, for clients that say nothing against it."""
    assert served(kept(age_s, swr=10.0), asked) is expected


@pytest.mark.parametrize(
    "control", [b"must-revalidate", b"proxy-revalidate", b"s-maxage=60", b"no-cache", b'ext="x, no-cache']
)
def test_what_the_answer_forbids_no_client_can_allow(control: bytes) -> None:
    """RFC 9111 4.2.4 and 5.2.2.2, for max-stale and a client's stale-if-error."""
    entry = kept(61.0, control=control)
    assert served(entry, b"max-stale") is Serve.REVALIDATE
    assert not on_error(entry, b"stale-if-error=99")


def test_nothing_there_is_a_miss() -> None:
    """And an entry that only says how others are told apart is none."""
    assert served(None) is Serve.MISS
    assert served(kept(status=0)) is Serve.MISS
    assert not on_error(None) and not on_error(kept(status=0))


def on_error(entry: Entry | None, asked: bytes = b"") -> bool:
    return may_serve_on_error(entry, wishes_of(request_head((b"Cache-Control", asked))), NOW)


@pytest.mark.parametrize(
    ("age_s", "asked", "expected"),
    [
        (0.0, b"", True),
        (79.0, b"", True),
        (80.0, b"", False),
        (79.0, b"max-age=1", True),  # "regardless of other freshness information"
        (0.0, b"no-cache", False),  # RFC 9111 5.2.1.4
        (79.0, b"no-cache", False),
        (65.0, b"stale-if-error=5", False),
        (64.0, b"stale-if-error=5", True),
        (90.0, b"stale-if-error=99", True),
        (10.0, b"stale-if-error=0", True),
        (60.0, b"stale-if-error=0", False),
    ],
)
def test_in_place_of_an_error(age_s: float, asked: bytes, expected: bool) -> None:
    """RFC 5861 4: within the answer's window, or the client's own."""
    assert on_error(kept(age_s, sie=20.0), asked) is expected


def test_errors_are_those_of_the_rfc() -> None:
    """RFC 5861 4."""
    assert {500, 502, 503, 504} == ERRORS


@given(
    st.floats(0, 200), st.floats(0, 50), st.floats(0, 50),
    st.sampled_from([b"", b"max-age=30", b"max-stale=20", b"max-stale", b"min-fresh=10", b"no-cache"]),
    st.sampled_from([b"max-age=60", b"must-revalidate"]),
)  # fmt: skip
def test_nothing_stale_is_given_that_nobody_allowed(
    age_s: float, swr: float, sie: float, asked: bytes, control: bytes
) -> None:
    """Fresh by its own lifetime, or within a window; never after no-cache."""
    entry = kept(age_s, swr, sie, control)
    done = served(entry, asked)
    stale_s = entry.age(NOW) - entry.fresh_s
    if done is Serve.FRESH:
        assert stale_s < 0.0
    elif done is Serve.STALE_REVALIDATE:
        assert 0.0 <= stale_s < swr and asked == b""
    elif done is Serve.STALE_ALLOWED:
        assert b"max-stale" in asked and control != b"must-revalidate"
    assert not (asked == b"no-cache" and done in (Serve.FRESH, Serve.STALE_REVALIDATE, Serve.STALE_ALLOWED))
