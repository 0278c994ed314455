"""Why would a request go where it goes? Every candidate's score and terms, and why the others are out."""

from collections.abc import Sequence
from math import inf

from gateway.balancing.context import PickContext
from gateway.balancing.policy import Policy
from gateway.pool.backend import Backend

Rows = list[dict[str, object]]


def explain(
    backends: Sequence[Backend],
    candidates: Sequence[Backend],
    policy: Policy,
    context: PickContext,
) -> tuple[Rows, Rows]:
    """({"backend", "score", <terms>} best first, {"backend", "why"} by name), both without side effect."""
    now, tried = context.now, context.tried
    scores = policy.scores(candidates, context) if candidates else []
    ranked: Rows = []
    for backend, terms in sorted(zip(candidates, scores, strict=True), key=_score):
        row: dict[str, object] = {"backend": backend.name}
        row.update((key, None if value == inf else value) for key, value in terms.items())
        row["slowness"] = backend.slowness(now)
        ranked.append(row)
    inside = {backend.name for backend in candidates}
    excluded: Rows = [
        {"backend": backend.name, "why": why_not(backend, now, tried)}
        for backend in backends
        if backend.name not in inside
    ]
    return ranked, excluded


def why_not(backend: Backend, now: float, tried: tuple[str, ...] = ()) -> str:
    """Why `backend` is no candidate, in a few words."""
    if backend.name in tried:
        return "tried: this request has been there"
    if backend.draining:
        return f"draining: {backend.why}"
    if now < backend.cool_until and backend.state in ("up", "starting"):
        return f"resting for {backend.cool_until - now:.1f} s more: it said that it is overloaded"
    if backend.full and backend.state in ("up", "starting"):
        return f"full: {backend.in_flight} of {backend.limit} in flight"
    if backend.state == "ejected":
        return f"ejected for {max(0.0, backend.outlier.until - now):.1f} s more: {backend.why}"
    return f"{backend.state}: {backend.why}"


def _score(pair: tuple[Backend, dict[str, float | None]]) -> float:
    score = pair[1]["score"]
    return inf if score is None else score
