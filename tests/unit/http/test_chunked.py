"""A chunked body is what its encoder put in, however it is cut, and every oddity is refused."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.http.chunked import MAX_EXTENSIONS, MAX_LINE, MAX_TRAILER_FIELDS, ChunkedReader
from tests.unit.http.strict import Incomplete, Refused, parse_chunked

EXTENSIONS = [b"", b"", b";a", b";a=b", b' ; a = "x \\" ;y" ;b', b';q=""']
TRAILERS = [b"", b"", b"X: y\r\n", b"Content-Length: 5\r\nHost: evil\r\n"]


def encode(chunks: list[bytes], rng: random.Random) -> bytes:
    """`chunks` on the wire, with extensions, leading zeros, either case of digits, and trailers."""
    wire = b""
    for chunk in [*(c for c in chunks if c), b""]:
        size = b"%0*x" % (rng.choice((1, 1, 4, 16)), len(chunk))
        wire += rng.choice((size, size.upper())) + rng.choice(EXTENSIONS) + b"\r\n"
        if chunk:
            wire += chunk + b"\r\n"
    return wire + rng.choice(TRAILERS) + b"\r\n"


def decode(pieces: list[bytes]) -> tuple[bytes, bool, bytes]:
    """The body in `pieces`, whether it has ended, and what follows it."""
    reading, body, rest = ChunkedReader(), b"", b""
    for piece in pieces:
        if reading.done:
            rest += piece
        else:
            body += reading.feed(piece)
            rest = reading.rest
    return body, reading.done, rest


@given(st.lists(st.binary(max_size=40), max_size=6), st.binary(max_size=6), st.integers(), st.data())
@settings(max_examples=400, deadline=None)
def test_what_was_encoded_comes_out(chunks: list[bytes], rest: bytes, seed: int, data: st.DataObject) -> None:
    """Any chunks, in any spelling, cut anywhere: the same bytes, the end seen, what follows left alone."""
    wire = encode(chunks, random.Random(seed)) + rest
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=8))
    pieces = [wire[a:b] for a, b in pairwise([0, *sorted(cuts), len(wire)])]
    assert decode(pieces) == (b"".join(chunks), True, rest)
    assert decode([wire[i : i + 1] for i in range(len(wire))]) == (b"".join(chunks), True, rest)


@given(st.lists(st.binary(max_size=9), max_size=3), st.integers(), st.data())
@settings(max_examples=1500, deadline=None)
def test_mutations_are_refused_or_agreed_on(chunks: list[bytes], seed: int, data: st.DataObject) -> None:
    """A damaged body is refused, unfinished, or says the same to a strict reader; never anything else."""
    wire = encode(chunks, random.Random(seed))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(wire)))
        piece = data.draw(st.sampled_from([b"\r", b"\n", b"\r\n", b"\0", b" ", b";", b"0", b'"', b"+", b"x"]))
        wire = wire[:at] + piece + wire[at + data.draw(st.integers(0, 2)) :]
    cut = data.draw(st.integers(0, len(wire)))
    try:
        body, done, rest = decode([wire])
    except GatewayError:
        with pytest.raises(GatewayError):
            decode([wire[:cut], wire[cut:]])
        return
    assert decode([wire[:cut], wire[cut:]]) == (body, done, rest)
    if done:
        assert parse_chunked(wire) == (body, rest)
    else:
        with pytest.raises((Incomplete, Refused)):
            parse_chunked(wire)


REFUSED = [
    b"g\r\n",
    b"+5\r\n",
    b"-5\r\n",
    b"0x5\r\n",
    b"5_0\r\n",
    b" 5\r\n",
    b"5 \r\n",
    b"\r\n",
    b"\xd9\xa5\r\n",
    b"00000000000000005\r\n",
    b"5\nhello",
    b"5\rhello",
    b"5\r\nhello!",
    b"5\r\nhello\n0\r\n\r\n",
    b"5\r\nhello\r0\r\n\r\n",
    b"5;\r\n",
    b"5;a=\r\n",
    b"5;=b\r\n",
    b"5;a\n\r\n",
    b"5;a\0\r\n",
    b'5;a="b\r\n',
    b'5;a="b\r\nc"\r\n',
    b"5;a\x7f\r\n",
    b"5;" + b"a" * MAX_LINE,
    b"0\r\nX\r\n\r\n",
    b"0\r\n X: y\r\n\r\n",
    b"0\r\nX : y\r\n\r\n",
    b"0\r\n: y\r\n\r\n",
    b"0\r\nX: y\n\r\n",
    b"0\r\nX: \0\r\n\r\n",
    b"0\r\n\nX",
    b"0\r\n\rX",
]


@pytest.mark.parametrize("wire", REFUSED)
def test_oddities_are_refused(wire: bytes) -> None:
    """Whole or byte by byte, each of these ends the connection with 400."""
    for pieces in ([wire], [wire[i : i + 1] for i in range(len(wire))]):
        with pytest.raises(GatewayError) as caught:
            decode(pieces)
        assert caught.value.rule.status == 400
        assert caught.value.close


def test_extensions_are_bounded_in_sum() -> None:
    """Many small extensions are as bad as a large one."""
    one = b"1;" + b"a" * 200 + b"\r\nz\r\n"
    assert decode([one * (MAX_EXTENSIONS // 201)])[0] == b"z" * (MAX_EXTENSIONS // 201)
    with pytest.raises(GatewayError):
        decode([one * (MAX_EXTENSIONS // 201 + 1)])


def test_trailers_are_bounded() -> None:
    """Trailers are read, counted and dropped; too many, or too long ones, are refused."""
    field = b"X: y\r\n"
    assert decode([b"0\r\n" + field * MAX_TRAILER_FIELDS + b"\r\n"]) == (b"", True, b"")
    for trailers in [
        field * (MAX_TRAILER_FIELDS + 1),
        (b"X: " + b"y" * 4100 + b"\r\n") * 2,
        b"X: " + b"y" * 9000,
    ]:
        with pytest.raises(GatewayError):
            decode([b"0\r\n" + trailers + b"\r\n"])


def test_nothing_is_kept_of_what_was_delivered() -> None:
    """A body that streams through leaves no more than part of a line behind."""
    reading = ChunkedReader()
    for _ in range(50):
        assert len(reading.feed(b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n")) == 0xFFFF
        assert len(reading._buffer) <= MAX_LINE


def test_tiny_chunks_cost_no_more_than_their_bytes() -> None:
    """What is read once is not copied again for each chunk: work grows with the bytes, not their square."""

    class Counting(bytes):
        copied = 0

        def __getitem__(self, key):  # type: ignore[no-untyped-def]
            found = bytes.__getitem__(self, key)
            if isinstance(found, bytes):
                Counting.copied += len(found)
            return found

    wire = Counting(b"1\r\nz\r\n" * 2000)
    assert ChunkedReader().feed(wire) == b"z" * 2000
    assert Counting.copied <= 2 * len(wire)
