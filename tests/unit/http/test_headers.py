"""Fields for one hop end here, what the gateway writes itself cannot be forged, and forms are checked."""

from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.http.headers import (
    PRIORITIES,
    REQUEST_FIELDS,
    RESPONSE_FIELDS,
    DateField,
    Field,
    list_tokens,
    media_of,
    origin_form,
    parse_length,
    parse_timeout,
    status_line,
    valid_host,
    valid_request_id,
    valid_token,
    without_named,
)
from gateway.messages import EVENTS, JSON, OTHER

NAMES = st.text(alphabet="abcXYZ-09_!", min_size=1, max_size=5).map(str.encode)
FIELDS = st.lists(st.tuples(NAMES, st.binary(max_size=5)), max_size=8)


@given(FIELDS, st.sets(NAMES))
def test_named_fields_go_and_others_stay(fields: list[tuple[bytes, bytes]], named: set[bytes]) -> None:
    """Whatever the case of a name: named in Connection, it is gone; else it stays, in its place."""
    parts = [part for name, value in fields for part in (name, b": ", value, b"\r\n")]
    kept = without_named(parts, {name.lower() for name in named})
    lower = {name.lower() for name in named}
    expected = [(n, v) for n, v in fields if n.lower() not in lower]
    assert [(kept[i], kept[i + 2]) for i in range(0, len(kept), 4)] == expected


@given(st.lists(st.lists(NAMES, max_size=4), max_size=3), st.sampled_from([b",", b" , ", b",,", b"\t,"]))
def test_lists_are_one_over_several_lines(lines: list[list[bytes]], comma: bytes) -> None:
    """Members in lower case, empty ones dropped, wherever the lines break."""
    assert list_tokens([comma.join(line) for line in lines]) == {m.lower() for line in lines for m in line}


HOP_BY_HOP = [
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
]


@pytest.mark.parametrize("name", [*HOP_BY_HOP, b"proxy-authorization", b"proxy-authenticate"])
def test_hop_by_hop_fields_are_known_in_both_directions(name: bytes) -> None:
    """RFC 9110 7.6.1's fields, and those for a proxy, are never FORWARD."""
    assert REQUEST_FIELDS[name] is not Field.FORWARD
    assert RESPONSE_FIELDS[name] is not Field.FORWARD


@pytest.mark.parametrize(
    "name", [b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded"]
)
def test_claims_about_the_way_here_are_kept_aside(name: bytes) -> None:
    """What a client says about hops before it is not forwarded as it is."""
    assert REQUEST_FIELDS[name] is Field.CLAIM


@pytest.mark.parametrize("name", [b"via", b"authorization", b"cookie", b"forwarded-by", b"sec-websocket-key"])
def test_everything_else_travels(name: bytes) -> None:
    """Fields without a meaning here go on."""
    assert name not in REQUEST_FIELDS
    assert name not in RESPONSE_FIELDS


@pytest.mark.parametrize(
    "host", ["a", "a:", "a:80", "A.b-c_d~1", "127.0.0.1:8080", "[::1]", "[::1]:80", "a%2eb"]
)
def test_hosts(host: str) -> None:
    """Names, addresses and ports of RFC 3986."""
    assert valid_host(host.encode())


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "a b",
        "a/b",
        "a?b",
        "a#b",
        "u@a",
        "a:b",
        "a:80:80",
        "a:123456",
        "::1",
        "[::1",
        "[::1]x",
        "[g]",
        "a%",
        "a%2",
        "a%zz",
        'a"',
        "a\\b",
        "a\x00",
        "a\n",
        "ä",
        "http://a",
        ":80",
        "[]",
        "a, b ",
    ],
)
def test_no_hosts(host: str) -> None:
    """Whatever could make the next reader see another path or authority."""
    assert not valid_host(host.encode("latin-1"))


@pytest.mark.parametrize("text", ["", "+1", "-1", " 1", "1 ", "1_0", "0x1", "1,1", "1.0", "1" * 19, "²", "٥"])
def test_no_lengths(text: str) -> None:
    """Only ASCII digits, at most 18: no sum of them overflows 64 bits."""
    with pytest.raises(ValueError, match="length"):
        parse_length(text.encode())


@given(st.integers(0, 10**18 - 1))
def test_lengths(number: int) -> None:
    """Every number of up to 18 digits."""
    assert parse_length(b"%d" % number) == number


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("5s", 5.0),
        ("1.5s", 1.5),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("30", 30.0),
        ("0.125", 0.125),
        ("999999999", 999999999.0),
        ("0.000000001ms", 1e-12),
    ],
)
def test_timeouts(text: str, seconds: float) -> None:
    """A number with its unit, or of seconds."""
    assert parse_timeout(text.encode()) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "0",
            "0.0s",
            "0ms",
            "-1s",
            "+1",
            "1 s",
            " 1",
            "1d",
            "1S",
            "1e3",
            "inf",
            "nan",
            ".5",
            "5.",
            "1,5",
        ),
        *("1_0", "1s1", "1ss", "٣s", "²", "0x1", "1" * 10, "1." + "0" * 10, "1s\n"),
    ],
)
def test_no_timeouts(text: str) -> None:
    """Nothing at all, no time at all, other units and other ways to write numbers."""
    with pytest.raises(ValueError, match="timeout"):
        parse_timeout(text.encode())


@given(st.integers(1, 10**9 - 1), st.sampled_from([("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)]))
def test_every_number_of_every_unit(number: int, unit: tuple[str, float]) -> None:
    """Up to nine digits before the unit."""
    assert parse_timeout(f"{number}{unit[0]}".encode()) == number * unit[1]


def test_three_priorities() -> None:
    """In order of their numbers, as the queue's classes are."""
    assert sorted(PRIORITIES, key=PRIORITIES.__getitem__) == [b"high", b"normal", b"low"]
    assert sorted(PRIORITIES.values()) == [0, 1, 2]


@pytest.mark.parametrize("name", [b"x-gateway-timeout", b"x-gateway-priority", b"x-gateway-explain"])
def test_what_is_said_to_the_gateway_goes_no_further(name: bytes) -> None:
    """A timeout is passed on as what is left of it, not as it came; nor can a backend forge a decision."""
    assert REQUEST_FIELDS[name] is not Field.FORWARD
    assert RESPONSE_FIELDS[b"x-gateway-decision"] is Field.DROP


def test_ids_and_tokens() -> None:
    """A request id is short and plain; a token is never empty."""
    assert valid_request_id(b"a.B-9_" + b"x" * 58)
    for bad in [b"", b"x" * 65, b"a b", b"a\n", b"a/b", b"\xe4"]:
        assert not valid_request_id(bad)
    assert valid_token(b"chunked")
    for bad in [b"", b"a b", b"a,b", b"chunked\x0b"]:
        assert not valid_token(bad)


@pytest.mark.parametrize(
    ("target", "origin", "authority"),
    [
        (b"/", b"/", None),
        (b"//x/../y;z?q=%0d%0a//", b"//x/../y;z?q=%0d%0a//", None),
        (b"http://a", b"/", b"a"),
        (b"HTTPS://a:1/x?y", b"/x?y", b"a:1"),
        (b"http://[::1]?q", b"/?q", b"[::1]"),
    ],
)
def test_targets(target: bytes, origin: bytes, authority: bytes | None) -> None:
    """Path and query stay byte for byte; an absolute target's authority is told apart."""
    assert origin_form(target) == (origin, authority)


@pytest.mark.parametrize(
    "target",
    [
        b"/a#b",
        b"a",
        b"a:1",
        b"http:/a",
        b"http:a",
        b"ftp://a/",
        b"http://",
        b"http:///x",
        b"http://u@a/",
        b"http://a/#x",
        b"http://a#x",
        b"http://a?x#y",
        b"\\x",
        b"?x",
        b"http://a b/",
    ],
)
def test_no_targets(target: bytes) -> None:
    """Fragments, user names, other schemes and other forms are refused."""
    with pytest.raises(GatewayError) as caught:
        origin_form(target)
    assert caught.value.kind == "bad_request"
    assert caught.value.rule.status == 400


def test_status_lines() -> None:
    """A known status with its phrase, an unknown one without; the space behind it is part of the form."""
    assert status_line(404) == b"HTTP/1.1 404 Not Found\r\n"
    assert status_line(599) == b"HTTP/1.1 599 \r\n"


def test_the_date_is_made_once_a_second() -> None:
    """IMF-fixdate of the given second; the same object within it."""
    date = DateField()
    first = date.line(1_700_000_000.2)
    assert parsedate_to_datetime(first[6:-2].decode()).timestamp() == 1_700_000_000
    assert first.endswith(b"GMT\r\n")
    assert date.line(1_700_000_000.9) is first
    assert date.line(1_700_000_001.0) != first


@pytest.mark.parametrize(
    ("value", "media"),
    [
        ("text/event-stream", EVENTS),
        ("Text/Event-Stream; charset=utf-8", EVENTS),
        ("application/json", JSON),
        ("application/json ; charset=utf-8", JSON),
        ("application/json-seq", OTHER),
        ("application/x-ndjson", OTHER),
        ("text/html", OTHER),
        ("", OTHER),
    ],
)
def test_where_tokens_would_be_found(value: str, media: int) -> None:
    """Event streams and JSON, whatever their parameters, and nothing that only begins like them."""
    assert media_of(value.encode()) == media
