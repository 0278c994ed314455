"""Every end of an attempt is somebody's fault, and only some count against the backend."""

from typing import get_args

import pytest

from gateway.errors import RULES, Side
from gateway.health.faults import COUNTED, FAILURES, FAULTS, OUTCOMES
from gateway.messages import Outcome


def test_every_outcome_is_in_the_table() -> None:
    """A success is nobody's fault, everything else is one of the five sides'."""
    assert FAULTS.keys() == set(Outcome)
    assert [outcome for outcome, side in FAULTS.items() if side is None] == [Outcome.OK]
    assert set(FAULTS.values()) - {None} <= set(get_args(Side))


@pytest.mark.parametrize(
    ("outcome", "counts"),
    [
        (Outcome.OK, False),
        (Outcome.CLIENT_ERROR, False),
        (Outcome.OVERLOADED, False),
        (Outcome.CANCELLED, False),
        (Outcome.SERVER_ERROR, True),
        (Outcome.TIMEOUT, True),
        (Outcome.CONNECT_ERROR, True),
        (Outcome.RESET, True),
    ],
)
def test_only_backend_and_network_count_against_a_backend(outcome: Outcome, counts: bool) -> None:
    """Not what callers do wrong, not overload, not a client that leaves."""
    assert (outcome in FAILURES) == counts


def test_errors_and_outcomes_agree() -> None:
    """An error of the gateway counts against a backend exactly when its side says so."""
    for kind, error in RULES.items():
        counts = kind in OUTCOMES and OUTCOMES[kind] in FAILURES
        assert counts == (error.side in COUNTED), kind


def test_errors_that_count_are_errors() -> None:
    """No kind in the table that nobody can raise."""
    assert OUTCOMES.keys() <= RULES.keys()
