"""How did a load go? Samples of single requests, and the table made of them."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_HEAD = (
    *("backend", "requests", "share", "failed", "tokens"),
    *("first p50", "p90", "p99", "whole p50", "p90", "p99"),
)
ALL = "all"


@dataclass(slots=True)
class Sample:
    """One request as its client saw it. Times are seconds; `status` 0 means that no answer came."""

    streamed: bool
    backend: str = "-"
    status: int = 0
    error: str | None = None  # http_<status>, timeout, connect or cut
    first_byte_s: float | None = None  # of the body
    total_s: float = 0.0
    tokens: int = 0


def percentile(values: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile, `share` within (0, 1]; None of nothing."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@dataclass(frozen=True, slots=True)
class Row:
    """What the table says of one backend. Percentiles are (p50, p90, p99) in seconds, of answers that were
    whole; `first` of the streamed ones only, since of the others the first byte comes with the last."""

    backend: str
    requests: int
    failed: int
    tokens: int
    first: tuple[float | None, ...]
    total: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All samples of a load that took `took_s` seconds."""

    samples: tuple[Sample, ...]
    took_s: float

    @property
    def ok(self) -> int:
        return sum(sample.error is None for sample in self.samples)

    def rows(self) -> list[Row]:
        """A row for each backend in order of name, then one for all."""
        names = sorted({sample.backend for sample in self.samples})
        rows = [_row(name, [s for s in self.samples if s.backend == name]) for name in names]
        return [*rows, _row(ALL, self.samples)]

    def render(self) -> str:
        """The table, what its columns mean, and the sums, as plain text."""
        body = [_cells(row, len(self.samples)) for row in self.rows()]
        tokens = sum(sample.tokens for sample in self.samples)
        rate = len(self.samples) / self.took_s if self.took_s else 0.0
        statuses = Counter(str(sample.status or "none") for sample in self.samples)
        errors = Counter(sample.error for sample in self.samples if sample.error)
        lines = [
            table([_HEAD, *body]),
            "times in milliseconds; first = first token of the streamed answers, whole = every answer",
            "",
            f"{len(self.samples)} requests in {self.took_s:.2f} s: {rate:.1f} requests/s, "
            f"{tokens / self.took_s if self.took_s else 0.0:.0f} tokens/s",
            f"statuses: {_listed(statuses)}; errors: {_listed(errors)}",
        ]
        return "\n".join(lines)


def _row(name: str, samples: Sequence[Sample]) -> Row:
    good = [sample for sample in samples if sample.error is None]
    first = [s.first_byte_s for s in good if s.streamed and s.first_byte_s is not None]
    total = [s.total_s for s in good]
    shares = (0.5, 0.9, 0.99)
    return Row(
        name,
        len(samples),
        len(samples) - len(good),
        sum(sample.tokens for sample in samples),
        tuple(percentile(first, share) for share in shares),
        tuple(percentile(total, share) for share in shares),
    )


def _cells(row: Row, requests: int) -> tuple[str, ...]:
    share = f"{row.requests / requests:.0%}" if requests else "-"
    times = ("-" if seconds is None else f"{seconds * 1000:.0f}" for seconds in (*row.first, *row.total))
    return row.backend, str(row.requests), share, str(row.failed), str(row.tokens), *times


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} × {kind}" for kind, count in sorted(counts.items())) or "none"


def table(lines: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, two spaces apart; numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
