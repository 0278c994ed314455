"""How many tokens does an answer say it took? What its `usage` reports, found without reading the rest.

Pure. An answer's end is looked at and no more, and of that one small object is decoded, so neither a long
answer nor a hostile one costs more than microseconds.
"""

import re
from typing import Final

from gateway.tokens.shapes import read_usage

#: At an answer's end; servers write `usage` last, or nearly.
LOOKED_AT: Final = 4096
_TRIES: Final = 8  # of places that look like it: chunks before the last say `"usage": null`
_MOST: Final = 1024  # bytes of the object
_NAME: Final = b'"usage"'
#: An object with objects in it, none of which has any; it takes back nothing that it has matched.
_OBJECT: Final = re.compile(rb"[ \t\r\n]{0,8}+:[ \t\r\n]{0,8}+(\{[^{}]*+(?:\{[^{}]*+\}[^{}]*+)*+\})")


class Usage:
    """Tokens of one answer; -1 for what is not known. `cached` ones are among the prompt's."""

    __slots__ = ("cached", "completion", "prompt")

    def __init__(self, prompt: int, completion: int, cached: int) -> None:
        self.prompt = prompt
        self.completion = completion
        self.cached = cached

    def __repr__(self) -> str:
        return f"<Usage {self.prompt} + {self.completion}, {self.cached} cached>"


def usage_in(body: bytes) -> Usage | None:
    """What the last `usage` in the last 4 KiB of `body` says; None when there is none that can be read.

    The name in quotes cannot stand inside a JSON string, where its quotes have backslashes.
    """
    stop = len(body)
    start = max(0, stop - LOOKED_AT)
    for _ in range(_TRIES):
        at = body.rfind(_NAME, start, stop)
        if at < 0:
            return None
        end = at + len(_NAME)
        found = _OBJECT.match(body, end, end + _MOST)
        if found is not None:
            said = read_usage(found[1])
            if said is not None:
                return Usage(said[0], said[1], said[2])
        stop = at
    return None
