"""Variables in values: what they become, and that they are never shown."""

from collections.abc import Mapping

import pytest

from gateway.settings.load import SettingsError, from_text
from gateway.settings.schema import Settings

SMALLEST = "pools: {default: {backends: [http://127.0.0.1:9001]}}"


def backend(text: str, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings whose only backend has the further keys in `text`, one on each line."""
    lines = "".join(f"        {line}\n" for line in text.splitlines())
    return from_text(f"pools:\n  a:\n    backends:\n      - url: http://h:1\n{lines}", environ or {})


def problems(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        from_text(text, environ or {}, file="f.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_variables_are_replaced_in_values() -> None:
    """Alone, within text, with a default, and escaped."""
    settings = backend(
        'name: ${N}\nlabels:\n  a: x-${N}-${M:-none}\n  b: $${N}\n  c: "${E:-empty}"', {"N": "gpu", "E": ""}
    )
    found = settings.pools["a"].backends[0]
    assert found.name == "gpu"
    assert found.labels == {"a": "x-gpu-none", "b": "${N}", "c": "empty"}


def test_a_value_that_is_one_variable_may_become_a_number_or_null() -> None:
    """`weight: ${W}` is the number; quotes make it text, which a number's key still reads."""
    settings = backend('weight: ${W}\nmax_in_flight: ${NONE:-}\nlabels: {w: "${W}"}', {"W": "2"})
    found = settings.pools["a"].backends[0]
    assert (found.weight, found.max_in_flight, found.labels) == (2.0, None, {"w": "2"})
    assert from_text(SMALLEST + '\nlimits: {max_connections: "${C}"}', {"C": "5"}).limits.max_connections == 5


def test_a_variable_cannot_become_yaml() -> None:
    """What looks like a mapping in the environment is text, and so is a further variable."""
    settings = backend("labels:\n  a: ${X}\n  b: ${Y}", {"X": "{b: c}", "Y": "${X}"})
    assert settings.pools["a"].backends[0].labels == {"a": "{b: c}", "b": "${X}"}


def test_missing_variables_are_named_all_at_once() -> None:
    """Each with its line; nothing else is said of the same value."""
    text = "admin: ${ADMIN}\npools:\n  a:\n    backends:\n      - http://${HOST}:1\n      - http://${}\n"
    unset = "accepted: a variable that is set; set {0}, or give a default: ${{{0}:-value}}"
    assert problems(text) == [
        'f.yaml:1: admin: found "${ADMIN}"; ' + unset.format("ADMIN"),
        'f.yaml:5: pools.a.backends[0]: found "http://${HOST}:1"; ' + unset.format("HOST"),
        'f.yaml:6: pools.a.backends[1]: found "http://${}"; '
        "accepted: ${NAME} or ${NAME:-default}, and $${ for a literal ${",
    ]


def test_what_a_variable_holds_is_never_shown() -> None:
    """Whatever is wrong with the value, every form of the error shows the variable's name only."""
    secret = "hunter2"
    text = """\
listen: ${S}
admin: ${S}
log: {level: '${S}'}
limits: {max_body: '${S}', max_connections: '${S}'}
trusted_proxies: ['${S}']
shutdown: {drain: '${S}'}
pools:
  a:
    policy: ${S}
    panic_below: ${S}
    backends:
      - {url: '${S}', weight: '${S}', tls: {ca: '${S}'}}
      - http://x:${S}@h
      - {url: http://h, name: '${S}'}
      - {url: http://h, name: '${S}'}
    health: {path: '${S}', expect: '${S}'}
    retries: {on: ['${S}'], budget: '${S}'}
routes:
  - {name: r, pool: '${S}', match: {path: '${S}'}, replayable: '${S}', fallback: ['${S}']}
"""
    with pytest.raises(SettingsError) as caught:
        from_text(text, {"S": secret})
    assert len(caught.value.problems) >= 20
    assert secret not in str(caught.value) + repr(caught.value) + repr(caught.value.problems)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_password_in_a_url_is_not_shown() -> None:
    """A URL with a password is refused, and its password left out of the refusal."""
    (problem,) = problems("pools: {a: {backends: ['http://me:hunter2@h']}}")
    assert "hunter2" not in problem
    assert "//***@h" in problem
