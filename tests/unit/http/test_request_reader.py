"""A request means the same however its bytes arrive, and nothing a strict reader would not agree with."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.http.memo import HeadMemo
from gateway.http.request_reader import MAX_FIELDS, MAX_TARGET, RequestReader
from gateway.messages import Request, RequestHead
from tests.unit.http.corpus import CHUNKED, GET, HOST, POST, REQUESTS, SPLINTERS, facts, message
from tests.unit.http.strict import Incomplete, Message, Refused, parse_request

MAX_HEADER = 2048
OURS = {b"host", b"expect", b"x-request-id", b"x-real-ip", b"forwarded", b"content-length"} | {
    b"x-forwarded-for",
    b"x-forwarded-proto",
    b"x-forwarded-host",
    b"x-gateway-timeout",
    b"x-gateway-priority",
    b"x-gateway-explain",
}
HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding"} | {
    b"upgrade",
    b"proxy-authorization",
    b"proxy-authenticate",
}


def reader(memo: HeadMemo[RequestHead] | None = None, max_header: int = MAX_HEADER) -> RequestReader:
    return RequestReader(max_header, HeadMemo() if memo is None else memo)


def read(pieces: list[bytes], memo: HeadMemo[RequestHead] | None = None) -> tuple[Request | None, bytes]:
    """The first request in `pieces` and what follows it; the request is None while its head is not whole."""
    reading = reader(memo)
    request, rest = None, b""
    for piece in pieces:
        if request is None:
            request = reading.feed_head(piece, 0.0)
            if request is not None and request.complete:
                rest = reading.rest
        elif request.complete:
            rest += piece
        else:
            reading.feed_body(piece)
            if request.complete:
                rest = reading.rest
    return request, rest


def meaning(pieces: list[bytes], memo: HeadMemo[RequestHead] | None = None) -> object:
    """All that `pieces` say, or the kind of error they are refused with."""
    try:
        request, rest = read(pieces, memo)
    except GatewayError as error:
        assert error.close, "a connection whose framing is in doubt is not kept"
        return error.kind
    if request is None:
        return None
    head = request.head
    assert head.fields == b"".join(head.parts)
    own = request.request_id, request.traceparent, request.traceparent_line
    return facts(head), own, request.content_length, b"".join(request.body), request.complete, rest


def forwarded(told: Message) -> list[tuple[bytes, bytes]]:
    """The fields of `told` that are the next hop's business."""
    named = {
        token.strip().lower() for value in told.values(b"connection") for token in value.split(b",")
    } - OURS
    fields = [(n, v) for n, v in told.fields if n not in OURS | HOP_BY_HOP | named]
    if told.start[0] == b"OPTIONS":
        fields = [
            (n, b"%d" % (int(v) - 1))
            if n == b"max-forwards" and v.isdigit() and 0 < int(v) < 10**8
            else (n, v)
            for n, v in fields
        ]
    # The first trace goes on behind the others: it is the request's own, and the others are shared.
    for index, (name, _) in enumerate(fields):
        if name == b"traceparent":
            return [*fields[:index], *fields[index + 1 :], fields[index]]
    return fields


def agrees(data: bytes, request: Request, rest: bytes) -> None:
    """What was understood is what a strict reader understands, and is written on so that it stays so."""
    told = parse_request(data)
    head, body = request.head, b"".join(request.body)
    assert head.method.encode() == told.start[0]
    assert head.minor == (told.start[2] == b"HTTP/1.1")
    assert (body, rest) == (told.body, told.rest)
    parts = head.parts
    own = [(b"traceparent", request.traceparent)] if request.traceparent_line else []
    assert [(parts[i].lower(), parts[i + 2]) for i in range(0, len(parts), 4)] + own == forwarded(told)
    target = told.start[1]
    if target[:1] in b"/*":
        assert head.target == target
        assert [head.host] == (told.values(b"host") or [b""])
    else:
        authority, slash, path = target.partition(b"//")[2].partition(b"/")
        host, question, query = authority.partition(b"?")
        assert head.host == host
        assert head.target in (slash + path, b"/" + question + query + slash + path)
    again = parse_request(
        b"%b %b HTTP/1.1\r\nHost: h\r\n%bContent-Length: %d\r\n\r\n%b"
        % (head.method.encode(), head.target, head.fields + request.traceparent_line, len(body), body)
    )
    assert again.start == (told.start[0], head.target, b"HTTP/1.1")
    assert [f for f in again.fields if f[0] not in (b"host", b"content-length")] == forwarded(told)
    assert (again.body, again.rest) == (body, b"")


def check(data: bytes) -> None:
    """Any bytes: refused, incomplete, or understood as the strict reader does."""
    try:
        request, rest = read([data])
    except GatewayError as error:
        assert error.rule.side == "caller"
        assert error.close
        return
    if request is not None and request.complete:
        agrees(data, request, rest)
    else:
        try:
            told = parse_request(data)
        except (Incomplete, Refused):
            return
        raise AssertionError(f"{told} was not seen to be complete")


@pytest.mark.parametrize("data", REQUESTS)
def test_valid_requests_are_understood(data: bytes) -> None:
    """Every request of the corpus is accepted, and as it is meant."""
    request, rest = read([data])
    assert request is not None
    assert request.complete
    agrees(data, request, rest)


@pytest.mark.parametrize("data", REQUESTS)
def test_it_makes_no_difference_how_the_bytes_are_cut(data: bytes) -> None:
    """Byte by byte, and in every two and three pieces: the same request, the same bytes behind it."""
    whole = meaning([data])
    assert meaning([data[i : i + 1] for i in range(len(data))]) == whole
    for cut in range(len(data) + 1):
        assert meaning([data[:cut], data[cut:]]) == whole
    for first, second in itertools.combinations(range(1, len(data)), 2):
        assert meaning([data[:first], data[first:second], data[second:]]) == whole


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid request with up to three pieces cut out, put in, doubled or moved."""
    data = draw(st.sampled_from(REQUESTS))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        until = min(len(data), at + draw(st.integers(0, 24)))
        match draw(st.integers(0, 4)):
            case 0:
                data = data[:at] + draw(st.sampled_from(SPLINTERS)) + data[at:]
            case 1:
                data = data[:at] + data[until:]
            case 2:
                data = data[:until] + data[at:]
            case 3:
                data = data[:at] + draw(st.binary(max_size=4)) + data[until:]
            case _:
                data = data[:at] + data[at:until].swapcase() + data[until:]
    return data


@given(mutated())
@settings(max_examples=1500, deadline=None)
def test_mutations_are_refused_or_unambiguous(data: bytes) -> None:
    """Whatever is done to a valid request: GatewayError, or a meaning that a strict reader shares."""
    check(data)


def test_many_mutations_are_refused_or_unambiguous() -> None:
    """The same with a plain generator: 20 000 inputs, always the same ones."""
    rng = random.Random(9112)
    for _ in range(20_000):
        data = rng.choice(REQUESTS)
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            at = rng.randrange(len(data) + 1)
            piece = rng.choice(SPLINTERS) if rng.random() < 0.7 else rng.randbytes(1)
            data = data[:at] + piece + data[at + rng.choice((0, 0, 1, len(piece))) :]
        check(data)


@given(mutated(), st.lists(st.integers(0, 400), max_size=4))
@settings(max_examples=800, deadline=None)
def test_mutations_are_judged_alike_however_they_are_cut(data: bytes, cuts: list[int]) -> None:
    """A verdict, the kind of error included, does not depend on how the bytes arrive."""
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    assert meaning([data[a:b] for a, b in itertools.pairwise(edges)]) == meaning([data])


@given(mutated(), mutated(), st.integers(0, 400))
@settings(max_examples=800, deadline=None)
def test_a_memo_changes_nothing(data: bytes, other: bytes, cut: int) -> None:
    """A reader that has read other requests before understands the same as a new one."""
    memo: HeadMemo[RequestHead] = HeadMemo()
    for known in [*REQUESTS, other]:
        meaning([known], memo)
    plain = meaning([data])
    assert meaning([data], memo) == plain
    assert meaning([data], memo) == plain
    assert meaning([data[:cut], data[cut:]], memo) == plain


@pytest.mark.parametrize("name", ["Content-Length", "content-length", "CONTENT-LENGTH", "Content-length"])
@pytest.mark.parametrize("asks", [[], ["Connection: upgrade", "Upgrade: websocket"]])
def test_a_memo_is_right_for_every_length(name: str, asks: list[str]) -> None:
    """Once a head is known it means the same with another length, and WebSocket only without a body."""
    memo: HeadMemo[RequestHead] = HeadMemo()
    for length in [3, 0, 5, 0, 3, 123]:
        data = message(GET, *asks, f"{name}: {length}", HOST, body=b"z" * length)
        assert meaning([data], memo) == meaning([data])


def test_a_memo_ends_no_doubt() -> None:
    """A known head with digits that are none, or too many of them, is read anew and refused."""
    memo: HeadMemo[RequestHead] = HeadMemo()
    assert meaning([message(POST, HOST, "Content-Length: 3", body=b"abc")], memo) is not None
    for digits in ["", "+3", "3 3", "3,3", "0x3", "3_3", "９", "1" * 19, "1" * 40]:
        data = b"%b\r\nHost: a\r\nContent-Length: %b\r\n\r\nabc" % (POST.encode(), digits.encode())
        assert meaning([data], memo) == "bad_request", digits


TRACES = st.one_of(
    st.from_regex(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", fullmatch=True),
    st.from_regex(rb"[0-9a-fA-F-]{0,60}", fullmatch=True),
)
IDS = st.from_regex(rb"[A-Za-z0-9._ -]{0,70}", fullmatch=True)
LINES = st.lists(
    st.one_of(
        st.builds(b"%b: %b".__mod__, st.tuples(st.sampled_from([b"traceparent", b"Traceparent"]), TRACES)),
        st.builds(b"%b: %b".__mod__, st.tuples(st.sampled_from([b"X-Request-ID", b"x-request-id"]), IDS)),
        st.sampled_from([b"Accept: */*", b"X-Y: traceparent: 1", b"Connection: traceparent"]),
    ),
    max_size=4,
)


@given(st.lists(LINES, min_size=2, max_size=6))
@settings(max_examples=400, deadline=None)
def test_ids_and_traces_of_one_request_are_not_another_s(requests: list[list[bytes]]) -> None:
    """On one connection, with all it remembers: each request means what it means to a new reader."""
    reading = reader()
    for lines in requests:
        data = b"GET /x HTTP/1.1\r\nHost: a\r\n%b\r\n" % b"".join(line + b"\r\n" for line in lines)
        request = reading.feed_head(data, 0.0)
        assert request is not None
        head = request.head
        own = request.request_id, request.traceparent, request.traceparent_line
        assert (facts(head), own, None, b"", True, b"") == meaning([data])


def test_heads_with_ids_of_their_own_are_remembered() -> None:
    """What differs is cut out: from the second request of a connection on, one head serves them all."""
    reading = reader()
    heads, traces = [], set()
    for number in range(4):
        lines = [f"traceparent: 00-{number:032x}-{number:016x}-01", f"x-request-id: id-{number}"]
        request = reading.feed_head(message(GET, HOST, *lines, "X: y"), 0.0)
        assert request is not None
        assert request.request_id == f"id-{number}"
        heads.append(request.head)
        traces.add(request.traceparent_line)
    assert len(traces) == 4
    assert all(head is heads[0] for head in heads)


def test_requests_follow_each_other() -> None:
    """One reader reads a whole connection: each request ends where the next begins."""
    rng = random.Random(1)
    complete = [data for data in REQUESTS if not data.endswith(b"GET /") and b"/next" not in data]
    for memo in (HeadMemo[RequestHead](), HeadMemo[RequestHead]()):
        order = [rng.choice(complete) for _ in range(60)]
        stream, reading, found = b"".join(order), reader(memo), []
        while stream:
            size = rng.choice((1, 7, 100, 5000))
            piece, stream = stream[:size], stream[size:]
            request = reading.feed_head(piece, 0.0)
            while request is not None:
                while not request.complete:
                    piece, stream = stream[:size], stream[size:]
                    reading.feed_body(piece)
                found.append(request)
                request = reading.feed_head(reading.rest, 0.0) if reading.rest else None
        assert [r.head.method for r in found] == [parse_request(data).start[0].decode() for data in order]
        assert [b"".join(r.body) for r in found] == [parse_request(data).body for data in order]


def big(size: int) -> bytes:
    """A request whose head has exactly `size` bytes."""
    start = message(GET, HOST, "X: ")
    return message(GET, HOST, "X: " + "x" * (size - len(start)))


REFUSED: dict[str, tuple[bytes, str]] = {
    "too many fields": (message(GET, HOST, *["X: y"] * MAX_FIELDS), "header_too_large"),
    "too many fields for this hop": (message(GET, HOST, *["TE: y"] * MAX_FIELDS), "header_too_large"),
    "header too large": (big(MAX_HEADER + 1), "header_too_large"),
    "line without end": (b"GET /" + b"x" * MAX_HEADER, "target_too_long"),
    "unknown method": (message("BREW / HTTP/1.1", HOST), "method_not_implemented"),
    "lower-case method": (message("get / HTTP/1.1", HOST), "method_not_implemented"),
    "version 1.2": (message("GET / HTTP/1.2", HOST), "version_not_supported"),
    "version 2.0": (message("GET / HTTP/2.0", HOST), "version_not_supported"),
    "version 3.0": (message("GET / HTTP/3.0", HOST), "version_not_supported"),
    "CONNECT": (message("CONNECT a:1 HTTP/1.1", HOST), "method_not_allowed"),
    "expectation": (message(GET, HOST, "Expect: 200-ok"), "expectation_failed"),
    "coding": (message(POST, HOST, "Transfer-Encoding: gzip"), "transfer_encoding_not_implemented"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "bad_request"),
    "no timeout": (message(GET, HOST, "X-Gateway-Timeout: soon"), "bad_request"),
    "timeout of nothing": (message(GET, HOST, "X-Gateway-Timeout: 0s"), "bad_request"),
    "no priority": (message(GET, HOST, "X-Gateway-Priority: urgent"), "bad_request"),
    "trailers": (message(POST, HOST, CHUNKED, body=b"0\r\n" + b"X: y\r\n" * 33), "header_too_large"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_name_their_kind(case: str) -> None:
    """Each bound and each doubt has its own kind of error, also byte by byte."""
    data, kind = REFUSED[case]
    assert meaning([data]) == kind
    assert meaning([data[i : i + 1] for i in range(len(data))]) == kind


def test_bounds_are_exact() -> None:
    """The largest head, the longest target and the most fields allowed are still allowed."""
    assert isinstance(meaning([big(MAX_HEADER)]), tuple)
    assert isinstance(meaning([message(GET, HOST, *["X: y"] * (MAX_FIELDS - 1))]), tuple)
    for length, accepted in [(MAX_TARGET, True), (MAX_TARGET + 1, False)]:
        data = message(f"GET /{'x' * (length - 1)} HTTP/1.1", HOST)
        reading = reader(max_header=32 * 1024)
        if accepted:
            assert reading.feed_head(data, 0.0) is not None
        else:
            with pytest.raises(GatewayError, match="target") as caught:
                reading.feed_head(data, 0.0)
            assert caught.value.kind == "target_too_long"


def test_a_method_may_still_be_coming() -> None:
    """An unknown method is refused once its line is whole, bytes that begin no line at once."""
    reading = reader()
    assert reading.feed_head(b"BREW /pot HT", 0.0) is None
    assert reading.started
    with pytest.raises(GatewayError) as caught:
        reading.feed_head(b"TP/1.1\r\n", 0.0)
    assert caught.value.kind == "method_not_implemented"
    with pytest.raises(GatewayError):
        reader().feed_head(b"BREW\x00", 0.0)


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        (["GET / HTTP/1.1", HOST], True),
        (["GET / HTTP/1.1", HOST, "Connection: Close"], False),
        (["GET / HTTP/1.1", HOST, "Connection: x, close, keep-alive"], False),
        (["GET / HTTP/1.1", HOST, "Connection: keep-alive", "Connection: close"], False),
        (["GET / HTTP/1.0", HOST], False),
        (["GET / HTTP/1.0", HOST, "Connection: Keep-Alive"], True),
        (["GET / HTTP/1.0", HOST, "Connection: keep-alive, close"], False),
    ],
)
def test_who_keeps_the_connection(lines: list[str], kept: bool) -> None:
    """HTTP/1.1 keeps it unless told to close, HTTP/1.0 closes unless told to keep."""
    request, _ = read([message(*lines)])
    assert request is not None
    assert request.keep_alive is kept


@pytest.mark.parametrize(
    ("lines", "websocket"),
    [
        ([GET, HOST, "Connection: keep-alive, Upgrade", "Upgrade: WebSocket"], True),
        ([GET, HOST, "Upgrade: websocket"], False),
        ([GET, HOST, "Connection: upgrade", "Upgrade: h2c"], False),
        ([GET, HOST, "Connection: upgrade", "Upgrade: websocket, h2c"], False),
        ([POST, HOST, "Connection: upgrade", "Upgrade: websocket"], False),
        (["GET / HTTP/1.0", HOST, "Connection: upgrade", "Upgrade: websocket"], False),
        ([GET, HOST, "Connection: upgrade", "Upgrade: websocket", CHUNKED], False),
    ],
)
def test_only_a_plain_get_upgrades(lines: list[str], websocket: bool) -> None:
    """WebSocket alone, asked for by a GET of HTTP/1.1 without a body that names it in Connection."""
    request, _ = read([message(*lines)])
    assert request is not None
    assert request.head.websocket is websocket


def test_claims_and_ids_are_read() -> None:
    """X-Forwarded-* are kept aside and joined; a request id only when it is well formed; both are dropped."""
    lines = [
        "X-Forwarded-For: 1.1.1.1",
        "x-forwarded-for: 2.2.2.2 ",
        "X-Request-ID: id-1 ",
        "Forwarded: for=x",
    ]
    request, _ = read([message(GET, HOST, *lines)])
    assert request is not None
    assert request.head.claims == {b"x-forwarded-for": b"1.1.1.1, 2.2.2.2", b"forwarded": b"for=x"}
    assert request.request_id == "id-1"
    assert request.head.parts == ()
    request, _ = read([message(GET, HOST, "X-Request-ID: a b")])
    assert request is not None
    assert request.request_id == ""


def test_wishes_are_read_and_not_forwarded() -> None:
    """How long it may take, how urgent it is, and whether the decision is to be told."""
    lines = ["X-Gateway-Timeout: 1.5s ", "x-gateway-priority: High", "X-GATEWAY-EXPLAIN: 1"]
    request, _ = read([message(GET, HOST, *lines, "X: y")])
    assert request is not None
    head = request.head
    assert (head.timeout_s, head.priority, head.explain) == (1.5, 0, True)
    assert head.values(b"x") == [b"y"]
    assert head.fields == b"X: y\r\n"
    request, _ = read([message(GET, HOST)])
    assert request is not None
    assert (request.head.timeout_s, request.head.priority, request.head.explain) == (None, None, False)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("1", True), ("true", True), ("YES", True), ("on", True), ("0", False), ("", False), ("no", False)],
)
def test_explain_is_a_switch(value: str, wanted: bool) -> None:
    """What nobody would take for a yes is a no, and harms nobody."""
    request, _ = read([message(GET, HOST, f"X-Gateway-Explain: {value}")])
    assert request is not None
    assert request.head.explain is wanted


@pytest.mark.parametrize(("value", "sent"), [("3", b"2"), ("0", b"0"), ("x", b"x"), ("9" * 9, b"9" * 9)])
def test_max_forwards_counts_down(value: str, sent: bytes) -> None:
    """OPTIONS goes on with one hop less (RFC 9110 7.6.2); what is no small number stays as it is."""
    request, _ = read([message("OPTIONS / HTTP/1.1", HOST, f"Max-Forwards: {value}")])
    assert request is not None
    assert request.head.values(b"max-forwards") == [sent]
    request, _ = read([message(GET, HOST, f"Max-Forwards: {value}")])
    assert request is not None
    assert request.head.values(b"max-forwards") == [value.encode()]


@pytest.mark.parametrize(
    ("lines", "flagged"),
    [
        (["Traceparent: 1"], False),
        (["X: tracestate"], False),
        (["TraceState: a=b"], True),
        (["traceparent: 1", "TRACEPARENT: 2"], True),
        (["traceparent: 1", "tracestate: a=b", "tracestate: c=d"], True),
    ],
)
def test_heads_with_more_of_a_trace_are_known(lines: list[str], flagged: bool) -> None:
    """What must not be passed on where the trace is not continued; it is among the fields all the same."""
    reading = reader()
    for _ in range(2):  # in full, and perhaps remembered
        request = reading.feed_head(message(GET, HOST, *lines), 0.0)
        assert request is not None and request.head.with_trace is flagged
        told = request.head.fields + request.traceparent_line
        assert sorted(told.split(b"\r\n")[:-1]) == sorted(line.encode() for line in lines)
