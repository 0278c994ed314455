"""Whose answers may a request be given? What of its head tells one circle of callers from another.

Pure. Credentials go into an HMAC-SHA-256 under a salt and nowhere else: neither a key nor a `repr` shows
them, and without the salt nobody can try which credential a key was made with.
"""

import hmac
import re

from gateway.messages import RequestHead

ACCEPTED_SCOPE = "credential, shared, or header:NAME[,NAME] with the names of request fields"

#: Fields that say who asks, or on whose account: what model servers, their hosts and gateways go by.
CREDENTIALS = (
    b"authorization",
    b"x-api-key",
    b"api-key",
    b"cookie",
    b"x-auth-token",
    b"x-goog-api-key",
    b"ocp-apim-subscription-key",
    b"openai-organization",
    b"openai-project",
)

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
MAX_NAMES = 16


class ScopeRule:
    """`kind` is credential, shared or header; `names` (lower case) are the fields that are looked at."""

    def __init__(self, kind: str, names: tuple[bytes, ...]) -> None:
        self.kind = kind
        self.names = names

    def __repr__(self) -> str:
        return f"<ScopeRule {self.kind} {b','.join(self.names).decode('latin-1')}>"

    def circle(self, head: RequestHead, salt: bytes) -> bytes:
        """Bytes that are equal for requests of one circle, and for no others under the same rule.

        Values are compared byte by byte, so `Bearer a` and `bearer a` are two. An absent field is another
        than an empty one. Requests with none of the fields are one circle of their own.
        """
        if self.kind == "shared":
            return b"shared"
        parts = head.parts
        seen: dict[bytes, list[bytes]] = {}
        for at in range(0, len(parts), 4):  # once for all names: a client may send no two heads alike
            name = parts[at].lower()
            if name in self.names:
                seen.setdefault(name, []).append(parts[at + 2])
        if not seen:
            return b"nobody " + self.kind.encode() + b" " + b",".join(self.names)
        told: list[bytes] = [self.kind.encode()]
        for name in self.names:
            values = seen.get(name)
            told.append(name)
            told.append((0 if values is None else len(values)).to_bytes(4, "big"))
            if values is not None:
                told += values
        return b"hmac " + hmac.digest(salt, prefixed(told), "sha256")


def prefixed(parts: list[bytes]) -> bytes:
    """`parts` in one, each behind its length, so that no other parts give the same bytes."""
    return b"".join([len(part).to_bytes(8, "big") + part for part in parts])


def parse_scope(text: str) -> ScopeRule:
    """The rule that `text` writes; ValueError says what is accepted."""
    kind, _, rest = text.partition(":")
    if text == "credential":
        return ScopeRule("credential", CREDENTIALS)
    if text == "shared":
        return ScopeRule("shared", ())
    names = [name.strip(" ") for name in rest.split(",")]
    if kind == "header" and len(names) <= MAX_NAMES and all(_NAME.fullmatch(name) for name in names):
        return ScopeRule("header", tuple(dict.fromkeys(name.lower().encode() for name in names)))
    raise ValueError(f"scope {text!r}: accepted: {ACCEPTED_SCOPE} (at most {MAX_NAMES})")
