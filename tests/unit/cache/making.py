"""Entries and digests for the cache's tests."""

import hashlib

from gateway.cache.entry import Entry

NOW = 1_700_000_000.0


def digest(name: object) -> bytes:
    return hashlib.sha256(str(name).encode()).digest()


def entry(
    body_bytes: int = 100,
    cost_s: float = 1.0,
    lasts_s: float = 600.0,
    now: float = NOW,
    route: str = "chat",
    model: str = "llama",
) -> Entry:
    """An answer complete at `now` that may be given for `lasts_s`."""
    body = bytes(body_bytes)
    return Entry(200, b"", body, now, 0.0, lasts_s, 0.0, 0.0, cost_s, route, "pool", model, "http://a")
