"""What does a pool look like to a person? Its figures as data for JSON; times in seconds."""

from urllib.parse import urlsplit

from gateway.admin.view import BackendView, PoolView
from gateway.balancing.policy import NO_LIMIT
from gateway.messages import Outcome
from gateway.pool.stats import Histogram, TokenStats


def pool_figures(pool: PoolView, now: float) -> dict[str, object]:
    """A pool and its backends at `now`, with the score and terms of those that may take work."""
    why = Why(pool, now)
    return {**pool_totals(pool), "backends": [backend_figures(b, why, now) for b in pool.backends]}


class Why:
    """Why a pool's backends would be chosen at `now`, or not; making it brings their states up to date."""

    __slots__ = ("reasons", "rows")

    def __init__(self, pool: PoolView, now: float) -> None:
        candidates, excluded = pool.explain(now)
        self.rows = {row["backend"]: row for row in candidates}
        self.reasons = {row["backend"]: row["why"] for row in excluded}


def pool_totals(pool: PoolView) -> dict[str, object]:
    """What is known of a pool as a whole."""
    return {
        "name": pool.name,
        "policy": pool.policy_name,
        "panic": pool.panic,
        "retries": dict(pool.retries),
        "hedges": dict(pool.hedges),
        "shed": dict(pool.shed),
        "queue": {name: pool.queue.waiting(n) for n, name in enumerate(("high", "normal", "low"))},
        "queued": _totals(pool.queued),
    }


def backend_figures(backend: BackendView, why: Why, now: float) -> dict[str, object]:
    """What is known of one backend of the pool that `why` was made of."""
    figures = _backend_figures(backend, now)
    row = why.rows.get(backend.name)
    figures["score"] = None if row is None else _rounded(row.get("score"))
    figures["terms"] = None if row is None else _terms(row)
    figures["excluded"] = why.reasons.get(backend.name)
    return figures


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
        "tokens": _tokens(backend.tokens),
        "health_checks": dict(backend.health_checks),
        "ejections": dict(backend.ejections),
    }


def _tokens(tokens: TokenStats) -> dict[str, object]:
    return {
        "prompt": tokens.prompt,
        "cached": tokens.cached,
        "completion": tokens.completion,
        "first": _totals(tokens.first),
        "gaps": _totals(tokens.gaps),
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
