"""What is read of a JSON body, and what a body comes to? Values only.

Not compiled: msgspec makes the class.
"""

from typing import Any, NamedTuple

import msgspec


class BodyFacts(NamedTuple):
    """What a body says; `model` None when it names none, or cannot be read."""

    model: str | None = None
    stream: bool = False


class Members(msgspec.Struct):
    """The members of a JSON object that decide where it goes; all others are checked and skipped."""

    model: Any = None
    stream: Any = None


decode = msgspec.json.Decoder(Members).decode
