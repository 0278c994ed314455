"""What do things of the cache look like in Redis: names, patterns of names, lives, announced purges?

    {namespace}:1:{route}:{8 hex digits for the model}:{digest, 64 hex digits}    an entry, by codec.py
    {namespace}:1:purges                                                          a stream of announced purges

The 1 is the version: gateways of versions that differ in it share a server without meeting.
"""

import random
from hashlib import sha256

import msgspec

from gateway.cache.entry import Entry, Key
from gateway.cache.store import Purge

VERSION = 1
JITTER = 0.1
#: No entry lives longer, whatever it says; and a number that Redis takes.
MAX_LIFE_S = 366 * 86400.0
_MODEL_DIGITS = 8
_DIGEST_DIGITS = 64

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[str | None, str | None, bytes | None])


def of_key(namespace: str, key: Key) -> bytes:
    """The name of a key's entry."""
    return f"{namespace}:{VERSION}:{key.route}:{_model(key.model)}:{key.digest.hex()}".encode()


def of_purges(namespace: str) -> bytes:
    """The name of the stream."""
    return f"{namespace}:{VERSION}:purges".encode()


def pattern(namespace: str, what: Purge) -> bytes:
    """Which names are to go, for `SCAN … MATCH`.

    The last two parts have a fixed length, so that a `*` for the route cannot reach into them, nor a route's
    name stand for a longer one with a colon. Of two models in four thousand million, both go when one should.
    """
    route = "*" if what.route is None else _literally(what.route)
    model = "?" * _MODEL_DIGITS if what.model is None else _model(what.model)
    digest = "?" * _DIGEST_DIGITS if what.digest is None else what.digest.hex()
    return f"{_literally(namespace)}:{VERSION}:{route}:{model}:{digest}".encode()


def life_ms(entry: Entry, now: float, rng: random.Random) -> int:
    """For how long Redis should keep it: ± 10 %, so that what was stored together does not go together."""
    left_s = min(entry.expires_at - now, MAX_LIFE_S)
    return int(left_s * 1000.0 * rng.uniform(1.0 - JITTER, 1.0 + JITTER))


def written(what: Purge) -> bytes:
    """A purge as it is announced."""
    return _encoder.encode((what.route, what.model, what.digest))


def read(data: bytes | None) -> Purge:
    """A purge that was announced; one that cannot be read is one of everything."""
    try:
        return Purge(*_decoder.decode(data or b""))
    except (msgspec.MsgspecError, ValueError):
        return Purge()


def _model(model: str) -> str:
    return sha256(model.encode()).hexdigest()[:_MODEL_DIGITS]


def _literally(text: str) -> str:
    return "".join(f"\\{one}" if one in "*?[]^-\\" else one for one in text)
