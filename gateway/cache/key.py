"""Under which key is a request's answer stored? Whatever decides the answer is in it.

Pure. SHA-256 over parts behind their lengths, in two steps: first all that is not body (the context), which
is worked out once for each head, then context and canonical body. A body that was read before is not read
again. What decides by the answer's own `Vary` is not in here.
"""

import re
from hashlib import sha256

from gateway.bounded import forget_half
from gateway.cache.canonical import Canonicaliser
from gateway.cache.media import BYTES, Media, read_media
from gateway.cache.scope import ScopeRule, prefixed
from gateway.messages import RequestHead

VERSION = b"\x02"  # changes with what equal keys mean: stores outlive the process
MAX_HEAD = 4096  # bytes of fields; longer heads are not shared between requests, so not worth remembering
MAX_HEADS = 1024
MAX_SHORT = 2048  # bytes of a body that comes again and is kept to be found: that costs a third of SHA-256

_READS = frozenset(("GET", "HEAD"))
_PORT = re.compile(rb":[0-9]*\Z")


class Keyed:
    """A request's key: `digest` (32 bytes), and what was seen on the way, as in `Canonical`."""

    def __init__(self, digest: bytes, sampled: bool, form: str) -> None:
        self.digest = digest
        self.sampled = sampled
        self.form = form

    def __repr__(self) -> str:
        return f"<Keyed {self.digest.hex()[:8]} {self.form}{' sampled' if self.sampled else ''}>"


class _Context:
    """All of a request but its body. `memory` is what bodies are remembered under."""

    def __init__(self, digest: bytes, media: Media) -> None:
        self.digest = digest
        self.media = media
        # The same bytes are another form under another boundary, which the digest does not cover.
        self.memory = digest + media.boundary
        self.empty = Keyed(sha256(digest + b"e").digest(), False, "empty")


class KeyMaker:
    """Makes the keys of one route.

    `ignore` names members of JSON bodies that make no difference. `salt` keeps credentials from being guessed
    from keys; those who share a store share it. Remembers the digests of `bodies` bodies, some 300 bytes
    each, or, of short ones that came again, themselves; and as many hashes of short ones that came once.
    """

    def __init__(
        self, route: str, ignore: frozenset[str], scope: ScopeRule, salt: bytes, bodies: int = 4096
    ) -> None:
        self.route = route
        self.scope = scope
        self.ignored = ignore
        self._ignored = prefixed([name.encode("utf-8", "surrogatepass") for name in sorted(ignore)])
        self._salt = salt
        self._bodies = max(1, bodies)
        self._canonicaliser = Canonicaliser(ignore)
        self._contexts: dict[tuple[RequestHead, str, str], _Context] = {}
        self._known: dict[bytes | tuple[bytes, bytes], Keyed] = {}
        self._once: dict[int, None] = {}  # hashes of short bodies that were seen once

    def __repr__(self) -> str:
        return f"<KeyMaker {self.route} {self.scope.kind}>"

    @property
    def remembered(self) -> tuple[int, int]:
        """How many heads and bodies."""
        return len(self._contexts), len(self._known) + len(self._once)

    def key(self, head: RequestHead, body: bytes, pool: str, identity: str) -> Keyed:
        """The key of a request to `pool`, whose model is `identity`: what tells its versions apart.

        `body` is the whole body as received, before the gateway changes anything in it.
        """
        context = self._contexts.get((head, pool, identity))
        if context is None:
            context = self._learn(head, pool, identity)
        if not body:
            return context.empty
        if len(body) > MAX_SHORT:
            return self._long(context, body)
        short = (context.memory, body)
        known = self._known.get(short)
        if known is not None:
            return known
        keyed = self._read(context, body)
        mark = hash(short)
        if mark in self._once:  # from now on it is known by itself; by chance another is, which does no harm
            del self._once[mark]
            self._remember(short, keyed)
        else:
            if len(self._once) >= self._bodies:
                forget_half(self._once)
            self._once[mark] = None
        return keyed

    def _long(self, context: _Context, body: bytes) -> Keyed:
        """The same of one that is known by its digest from the first time on."""
        memory = context.memory + sha256(body).digest()
        known = self._known.get(memory)
        if known is None:
            known = self._read(context, body)
            self._remember(memory, known)
        return known

    def _read(self, context: _Context, body: bytes) -> Keyed:
        canonical = self._canonicaliser.read(body, context.media)
        digest: bytes = sha256(context.digest + canonical.text).digest()
        return Keyed(digest, canonical.sampled, canonical.form)

    def _remember(self, memory: bytes | tuple[bytes, bytes], keyed: Keyed) -> None:
        if len(self._known) >= self._bodies:
            forget_half(self._known)
        self._known[memory] = keyed

    def parts(self, head: RequestHead, pool: str, identity: str) -> list[tuple[str, bytes]]:
        """What the context is made of, by name. The scope's is an HMAC, yet none of it belongs in a log."""
        return self._parts(head, pool, identity, _media(head))

    def _parts(self, head: RequestHead, pool: str, identity: str, media: Media) -> list[tuple[str, bytes]]:
        types = head.values(b"content-type")
        return [
            ("method", b"GET" if head.method == "HEAD" else head.method.encode()),
            ("route", self.route.encode()),
            ("pool", pool.encode()),
            ("identity", identity.encode()),
            ("host", _site(head)),
            ("target", head.target),  # path and query, as they are forwarded
            ("content_type", media.text),
            ("content_types", prefixed(types) if len(types) > 1 else b""),
            ("content_encoding", prefixed(head.values(b"content-encoding"))),
            ("ignored", self._ignored),
            ("scope", self.scope.circle(head, self._salt)),
        ]

    def _learn(self, head: RequestHead, pool: str, identity: str) -> _Context:
        media = _media(head)
        told = [part for _, part in self._parts(head, pool, identity, media)]
        context = _Context(sha256(VERSION + prefixed(told)).digest(), media)
        if len(head.fields) <= MAX_HEAD:
            if len(self._contexts) >= MAX_HEADS:
                forget_half(self._contexts)
            self._contexts[head, pool, identity] = context
        return context


def _site(head: RequestHead) -> bytes:
    """The host that was asked, where an answer can carry links to it (RFC 9111 2 has the whole URI in keys).

    Not its port: replicas that share a store listen on whatever they like. And not for computations: what a
    model says does not depend on the name its gateway is reached by.
    """
    if head.method not in _READS:
        return b""
    claimed = b"" if head.claims is None else head.claims.get(b"x-forwarded-host", b"")
    host = head.host.lower()
    return prefixed([host[: host.rfind(b":")] if _PORT.search(host) else host, claimed])


def _media(head: RequestHead) -> Media:
    """How the body is read; where there are several Content-Types, byte by byte."""
    if len(head.values(b"content-type")) > 1:
        return Media(BYTES, b"", b"")
    return read_media(head.content_type, not head.values(b"content-encoding"))
