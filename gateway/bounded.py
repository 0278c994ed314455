"""How does a mapping that only remembers stay within its bound? At the bound, the older half is forgotten."""

from itertools import islice
from typing import Any


def forget_half(known: dict[Any, Any]) -> None:
    """Let go of the older half, rounded up, of what was put in: rarely much, rather than always a little."""
    for key in list(islice(known, (len(known) + 1) // 2)):
        del known[key]
