"""Names in Redis: what is found by a pattern is what a purge means."""

import random
import re

from hypothesis import given
from hypothesis import strategies as st

from gateway.cache import redis_names
from gateway.cache.entry import Key
from gateway.cache.store import Purge
from tests.unit.cache.stored import digests, entry, key

texts = st.text("ab:*?[]^-\\{}é", max_size=6)
keys = st.builds(Key, digests, texts, texts)
maybe = st.none() | texts
purges = st.builds(Purge, maybe, maybe, st.none() | digests)


def globbed(pattern: bytes, name: bytes) -> bool:
    """As Redis matches: `*`, `?` (one byte), and `\\` before what is meant literally."""
    parts = re.findall(rb"\\?.", pattern, re.DOTALL)
    means = {b"*": b".*", b"?": b"."}
    out = b"".join(means.get(part) or re.escape(part[-1:]) for part in parts)
    return re.fullmatch(out, name, re.DOTALL) is not None


@given(keys, purges)
def test_a_pattern_matches_what_the_purge_does(one: Key, what: Purge) -> None:
    """For any names of routes and models, whatever stands in them."""
    assert globbed(redis_names.pattern("n*", what), redis_names.of_key("n*", one)) == what.matches(*one)


@given(keys)
def test_a_purge_of_a_key_s_own_parts_finds_it(one: Key) -> None:
    """Each part, and all of them."""
    name = redis_names.of_key("gateway", one)
    for what in (
        Purge(),
        Purge(one.route),
        Purge(model=one.model),
        Purge(digest=one.digest),
        Purge(one.route, one.model, one.digest),
    ):
        assert globbed(redis_names.pattern("gateway", what), name)
        assert not globbed(redis_names.pattern("other", what), name)


@given(keys, keys)
def test_keys_have_names_of_their_own(one: Key, other: Key) -> None:
    """Equal only for equal keys."""
    assert (redis_names.of_key("g", one) == redis_names.of_key("g", other)) == (one == other)


@given(purges)
def test_an_announced_purge_is_read_as_it_was(what: Purge) -> None:
    """And what cannot be read is one of everything."""
    assert redis_names.read(redis_names.written(what)) == what


@given(st.none() | st.binary(max_size=20))
def test_noise_is_some_purge(data: bytes | None) -> None:
    """Nothing that stands in the stream ends the watch."""
    assert isinstance(redis_names.read(data), Purge)


def test_noise_purges_everything() -> None:
    """Rather too much than too little."""
    assert redis_names.read(None) == redis_names.read(b"noise") == redis_names.read(b"\x91\xc0") == Purge()


@given(st.floats(0.0, 1e12), st.integers())
def test_lives_are_within_ten_percent(fresh_s: float, seed: int) -> None:
    """Of what is left; 366 days at most, and 10 %."""
    life = redis_names.life_ms(entry(fresh_s=fresh_s), 1000.0, random.Random(seed)) / 1000.0
    left = min(fresh_s, redis_names.MAX_LIFE_S)
    assert 0.9 * left - 0.002 <= life <= 1.1 * left + 0.002


def test_a_name_looks_so() -> None:
    """Namespace, version, route, model, digest."""
    name = redis_names.of_key("gateway", key("a", "chat", "small")).decode()
    assert name.startswith("gateway:1:chat:") and len(name) == len("gateway:1:chat:") + 8 + 1 + 64
    assert redis_names.of_purges("gateway") == b"gateway:1:purges"
