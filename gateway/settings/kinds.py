"""What is a kind of value: how is it read, named in the manual, shown, and described to editors?

A `Kind` stands in a field's `Annotated[...]`: validation, the JSON Schema and the manual all come from
it. A reader raises `ValueError` whose text says what is accepted and never repeats what was found: the
value may come from the environment and be nobody's business.
"""

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

#: Editors see the file before variables are replaced, so every scalar may be text with `${NAME}` in it.
VARIABLE: dict[str, Any] = {"type": "string", "pattern": r"\$\{"}


def refused(accepted: str) -> PydanticCustomError:
    """The error a validator raises; `accepted` says what would have been right."""
    return PydanticCustomError("refused", "{accepted}", {"accepted": accepted})


@dataclass(frozen=True, slots=True, eq=False)  # by identity: typing hashes what stands in Annotated
class Kind:
    """How one kind of value is read, named in the manual, shown as a default and described to editors."""

    label: str
    read: Callable[[object], object]
    schema: dict[str, Any]
    show: Callable[[Any], str] = str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._validate)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return self.json_schema()

    def json_schema(self) -> dict[str, Any]:
        """What the file may hold here, in JSON Schema."""
        return {"anyOf": [self.schema, VARIABLE]}

    def _validate(self, value: object) -> object:
        try:
            return self.read(value)
        except ValueError as error:
            raise refused(str(error)) from None


def did_you_mean(found: object, words: Iterable[str]) -> str:
    """`; did you mean 'interval'?` when one of `words` is close to what was found, else nothing."""
    close = difflib.get_close_matches(str(found), list(words), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def whole(least: int, most: int) -> Kind:
    """A whole number from `least` to `most`."""

    def read(value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,15}", value):
            value = int(value)  # a quoted `"${NAME}"` is text, and quotes are a must inside { }
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return value

    number = {"type": "integer", "minimum": least, "maximum": most}
    return Kind("whole number", read, {"anyOf": [number, {"type": "string", "pattern": "^[0-9]+$"}]})


def whole_or_auto(least: int, most: int) -> Kind:
    """A whole number from `least` to `most`, the word `auto`, or null for none."""
    number = whole(least, most)

    def read(value: object) -> object:
        if value is None or value in ("null", "auto"):
            return None if value != "auto" else value
        try:
            return number.read(value)
        except ValueError as error:
            raise ValueError(f"{error}, auto, or null for none") from None

    schema = {"anyOf": [*number.schema["anyOf"], {"enum": ["auto", "null", None]}]}
    return Kind("whole number \\| `auto` \\| null", read, schema, lambda v: "null" if v is None else str(v))


def percentile() -> Kind:
    """`p50` to `p99.9`, as a share 0..1."""

    def read(value: object) -> float:
        if isinstance(value, str) and re.fullmatch(r"p[0-9]{2}(\.[0-9]{1,2})?", value):
            share = float(value[1:]) / 100
            if share >= 0.5:
                return share
        if isinstance(value, float) and 0.5 <= value < 1.0:
            return value
        raise ValueError("a percentile from p50 to p99.99, such as p95")

    schema = {"type": "string", "pattern": r"^p[5-9][0-9](\.[0-9]{1,2})?$"}
    return Kind("percentile", read, schema, lambda share: f"p{share * 100:g}")


def at_least(least: float) -> Kind:
    """A number that is not below `least`."""

    def read(value: object) -> float:
        text = "" if isinstance(value, bool) else str(value)
        number = float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else 0.0
        if not least <= number <= 1_000_000:
            raise ValueError(f"a number from {least:g} to 1000000")
        return number

    schema = {"anyOf": [{"type": "number", "minimum": least}, {"type": "string", "pattern": "^[0-9.]+$"}]}
    return Kind("number", read, schema, lambda number: f"{number:g}")


def choice(*words: str) -> Kind:
    """One of `words`; YAML's false and true mean `off` and `on` where those are among them."""

    def read(value: object) -> str:
        word = {True: "on", False: "off"}[value] if isinstance(value, bool) else value
        if not isinstance(word, str) or word not in words:
            raise ValueError("one of " + ", ".join(words) + did_you_mean(word, words))
        return word

    accepted: list[object] = [
        *words,
        *([False] if "off" in words else []),
        *([True] if "on" in words else []),
    ]
    return Kind(" \\| ".join(f"`{word}`" for word in words), read, {"enum": accepted})


def quantity(
    label: str, parse: Callable[[object], float], pattern: str, show: Callable[[Any], str], least: float = 0
) -> Kind:
    def read(value: object) -> object:
        number = parse(value)
        if number < least:
            raise ValueError(f"a {label} of at least {show(least)}")
        return number

    strings = {"type": "string", "pattern": f"^{pattern}$"}
    return Kind(label, read, {"anyOf": [{"type": "number", "minimum": least}, strings]}, show)
