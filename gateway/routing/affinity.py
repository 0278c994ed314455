"""What of a request ties it to a backend: a key of its own, or the beginning of its prompt?

Pure. The prompt of a JSON body is what follows `"messages"`, `"prompt"` or `"input"`, wherever in the body
that stands; it is searched for, not parsed. Of any other body, a form with audio in it, it is all.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import msgspec

#: Bytes of a prompt that make a block: some 130 tokens of English, or eight of vLLM's own blocks.
BLOCK = 512
#: Most blocks of a prompt that are told apart: 32 KiB.
BLOCKS = 64
#: Bytes of a body in which the prompt must begin; as many of tools before it are searched in 20 µs.
SEARCHED = 65536
#: Most white space between a member's name and its value.
SPACES = 64

_MEMBERS = (b'"messages"', b'"prompt"', b'"input"')
_JSON_BEGINS = b"{ \t\r\n"
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode


@dataclass(frozen=True, slots=True)
class AffinityRule:
    """What a pool's policy goes by: `wants` a key, prefixes, or neither.

    The key is what is found first: the value of `header` (lower case), the body's member `field`, the first
    `prefix_bytes` of the prompt.
    """

    wants: Literal["none", "key", "prefixes"] = "none"
    header: bytes | None = None
    field: str | None = None
    prefix_bytes: int = 1024


def request_key(rule: AffinityRule, header: bytes | None, body: bytes) -> int | None:
    """64 bits for a request whose field `rule.header` is `header`; None when it has nothing to go by.

    The same on every gateway: BLAKE2b, not Python's hash.
    """
    value = header
    if not value and rule.field is not None:
        value = _member(body, rule.field)
    if not value:
        start = _prompt_start(body)
        value = body[start : start + rule.prefix_bytes]
    return int.from_bytes(blake2b(value, digest_size=8).digest(), "big") if value else None


def prefix_hashes(body: bytes, block: int = BLOCK, most: int = BLOCKS) -> tuple[int, ...]:
    """Hashes of the prompt's first 1, 2, 3, … whole blocks of `block` bytes, at most `most` of them.

    Each covers all before it, so equal hashes at one place mean equal prompts up to there. They are
    compared within this process only: Python's own hash is a fifth of BLAKE2b's time, and being keyed
    anew in every process it lets no client make a prompt that passes for another's.
    """
    start = _prompt_start(body)
    end = min(len(body), start + block * most)
    hashes = []
    chained = 0
    for at in range(start, end - block + 1, block):
        chained = hash((chained, body[at : at + block]))
        hashes.append(chained)
    return tuple(hashes)


def _prompt_start(body: bytes) -> int:
    """Where the value of the prompt's member begins; 0 where there is none."""
    if body[:1] not in _JSON_BEGINS:
        return 0
    for member in _MEMBERS:
        at = body.find(member, 0, SEARCHED)
        while at >= 0:
            at += len(member)
            value = _skip_space(body, at)
            if body[value : value + 1] == b":":
                return _skip_space(body, value + 1)
            at = body.find(member, at, SEARCHED)
    return 0


def _skip_space(body: bytes, at: int) -> int:
    ahead = body[at : at + SPACES]
    return at + len(ahead) - len(ahead.lstrip())


def _member(body: bytes, name: str) -> bytes | None:
    """The member's text, or the JSON of what is no text; None when there is none or it says nothing."""
    try:
        value = bytes(_decode(body)[name])
        if value.startswith(b'"'):
            return _decode_text(value).encode()
    except (KeyError, msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return None if value == b"null" else value
