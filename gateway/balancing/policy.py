"""What does a policy see, and what must it answer? The protocol every file in this folder implements."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class BackendView(Protocol):
    """The read-only face of a backend that policies see."""

    @property
    def name(self) -> str: ...
    @property
    def weight(self) -> float:
        """Effective weight (> 0): the configured one, lowered by slow start."""

    @property
    def in_flight(self) -> int:
        """Attempts under way from this gateway."""

    def latency_s(self, now: float) -> float | None:
        """Estimated seconds to the first body byte; None when never measured. Reading writes nothing."""


@dataclass(slots=True)
class PickContext:
    """What a policy may know about this request. `tried` backends are not among the candidates."""

    now: float
    rng: random.Random
    affinity: str | None = None
    request_weight: float = 1.0
    tried: tuple[str, ...] = ()


class Policy(Protocol):
    """Chooses one backend.

    `candidates` is never empty, all eligible, in stable order by name. A policy may not read a clock,
    log, await, keep a candidate between calls, or return something outside `candidates`.
    """

    def pick(self, candidates: Sequence[BackendView], context: PickContext) -> BackendView: ...

    def scores(self, candidates: Sequence[BackendView], now: float) -> list[dict[str, float | None]]:
        """Each candidate's score and its terms, in the order given, for people who ask why. Lowest wins."""
