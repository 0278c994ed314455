"""Probes add up to a phase: quickly in at the start, slowly out, more slowly back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.health.state import HealthRule, HealthState, Phase, parse_expect

RULE = HealthRule(interval_s=5.0, rise=2, fall=3)


def after(results: str, rule: HealthRule = RULE) -> HealthState:
    state = HealthState(rule)
    for second, result in enumerate(results):
        state.observe(result == "+", float(second))
    return state


@pytest.mark.parametrize(
    ("results", "phase"),
    [
        ("", Phase.STARTING),
        ("+", Phase.UP),
        ("--", Phase.STARTING),
        ("---", Phase.DOWN),
        ("--+", Phase.UP),
        ("+--", Phase.UP),
        ("+--+--", Phase.UP),
        ("+---", Phase.DOWN),
        ("+---+", Phase.DOWN),
        ("+---+-+", Phase.DOWN),
        ("+---++", Phase.UP),
    ],
)
def test_what_probes_add_up_to(results: str, phase: Phase) -> None:
    """+ is a good probe, - a bad one; rise 2, fall 3."""
    assert after(results).phase is phase


@given(st.text("+-", max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_phases_change_only_after_enough_probes_in_a_row(results: str, rise: int, fall: int) -> None:
    """Up to down needs `fall` bad ones at the end of what was seen, down to up `rise` good ones."""
    state = HealthState(HealthRule(rise=rise, fall=fall))
    for end in range(1, len(results) + 1):
        before = state.phase
        changed = state.observe(results[end - 1] == "+", float(end))
        assert changed == (state.phase is not before)
        if changed and state.phase is Phase.DOWN:
            assert results[:end].endswith("-" * fall)
        if changed and before is Phase.DOWN:
            assert results[:end].endswith("+" * rise)


def test_it_is_asked_again_soon_while_undecided() -> None:
    """Settled: up or down with nothing speaking against it."""
    settled = [results for results in ("", "-", "+", "+-", "+---", "+---+") if after(results).settled]
    assert settled == ["+", "+---"]


def test_nobody_probes_means_up() -> None:
    """Without a rule the phase is up and stays so; taking the rule away brings up what was down."""
    state = HealthState(None)
    state.observe(False, 1.0)
    assert (state.phase, state.next_probe_s(1.0)) == (Phase.UP, None)
    down = after("---")
    down.adopt(None)
    assert down.phase is Phase.UP


def test_another_rule_keeps_the_phase() -> None:
    """A reload that changes the interval does not bring a broken backend up."""
    down = after("---")
    down.adopt(HealthRule(interval_s=1.0))
    assert down.phase is Phase.DOWN


def test_the_next_probe_is_foreseen() -> None:
    """An interval after the last one, soon while undecided, never in the past."""
    down = after("---")  # the last at 2.0
    assert down.next_probe_s(4.0) == 3.0
    assert down.next_probe_s(60.0) == 0.0
    assert after("+-").next_probe_s(4.0) == 1.0
    assert HealthState(HealthRule(interval_s=0.5)).next_probe_s(0.0) == 0.5


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("200-399", ((200, 399),)),
        ("200,204", ((200, 200), (204, 204))),
        ("200 , 300-302", ((200, 200), (300, 302))),
    ],
)
def test_expect_is_read(text: str, ranges: tuple[tuple[int, int], ...]) -> None:
    """Codes, ranges and mixtures."""
    assert parse_expect(text) == ranges


@pytest.mark.parametrize("text", ["", "ok", "399-200", "2xx", "200,", "99", "200-600", "-200"])
def test_other_expectations_are_refused(text: str) -> None:
    """The message shows how it is written."""
    with pytest.raises(ValueError, match="200-399 or 200,204"):
        parse_expect(text)
