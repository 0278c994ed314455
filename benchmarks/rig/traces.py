"""What is asked for, in which order? Made-up sequences of keys for caches, the same for the same seed."""

import random
from collections.abc import Callable
from itertools import accumulate
from math import log
from typing import NamedTuple

KEYS = 100_000
LOGNORMAL_KEYS = 20_000


class Answer(NamedTuple):
    """What a key's answer is: as many bytes, made in so many backend seconds."""

    body_bytes: int
    cost_s: float


def zipf(rng: random.Random, keys: int, exponent: float, count: int) -> list[int]:
    """The key of rank r + 1, from 0, is asked for in proportion to (r + 1) ** -exponent."""
    weights = list(accumulate((rank + 1) ** -exponent for rank in range(keys)))
    return rng.choices(range(keys), cum_weights=weights, k=count)


def steady(rng: random.Random, count: int) -> list[int]:
    """Zipf 0.9 over 100,000 keys."""
    return zipf(rng, KEYS, 0.9, count)


def one_hit(rng: random.Random, count: int) -> list[int]:
    """The same, every other request (at random) for a key that never comes again."""
    return [
        key if rng.random() < 0.5 else KEYS + number for number, key in enumerate(zipf(rng, KEYS, 0.9, count))
    ]


def drift(rng: random.Random, count: int, each: int) -> list[int]:
    """Zipf 1.0; after each so many requests a new key is the most asked for, and all others lose a rank."""
    ranks = zipf(rng, KEYS, 1.0, count)
    return [KEYS + number // each - rank for number, rank in enumerate(ranks)]


def swap(rng: random.Random, count: int) -> list[int]:
    """Zipf 1.0; after every four requests a new key takes somebody's rank, the higher ones more often."""
    key_of = list(range(KEYS))
    keys = []
    for number, rank in enumerate(zipf(rng, KEYS, 1.0, count)):
        if number % 4 == 0:
            key_of[int(KEYS * rng.random() ** 3)] = KEYS + number
        keys.append(key_of[rank])
    return keys


def scan(rng: random.Random, count: int) -> list[int]:
    """Zipf 0.9, broken into by runs over 2,500 of 100,000 other keys, a fifth of all requests."""
    keys: list[int] = []
    for key in zipf(rng, KEYS, 0.9, count):
        if rng.random() < 1e-4:
            start = rng.randrange(KEYS)
            keys.extend(2 * KEYS + (start + step) % KEYS for step in range(2500))
        keys.append(key)
    return keys[:count]


#: Unit size and cost. Name: the trace.
UNIT: dict[str, Callable[[random.Random, int], list[int]]] = {
    "zipf 0.9": steady,
    "50 % one-hit": one_hit,
    "drift, fast": lambda rng, count: drift(rng, count, 10),
    "drift, slow": lambda rng, count: drift(rng, count, 50),
    "new keys swap in": swap,
    "scans": scan,
}


def lognormal(rng: random.Random, count: int) -> tuple[list[int], dict[int, Answer]]:
    """Zipf 0.8 over 20,000 keys, 30 % one-hit; tokens lognormal (median 150, sigma 1), four models.

    An answer has 400 bytes and 4.5 a token, and takes 0.1 s and 20 ms a token, times 0.5, 1, 1 or 4 by model.
    """
    keys = [
        LOGNORMAL_KEYS + number if rng.random() < 0.3 else key
        for number, key in enumerate(zipf(rng, LOGNORMAL_KEYS, 0.8, count))
    ]
    answers = {}
    for key in dict.fromkeys(keys):
        tokens = rng.lognormvariate(log(150), 1.0)
        cost_s = (0.1 + 0.02 * tokens) * rng.choice((0.5, 1.0, 1.0, 4.0))
        answers[key] = Answer(400 + int(4.5 * tokens), cost_s)
    return keys, answers
