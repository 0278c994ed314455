"""What a Content-Type says about how a body is compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.media import BYTES, FORM, JSON, UNSAID, read_media


@pytest.mark.parametrize(
    ("content_type", "kind", "text"),
    [
        (b"", UNSAID, b""),
        (b"application/json", JSON, b"application/json"),
        (b" Application/JSON ;  Charset=UTF-8", JSON, b'application/json;charset="utf-8"'),
        (b'application/json;charset="utf-8";', JSON, b'application/json;charset="utf-8"'),
        (b"application/vnd.api+json", JSON, b"application/vnd.api+json"),
        (b"application/json; charset=utf-16", BYTES, b'application/json;charset="utf-16"'),
        (b"application/jsonl", BYTES, b"application/jsonl"),
        (b"text/json", BYTES, b"text/json"),
        (b"multipart/form-data; boundary=Abc", FORM, b"multipart/form-data"),
        (b'multipart/related; boundary="a b"; type=X', FORM, b'multipart/related;type="X"'),
        (b"multipart/form-data", BYTES, b"multipart/form-data"),
        (
            b"multipart/form-data; boundary=a; boundary=b",
            BYTES,
            b'multipart/form-data;boundary="a";boundary="b"',
        ),
        (b'multipart/form-data; boundary="a "', BYTES, b'multipart/form-data;boundary="a "'),
        (b'multipart/form-data; boundary="a\\b"', BYTES, b'?multipart/form-data; boundary="a\\b"'),
        (b"multipart/form-data; boundary=a=b", BYTES, b"?multipart/form-data; boundary=a=b"),
        (b"application/json, text/plain", BYTES, b"?application/json, text/plain"),
        (b"json", BYTES, b"?json"),
    ],
)
def test_types(content_type: bytes, kind: int, text: bytes) -> None:
    """JSON and forms are read only where nothing is in doubt; texts are equal for equal types."""
    media = read_media(content_type)
    assert (media.kind, media.text) == (kind, text)


def test_a_coded_body_is_no_json() -> None:
    """Nor is it a form: its bytes are compared, under the type's whole text."""
    for content_type in (b"", b"application/json", b"multipart/form-data; boundary=x"):
        assert read_media(content_type, plain=False).kind == BYTES
    assert b"boundary" in read_media(b"multipart/form-data; boundary=x", plain=False).text


@given(
    st.lists(
        st.sampled_from([b"a", b"/", b";", b"=", b'"', b" ", b"x", b"charset", b"boundary", b"multipart"])
    )
)
def test_no_type_is_too_odd(pieces: list[bytes]) -> None:
    """Whatever stands there gives a text, and the text is read as itself."""
    media = read_media(b"".join(pieces))
    if media.kind != FORM and not media.text.startswith(b"?"):
        assert read_media(media.text).text == media.text
