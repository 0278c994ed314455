"""How are `250ms`, `64KiB` and `20%` read and written?

Every reader raises `ValueError` whose text says what is accepted, never what was found: the value may
come from the environment and be nobody's business.
"""

import math
import re
from decimal import Decimal

_NUMBER = r"([0-9]{1,16}(?:\.[0-9]{1,9})?)"
_DURATION = re.compile(_NUMBER + r" ?(ms|s|m|h)?")
_SIZE = re.compile(_NUMBER + r" ?(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?", re.IGNORECASE)
_SHARE = re.compile(_NUMBER + r" ?(%)?")

DURATION_PATTERN = r"[0-9]+(\.[0-9]+)? ?(ms|s|m|h)?"
SIZE_PATTERN = r"[0-9]+(\.[0-9]+)? ?([kKmMgGtT]?[iI]?[bB])?"
SHARE_PATTERN = r"[0-9]+(\.[0-9]+)? ?%?"

_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}
_BYTES = {"b": 1} | {
    f"{letter}{suffix}": base**power
    for power, letter in enumerate("kmgt", start=1)
    for suffix, base in (("b", 1000), ("ib", 1024))
}

#: A timer beyond a year is a slip of the pen, and event loops refuse far smaller numbers than floats hold.
MAX_DURATION_S = 365 * 86400.0
MAX_SIZE_BYTES = 1 << 50

ACCEPTED_DURATION = "a duration such as 250ms, 5s, 2m, 1h, or a number of seconds"
ACCEPTED_SIZE = "a size such as 64KiB, 10MB, or a whole number of bytes"
ACCEPTED_SHARE = "a share such as 20%, or a number from 0 to 1"


def parse_duration(value: object) -> float:
    """Seconds from `250ms`, `5s`, `2m`, `1h` or a number; 0 is allowed, a year is the most."""
    seconds = _read(value, _DURATION, _SECONDS, "s", ACCEPTED_DURATION)
    if seconds > MAX_DURATION_S:
        raise ValueError("a duration of at most a year (8760h)")
    return float(seconds)


def parse_size(value: object) -> int:
    """Bytes from `64KiB` (1024), `10MB` (1000) or a whole number; case does not matter."""
    size = _read(value, _SIZE, _BYTES, "b", ACCEPTED_SIZE)
    if size != int(size):
        raise ValueError(ACCEPTED_SIZE)
    if size > MAX_SIZE_BYTES:
        raise ValueError("a size of at most 1024TiB")
    return int(size)


def parse_share(value: object) -> float:
    """A number from 0 to 1, from `20%` or the number itself."""
    share = _read(value, _SHARE, {"%": Decimal("0.01"), "": Decimal(1)}, "", ACCEPTED_SHARE)
    if share > 1:
        raise ValueError(ACCEPTED_SHARE)
    return float(share)


def _read(
    value: object,
    pattern: re.Pattern[str],
    units: dict[str, Decimal] | dict[str, int],
    unit: str,
    accepted: str,
) -> Decimal:
    """`value` in base units; `unit` is meant where the text names none."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not math.isfinite(value) or value < 0:
            raise ValueError(accepted)
        return Decimal(value) if isinstance(value, int) else Decimal(repr(value))
    found = pattern.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(accepted)
    return Decimal(found[1]) * units[(found[2] or unit).lower()]


def show_duration(seconds: float) -> str:
    """The shortest exact text: `250ms`, `5s`, `15m`."""
    if seconds >= 3600 and seconds % 3600 == 0:
        return f"{seconds / 3600:.0f}h"
    if seconds >= 120 and seconds % 60 == 0:
        return f"{seconds / 60:.0f}m"
    if 0 < seconds < 1 and (seconds * 1000).is_integer():
        return f"{seconds * 1000:.0f}ms"
    return _plain(seconds) + "s"


def show_size(size: int) -> str:
    """The shortest exact text: `64KiB`, `10MB`, `1500B`."""
    for power, letters in ((4, "T"), (3, "G"), (2, "M"), (1, "K")):
        for base, suffix in ((1024, "iB"), (1000, "B")):
            if size and size % base**power == 0:
                return f"{size // base**power}{letters}{suffix}"
    return f"{size}B"


def show_share(share: float) -> str:
    """`50%` for 0.5; a number that is no whole per cent stays a number."""
    per_cent = Decimal(repr(float(share))) * 100
    return f"{int(per_cent)}%" if per_cent == int(per_cent) else _plain(share)


def _plain(number: float) -> str:
    """`number` without exponent and without a trailing `.0`."""
    text = format(Decimal(repr(float(number))), "f")
    return text.removesuffix(".0")
