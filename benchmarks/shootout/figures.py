"""What do the requests of one measurement come to? Percentiles, errors by kind. Pure."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from benchmarks.shootout.client import Seen

ERROR = "error_"


def percentile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank: the least of the sorted values that a `share` of them do not exceed; nan of none."""
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]


def spread(name: str, values_s: Iterable[float]) -> dict[str, float]:
    """`NAME_p50_ms`, `_p99_ms`, `_p999_ms` of values in seconds; nothing of no values."""
    ordered = sorted(values_s)
    if not ordered:
        return {}
    shares = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
    return {f"{name}_{key}_ms": percentile(ordered, share) * 1000 for key, share in shares.items()}


def latencies(seen: Iterable[Seen]) -> dict[str, list[float]]:
    """Seconds by what is timed, of the requests that were answered well: `all`, and of streams `first` token
    and `token` (time per token after the first)."""
    found: dict[str, list[float]] = {"all": [], "first": [], "token": []}
    for one in seen:
        if one.error:
            continue
        found["all"].append(one.end_s)
        if one.tokens:
            found["first"].append(one.first_s)
        if one.tokens > 1:
            found["token"].append((one.end_s - one.first_s) / (one.tokens - 1))
    return found


def counted(seen: Iterable[Seen]) -> list[Seen]:
    """Without the warm-up."""
    return [one for one in seen if one.at >= 0]


def figures(seen: Sequence[Seen], patience_s: float) -> dict[str, float]:
    """The measured requests' figures. `bad_p99_ms` counts an error as an answer after `patience_s`, so that
    nobody's tail gets shorter by refusing."""
    kinds = Counter(one.error for one in seen if one.error)
    sample = {
        "requests": float(len(seen)),
        "errors": float(sum(kinds.values())),
        "errors_share": sum(kinds.values()) / max(1, len(seen)),
        "late_p99_ms": percentile(sorted(one.late_s for one in seen), 0.99) * 1000,
        "bad_p99_ms": percentile(sorted(patience_s if one.error else one.end_s for one in seen), 0.99) * 1000,
    }
    sample |= {f"{ERROR}{kind}": float(count) for kind, count in sorted(kinds.items())}
    for name, values in latencies(seen).items():
        sample |= spread(name, values)
    return sample


def kinds(samples: Iterable[dict[str, float]]) -> dict[str, int]:
    """Errors by kind over several samples, most frequent first."""
    total: Counter[str] = Counter()
    for sample in samples:
        for name, value in sample.items():
            if name.startswith(ERROR):
                total[name.removeprefix(ERROR)] += round(value)
    return dict(total.most_common())
