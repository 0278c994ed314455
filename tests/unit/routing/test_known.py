"""Bodies that come again say what they said, whatever is remembered."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.body import read_body
from gateway.routing.known import MOST, KnownBodies

BODIES = st.one_of(
    st.sampled_from([b"{}", b'{"model":"a"}', b'{"model":"a","stream":true}', b'{"model":1}', b"{", b"{x}"]),
    st.binary(max_size=20).map(lambda rest: b"{" + rest),
    st.just(b'{\r\n--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nb\r\n--x--'),
)
TYPES = st.sampled_from([b"application/json", b"", b"multipart/form-data; boundary=x", b"Multipart/Mixed"])


@given(st.lists(st.tuples(BODIES, TYPES), max_size=30))
def test_it_says_what_reading_says(asked: list[tuple[bytes, bytes]]) -> None:
    """Each time, under each type: a form's facts depend on its type."""
    known = KnownBodies()
    for body, content_type in asked:
        assert known.facts(body, content_type) == read_body(body, content_type)


def test_it_is_bounded() -> None:
    """At the bound the older half goes, of those that came once and of those that came again."""
    known = KnownBodies()
    for number in range(MOST + 1):
        known.facts(b'{"model":"%d"}' % number, b"")
    assert len(known) == MOST // 2 + 1
    for number in range(-1, -MOST - 2, -1):
        for _ in range(2):
            known.facts(b'{"model":"%d"}' % number, b"")
    assert len(known) == MOST // 2 + 1 + MOST // 2 + 1
