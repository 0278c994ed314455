"""Do two answers say the same? What models' answers are compared by: texts and numbers, not ids and times.

Pure. Servers put things into every answer that are never the same twice, and cut streams where they like;
the numbers of embeddings and scores differ in their last digits with what else is computed in a batch.
"""

import base64
import binascii
import json
from collections.abc import Iterator
from math import isfinite, sqrt
from struct import unpack

import msgspec

#: By how much the directions of two embeddings may differ (1 - cosine), and other numbers (relative above 1).
TOLERANCE = 1e-3
#: Lists of so many numbers are compared as directions.
LEAST_VECTOR = 8

#: Members of models' answers that say nothing of the answer, or of how it was made.
_FLEETING = frozenset(
    (
        "created", "created_at", "completed_at", "system_fingerprint", "usage", "timings", "logprobs",
        "logprob", "prompt_logprobs", "token_ids", "prompt_token_ids", "call_id", "item_id", "request_id",
        "response_id", "message_id", "sequence_number", "obfuscation", "service_tier", "kv_transfer_params",
        "e2e_latency", "cached_tokens", "stats", "metrics", "x_groq",
    )
)  # fmt: skip
_FLEETING_ENDS = ("_duration", "_latency", "_time", "_ms", "_per_second")
#: What shows that a JSON object is a model's answer. Any other JSON is compared to the letter.
_SHAPES = (
    "choices", "data", "embedding", "embeddings", "output", "outputs", "content", "message", "response",
    "generated_text", "results", "text", "predictions",
)  # fmt: skip
_EMBEDDINGS = ("embedding", "embeddings")
#: Members of events that bring the answer's text bit by bit; of all others the last counts.
_GROWING = frozenset(
    (
        "content", "text", "reasoning", "reasoning_content", "thinking", "refusal", "arguments",
        "partial_json", "delta", "response", "transcript",
    )
)  # fmt: skip
_PLACES = ("index", "output_index", "content_index", "summary_index")

Path = tuple[object, ...]


class _Pieces(list[str]):
    """A text that has come bit by bit."""


def same_json(one: bytes, other: bytes) -> bool:
    """Whether two JSON texts mean the same; ValueError when one of them is none."""
    left, right = _decode(one), _decode(other)
    return _same(left, right, "", _is_answer(left) and _is_answer(right))


def same_events(one: bytes, other: bytes) -> bool:
    """Whether two event streams bring the same, wherever they are cut."""
    return _same_leaves(_gathered(_events(one)), _gathered(_events(other)))


def same_lines(one: bytes, other: bytes) -> bool:
    """The same for streams of JSON, one text a line."""
    return _same_leaves(_gathered(_lines(one)), _gathered(_lines(other)))


def _decode(text: bytes) -> object:
    try:
        return msgspec.json.decode(text)
    except ValueError:
        return json.loads(text)  # NaN and Infinity, which Python's servers write


# One JSON text.


def _is_answer(value: object) -> bool:
    if isinstance(value, dict):
        return any(name in value for name in _SHAPES)
    return isinstance(value, list)


def _same(one: object, other: object, name: str, loose: bool) -> bool:
    """`name`: the member that they are the values of; `loose`: they are parts of models' answers."""
    if isinstance(one, dict) and isinstance(other, dict):
        if loose:
            one, other = _lasting(one), _lasting(other)
        return one.keys() == other.keys() and all(_same(one[key], other[key], key, loose) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return False
        if loose and _is_vector(one, name) and _is_vector(other, name):
            return _same_direction(one, other)
        return all(_same(left, right, name, loose) for left, right in zip(one, other, strict=True))
    return _same_leaf(one, other, name, loose)


def _same_leaf(one: object, other: object, name: str, loose: bool) -> bool:
    if type(one) is type(other) and one == other:
        return True
    if loose and name in _EMBEDDINGS and isinstance(one, str) and isinstance(other, str):
        return _same_direction(_floats(one), _floats(other))
    if not (_is_number(one) and _is_number(other)):
        return False
    return one == other or repr(one) == repr(other) == "nan" or (loose and _near(one, other))


def _lasting(members: dict[str, object]) -> dict[str, object]:
    """Without what is never the same twice; an id is a fact only where models are listed."""
    models = members.get("object") == "model"
    return {
        name: value
        for name, value in members.items()
        if value is not None and not _is_fleeting(name) and (models or name != "id")
    }


def _is_fleeting(name: str) -> bool:
    return name in _FLEETING or name.endswith(_FLEETING_ENDS)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _near(one: object, other: object) -> bool:
    """Whether two numbers differ in their last digits only; whole ones are counts, and exact."""
    assert isinstance(one, int | float) and isinstance(other, int | float)
    if not (isinstance(one, float) or isinstance(other, float)):
        return False
    try:
        return bool(abs(one - other) <= TOLERANCE * max(1.0, abs(one), abs(other)) < float("inf"))
    except OverflowError:
        return False


def _is_vector(values: list[object], name: str) -> bool:
    """Whether a list is an embedding: long, of numbers. Whole numbers by themselves may be tokens."""
    if len(values) < LEAST_VECTOR or not all(_is_number(value) for value in values):
        return False
    return name in _EMBEDDINGS or any(isinstance(value, float) for value in values)


def _floats(text: str) -> list[float]:
    """An embedding written as base64 of 32-bit floats; [] when it is none."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return []
    return list(unpack(f"<{len(data) // 4}f", data)) if len(data) % 4 == 0 else []


def _same_direction(one: list[float], other: list[float]) -> bool:
    """Whether two embeddings point the same way; [] to none."""
    if not one or len(one) != len(other):
        return False
    try:
        product, left, right = _dot(one, other), _dot(one, one), _dot(other, other)
    except OverflowError:
        return one == other
    if not isfinite(product) or left <= 0.0 or right <= 0.0 or not isfinite(left * right):
        return one == other
    return product / (sqrt(left) * sqrt(right)) >= 1.0 - TOLERANCE


def _dot(one: list[float], other: list[float]) -> float:
    return float(sum(map(float.__mul__, map(float, one), map(float, other))))


# Streams.


def _events(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Each event's type, "" where none is given, and its data."""
    kind, data = "", list[bytes]()
    for line in (*body.splitlines(), b""):
        if not line:
            if data:
                yield kind, b"\n".join(data)
            kind, data = "", []
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            kind = value.decode("latin-1")
        elif name == b"data":
            data.append(value)


def _lines(body: bytes) -> Iterator[tuple[str, bytes]]:
    return (("", line) for line in body.splitlines() if line)


def _gathered(events: Iterator[tuple[str, bytes]]) -> dict[Path, object]:
    """What a stream brings, by place: texts put together, of all else the last."""
    found: dict[Path, object] = {}
    for kind, data in events:
        try:
            value = _decode(data)
        except ValueError:  # such as [DONE]
            _put(found, (kind, "text"), data.decode("latin-1"))
            continue
        places: Path = ()
        if isinstance(value, dict):
            kind = kind or str(value.get("type", ""))
            places = tuple(value.get(name) for name in _PLACES)
        _leaves(value, (kind, str(places), ""), found)
    return {path: "".join(value) if isinstance(value, _Pieces) else value for path, value in found.items()}


def _leaves(value: object, path: Path, found: dict[Path, object]) -> None:
    if isinstance(value, dict):
        for name, inner in _lasting(value).items():
            _leaves(inner, (*path, name), found)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            place = inner.get("index", position) if isinstance(inner, dict) else position
            _leaves(inner, (*path, str(place)), found)
    elif value is not None and value != "":
        _put(found, path, value)


def _put(found: dict[Path, object], path: Path, value: object) -> None:
    if not isinstance(value, str) or path[-1] not in _GROWING:
        found[path] = value
        return
    pieces = found.get(path)
    if isinstance(pieces, _Pieces):
        pieces.append(value)
    else:
        found[path] = _Pieces((value,))


def _same_leaves(one: dict[Path, object], other: dict[Path, object]) -> bool:
    return one.keys() == other.keys() and all(
        _same(value, other[path], str(path[-1]), True) for path, value in one.items()
    )
