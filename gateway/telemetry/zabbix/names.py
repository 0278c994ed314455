"""How does Zabbix ask for a series of `/metrics`? Only what `series.py` declares can be asked for."""

import hashlib
from collections.abc import Mapping

from gateway.telemetry.series import SERIES, Series

TEMPLATE = "Model gateway by HTTP"

#: What the Prometheus client library adds of the process; these have no labels.
OF_PROCESS = ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds")

_DECLARED = {series.name: series for series in SERIES}
_PARTS = ("_sum", "_count", "_bucket")


def declared(name: str) -> Series:
    """The series that has lines called `name`, which is a histogram's with `_sum`, `_count` or `_bucket`."""
    for part in _PARTS:
        series = _DECLARED.get(name.removesuffix(part))
        if name.endswith(part) and series is not None and series.type == "histogram":
            return series
    series = _DECLARED.get(name)
    if series is None or series.type == "histogram":
        raise ValueError(f"{name} is not in series.py, or is a histogram without one of {_PARTS}")
    return series


def help_of(name: str) -> str:
    """The sentence that `/metrics` itself has for `name`."""
    return "" if name in OF_PROCESS else declared(name).help


def pattern(name: str, where: Mapping[str, str | tuple[str, ...]]) -> str:
    """The lines `name` whose labels are as `where` says: a value, one of several, or a regex after `^`.

    Zabbix searches with its regular expressions, Prometheus matches whole values: hence the anchors.
    """
    known = () if name in OF_PROCESS else declared(name).labels
    if name.endswith("_bucket"):
        known = (*known, "le")
    unknown = where.keys() - set(known)
    if unknown:
        raise ValueError(f"{name} has no label {', '.join(sorted(unknown))}")
    pairs = [f"{label}{_matcher(value)}" for label, value in where.items()]
    return f"{name}{{{','.join(pairs)}}}" if pairs else name


def _matcher(value: str | tuple[str, ...]) -> str:
    if isinstance(value, tuple):
        return f'=~"^({"|".join(value)})$"'
    return f'=~"{value}"' if value.startswith("^") else f'="{value}"'


def uuid(*names: str) -> str:
    """32 hex digits in the form of a version 4 UUID, as Zabbix demands; the same for the same names.

    Zabbix knows what it has imported before by them, so that a newer template updates it.
    """
    digits = list(hashlib.sha256("\0".join((TEMPLATE, *names)).encode()).hexdigest()[:32])
    digits[12] = "4"
    digits[16] = "89ab"[int(digits[16], 16) % 4]
    return "".join(digits)
