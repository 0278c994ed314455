"""How are figures written where every column counts? Numbers, times and drawings of at most so many cells."""

import unicodedata
from collections.abc import Iterable

BARS = "▁▂▃▄▅▆▇█"
NONE = "–"


def number(value: float | None) -> str:
    """At most five cells: 0, 0.42, 4.2, 42, 420, 4.2k, 42k, 4.2M."""
    if value is None:
        return NONE
    for limit, unit in ((1e3, ""), (1e6, "k"), (1e9, "M")):
        if value < limit * 0.9995:
            return _short(value / (limit / 1e3)) + unit
    return _short(value / 1e9) + "G"


def _short(value: float) -> str:
    if value < 0.005:
        return "0"
    if value < 0.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 9.95 and value % 1 else f"{value:.0f}"


def seconds(value: float | None) -> str:
    """A latency in at most six cells: 850 µs, 42 ms, 1.25 s, 42 s, 12 min, 3.2 h."""
    if value is None:
        return NONE
    if value < 0.0009995:
        return f"{value * 1e6:.0f} µs"
    if value < 0.9995:
        return f"{value * 1e3:.1f} ms" if value < 0.00995 else f"{value * 1e3:.0f} ms"
    if value < 99.5:
        return f"{value:.2f} s" if value < 9.995 else f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 5970 else f"{value / 3600:.1f} h"


def percent(share: float | None) -> str:
    """A share in at most four cells: 0%, 0.3%, 42%; never 0 for some, never 100 for not all."""
    if share is None:
        return NONE
    value = share * 100
    if value <= 0:
        return "0%"
    if value < 9.95:
        return f"{max(value, 0.1):.1f}%"
    return f"{min(value, 99.0) if share < 1 else 100:.0f}%"


def age(value: float) -> str:
    """How long: 12 s, 3 min 5 s, 2 h 4 min, 3 d 4 h."""
    whole = int(value)
    for size, name, less, below in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // less
            return f"{whole // size} {name} {rest} {below}" if rest else f"{whole // size} {name}"
    return f"{whole} s"


def clock(wall: float) -> str:
    """The time of day in UTC of `wall` seconds since the epoch: 12:04:59."""
    whole = int(wall) % 86400
    return f"{whole // 3600:02}:{whole % 3600 // 60:02}:{whole % 60:02}"


def size(value: float) -> str:
    """Bytes: 512 B, 4.2 KiB, 42 MiB."""
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{_short(value)} {unit}"
        value /= 1024
    return f"{_short(value)} GiB"


def bars(values: Iterable[float | None], width: int, top: float | None = None) -> str:
    """The last `width` values as bars from 0 to `top` (default: the highest shown), right-aligned.

    What could not be told is a blank, 0 the lowest bar, and anything above 0 is higher than that.
    """
    shown = list(values)[-width:] if width > 0 else []
    highest = top or max((value for value in shown if value is not None), default=0.0)
    return "".join(_bar(value, highest) for value in shown).rjust(max(width, 0))


def _bar(value: float | None, highest: float) -> str:
    if value is None:
        return " "
    if value <= 0 or highest <= 0:
        return BARS[0]
    steps = len(BARS) - 1
    return BARS[max(1, round(min(1.0, value / highest) * steps))]


def cells(text: str) -> int:
    """How many cells of a terminal `text` takes: letters of East Asia take two."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(one) else 2 if _is_wide(one) else 1 for one in text)


def _is_wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) in "WF"


def cut(text: str, width: int) -> str:
    """`text` in at most `width` cells, with an ellipsis where something is left out."""
    if cells(text) <= width:
        return text
    while text and cells(text) >= width:
        text = text[:-1] if len(text) <= 2 * width else text[: 2 * width]
    return text + "…" if width > 0 else ""


def left(text: str, width: int) -> str:
    """`text` in exactly `width` cells, filled on its right."""
    shown = cut(text, width)
    return shown + " " * (width - cells(shown))


def tail(text: str, width: int) -> str:
    """As `left`, but where something is left out it is the beginning: names of a kind differ at their end."""
    if cells(text) <= width:
        return left(text, width)
    while text and cells(text) >= width:
        text = text[1:]
    return left(f"…{text}", width)


def right(text: str, width: int) -> str:
    """`text` in exactly `width` cells, filled on its left."""
    shown = cut(text, width)
    return " " * (width - cells(shown)) + shown


def clean(text: str) -> str:
    """`text` without what a terminal would obey: what others wrote is only ever shown."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)
