"""What does the body say about where it wants to go? Its model, and whether a stream is asked for.

Pure. JSON is decoded by msgspec into three members, the rest is checked and skipped; multipart forms
(OpenAI's audio and image endpoints) are searched for their short text parts `model` and `stream`.
"""

import re
from typing import Any, NamedTuple

import msgspec

MAX_MODEL = 256  # characters of a model name that are looked at


class BodyFacts(NamedTuple):
    """What a body says; `model` None when it names none, or cannot be read."""

    model: str | None = None
    stream: bool = False


class _Members(msgspec.Struct):
    model: Any = None
    stream: Any = None


_decode = msgspec.json.Decoder(_Members).decode
_new = tuple.__new__
_NOTHING = BodyFacts()
_PART = re.compile(rb'name="?(model|stream)"?[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]{0,256})\r\n--')


def read_body(body: bytes, content_type: bytes) -> BodyFacts:
    """The facts in `body`; never raises: a body that cannot be read says nothing."""
    if not body:
        return _NOTHING
    if content_type[:19].lower() == b"multipart/form-data":
        return _read_form(body)
    if not body.startswith(b"{") and body.lstrip()[:1] != b"{":
        return _NOTHING
    try:
        members = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _NOTHING
    model = members.model
    facts = (model[:MAX_MODEL] if isinstance(model, str) else None, members.stream is True)
    return _new(BodyFacts, facts)  # a third of what calling the class costs


def _read_form(body: bytes) -> BodyFacts:
    found = {part[1]: part[2] for part in _PART.finditer(body)}
    model = found.get(b"model")
    return BodyFacts(
        model.decode("utf-8", "replace") if model else None,
        found.get(b"stream", b"").strip().lower() == b"true",
    )


def replace_model(body: bytes, model: str) -> bytes:
    """`body`, a JSON object, with its member `model` replaced; every other member keeps its exact bytes.

    A body that is no JSON object is returned as it is.
    """
    try:
        members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    members["model"] = msgspec.Raw(msgspec.json.encode(model))
    return msgspec.json.encode(members)
