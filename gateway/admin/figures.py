"""What does a pool look like to a person? Its figures as data for JSON; times in seconds."""

from urllib.parse import urlsplit

from gateway.admin.view import BackendView, PoolView
from gateway.balancing.policy import NO_LIMIT
from gateway.messages import Outcome
from gateway.pool.stats import Histogram


def pool_figures(pool: PoolView, now: float) -> dict[str, object]:
    """A pool and its backends at `now`, with the score and terms of those that may take work."""
    candidates, excluded = pool.explain(now)  # first: it brings the states up to date
    scores = {row["backend"]: _rounded(row.get("score")) for row in candidates}
    terms = {row["backend"]: _terms(row) for row in candidates}
    reasons = {row["backend"]: row["why"] for row in excluded}
    backends: list[dict[str, object]] = []
    for backend in pool.backends:
        figures = _backend_figures(backend, now)
        figures["score"] = scores.get(backend.name)
        figures["terms"] = terms.get(backend.name)
        figures["excluded"] = reasons.get(backend.name)
        backends.append(figures)
    return {
        "name": pool.name,
        "policy": pool.policy_name,
        "panic": pool.panic,
        "retries": dict(pool.retries),
        "hedges": dict(pool.hedges),
        "shed": dict(pool.shed),
        "queue": {name: pool.queue.waiting(n) for n, name in enumerate(("high", "normal", "low"))},
        "queued": _totals(pool.queued),
        "backends": backends,
    }


def _backend_figures(backend: BackendView, now: float) -> dict[str, object]:
    return {
        "name": backend.name,
        "url": bare_url(backend.url),
        "state": backend.state,
        "why": backend.why,
        "in_flight": backend.in_flight,
        "waiting": backend.waiting,
        "limit": backend.limit if backend.limit < NO_LIMIT else None,
        "max_in_flight": backend.max_in_flight,
        "weight": backend.weight,
        "configured_weight": backend.base_weight,
        "labels": dict(backend.labels),
        "slowness": _rounded(backend.slowness(now)),
        "degraded": backend.degraded.degraded,
        "resting_s": _rounded(max(0.0, backend.cool_until - now)),
        "latency_s": _rounded(backend.latency_s(now)),
        "selected": backend.selected,
        "outcomes": {outcome.label: backend.outcomes[outcome] for outcome in Outcome},
        "first_byte": _totals(backend.first_byte),
        "duration": _totals(backend.duration),
        "health_checks": dict(backend.health_checks),
        "ejections": dict(backend.ejections),
    }


def _terms(row: dict[str, object]) -> dict[str, object]:
    return {key: _rounded(value) for key, value in row.items() if key not in ("backend", "score")}


def _rounded(value: object) -> object:
    """Seconds to the nanosecond: what a sum of floats carries beyond that is noise."""
    return round(value, 9) if isinstance(value, float) else value


def _totals(histogram: Histogram) -> dict[str, object]:
    return {"count": sum(histogram.counts), "sum_s": round(histogram.sum, 6)}


def bare_url(url: str) -> str:
    """`url` without user, password, query and fragment: they may be secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
