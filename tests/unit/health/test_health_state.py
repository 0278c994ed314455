"""Probes add up to a phase: quickly in at the start, slowly out, more slowly back; loading is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.health.state import RESULTS, STEPS, HealthRule, HealthState, Phase, Result, parse_expect

RULE = HealthRule(interval_s=5.0, rise=2, fall=3)
SIGNS: dict[str, Result] = {"+": "success", "-": "failure", "o": "loading", ".": "skipped"}


def after(results: str, rule: HealthRule = RULE) -> HealthState:
    state = HealthState(rule)
    for second, sign in enumerate(results):
        state.observe(SIGNS[sign], float(second))
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
        ("o", Phase.LOADING),
        ("+o", Phase.LOADING),
        ("---o", Phase.LOADING),
        ("ooooo", Phase.LOADING),
        ("o+", Phase.UP),
        ("---o+", Phase.UP),
        ("o--", Phase.LOADING),
        ("o--o--", Phase.LOADING),
        ("o---", Phase.DOWN),
        ("o---+", Phase.DOWN),
        ("+...", Phase.UP),
    ],
)
def test_what_probes_add_up_to(results: str, phase: Phase) -> None:
    """+ is a good probe, - a bad one, o one that says loading, . one left out; rise 2, fall 3."""
    assert after(results).phase is phase


@given(st.text("+-o", max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_phases_change_only_after_enough_probes_in_a_row(results: str, rise: int, fall: int) -> None:
    """Down needs `fall` bad ones at the end of what was seen, up from down `rise` good ones; loading one."""
    state = HealthState(HealthRule(rise=rise, fall=fall))
    for end in range(1, len(results) + 1):
        before = state.phase
        changed = state.observe(SIGNS[results[end - 1]], float(end))
        assert changed == (state.phase is not before)
        if changed and state.phase is Phase.DOWN:
            assert results[:end].endswith("-" * fall)
        if changed and before is Phase.DOWN and state.phase is Phase.UP:
            assert results[:end].endswith("+" * rise)
        assert (state.phase is Phase.LOADING) >= (results[end - 1] == "o")


def test_down_and_loading_get_no_work() -> None:
    """Starting may: a gateway serves from its first second."""
    unfit = {phase for phase in Phase if _in(phase).unfit}
    assert unfit == {Phase.DOWN, Phase.LOADING}


def _in(phase: Phase) -> HealthState:
    state = HealthState(RULE)
    state.phase = phase
    return state


def test_every_step_is_possible() -> None:
    """The table names results that there are, and no phase leads to itself."""
    assert {result for _, result in STEPS} == set(RESULTS) - {"skipped"}
    assert all(source is not target for (source, _), (_, target) in STEPS.items())


def test_it_is_asked_again_soon_while_undecided() -> None:
    """Settled: up or down with nothing speaking against it; loading never is."""
    found = ("", "-", "+", "+-", "+---", "+---+", "o", "o-", "+.", "o+")
    assert [results for results in found if after(results).settled] == ["+", "+---", "+.", "o+"]


def test_nobody_probes_means_up() -> None:
    """Without a rule the phase is up and stays so; taking the rule away brings up what was down."""
    state = HealthState(None)
    state.observe("failure", 1.0)
    assert (state.phase, state.next_probe_s(1.0)) == (Phase.UP, None)
    for results in ("---", "o"):
        out = after(results)
        out.adopt(None)
        assert out.phase is Phase.UP


def test_another_rule_keeps_the_phase() -> None:
    """A reload that changes the interval does not bring a broken backend up."""
    down = after("---")
    down.adopt(HealthRule(interval_s=1.0))
    assert down.phase is Phase.DOWN


def test_the_next_probe_is_foreseen() -> None:
    """An interval after the last one, soon while undecided or loading, never in the past."""
    down = after("---")  # the last at 2.0
    assert down.next_probe_s(4.0) == 3.0
    assert down.next_probe_s(60.0) == 0.0
    assert after("+-").next_probe_s(4.0) == 1.0
    assert after("o").next_probe_s(4.0) == 1.0
    assert after("+.").next_probe_s(4.0) == 2.0
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
