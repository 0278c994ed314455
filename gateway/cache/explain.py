"""Do two bodies share a key and, if not, where do they first differ?

Pure. Says in words what `canonical.py` decides in bytes; slow, for people.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.cache.canonical import TWICE, Canonical, Canonicaliser
from gateway.cache.form import cut
from gateway.cache.media import Media, read_media

EXCERPT = 60  # characters that are shown of a value
BEFORE = 20  # of them before the first difference, in a text


@dataclass(frozen=True, slots=True)
class Difference:
    """Where: a JSON path as `$.messages[1].content`, or a byte. What stands there; None for nothing."""

    where: str
    a: str | None
    b: str | None


@dataclass(frozen=True, slots=True)
class Side:
    """One of the bodies; the fields are those of `Canonical`, `ignored` the members that did not count."""

    form: str
    sampled: bool
    why: str
    ignored: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """`equal` says that, all else being equal, the requests share a key; else there is a `difference`."""

    equal: bool
    a: Side
    b: Side
    difference: Difference | None

    def data(self) -> dict[str, object]:
        """As JSON has it."""
        told: dict[str, object] = {"equal": self.equal}
        for name, side in (("a", self.a), ("b", self.b)):
            about: dict[str, object] = {"form": side.form, "sampled": side.sampled}
            told[name] = about | {"ignored": list(side.ignored), "why": side.why or None}
        found = self.difference
        told["first_difference"] = found and {"where": found.where, "a": found.a, "b": found.b}
        return told

    def text(self, a: str, b: str) -> str:
        """Lines for people, the bodies being called `a` and `b`."""
        lines = ["the same key" if self.equal else "different keys"]
        if self.difference is not None:
            lines[0] += f": first difference at {self.difference.where}"
            for name, value in ((a, self.difference.a), (b, self.difference.b)):
                lines.append(f"  {name}: {'nothing' if value is None else value}")
        for name, side in ((a, self.a), (b, self.b)):
            if side.ignored:
                lines.append(f"{name}: does not count: {', '.join(side.ignored)}")
            if side.why:
                lines.append(f"{name}: is compared byte by byte: {side.why}")
            if side.sampled:
                lines.append(f"{name}: its answer is drawn by lot: temperature or n, and no seed")
        return "\n".join(lines)


def explain(a: bytes, b: bytes, content_type: bytes, ignore: frozenset[str]) -> Explanation:
    """Compare two bodies of one Content-Type (b"" for none). Never raises."""
    media = read_media(content_type)
    reader = Canonicaliser(ignore)
    one, two = (reader.read(body, media) for body in (a, b))
    sides = [_side(reader, body, read) for body, read in ((a, one), (b, two))]
    if one.digest == two.digest:
        return Explanation(True, sides[0], sides[1], None)
    return Explanation(False, sides[0], sides[1], _difference(reader, media, (a, one), (b, two)))


def _side(reader: Canonicaliser, body: bytes, read: Canonical) -> Side:
    why = read.why
    if why == TWICE and (name := _twice(body)) is not None:
        why = f"the member {_shown(name)} stands twice"
    ignored: tuple[str, ...] = ()
    value = reader.parse(body) if read.form == "json" else None
    if isinstance(value, dict):
        ignored = tuple(name for name in reader.ignore if name in value)
    return Side(read.form, read.sampled, why, ignored)


def _difference(
    reader: Canonicaliser, media: Media, a: tuple[bytes, Canonical], b: tuple[bytes, Canonical]
) -> Difference:
    forms = {a[1].form, b[1].form}
    if forms == {"json"}:
        values = [reader.parse(body) for body, _ in (a, b)]
        for value in values:
            if isinstance(value, dict):
                for name in reader.ignore:
                    value.pop(name, None)
        found = next(_differences("$", *values), None)
        if found is not None:
            return found
    if forms == {"multipart"}:
        parts = [cut(body, media.boundary) or [] for body, _ in (a, b)]
        for number, (one, two) in enumerate(zip(*parts, strict=False), 1):
            if one != two:
                return _bytes(f"part {number}, ", one, two)
        shorter = min(len(side) for side in parts)
        return Difference(f"part {shorter + 1}", *(_excerpt_of_part(side, shorter) for side in parts))
    return _bytes("", a[0], b[0])


def _excerpt_of_part(parts: list[bytes], at: int) -> str | None:
    return _cut(parts[at].decode("utf-8", "backslashreplace"), 0) if at < len(parts) else None


def _differences(path: str, a: object, b: object) -> Iterator[Difference]:
    """Those between two JSON values, in the order of `a`; what only `b` has comes after its siblings."""
    if isinstance(a, dict) and isinstance(b, dict):
        for name in [*a, *(name for name in b if name not in a)]:
            inner = f"{path}.{name}" if name.isidentifier() else f"{path}[{json.dumps(name)}]"
            if len(inner) > len(path) + EXCERPT + 2:
                inner = f"{path}[{_shown(name)}]"
            if name in a and name in b:
                yield from _differences(inner, a[name], b[name])
            else:
                yield Difference(inner, *(_shown(side[name]) if name in side else None for side in (a, b)))
    elif isinstance(a, list) and isinstance(b, list):
        for at in range(max(len(a), len(b))):
            if at < len(a) and at < len(b):
                yield from _differences(f"{path}[{at}]", a[at], b[at])
            else:
                yield Difference(
                    f"{path}[{at}]", *(_shown(side[at]) if at < len(side) else None for side in (a, b))
                )
    elif isinstance(a, str) and isinstance(b, str):
        if a != b:
            at = _first(a, b)
            yield Difference(path, _shown(a, at), _shown(b, at))
    elif a != b or isinstance(a, bool) is not isinstance(b, bool):
        yield Difference(path, _shown(a), _shown(b))


def _bytes(where: str, a: bytes, b: bytes) -> Difference:
    at = _first(a, b)
    excerpts = [
        _cut(side[max(0, at - EXCERPT) : at + EXCERPT].decode("utf-8", "backslashreplace"), min(at, EXCERPT))
        if at < len(side)
        else None
        for side in (a, b)
    ]
    return Difference(f"{where}byte {at}", *excerpts)


def _first(a: str | bytes, b: str | bytes) -> int:
    """The first place at which they differ; the end of the shorter where that begins the longer."""
    return next(
        (at for at, (one, two) in enumerate(zip(a, b, strict=False)) if one != two), min(len(a), len(b))
    )


def _shown(value: object, at: int = 0) -> str:
    """A JSON value, cut down; of a text the surroundings of place `at`."""
    if isinstance(value, str):
        start = max(0, at - BEFORE)
        piece = json.dumps(value[start : start + EXCERPT], ensure_ascii=False)
        return ("…" if start else "") + piece + ("…" if len(value) > start + EXCERPT else "")
    if isinstance(value, (dict, list)):
        kind = "object" if isinstance(value, dict) else "list"
        return f"{'an' if kind == 'object' else 'a'} {kind} of {len(value)}"
    return _cut(json.dumps(value), 0)


def _cut(text: str, at: int) -> str:
    start = max(0, at - BEFORE)
    piece = text[start : start + EXCERPT]
    safe = "".join(one if one.isprintable() else repr(one)[1:-1] for one in piece)
    return ("…" if start else "") + safe + ("…" if len(text) > start + EXCERPT else "")


def _twice(body: bytes) -> str | None:
    """The first member found to stand twice."""
    found: list[str] = []

    def look(pairs: list[tuple[str, object]]) -> None:
        names: set[str] = set()
        for name, _ in pairs:
            if name in names:
                found.append(name)
            names.add(name)

    try:
        json.loads(body.decode("utf-8"), object_pairs_hook=look)
    except (ValueError, RecursionError):
        return None
    return found[0] if found else None
