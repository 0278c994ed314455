"""Requests have the same key exactly when everything that decides their answer is the same."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cache.canonical import canonical_body
from gateway.cache.key import MAX_HEAD, MAX_HEADS, MAX_SHORT, KeyMaker
from gateway.cache.scope import parse_scope
from gateway.messages import RequestHead
from tests.unit.cache.heads import head
from tests.unit.cache.reference import pairs_of_bodies

SALT = b"salt" * 8
IGNORE = frozenset(("user", "stream_options"))
BODY = b'{"model":"m","temperature":1}'


def maker(
    route: str = "chat", scope: str = "credential", ignore: frozenset[str] = IGNORE, bodies: int = 4096
) -> KeyMaker:
    return KeyMaker(route, ignore, parse_scope(scope), SALT, bodies)


def digest(one: RequestHead, body: bytes = BODY, pool: str = "p", identity: str = "i") -> bytes:
    return maker().key(one, body, pool, identity).digest


ALICE, BOB = (b"Authorization", b"Bearer alice"), (b"Authorization", b"Bearer bob")


def test_no_two_of_these_share_a_key() -> None:
    """Credentials, methods, routes, pools, models, hosts, paths, queries, types, codings, bodies, rules."""
    gzip = (b"Content-Encoding", b"gzip")
    claimed = head(ALICE, method="GET")
    claimed.claims = {b"x-forwarded-host": b"elsewhere"}
    digests = [
        digest(head()),
        digest(head(ALICE)),
        digest(head(BOB)),
        digest(head(ALICE, BOB)),
        digest(head((b"X-Api-Key", b"Bearer alice"))),
        digest(head(ALICE, method="GET")),
        digest(head(ALICE), pool="q"),
        digest(head(ALICE), pool="pi", identity=""),
        digest(head(ALICE), pool="", identity="pi"),
        digest(head(ALICE), identity="j"),
        digest(head(ALICE, method="GET", host=b"other")),
        digest(claimed),
        digest(head(ALICE, target=b"/v1/chat/completions/")),
        digest(head(ALICE, target=b"/v1/chat/completions?")),
        digest(head(ALICE, target=b"/v1/chat/completions?a=1")),
        digest(head(ALICE, target=b"/v1/chat/completions?a=1&a=1")),
        digest(head(ALICE, target=b"/v1/chat/completions?A=1")),
        digest(head(ALICE, target=b"/v1/chat%2Fcompletions")),
        digest(head(ALICE, content_type=b"")),
        digest(head(ALICE, content_type=b"text/plain")),
        digest(head(ALICE, content_type=b"application/json;charset=utf-8")),
        digest(head(ALICE, (b"content-type", b"application/json"))),
        digest(head(ALICE, gzip)),
        digest(head(ALICE, gzip, gzip)),
        digest(head(ALICE), b""),
        digest(head(ALICE), b'{"model":"n","temperature":1}'),
        maker(route="other").key(head(ALICE), BODY, "p", "i").digest,
        maker(scope="shared").key(head(ALICE), BODY, "p", "i").digest,
        maker(scope="header:authorization").key(head(ALICE), BODY, "p", "i").digest,
        maker(ignore=frozenset()).key(head(ALICE), BODY, "p", "i").digest,
        KeyMaker("chat", IGNORE, parse_scope("credential"), b"other").key(head(ALICE), BODY, "p", "i").digest,
    ]
    assert len(set(digests)) == len(digests)
    assert {len(one) for one in digests} == {32}


def test_what_makes_no_difference() -> None:
    """HEAD is GET; the spelling of body, type and host; fields that are not looked at; who made the key."""
    get, head_ = (head(ALICE, method=method, content_type=b"") for method in ("GET", "HEAD"))
    assert digest(get, b"") == digest(head_, b"")
    other = head((b"X-Request", b"7"), ALICE, host=b"GATEWAY:8080", content_type=b"Application/Json ")
    assert digest(head(ALICE)) == digest(other, b'{ "temperature": 1.0, "user": "x", "model": "m" }')
    forms = [
        digest(
            head(content_type=b"multipart/form-data; boundary=" + name),
            b"--%b\r\n\r\na\r\n--%b--" % (name, name),
        )
        for name in (b"x", b"y")
    ]
    assert forms[0] == forms[1]


def test_replicas_share_keys_whatever_they_are_called() -> None:
    """The port they listen on makes no difference, nor does a computation's host; where a page is does."""

    def of(method: str, host: bytes) -> bytes:
        return digest(head(ALICE, method=method, host=host), BODY if method == "POST" else b"")

    assert of("POST", b"one:8080") == of("POST", b"two") == of("POST", b"[::1]:80")
    assert of("GET", b"one:8080") == of("GET", b"One") == of("GET", b"one:")
    assert len({of("GET", host) for host in (b"one", b"two", b"[::1]", b"[::1]:80", b"[::2]:80")}) == 4


def test_shared_is_shared() -> None:
    """Whoever asks."""
    keys = {maker(scope="shared").key(one, BODY, "p", "i").digest for one in (head(), head(ALICE), head(BOB))}
    assert len(keys) == 1


def test_a_coded_body_is_not_read() -> None:
    """What is gzip is no JSON, even if it looks so, nor a form; two types are none."""
    spaced = b'{ "model": "m", "temperature": 1 }'
    for more in ((b"Content-Encoding", b"br"), (b"Content-Type", b"application/json")):
        one = head(more)
        assert maker().key(one, BODY, "p", "i").form == "raw"
        assert digest(one) != digest(one, spaced)


@pytest.mark.parametrize(
    ("body", "form", "sampled"), [(b"", "empty", False), (BODY, "json", True), (b"[", "raw", False)]
)
def test_the_key_says_what_was_seen(body: bytes, form: str, sampled: bool) -> None:
    """The first time and when it is remembered."""
    one, keys = head(), maker()
    for _ in range(2):
        keyed = keys.key(one, body, "p", "i")
        assert (keyed.form, keyed.sampled) == (form, sampled)


def test_the_digest_is_of_context_and_body() -> None:
    """In two steps: the canonical body behind the digest of all else."""
    keys, one = maker(), head(ALICE)
    for body in (BODY, b"", b"[1", b"[1.0]"):
        parts = b"".join(len(part).to_bytes(8, "big") + part for _, part in keys.parts(one, "p", "i"))
        context = sha256(b"\x02" + parts).digest()
        read = canonical_body(body, b"application/json", IGNORE)
        assert keys.key(one, body, "p", "i").digest == sha256(context + read.text).digest()


@st.composite
def requests(draw: st.DrawFn) -> tuple[RequestHead, bytes, str, str]:
    bodies = draw(pairs_of_bodies())
    boundary = draw(st.sampled_from([b"x", b"y"]))
    content_type = draw(
        st.sampled_from(
            [b"", b"application/json", b"text/plain", b"multipart/form-data; boundary=" + boundary]
        )
    )
    body = draw(st.sampled_from([*bodies, b"", b"--x\r\n\r\na\r\n--x--", b"--y\r\n\r\na\r\n--y--"]))
    fields = draw(st.lists(st.sampled_from([ALICE, BOB, (b"X-Team", b"a")]), max_size=2))
    pool, identity = draw(st.sampled_from([("p", "i"), ("p", "j"), ("q", "i")]))
    return head(*fields, content_type=content_type), body, pool, identity


@settings(max_examples=300)
@given(st.lists(requests(), max_size=6), st.lists(st.integers(0, 5), max_size=20), st.integers(1, 4))
def test_remembering_changes_nothing(
    known: list[tuple[RequestHead, bytes, str, str]], order: list[int], bodies: int
) -> None:
    """Keys are those of a maker that sees its first request, whatever was seen and forgotten before."""
    keys = maker(bodies=bodies)
    for at in order:
        if at < len(known):
            remembered, fresh = keys.key(*known[at]), maker().key(*known[at])
            assert (remembered.digest, remembered.sampled, remembered.form) == (
                fresh.digest,
                fresh.sampled,
                fresh.form,
            )


def test_one_body_under_two_boundaries_is_two_forms() -> None:
    """The same bytes are remembered apart where they are read differently."""
    keys, body = maker(), b"--x\r\n\r\na\r\n--x--"
    read = [
        keys.key(head(content_type=b"multipart/form-data; boundary=" + name), body, "p", "i")
        for name in (b"x", b"y")
    ]
    assert [one.form for one in read] == ["multipart", "raw"]


@pytest.mark.parametrize("size", [MAX_SHORT - 1, MAX_SHORT, MAX_SHORT + 1, 4 * MAX_SHORT])
def test_bodies_of_every_length_are_remembered(size: int) -> None:
    """Asked again and again it is the very key, also with another head that means the same; a short body's
    from its second time on."""
    keys = maker()
    body = b'{"a":"%b"}' % (b"x" * (size - 8))
    first = keys.key(head(), body, "p", "i")
    again = [keys.key(head((b"X-Trace", b"1")), bytes(bytearray(body)), "p", "i") for _ in range(4)]
    assert {one.digest for one in again} == {first.digest}
    assert len({id(one) for one in again}) == 1
    assert (first is again[0]) == (size > MAX_SHORT)
    assert keys.remembered[1] == 1
    assert keys.key(head(), body.replace(b"x", b"y", 1), "p", "i").digest != first.digest
    assert len(body) == size


def test_memory_is_bounded() -> None:
    """Bodies, heads and long heads: the older half goes at the bound, long heads are not kept."""
    keys, one = maker(bodies=10), head()
    for number in range(1000):
        keys.key(one, b"[%d]" % number, "p", "i")
    assert keys.remembered[0] == 1
    assert 5 <= keys.remembered[1] <= 10
    for _ in range(MAX_HEADS * 2 + 10):
        keys.key(head(), b"", "p", "i")
    assert keys.remembered[0] <= MAX_HEADS
    before = keys.remembered[0]
    keys.key(head((b"X-Long", b"a" * MAX_HEAD)), b"", "p", "i")
    assert keys.remembered[0] == before


def test_a_head_is_kept_as_long_as_it_is_remembered() -> None:
    """Heads are told apart by identity: one that was let go could give its place to another."""
    keys = maker()
    digests = set()
    for number in range(200):
        digests.add(keys.key(head((b"Authorization", b"%d" % number)), b"", "p", "i").digest)
    assert len(digests) == 200


def test_no_repr_shows_a_secret() -> None:
    """Nor do the parts the key is made of."""
    keys, one = maker(), head((b"Authorization", b"secret"), (b"Cookie", b"secret"))
    shown = repr(keys) + repr(keys.key(one, b'{"secret":1}', "p", "i")) + repr(keys.parts(one, "p", "i"))
    assert "secret" not in shown
