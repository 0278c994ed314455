"""YAML itself: what is read, and what is refused before any key is looked at."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.settings import nodes
from gateway.settings.load import SettingsError, from_text


def refused(text: str) -> list[tuple[int | None, str, str]]:
    """(line, path, found) of every problem in `text`."""
    with pytest.raises(SettingsError) as caught:
        from_text(text, {}, file="f.yaml")
    return [(problem.line, problem.path, problem.found) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("pools: [", 1, "YAML that cannot be read"),
        ("a: 1\nb: : 2", 2, "YAML that cannot be read"),
        ("a: *nowhere", 1, "undefined alias"),
        ("a: 1\n---\nb: 1", 2, "another document"),
        ("a: \x01", None, "a character that YAML does not allow"),
        ("[" * 3000, None, "nested too deeply"),
        ("- 1", 1, "a list"),
        ("text", 1, '"text"'),
        (
            "a: !!python/object/apply:os.system [exit]",
            1,
            "the tag tag:yaml.org,2002:python/object/apply:os.system",
        ),
        ("? [a]\n: 1", 1, "a key that is a list or a mapping"),
        ("a: {<<: 1}", 1, "<< with something else than a mapping"),
    ],
)
def test_yaml_that_is_no_configuration(text: str, line: int | None, found: str) -> None:
    """Syntax, several documents, tags and odd keys are refused with their line."""
    assert any(at == line and found in what for at, _, what in refused(text))


def test_a_variable_in_braces_gets_a_hint() -> None:
    """YAML's own message about `{a: ${B}}` helps nobody."""
    with pytest.raises(SettingsError, match=r'stands in quotes: "\$\{NAME\}"'):
        from_text("log: {level: ${LEVEL}}", {"LEVEL": "info"})


def test_an_empty_file_says_what_is_needed() -> None:
    """The refusal of an empty file shows the smallest good one."""
    for text in ("", "# nothing\n", "{}"):
        with pytest.raises(
            SettingsError, match="pools: found nothing; accepted: a mapping of pools; the smallest"
        ):
            from_text(text, {})


def test_duplicate_keys_are_refused_with_both_lines() -> None:
    """At every depth; YAML would silently keep the last."""
    text = "pools:\n  a:\n    backends: [http://h]\n  a:\n    backends: [http://i]\npools: {}\n"
    assert refused(text) == [
        (4, "pools.a", "the key again (first on line 2)"),
        (6, "pools", "the key again (first on line 1)"),
    ]


def test_aliases_and_merges_work() -> None:
    """An anchored mapping can be used again, and overridden key by key; what is written wins over `<<`."""
    text = """\
pools:
  a: &pool
    backends: [http://h:1]
    timeouts: &t {connect: 1s, total: 9s}
  b:
    <<: *pool
    timeouts: {<<: *t, total: 5s}
  c: *pool
"""
    pools = from_text(text, {}).pools
    assert [pools[name].timeouts.total for name in "abc"] == [9.0, 5.0, 9.0]
    assert [pools[name].timeouts.connect for name in "abc"] == [1.0, 1.0, 1.0]
    assert pools["b"].backends == pools["a"].backends == pools["c"].backends


@pytest.mark.parametrize(
    "bomb",
    [
        "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)),
        "a0: &a0 {k: v}\n"
        + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 9)),
        "a: &a [*a]",
        "a: &a {b: *a}",
        "a: &a {<<: *a}",
    ],
    ids=["aliases", "merges", "list in itself", "mapping in itself", "merge of itself"],
)
def test_alias_bombs_are_refused_early(bomb: str) -> None:
    """A few lines that would expand without end cost no more than the bound."""
    ((_, path, found),) = refused(bomb)
    assert path == ""
    assert str(nodes.MAX_VALUES) in found or "too deeply" in found


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab:-[]{}&*!|>\"'#,? \n\t$%@`<0.", max_size=60))
def test_any_text_is_settings_or_refused(text: str) -> None:
    """No text leads to another exception."""
    with pytest.raises(SettingsError):
        from_text(text, {})
