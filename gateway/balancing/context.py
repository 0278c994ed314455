"""What may a policy know about the request it chooses a backend for?"""

import random

from gateway.sizes import kind_of


class PickContext:
    """One request's facts, changed from attempt to attempt. `tried` backends are not among the candidates.

    `size` is the body in bytes, `stream` whether a streamed answer is asked for, `kind` the size class that
    makes. `key` is a hash of what
    the pool's `affinity` names, None when the request has none or the pool asks for none. `prefixes` are
    hashes of the prompt's first 1, 2, 3, … blocks (routing/affinity.py), () likewise.
    """

    __slots__ = ("key", "kind", "now", "prefixes", "rng", "size", "stream", "tried")

    def __init__(
        self,
        now: float,
        rng: random.Random,
        tried: tuple[str, ...] = (),
        size: int = 0,
        stream: bool = False,
        key: int | None = None,
        prefixes: tuple[int, ...] = (),
    ) -> None:
        self.now = now
        self.rng = rng
        self.tried = tried
        self.size = size
        self.stream = stream
        self.kind = kind_of(size, stream)  # once, not for every candidate
        self.key = key
        self.prefixes = prefixes

    def __repr__(self) -> str:
        return f"<PickContext {self.size} bytes{' streamed' if self.stream else ''}, tried {self.tried}>"
