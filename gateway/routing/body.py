"""What does the body say about where it wants to go? Its model, and whether a stream is asked for.

Pure. JSON is decoded by msgspec into three members, the rest is checked and skipped; multipart forms
(OpenAI's audio and image endpoints) are searched for their short text parts `model` and `stream`.
"""

import re

import msgspec

from gateway.routing.members import BodyFacts, decode

MAX_MODEL = 256  # characters of a model name that are looked at
MAX_PART = 2048  # bytes of a form's part, beyond which it is no short text
MAX_PARTS = 1000  # parts of a form that are looked at


_new = tuple.__new__
_NOTHING = BodyFacts()
_BOUNDARY = re.compile(rb"""boundary=(?:"([^"\r\n]{1,70})"|([^\s;,"]{1,70}))""", re.IGNORECASE)
_NAME = re.compile(
    # The name comes first, as every client writes it: a file's name cannot pose as the field's.
    rb"""^content-disposition:[ \t]*form-data;[ \t]*name="?(model|stream)"?[ \t]*(?:;|\r|$)""",
    re.IGNORECASE | re.MULTILINE,
)


def read_body(body: bytes, content_type: bytes) -> BodyFacts:
    """The facts in `body`; never raises: a body that cannot be read says nothing."""
    if not body:
        return _NOTHING
    if content_type[:19].lower() == b"multipart/form-data":
        return _read_form(body, content_type)
    if not body.startswith(b"{") and body.lstrip()[:1] != b"{":
        return _NOTHING
    try:
        members = decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _NOTHING
    model = members.model
    facts = (model[:MAX_MODEL] if isinstance(model, str) else None, members.stream is True)
    return _new(BodyFacts, facts)  # a third of what calling the class costs


def _read_form(body: bytes, content_type: bytes) -> BodyFacts:
    """The form's last `model` and `stream`. Each byte is looked at once, however the parts are made."""
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        return _NOTHING
    found: dict[bytes, bytes] = {}
    delimiter = b"\r\n--" + (boundary[1] or boundary[2])
    at = 0 if body.startswith(delimiter[2:]) else body.find(delimiter)
    for _ in range(MAX_PARTS):
        if at < 0:
            break
        at += len(delimiter) - 2
        end = body.find(delimiter, at)
        if 0 <= end <= at + MAX_PART:
            head, _, value = body[at:end].partition(b"\r\n\r\n")
            name = _NAME.search(head)
            if name is not None:
                found[name[1]] = value
        at = end
    model = found.get(b"model", b"").decode("utf-8", "replace")
    return BodyFacts(model[:MAX_MODEL] or None, found.get(b"stream", b"").strip().lower() == b"true")


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
