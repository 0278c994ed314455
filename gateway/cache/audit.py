"""Do answers asked for anew say what is kept? How one is compared, and when a route's cache is to go off.

Pure, but for the tally that it keeps of a route's audits.
"""

import zlib
from collections import deque
from dataclasses import dataclass
from typing import Literal

from gateway.cache.lines import values_of
from gateway.cache.meaning import same_events, same_json, same_lines

#: Audits that the ratio is of: the last so many that could compare.
WINDOW = 100
#: Bytes that a compressed body is unpacked to at most; what is larger is not compared.
MAX_UNPACKED = 32 * 1024 * 1024

Result = Literal["match", "mismatch", "failed"]
#: What becomes of an audit; "failed": there was nothing to compare. A closed set: the label of a metric.
RESULTS: tuple[Result, ...] = ("match", "mismatch", "failed")

Parts = tuple[bytes, ...]

_GZIP_OR_ZLIB = 47  # the window's size, and which of both is found by its first bytes
_BUSY = frozenset((408, 425, 429))  # of 4xx, those that say nothing about the request


@dataclass(frozen=True, slots=True)
class AuditRule:
    """`share` of hits that are audited, 0 to 1; above `max_mismatch` (a share) of the last WINDOW audits the
    route's cache goes off, once there were `min_checked`."""

    share: float = 0.0
    max_mismatch: float = 0.05
    min_checked: int = 20


class Tally:
    """One route's audits: `counts` by result, ever, and what the last WINDOW found."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = dict.fromkeys(RESULTS, 0)
        self._last: deque[bool] = deque(maxlen=WINDOW)

    def __repr__(self) -> str:
        return f"<Tally {self.counts}, {self.ratio:.0%} of the last {self.checked} differ>"

    @property
    def checked(self) -> int:
        """Audits that the ratio is of."""
        return len(self._last)

    @property
    def ratio(self) -> float:
        """The share of them that found another answer; 0.0 when there was none."""
        return sum(self._last) / len(self._last) if self._last else 0.0

    def add(self, result: Result) -> None:
        self.counts[result] += 1
        if result != "failed":
            self._last.append(result == "mismatch")

    def exceeds(self, rule: AuditRule) -> bool:
        """Whether what was found is more than the rule allows."""
        return self.checked >= rule.min_checked and self.ratio > rule.max_mismatch

    def clear(self) -> None:
        """Begin anew; the counts go on."""
        self._last.clear()


class Said:
    """An answer as it is compared: its status, the flat `parts` of its header lines, its body."""

    __slots__ = ("body", "parts", "status")

    def __init__(self, status: int, parts: Parts, body: bytes) -> None:
        self.status = status
        self.parts = parts
        self.body = body

    def __repr__(self) -> str:
        return f"<Said {self.status}, {len(self.body)} bytes>"


def compare(kept: Said, new: Said) -> Result:
    """Whether a new answer says what the kept one does; "failed" when it says nothing about that."""
    if new.status != kept.status:
        return "failed" if new.status >= 500 or new.status in _BUSY else "mismatch"
    kind = _kind(kept)
    if kind != _kind(new):
        return "mismatch"
    if kept.body == new.body and _coding(kept) == _coding(new):
        return "match"
    one, other = _unpacked(kept), _unpacked(new)
    if one is None or other is None:
        return "failed"
    return "match" if _same(kind, one, other) else "mismatch"


def _same(kind: bytes, one: bytes, other: bytes) -> bool:
    if one == other:
        return True
    try:
        if kind == b"text/event-stream":
            return same_events(one, other)
        if kind in (b"application/x-ndjson", b"application/jsonl", b"application/stream+json"):
            return same_lines(one, other)
        return (kind == b"application/json" or kind.endswith(b"+json")) and same_json(one, other)
    except (ValueError, RecursionError):
        return False


def _kind(said: Said) -> bytes:
    """The media type, without parameters."""
    values = values_of(said.parts, b"content-type")
    return values[0].partition(b";")[0].strip().lower() if values else b""


def _coding(said: Said) -> bytes:
    return b",".join(values_of(said.parts, b"content-encoding")).strip().lower()


def _unpacked(said: Said) -> bytes | None:
    """The body without its content coding; None when that cannot be had."""
    coding = _coding(said)
    if coding in (b"", b"identity"):
        return said.body
    if coding not in (b"gzip", b"x-gzip", b"deflate"):
        return None
    unpacking = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        body = unpacking.decompress(said.body, MAX_UNPACKED)
    except zlib.error:
        return None
    return body if unpacking.eof and not unpacking.unused_data else None
