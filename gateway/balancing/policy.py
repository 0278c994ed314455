"""What is a policy asked, and what must it answer? The protocol every file in this folder implements."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gateway.balancing.context import PickContext as PickContext
from gateway.balancing.view import NO_LIMIT as NO_LIMIT
from gateway.balancing.view import BackendView as BackendView

#: A candidate's score and the terms it is made of, for people who ask why.
Row = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """What of a pool's configuration policies may ask for: `affinity.balance` and `affinity.max_penalty`."""

    balance: float = 1.25
    max_penalty_s: float = 2.0


class Policy(Protocol):
    """Chooses one backend.

    `candidates` is never empty, all eligible, in order by name. A policy may not read a clock, log, await,
    keep a candidate between calls, or return something outside `candidates`. One that is `patient` is asked
    about full backends too while few wait, and says by its pick whether waiting for one of those is better.
    One that goes `by_slowness`, as `expected_s` has it, gives little to who is cold whatever his weight.
    """

    @property
    def patient(self) -> bool: ...
    @property
    def by_slowness(self) -> bool: ...

    def pick(self, candidates: Sequence[BackendView], context: PickContext) -> BackendView: ...

    def scores(self, candidates: Sequence[BackendView], context: PickContext) -> list[Row]:
        """Each candidate's score and its terms, in the order given, for people who ask why. Lowest wins.

        At least `score`, `latency_s`, `in_flight` and `weight`. Asking changes nothing: no state is written
        and the context's dice are not thrown.
        """


@runtime_checkable
class Remembering(Protocol):
    """A policy that keeps a table of prompts."""

    @property
    def size(self) -> int:
        """Entries of the table."""


def row(score: float, backend: BackendView, latency_s: float | None) -> Row:
    """The terms that every policy shows; its own are added by the policy."""
    return {
        "score": score,
        "latency_s": latency_s,
        "in_flight": backend.in_flight,
        "weight": backend.weight,
    }
