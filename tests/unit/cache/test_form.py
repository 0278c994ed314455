"""Multipart bodies are the same whatever their boundaries, and only then."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cache.canonical import Canonical, canonical_body
from gateway.cache.form import MAX_PARTS

FILE = b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
BOUNDARIES = st.text("abXY01-_", min_size=1, max_size=6).map(str.encode)


def form(boundary: bytes, parts: list[bytes], end: bytes = b"--\r\n") -> bytes:
    return b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + boundary + end


def field(name: str, value: str) -> bytes:
    return f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode()


def read(boundary: bytes, body: bytes) -> Canonical:
    return canonical_body(body, b"multipart/form-data; boundary=" + boundary, frozenset())


PARTS = st.lists(
    st.lists(
        st.sampled_from(
            [b"a", b"--", b"\r\n", b"\n", b"ab", b"--ab", b"\r\n--", b"XY", b"--X", b"\r\n--b", b"0"]
        ),
        max_size=6,
    ).map(b"".join),
    min_size=1,
    max_size=3,
)


@settings(max_examples=1000)
@given(BOUNDARIES, PARTS, BOUNDARIES, PARTS)
def test_equal_parts_are_equal_forms(b1: bytes, parts1: list[bytes], b2: bytes, parts2: list[bytes]) -> None:
    """Two forms that are read as such share a digest exactly when their parts are the same, one by one."""
    for others in (parts1, parts2):
        one, two = read(b1, form(b1, parts1)), read(b2, form(b2, others))
        # A part with the boundary in it is several, or in doubt.
        whole = not any(b"--" + b in part for b, parts in ((b1, parts1), (b2, others)) for part in parts)
        if whole:
            assert one.form == two.form == "multipart"
            assert (one.digest == two.digest) == (parts1 == others)
        elif b1 != b2:
            assert one.digest != two.digest


def test_a_new_boundary_is_the_same_form() -> None:
    """As every HTTP library draws one for each request."""
    parts = [FILE + b"RIFF\r\n\x00\xff--", field("model", "whisper-1")]
    one, two = (read(name, form(name, parts)) for name in (b"----WebKitFormBoundaryX", b"4f2a"))
    assert one.form == two.form == "multipart"
    assert one.digest == two.digest
    assert one.why == ""


@pytest.mark.parametrize(
    "other",
    [
        [field("model", "whisper-1"), FILE + b"RIFF"],
        [FILE.replace(b"a.wav", b"b.wav") + b"RIFF", field("model", "whisper-1")],
        [FILE + b"RIFX", field("model", "whisper-1")],
        [FILE + b"RIFF", field("model", "whisper-2")],
        [FILE + b"RIFF"],
        [FILE + b"RIFF", field("model", "whisper-1"), field("user", "me")],
    ],
)
def test_order_headers_and_content_count(other: list[bytes]) -> None:
    """Every byte of every part, and which comes first."""
    parts = [FILE + b"RIFF", field("model", "whisper-1")]
    assert read(b"x", form(b"x", parts)).digest != read(b"x", form(b"x", other)).digest


@pytest.mark.parametrize(
    "body",
    [
        b"hello",
        b"preamble\r\n" + form(b"x", [b"a"]),
        form(b"x", [b"a"], end=b"\r\n"),
        form(b"x", [b"a\n--x\r\nb"]),
        form(b"x", [b"a\r\n--xy"]),
        form(b"x", [b"a --x"]),
        form(b"x", [b""] * (MAX_PARTS + 1)),
    ],
)
def test_a_form_that_can_be_cut_in_two_ways_counts_byte_by_byte(body: bytes) -> None:
    """It is raw, says why, and counts its boundary in."""
    one = read(b"x", body)
    assert one.form == "raw"
    assert one.why
    assert read(b"x", body).digest == one.digest != read(b"y", body).digest


@pytest.mark.parametrize(
    ("fields", "sampled"),
    [
        ([], False),
        ([("temperature", "0")], False),
        ([("temperature", "0.4")], True),
        ([("temperature", "0.4"), ("seed", "1")], False),
        ([("temperature", "0.4"), ("seed", "")], True),
        ([("n", "2")], True),
        ([("n", "1")], False),
        ([("prompt", "temperature")], False),
    ],
)
def test_which_forms_are_answered_by_lot(fields: list[tuple[str, str]], sampled: bool) -> None:
    """By the fields of the same names as JSON's members."""
    parts = [FILE + b"RIFF", *(field(*one) for one in fields)]
    assert read(b"x", form(b"x", parts)).sampled is sampled
