"""Is a pool whose limits are to be found as good as one whose limits are known? From the first second on."""

from dataclasses import replace
from statistics import fmean

import pytest

from gateway.simulate import run
from gateway.simulation.builtin import SCENARIOS
from gateway.simulation.statistics import Result

OURS = "least_latency"


def simulated(scenario: str, seed: int, duration_s: float) -> Result:
    return run(replace(SCENARIOS[scenario], duration_s=duration_s, drain_s=30.0), OURS, seed)


@pytest.mark.parametrize("seed", [3, 4])
def test_a_first_look_among_noisy_neighbours_makes_few_wait(seed: int) -> None:
    """Sixteen unequal backends at 0.9 of what they can do, three times slower now and then: answers in the
    first three quarters of a minute take hardly longer than with known limits, and nobody is turned away."""
    found, known = (simulated(f"slot-fifo-0.9-{limits}", seed, 45.0) for limits in ("auto", "known"))
    ours, theirs = (
        fmean(sample.total_s for sample in result.arrived(0.0, 45.0)) for result in (found, known)
    )
    assert found.errors == {}
    assert ours <= 1.4 * theirs


def test_streams_begin_soon_where_limits_are_to_be_found() -> None:
    """Eight unequal batching servers of 64 places, a load of 0.85: nobody waits here for places they have."""
    found, known = (simulated(f"llm-0.85-{limits}", 1, 150.0) for limits in ("auto", "known"))
    ours, theirs = (
        fmean(sample.ttft_s for sample in result.arrived(60.0, 150.0) if sample.error is None)
        for result in (found, known)
    )
    assert ours <= 1.4 * theirs
    assert set(found.errors) <= {"unfinished"}  # the longest streams
