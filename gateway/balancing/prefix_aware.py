"""Which backend answers soonest, when one that has seen the prompt's beginning may take a little longer?

    score = expected x mean weight / weight - max_penalty x part of the prompt it has seen
                                                        the lowest wins, ties at random

A model server keeps what it computed for a prompt; the next one that begins alike, a conversation's next turn
or a question about the same document, costs it only the rest. So requests stick to who has seen their
beginning, until that one is expected to answer `max_penalty` seconds later than the best other: llm-d's
"sticky until saturated" (its default since August 2026), which it found steadier than sums of cache and load
scores without a unit. Here too load and stickiness are compared in seconds. llm-d knows what is cached and
asks for four fifths of the prompt; this table only infers it, so a part excuses its part of the penalty.
"""

from collections.abc import Sequence

from gateway.balancing.fingerprints import HOLDERS, Fingerprints
from gateway.balancing.policy import BackendView, PickContext, Row, row
from gateway.balancing.sample import find, lowest, sampled

#: Fingerprints remembered: those of ten thousand prompts of 5 KB, in some 25 MB.
FINGERPRINTS = 100_000


class PrefixAware:
    """Lowest expected time, less `max_penalty_s` for a known prompt. Its state is a table of fingerprints."""

    __slots__ = ("_table", "max_penalty_s")

    patient = False
    by_slowness = True

    def __init__(self, max_penalty_s: float = 2.0, fingerprints: int = FINGERPRINTS) -> None:
        self.max_penalty_s = max_penalty_s
        self._table = Fingerprints(fingerprints)

    def __repr__(self) -> str:
        return f"<PrefixAware {self.max_penalty_s:g} s, {self._table!r}>"

    @property
    def size(self) -> int:
        """Fingerprints remembered."""
        return len(self._table)

    def pick(self, candidates: Sequence[BackendView], context: PickContext) -> BackendView:
        looked_at = sampled(candidates, context.rng)
        matches = self._matches(candidates, context)
        if matches and looked_at is not candidates:
            holders = [find(candidates, name) for name in matches]
            looked_at = [*looked_at, *[b for b in holders if b is not None and b not in looked_at]]
        backend = lowest(looked_at, self._scores(looked_at, context, matches), context.rng)
        if context.prefixes:
            self._table.record(context.prefixes, backend.name)
        return backend

    def scores(self, candidates: Sequence[BackendView], context: PickContext) -> list[Row]:
        matches = self._matches(candidates, context)
        return [
            row(score, backend, backend.latency_s(context.now))
            | {
                "expected_s": backend.expected_s(context.now, context),
                "match": matches.get(backend.name, 0.0),
            }
            for score, backend in zip(self._scores(candidates, context, matches), candidates, strict=True)
        ]

    def _matches(self, candidates: Sequence[BackendView], context: PickContext) -> dict[str, float]:
        if not context.prefixes:
            return {}
        few = [backend.name for backend in candidates] if len(candidates) <= HOLDERS else ()
        return self._table.matches(context.prefixes, len(candidates), few)

    def _scores(
        self, candidates: Sequence[BackendView], context: PickContext, matches: dict[str, float]
    ) -> list[float]:
        weights = [backend.weight for backend in candidates]
        mean = sum(weights, 0.0) / len(weights)
        now, penalty = context.now, self.max_penalty_s
        return [
            backend.expected_s(now, context) * (mean / weight) - penalty * matches.get(backend.name, 0.0)
            for backend, weight in zip(candidates, weights, strict=True)
        ]
