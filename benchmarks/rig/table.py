"""How are samples turned into ratios and a table? Pure: no process, no file, no clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Sample = Mapping[str, float]
Round = Mapping[str, Sample]

NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, least and greatest of one figure over the rounds."""

    median: float
    low: float
    high: float

    def text(self, digits: int) -> str:
        """`median (low–high)`; the median alone where all are equal at this precision."""
        middle, low, high = (f"{value:.{digits}f}" for value in (self.median, self.low, self.high))
        return middle if low == high else f"{middle} ({low}–{high})"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `figure` of each sample; `ratio`: divided by the base's of its round, `excess`: less it."""

    title: str
    figure: str
    digits: int = 1
    against: str = ""  # "", "ratio" or "excess"
    base: str = "nginx"


def spread(values: Sequence[float]) -> Spread | None:
    """The spread of `values`, None when there are none."""
    return Spread(median(values), min(values), max(values)) if values else None


def figures(rounds: Sequence[Round], candidate: str, column: Column) -> list[float]:
    """The column's figure of each round that has it; a ratio needs both the candidate's and the base's."""
    found: list[float] = []
    for samples in rounds:
        value = samples.get(candidate, {}).get(column.figure)
        base = samples.get(column.base, {}).get(column.figure)
        if value is None or (column.against and base is None):
            continue
        if not column.against:
            found.append(value)
        elif column.against == "excess":
            found.append(value - (base or 0.0))
        elif base:
            found.append(value / base)
    return found


def cells(rounds: Sequence[Round], candidate: str, columns: Sequence[Column]) -> list[str]:
    """One table row, the candidate's name first."""
    row = [candidate]
    for column in columns:
        seen = spread(figures(rounds, candidate, column))
        row.append(seen.text(column.digits) if seen else NOTHING)
    return row


def markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table, columns padded so that the source reads as well as the rendering."""
    widths = [max(len(row[i]) for row in (titles, *rows)) for i in range(len(titles))]

    def line(row: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([line(titles), rule, *(line(row) for row in rows)])


def render(rounds: Sequence[Round], candidates: Sequence[str], columns: Sequence[Column]) -> str:
    """The table of all candidates that have at least one sample, in the order given."""
    shown = [name for name in candidates if any(name in samples for samples in rounds)]
    titles = ["candidate", *(column.title for column in columns)]
    return markdown(titles, [cells(rounds, name, columns) for name in shown])


def summary(rounds: Sequence[Round], candidates: Sequence[str]) -> dict[str, dict[str, dict[str, float]]]:
    """For the JSON file: candidate → figure → median, low, high."""
    result: dict[str, dict[str, dict[str, float]]] = {}
    for name in candidates:
        names = sorted({figure for samples in rounds for figure in samples.get(name, {})})
        for figure in names:
            seen = spread(figures(rounds, name, Column(figure, figure)))
            if seen:
                entry = {"median": seen.median, "low": seen.low, "high": seen.high}
                result.setdefault(name, {})[figure] = entry
    return result
