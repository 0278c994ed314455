"""Is a request's answer drawn by lot, so that asking again may give another?

Pure. It is when the body says temperature above 0, n or best_of above 1, and no seed. A temperature that
is not given does not count, nor a seed of null; nor one below 0, by which llama.cpp and Ollama mean any.
"""

import re

#: Members in which servers take these parameters, beside the body's own: Ollama, TGI, SGLang.
NESTED = ("options", "parameters", "sampling_params")

_WORDS = re.compile(rb'"(?:temperature|n|best_of)"[ \t\r\n]*:')


def is_sampled(members: dict[str, object]) -> bool:
    """Whether a JSON body with these members asks for an answer drawn by lot.

    Numbers in strings count as numbers, and true as 1, since servers read them so.
    """
    if _draws(members) and not _seeded(members.get("seed")):
        return True
    for name in NESTED:
        inner = members.get(name)
        if (
            isinstance(inner, dict)
            and _draws(inner)
            and not _seeded(inner.get("seed"))
            and not _seeded(members.get("seed"))
        ):
            return True
    return False


def _draws(members: dict[str, object]) -> bool:
    value = members.get("temperature")
    if value is not None and above(value, 0.0):
        return True
    value = members.get("n")
    if value is not None and above(value, 1.0):
        return True
    value = members.get("best_of")
    return value is not None and above(value, 1.0)


def above(value: object, bound: float) -> bool:
    """Whether `value` is a number, or writes one, above `bound`."""
    if isinstance(value, (int, float)):
        return value > bound
    if isinstance(value, str):
        try:
            return float(value) > bound
        except ValueError:
            return False
    return False


def _seeded(seed: object) -> bool:
    return seed is not None and seed != "" and not below_zero(seed)


def below_zero(value: object) -> bool:
    """Whether `value` is a number, or writes one, below 0."""
    if isinstance(value, (int, float)):
        return value < 0
    if isinstance(value, str):
        try:
            return float(value) < 0.0
        except ValueError:
            return False
    return False


def may_be_sampled(body: bytes) -> bool:
    """The same of JSON that cannot be read without doubt: true wherever one of the words stands."""
    return _WORDS.search(body) is not None
