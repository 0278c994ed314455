"""Which header lines are kept with an answer, and how is one line told from the next?

Pure. What is kept is what is true of the answer whoever asks for it; what was said to one client about
itself (its request's id, what is left of its rate limit, how long it took) is not said to another.
"""

from collections.abc import Collection, Iterable

from gateway.cache.traits import Traits
from gateway.messages import ResponseHead

#: Lower-case names of fields that speak of one exchange. Hop-by-hop fields are gone when a head is read.
PERSONAL = frozenset(
    (
        # who somebody is
        b"set-cookie", b"set-cookie2", b"authentication-info", b"proxy-authentication-info",
        b"www-authenticate", b"clear-site-data",
        # what somebody may still do, and when
        b"retry-after", b"ratelimit", b"ratelimit-policy", b"ratelimit-limit", b"ratelimit-remaining",
        b"ratelimit-reset",
        # this one exchange: its id, its time
        b"x-request-id", b"request-id", b"x-correlation-id", b"x-trace-id", b"traceparent", b"tracestate",
        b"traceresponse", b"x-amzn-requestid", b"x-amzn-trace-id", b"apim-request-id", b"cf-ray",
        b"server-timing", b"openai-processing-ms", b"x-envoy-upstream-service-time", b"x-runtime",
        b"x-process-time", b"x-response-time", b"x-inference-time", b"x-queue-time", b"x-total-time",
        b"x-compute-time", b"x-time-per-token", b"x-validation-time",
        # what this cache says itself
        b"age", b"cache-status", b"x-cache", b"x-cache-hits", b"x-served-by",
    )
)  # fmt: skip
_PERSONAL_FAMILIES = (b"x-ratelimit-", b"x-rate-limit-", b"anthropic-ratelimit-", b"x-gateway-")


def is_personal(name: bytes) -> bool:
    """Whether the field of this lower-case name is said to one client only."""
    return name in PERSONAL or name.startswith(_PERSONAL_FAMILIES)


def stored_fields(response: ResponseHead, traits: Traits, date_line: bytes) -> bytes:
    """The header lines to keep with an answer; `date_line` stands in where the backend gave no Date.

    Left out are personal fields, and those that the answer's own no-cache="name" holds back.
    """
    parts = response.parts
    held_back = traits.held_back
    kept: list[bytes] = []
    dated = False
    for index in range(0, len(parts), 4):
        name = parts[index].lower()
        if is_personal(name) or name in held_back:
            continue
        dated = dated or name == b"date"
        kept += parts[index : index + 4]
    if not dated:
        kept.append(date_line)
    return b"".join(kept)


def parts_of(fields: bytes) -> tuple[bytes, ...]:
    """Stored lines as the flat `parts` of a head: name, b": ", value, CRLF, name, …

    What cannot be a line is left out, so lines from a store that was tampered with do no harm.
    """
    parts: list[bytes] = []
    for line in fields.split(b"\r\n"):
        name, colon, value = line.partition(b": ")
        if colon and name:
            parts += (name, b": ", value, b"\r\n")
    return tuple(parts)


def only(parts: tuple[bytes, ...], names: Collection[bytes]) -> bytes:
    """The lines of the fields with these lower-case names, joined."""
    return b"".join(_picked(parts, names, True))


def without(parts: tuple[bytes, ...], names: Collection[bytes]) -> tuple[bytes, ...]:
    """`parts` less the fields with these lower-case names."""
    return tuple(_picked(parts, names, False))


def _picked(parts: tuple[bytes, ...], names: Collection[bytes], wanted: bool) -> Iterable[bytes]:
    picked: list[bytes] = []
    for index in range(0, len(parts), 4):
        if (parts[index].lower() in names) is wanted:
            picked += parts[index : index + 4]
    return picked


def values_of(parts: tuple[bytes, ...], name: bytes) -> list[bytes]:
    """Values of the field with this lower-case name, in order."""
    return [parts[index + 2] for index in range(0, len(parts), 4) if parts[index].lower() == name]
