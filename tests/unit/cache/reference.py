"""A slow and obvious judge of which JSON bodies are the same, and bodies to put before it."""

import json
import re
from typing import Any

from hypothesis import strategies as st

MAX_DEPTH = 256
LIMIT = 2**63


class Doubt(Exception):
    """To be compared byte by byte."""


def _number(text: str) -> tuple[str, object]:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise Doubt
    if value.is_integer() and abs(value) < LIMIT:
        return ("whole", int(value))
    return ("double", value.hex())


def _whole(text: str) -> tuple[str, object]:
    if len(text.lstrip("-")) > 4300:
        raise Doubt
    return ("whole", int(text))


def _constant(text: str) -> object:
    raise Doubt


class _Members(list[tuple[str, Any]]):
    pass


def _strict(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise Doubt from None
    return text


def _judged(value: Any, depth: int) -> object:
    if isinstance(value, _Members):
        if depth >= MAX_DEPTH or len({name for name, _ in value}) < len(value):
            raise Doubt
        return ("object", frozenset((_strict(name), _judged(inner, depth + 1)) for name, inner in value))
    if isinstance(value, list):
        if depth >= MAX_DEPTH:
            raise Doubt
        return ("list", tuple(_judged(inner, depth + 1) for inner in value))
    if isinstance(value, str):
        return ("text", _strict(value))
    if value is None or isinstance(value, bool):
        return ("word", str(value))
    return value  # a number, judged already


def meaning(body: bytes, ignore: frozenset[str]) -> object:
    """Equal for the bodies that are the same; bodies that are in doubt are their bytes."""
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_Members,
            parse_float=_number,
            parse_int=_whole,
            parse_constant=_constant,
        )
        judged = _judged(value, 0)
    except (Doubt, ValueError, RecursionError):
        return body
    if isinstance(value, _Members):
        judged = _judged(_Members(one for one in value if one[0] not in ignore), 0)
    return ("json", judged)


class Number:
    """A number in one of its spellings."""

    def __init__(self, text: str) -> None:
        self.text = text


class Pairs(list[tuple[str, Any]]):
    """An object whose members may stand twice."""


# fmt: off
NUMBERS = [
    "0", "-0", "0.0", "-0.0", "0e5", "-0E-3", "1", "1.0", "1e0", "10e-1", "1.00", "1E+0", "-1", "-1.0",
    "2", "100", "1e2", "1E2", "100.0", "0.1", "1e-1", "0.10", "0.7", "0.30000000000000004", "0.3",
    "3e-1", "9007199254740993", "9007199254740993.0", "9007199254740992", "9007199254740992.0",
    "9223372036854775807", "9223372036854775808", "9223372036854775808.0", "9223372036854775807.0",
    "18446744073709551616", "1e20", "100000000000000000000", "1e22", "10000000000000000000000",
    "123456789012345678901234567890", "5e-324", "4e-324", "1e-400", "0.0000001", "1e-7",
    "1.7976931348623157e308", "1e308", "123456.789", "123456.7890",
]
# fmt: on
DOUBTFUL_NUMBERS = ["1e400", "-1e999", "NaN", "Infinity", "-Infinity", "01", "1.", ".5", "+1", "0x1", "1e"]

TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            "a",
            "b",
            ":",
            "a:b",
            '"',
            "\\",
            "\\u003a",
            "é",
            "e\u0301",
            "\U0001f600",
            "\x00",
            "\n",
            "1",
            "true",
        ]
    ),
    st.text(max_size=8),
)
NAMES = st.sampled_from(
    ["a", "b", "c", "user", "model", "seed", ":", "é", "a:b", '"', "\\", "", "\U0001f600", "n"]
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(NUMBERS).map(Number),
    TEXTS,
    st.floats(allow_nan=False, allow_infinity=False).map(lambda one: Number(repr(one))),
    st.integers().map(lambda one: Number(str(one))),
)


def _grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=3),
        st.lists(st.tuples(NAMES, inner), max_size=4, unique_by=lambda one: one[0]).map(Pairs),
    )


VALUES = st.recursive(LEAVES, _grown, max_leaves=8)
OBJECTS = st.lists(st.tuples(NAMES, VALUES), max_size=5, unique_by=lambda one: one[0]).map(Pairs)


def _spelled_text(text: str, draw: Any) -> str:
    out = []
    for one in text:
        how = draw(st.integers(0, 5))
        code = ord(one)
        if 0xD800 <= code <= 0xDFFF or (how == 0 and code <= 0xFFFF):
            out.append(f"\\u{code:04x}" if draw(st.booleans()) else f"\\u{code:04X}")
        elif how == 0:
            out.append(json.dumps(one)[1:-1])
        elif one == "/" and how == 1:
            out.append("\\/")
        else:
            out.append(json.dumps(one, ensure_ascii=False)[1:-1])
    return '"' + "".join(out) + '"'


def _same_number(text: str, draw: Any) -> str:
    """Another spelling of a number, as often as not."""
    if draw(st.booleans()):
        return text
    if re.fullmatch(r"-?[0-9]{1,15}", text):
        return draw(st.sampled_from([text + ".0", text + "e0", text + "0e-1", text + ".000E+0"]))
    if "." in text and "e" not in text.lower():
        return text + draw(st.sampled_from(["0", "e0", "E+0"]))
    return text


def spell(value: Any, draw: Any, plain: bool) -> str:
    """`value` as JSON: as every client writes it when `plain`, else in any way it can be written."""
    gap = "" if plain else draw(st.sampled_from(["", "", " ", "\n\t", "\r\n"]))
    if isinstance(value, Pairs):
        members = list(value) if plain else draw(st.permutations(value))
        inner = [(spell(name, draw, plain), spell(one, draw, plain)) for name, one in members]
        return "{" + gap + ",".join(f"{gap}{name}{gap}:{gap}{one}{gap}" for name, one in inner) + "}"
    if isinstance(value, list):
        return "[" + gap + ",".join(gap + spell(one, draw, plain) + gap for one in value) + "]"
    if isinstance(value, Number):
        return value.text if plain else _same_number(value.text, draw)
    if isinstance(value, str):
        if plain and not any(0xD800 <= ord(one) <= 0xDFFF for one in value):
            return json.dumps(value, ensure_ascii=False)
        return _spelled_text(value, draw)
    return json.dumps(value)


def changed(value: Any, draw: Any) -> Any:
    """`value` with something in it changed: another leaf, a member that stands twice, one less, …"""
    if isinstance(value, Pairs) and value and draw(st.integers(0, 3)):
        at = draw(st.integers(0, len(value) - 1))
        name, inner = value[at]
        how = draw(st.integers(0, 5))
        if how == 0:
            return Pairs([*value, (name, draw(VALUES))])  # twice
        if how == 1:
            return Pairs([*value[:at], *value[at + 1 :]])
        if how == 2:
            return Pairs([*value[:at], (draw(NAMES), inner), *value[at + 1 :]])
        return Pairs([*value[:at], (name, changed(inner, draw)), *value[at + 1 :]])
    if isinstance(value, list) and not isinstance(value, Pairs) and value and draw(st.integers(0, 3)):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], changed(value[at], draw), *value[at + 1 :]]
    if draw(st.integers(0, 9)) == 0:
        return Number(draw(st.sampled_from(DOUBTFUL_NUMBERS)))
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(["\ud800", "\udc00\ud800"]))
    return draw(LEAVES)


@st.composite
def pairs_of_bodies(draw: Any) -> tuple[bytes, bytes]:
    """Two bodies that are the same, or nearly, in spellings of their own."""
    a = draw(OBJECTS if draw(st.integers(0, 4)) else VALUES)
    if draw(st.integers(0, 6)) == 0:
        a = changed(a, draw)
    b = changed(a, draw) if draw(st.booleans()) else a
    if draw(st.integers(0, 4)) == 0 and isinstance(b, Pairs):
        b = Pairs([*b, ("user", draw(LEAVES))])
    texts = [spell(one, draw, plain=draw(st.booleans())) for one in (a, b)]
    bodies = [text.encode("utf-8") for text in texts]
    if draw(st.integers(0, 19)) == 0 and bodies[1]:
        at = draw(st.integers(0, len(bodies[1]) - 1))
        bodies[1] = bodies[1][:at] + draw(st.binary(max_size=2)) + bodies[1][at + 1 :]
    return bodies[0], bodies[1]
