"""An answer means the same however its bytes arrive, and nothing a strict reader would not agree with."""

import itertools
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.http.memo import HeadMemo
from gateway.http.response_reader import MAX_FIELDS, MAX_HEAD, MAX_INTERIM, ResponseReader
from gateway.messages import EVENTS, JSON, OTHER, ResponseHead
from tests.unit.http.corpus import CHUNKED, OK, RESPONSES, SPLINTERS, UNTIL_CLOSE, facts, message
from tests.unit.http.strict import Incomplete, Refused, parse_response

HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding"} | {
    b"upgrade",
    b"proxy-authorization",
    b"proxy-authenticate",
}
OURS = {b"content-length", b"x-request-id", b"x-gateway-backend", b"x-gateway-error"}


def read(
    pieces: list[bytes],
    to_head: bool = False,
    upgrade: bool = False,
    memo: HeadMemo[ResponseHead] | None = None,
) -> ResponseReader:
    """A reader that has read `pieces` as one answer."""
    reading = ResponseReader(HeadMemo() if memo is None else memo)
    reading.begin(to_head, upgrade)
    for piece in pieces:
        reading.feed(piece)
    return reading


def meaning(pieces: list[bytes], to_head: bool = False, memo: HeadMemo[ResponseHead] | None = None) -> object:
    """All that `pieces` say, or "bad_response"."""
    try:
        reading = read([piece for piece in pieces if piece], to_head, memo=memo)
    except GatewayError as error:
        return error.kind
    head = reading.head
    assert head is None or head.fields == b"".join(head.parts)
    return (
        head and facts(head),
        [(i.status, i.parts) for i in reading.interim or ()],
        b"".join(reading.pieces),
        reading.content_length if head else None,
        reading.complete,
        reading.reusable,
        reading.until_close,
    )


def alike(cut: object, whole: object) -> bool:
    """The same; but a connection whose last chunk came in crumbs may be given up."""
    if isinstance(cut, tuple) and isinstance(whole, tuple) and not cut[5]:
        return cut[:5] == whole[:5] and cut[6:] == whole[6:]
    return cut == whole


def forwarded(fields: tuple[tuple[bytes, bytes], ...]) -> list[tuple[bytes, bytes]]:
    named = {t.strip().lower() for n, v in fields if n == b"connection" for t in v.split(b",")}
    return [(n, v) for n, v in fields if n not in HOP_BY_HOP | OURS | named]


def agrees(data: bytes, reading: ResponseReader, to_head: bool, closed: bool = False) -> None:
    """What was understood is what a strict reader understands."""
    told = parse_response(data, to_head, closed)
    interim = []
    while told.start[0] < b"200":
        if told.start[0] != b"100":
            interim.append((int(told.start[0]), forwarded(told.fields)))
        told = parse_response(told.rest, to_head, closed)
    head = reading.head
    assert head is not None

    def fields(parts: tuple[bytes, ...]) -> list[tuple[bytes, bytes]]:
        return [(parts[i].lower(), parts[i + 2]) for i in range(0, len(parts), 4)]

    assert [(i.status, fields(i.parts)) for i in reading.interim or ()] == interim
    assert head.status == int(told.start[0])
    assert fields(head.parts) == forwarded(told.fields)
    assert b"".join(reading.pieces) == told.body
    if head.has_body and reading.content_length is not None:
        assert reading.content_length == len(told.body)
    if told.rest:
        assert not reading.reusable, "bytes behind the answer: the connection is not used again"


def check(data: bytes, to_head: bool) -> None:
    """Any bytes: refused, incomplete, or understood as the strict reader does."""
    try:
        reading = read([data], to_head)
    except GatewayError as error:
        assert error.kind == "bad_response"
        return
    if reading.complete:
        agrees(data, reading, to_head)
    else:
        assert not reading.reusable or reading.head is not None
        with pytest.raises((Incomplete, Refused)):
            while parse_response(data, to_head).start[0] < b"200":
                data = parse_response(data, to_head).rest


@pytest.mark.parametrize(("data", "to_head"), RESPONSES)
def test_valid_answers_are_understood(data: bytes, to_head: bool) -> None:
    """Every answer of the corpus is accepted, and as it is meant."""
    reading = read([data], to_head)
    assert reading.complete
    agrees(data, reading, to_head)


@pytest.mark.parametrize(("data", "to_head"), RESPONSES)
def test_it_makes_no_difference_how_the_bytes_are_cut(data: bytes, to_head: bool) -> None:
    """Byte by byte, and in every two and three pieces: the same answer."""
    whole = meaning([data], to_head)
    assert alike(meaning([data[i : i + 1] for i in range(len(data))], to_head), whole)
    for first, second in itertools.combinations(range(1, len(data)), 2):
        assert alike(meaning([data[:first], data[first:second], data[second:]], to_head), whole)


@pytest.mark.parametrize("data", UNTIL_CLOSE)
def test_a_close_ends_an_answer_without_length(data: bytes) -> None:
    """Such a body is whole once the backend has closed in order, and not before."""
    for cut in range(1, len(data)):
        reading = read([data[:cut], data[cut:]])
        assert not reading.complete
        assert reading.until_close
        assert reading.feed_eof()
        assert not reading.reusable
        agrees(data, reading, False, closed=True)


@pytest.mark.parametrize(("data", "to_head"), RESPONSES)
def test_a_close_before_the_end_is_seen(data: bytes, to_head: bool) -> None:
    """Cut anywhere and closed: the answer is not whole, and the connection is not used again."""
    for cut in range(1, len(data)):
        reading = read([data[:cut]], to_head)
        assert not reading.feed_eof()
        assert not reading.complete
        assert not reading.reusable


def mutate(data: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(data) + 1)
        piece = rng.choice(SPLINTERS) if rng.random() < 0.7 else rng.randbytes(1)
        data = data[:at] + piece + data[at + rng.choice((0, 0, 1, len(piece))) :]
    return data


def test_many_mutations_are_refused_or_unambiguous() -> None:
    """20 000 damaged answers: refused, unfinished, or understood as a strict reader does."""
    rng = random.Random(9110)
    for _ in range(20_000):
        data, to_head = rng.choice(RESPONSES)
        check(mutate(data, rng), to_head)


@given(
    st.sampled_from(RESPONSES), st.randoms(use_true_random=False), st.lists(st.integers(0, 300), max_size=4)
)
@settings(max_examples=800, deadline=None)
def test_mutations_are_judged_alike_however_they_are_cut(
    answer: tuple[bytes, bool], rng: random.Random, cuts: list[int]
) -> None:
    """A verdict does not depend on how the bytes arrive, nor on what was read before."""
    data, to_head = mutate(answer[0], rng), answer[1]
    whole = meaning([data], to_head)
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    assert alike(meaning([data[a:b] for a, b in pairwise(edges)], to_head), whole)
    memo: HeadMemo[ResponseHead] = HeadMemo()
    for known, for_head in RESPONSES:
        meaning([known], for_head, memo)
    assert meaning([data], to_head, memo) == whole
    assert meaning([data], to_head, memo) == whole


def test_a_memo_is_right_for_every_length() -> None:
    """A known head with another length is the same head; the body must fit it, or it is read on."""
    memo: HeadMemo[ResponseHead] = HeadMemo()
    for length in [3, 0, 7, 3, 0]:
        data = message(OK, "Date: x", f"Content-Length: {length}", "X: y", body=b"z" * length)
        assert meaning([data], memo=memo) == meaning([data])
        if length:
            assert meaning([data[:-1]], memo=memo) == meaning([data[:-1]])
        assert meaning([data + b"!"], memo=memo) == meaning([data + b"!"])
        assert meaning([data], True, memo) == meaning([data], True)
    assert len(memo) == 1


def test_answers_follow_each_other() -> None:
    """One reader reads answer after answer, with and without the memo's help."""
    rng = random.Random(2)
    memo: HeadMemo[ResponseHead] = HeadMemo()
    reading = ResponseReader(memo)
    for _ in range(300):
        data, to_head = rng.choice(RESPONSES)
        size = rng.choice((1, 9, 10_000))
        reading.begin(to_head, False)
        for at in range(0, len(data), size):
            reading.feed(data[at : at + size])
        assert reading.complete
        agrees(data, reading, to_head)
        reading = reading if reading.reusable else ResponseReader(memo)
        reading.pieces = []


REFUSED = {
    "status 000": message("HTTP/1.1 000 X"),
    "status 099": message("HTTP/1.1 099 X"),
    "status 99": message("HTTP/1.1 99 X"),
    "status 600": message("HTTP/1.1 600 X", "Content-Length: 1", body=b"x"),
    "status 2xx": message("HTTP/1.1 2xx X"),
    "status with sign": message("HTTP/1.1 +20 X"),
    "four digits": message("HTTP/1.1 2000 X"),
    "version 0.9": message("HTTP/0.9 200 X"),
    "version 2.0": message("HTTP/2.0 200 X"),
    "version 2.0 interim": message("HTTP/2.0 103 X"),
    "no version": b"hello, this is not HTTP\r\n\r\n",
    "control in reason": message("HTTP/1.1 200 O\x00K", "Content-Length: 0"),
    "101 unasked": message("HTTP/1.1 101 X", "Connection: upgrade", "Upgrade: websocket"),
    "length twice": message(OK, "Content-Length: 1", "Content-Length: 1", body=b"x"),
    "lengths differ": message(OK, "Content-Length: 1", "Content-Length: 2", body=b"x"),
    "length in a list": message(OK, "Content-Length: 1, 1", body=b"x"),
    "length signed": message(OK, "Content-Length: +1", body=b"x"),
    "length empty": message(OK, "Content-Length: ", body=b"x"),
    "length too long": message(OK, "Content-Length: " + "9" * 19),
    "length and chunks": message(OK, "Content-Length: 1", CHUNKED, body=b"0\r\n\r\n"),
    "chunks and length": message(OK, CHUNKED, "Content-Length: 1", body=b"0\r\n\r\n"),
    "gzip": message(OK, "Transfer-Encoding: gzip", body=b"xxxx"),
    "gzip, chunked": message(OK, "Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "chunked twice": message(OK, CHUNKED, CHUNKED, body=b"1\r\nx\r\n0\r\n\r\n"),
    "identity": message(OK, "Transfer-Encoding: identity", body=b"x"),
    "folding": message(OK, "X: a", " b", "Content-Length: 0"),
    "space before colon": message(OK, "X : a", "Content-Length: 0"),
    "NUL": message(OK, "X: a\x00b", "Content-Length: 0"),
    "bare CR": message(OK, "X: a\rb", "Content-Length: 0"),
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "too many fields": message(OK, *["X: y"] * MAX_FIELDS, "Content-Length: 0"),
    "too large": message(OK, "X: " + "y" * MAX_HEAD, "Content-Length: 0"),
    "too many interims": message("HTTP/1.1 103 X") * (MAX_INTERIM + 1) + message(OK, "Content-Length: 0"),
    "endless interims": message("HTTP/1.1 103 X", "X: " + "y" * 9000) * 8,
}


@pytest.mark.parametrize("case", REFUSED)
def test_unusable_answers_are_refused(case: str) -> None:
    """At once or byte by byte, and before anything of a head is given out."""
    data = REFUSED[case]
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
        reading = ResponseReader(HeadMemo())
        with pytest.raises(GatewayError) as caught:
            for piece in pieces:
                reading.feed(piece)
        assert caught.value.kind == "bad_response"
        assert reading.head is None
        assert reading.pieces == []


BROKEN = [
    b"g\r\n",
    b"5 \r\nhello",
    b"5\nhello",
    b"5\r\nhello!",
    b"5\r\nhello\n0\r\n\r\n",
    b"5;\n\r\n",
    b"f" * 17 + b"\r\n",
]


@pytest.mark.parametrize("body", [*BROKEN, b"0\r\nX\r\n\r\n", b"0\r\n X: y\r\n\r\n"])
def test_broken_chunks_never_end_well(body: bytes) -> None:
    """The error comes, and the answer is not complete."""
    data = message(OK, CHUNKED, body=body)
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
        reading = ResponseReader(HeadMemo())
        with pytest.raises(GatewayError):
            for piece in pieces:
                reading.feed(piece)
        assert not reading.complete
        assert not reading.reusable


def test_head_bound_is_exact() -> None:
    """A head of exactly the bound passes, one byte more does not, in one piece or in many."""
    start = len(message(OK, "Content-Length: 0", "X: "))
    for size, good in [(MAX_HEAD, True), (MAX_HEAD + 1, False)]:
        data = message(OK, "Content-Length: 0", "X: " + "y" * (size - start))
        for step in (len(data), 1000):
            result = meaning([data[i : i + step] for i in range(0, len(data), step)])
            assert (result != "bad_response") is good


@pytest.mark.parametrize("endless", [b"0\r\nX: " + b"y" * 100, b"5;" + b"x" * 100])
def test_framing_without_content_is_bounded(endless: bytes) -> None:
    """Endless trailers and chunk extensions are not read for ever."""
    reading = read([message(OK, CHUNKED), endless])
    with pytest.raises(GatewayError):
        for _ in range(300):
            reading.feed(endless[-1:] * 1000)


def test_a_long_stream_is_not_bounded() -> None:
    """Bytes that carry content may go on for ever."""
    reading = read([message(OK, CHUNKED)])
    for _ in range(1000):
        reading.feed(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        assert sum(map(len, reading.pieces)) == 1000
        reading.pieces = []


SWITCH = ["HTTP/1.1 101 Switching", "Connection: Upgrade", "Upgrade: websocket"]


def test_a_switch_that_was_asked_for() -> None:
    """101 to WebSocket gives its head, and the bytes behind it untouched, wherever they are cut."""
    data = message(*SWITCH, "Sec-WebSocket-Accept: x") + b"\x81\x00HTTP/1.1"
    for cut in range(1, len(data)):
        reading = read([data[:cut], data[cut:]], upgrade=True)
        assert reading.switched
        assert not reading.complete
        assert not reading.reusable
        assert reading.rest == b"\x81\x00HTTP/1.1"
        assert reading.head is not None
        assert reading.head.parts[::4] == (b"Sec-WebSocket-Accept",)


@pytest.mark.parametrize("lines", [SWITCH[:1], SWITCH[:2], SWITCH[::2], [*SWITCH[:2], "Upgrade: h2c"]])
def test_a_switch_to_something_else(lines: list[str]) -> None:
    """101 that does not say WebSocket, in both fields, is no switch."""
    with pytest.raises(GatewayError):
        read([message(*lines)], upgrade=True)


def test_no_switch_is_an_answer() -> None:
    """An upgrade may be declined; that connection is not used again."""
    reading = read([message("HTTP/1.1 403 No", "Content-Length: 2", body=b"no")], upgrade=True)
    assert (reading.switched, reading.complete, reading.reusable) == (False, True, False)


@pytest.mark.parametrize(
    ("lines", "reusable"),
    [
        ([OK, "Content-Length: 1"], True),
        ([OK, "Content-Length: 1", "Connection: close"], False),
        ([OK, "Content-Length: 1", "Connection: x, Close"], False),
        ([OK, "Content-Length: 1", "Connection: keep-alive", "Connection: close"], False),
        (["HTTP/1.0 200 OK", "Content-Length: 1"], False),
        (["HTTP/1.0 200 OK", "Content-Length: 1", "Connection: keep-alive"], True),
    ],
)
def test_who_keeps_the_connection(lines: list[str], reusable: bool) -> None:
    """HTTP/1.1 keeps it unless told to close, HTTP/1.0 closes unless told to keep; also from the memo."""
    memo: HeadMemo[ResponseHead] = HeadMemo()
    for _ in range(2):
        assert read([message(*lines, body=b"x")], memo=memo).reusable is reusable


def test_chunks_in_http_1_0_are_read_but_not_trusted() -> None:
    """RFC 9112 6.1: faulty framing, so the connection is not used again."""
    data = message("HTTP/1.0 200 OK", CHUNKED, "Connection: keep-alive", body=b"1\r\nx\r\n0\r\n\r\n")
    reading = read([data])
    assert (reading.complete, reading.reusable, reading.pieces) == (True, False, [b"x"])


@pytest.mark.parametrize(("data", "to_head"), [case for case in RESPONSES if b"OK" in case[0]])
def test_bytes_behind_an_answer_spoil_the_connection(data: bytes, to_head: bool) -> None:
    """With the answer or after it, another answer or garbage: the answer stands, the connection does not."""
    plain = read([data], to_head)
    for surplus in (b"x", b"\r\nx", message(OK, "Content-Length: 0"), b"0\r\n\r\n"):
        for pieces in ([data + surplus], [data, surplus]):
            reading = read(pieces, to_head)
            assert reading.complete
            assert not reading.reusable
            assert b"".join(reading.pieces) == b"".join(plain.pieces)


@pytest.mark.parametrize(
    ("fields", "media"),
    [
        (b"Content-Type: application/json\r\n", JSON),
        (b"content-type: text/event-stream; charset=utf-8 \r\n", EVENTS),
        (b"Content-Encoding: gzip\r\nContent-Type: application/json\r\n", OTHER),
        (b"Content-Type: application/json\r\nContent-Encoding: br\r\nContent-Encoding: \r\n", OTHER),
        (b"Content-Type: application/json\r\nContent-Encoding: Identity\r\n", JSON),
        (b"", OTHER),
    ],
)
def test_where_tokens_would_be_found(fields: bytes, media: int) -> None:
    """By type and coding, in either order; of an interim head before it nothing is left. The fields go on."""
    interim = b"HTTP/1.1 103 Early Hints\r\nContent-Encoding: gzip\r\nContent-Type: text/event-stream\r\n\r\n"
    for before in (b"", interim):
        head = read([before + b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: 2\r\n\r\n{}"], False).head
        assert head is not None
        assert head.media == media
        assert len(head.parts) == 4 * fields.count(b"\r\n")
