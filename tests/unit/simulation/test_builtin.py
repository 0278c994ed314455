"""The scenarios there are by name."""

from gateway.simulation.builtin import SCENARIOS


def test_everything_that_is_promised_is_there() -> None:
    """docs/simulation.md lists them; a scenario that went would be missed here."""
    assert set(SCENARIOS) >= {
        *(f"slot-fifo-{load}{known}" for load in (0.5, 0.7, 0.9) for known in ("", "-known")),
        *(f"llm-{load}{known}" for load in (0.6, 0.85) for known in ("", "-known")),
        *("slowdown", "gray-failure", "fast-failure", "hang", "crash", "cold-start", "rolling-restart"),
        *("scale-out", "bursty", "overload-2x", "overload-10x", "equal", "equal-llm", "retry-after"),
    }


def test_known_limits_are_the_only_difference_of_their_twins() -> None:
    """So that the two can be compared."""
    plain, known = SCENARIOS["slot-fifo-0.7"], SCENARIOS["slot-fifo-0.7-known"]
    assert (plain.limits_known, known.limits_known) == (False, True)
    assert (plain.groups, plain.work, plain.conditions) == (known.groups, known.work, known.conditions)
