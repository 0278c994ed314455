"""What does a Cache-Control field say, word by word? Its directives, and how many seconds they mean.

Never raises, whatever the bytes. What cannot be read is not skipped: its argument is `BROKEN`, and whoever
asks takes the reading that stores and serves less (RFC 9111 4.2.1).
"""

import re
from collections.abc import Sequence

#: An argument that is none: a quote without its end, a space beside the "=", something behind the quotes.
BROKEN = b'"'
#: Seconds that stand for everything beyond (RFC 9111 1.2.2); also what no limit at all is taken for.
MOST_S = 1 << 31
#: Directives that are read. Who sends more wants to keep the gateway busy, and gets nothing kept: the rest is
#: taken for a no-store.
MOST_DIRECTIVES = 100

# The name; then, quoted in full up to the comma, or not, the argument. Each quote ends the try of the one
# before it, so the time is linear.
_DIRECTIVE = re.compile(
    rb'[ \t,]*([^=,]*)(?:(=)(?:"([^"\\]*(?:\\.[^"\\]*)*)"(?=[ \t]*(?:,|\Z))[ \t]*|([^,]*)))?', re.DOTALL
)
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)

Directives = list[tuple[bytes, bytes | None]]


def parse_directives(values: Sequence[bytes]) -> Directives:
    """(lower-case name, argument or None where there is no "=") in order, over all the field's lines."""
    found: Directives = []
    for value in values:
        at = 0
        while at < len(value):
            match = _DIRECTIVE.match(value, at)
            if match is None or match.end() == at:
                break
            at = match.end()
            name = match[1].rstrip(b" \t")
            if len(found) == MOST_DIRECTIVES:
                found.append((b"no-store", None))
                return found
            if name or match[2] is not None:
                found.append((name.lower(), _argument(match, name)))
    return found


def _argument(match: re.Match[bytes], name: bytes) -> bytes | None:
    if match[2] is None:
        return None
    if name != match[1]:
        return BROKEN
    quoted: bytes | None = match[3]
    if quoted is not None:
        return _QUOTED_PAIR.sub(rb"\1", quoted)
    argument: bytes = match[4].rstrip(b" \t")
    return BROKEN if argument[:1] in (b" ", b"\t") or b'"' in argument else argument


def parse_seconds(argument: bytes | None) -> int:
    """A delta-seconds (RFC 9111 1.2.2), at most `MOST_S`; -1 for what is none: below 0, a fraction, empty."""
    if argument is None or not argument.isdigit():
        return -1
    digits = argument.lstrip(b"0")
    return min(int(digits or b"0"), MOST_S) if len(digits) <= 10 else MOST_S


def parse_age(values: Sequence[bytes]) -> int:
    """Seconds that an Age field tells: its first member (RFC 9111 5.1); 0 where that is no number."""
    if not values:
        return 0
    return max(0, parse_seconds(values[0].partition(b",")[0].strip(b" \t")))


def names_in(argument: bytes) -> list[bytes]:
    """The lower-case field names that a qualified directive lists."""
    return [name for piece in argument.split(b",") if (name := piece.strip(b" \t").lower())]
