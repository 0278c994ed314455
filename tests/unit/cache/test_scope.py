"""Nobody is given the answers of another circle of callers."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.cache.scope import ACCEPTED_SCOPE, CREDENTIALS, parse_scope, prefixed
from tests.unit.cache.heads import head

SALT = b"salt" * 8
NAMES = st.sampled_from(
    [b"Authorization", b"authorization", b"X-Api-Key", b"api-key", b"Cookie", b"X-Team", b"Accept"]
)
FIELDS = st.lists(
    st.tuples(NAMES, st.sampled_from([b"", b"a", b"b", b"ab", b"aa", b"a, b", b"\x00", b"authorization"])),
    max_size=4,
)


@example(
    [(b"X-Team", b"authorization")], [(b"Authorization", b"authorization")], "header:x-team,authorization"
)
@given(FIELDS, FIELDS, st.sampled_from(["credential", "header:x-team", "header:X-Team,authorization"]))
def test_a_circle_is_its_fields_values(
    a: list[tuple[bytes, bytes]], b: list[tuple[bytes, bytes]], text: str
) -> None:
    """Equal exactly when every field that is looked at has the same values in the same order."""
    rule = parse_scope(text)

    def seen(fields: list[tuple[bytes, bytes]]) -> list[list[bytes]]:
        return [[value for name, value in fields if name.lower() == looked_at] for looked_at in rule.names]

    assert (rule.circle(head(*a), SALT) == rule.circle(head(*b), SALT)) == (seen(a) == seen(b))


@pytest.mark.parametrize("name", CREDENTIALS)
def test_every_credential_counts(name: bytes) -> None:
    """Its value, its absence, its emptiness, and a second one."""
    rule = parse_scope("credential")
    heads = [
        head(),
        head((name.title(), b"")),
        head((name, b"a")),
        head((name, b"b")),
        head((name, b"a"), (name, b"a")),
        head((b"X-Other", b"a")),
    ]
    circles = [rule.circle(one, SALT) for one in heads]
    assert len(set(circles)) == 5
    assert circles[0] == circles[5]


def test_rules_never_share_a_circle() -> None:
    """The same values under another rule, or another salt, are another circle."""
    one = head((b"Authorization", b"a"), (b"X-Team", b"a"))
    rules = [parse_scope(text) for text in ("credential", "shared", "header:authorization", "header:x-team")]
    assert len({rule.circle(one, SALT) for rule in rules}) == 4
    assert len({rule.circle(head(), SALT) for rule in rules}) == 4
    assert rules[0].circle(one, SALT) != rules[0].circle(one, b"other")
    assert rules[1].circle(one, SALT) == rules[1].circle(head(), b"other")


def test_nothing_shows_a_credential() -> None:
    """Neither the bytes that go into the key nor a repr."""
    rule = parse_scope("credential")
    assert b"secret" not in rule.circle(head((b"Authorization", b"secret")), SALT)
    assert "secret" not in repr(rule)
    assert repr(parse_scope("header:X-Team")) == "<ScopeRule header x-team>"


def test_scopes_that_can_be_written() -> None:
    """Names in lower case, each once."""
    assert parse_scope("credential").names == CREDENTIALS
    assert (parse_scope("shared").kind, parse_scope("shared").names) == ("shared", ())
    assert parse_scope("header:X-Team, x-user,x-team").names == (b"x-team", b"x-user")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Shared",
        "credential:x",
        "shared:",
        "header",
        "header:",
        "header:a,",
        "header:a b",
        "header:é",
        "user:a",
        "header:" + ",".join(f"a{n}" for n in range(17)),
    ],
)
def test_others_say_what_is_accepted(text: str) -> None:
    """A ValueError, for the configuration to show."""
    with pytest.raises(ValueError, match="accepted") as told:
        parse_scope(text)
    assert ACCEPTED_SCOPE in str(told.value)


@given(st.lists(st.binary(max_size=3), max_size=4), st.lists(st.binary(max_size=3), max_size=4))
def test_lengths_leave_no_doubt(a: list[bytes], b: list[bytes]) -> None:
    """No two lists of parts are the same bytes."""
    assert (prefixed(a) == prefixed(b)) == (a == b)
