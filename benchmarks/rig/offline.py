"""What could a cache have saved that knows the future? Pure."""

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush

NEVER = 1 << 60


def next_uses(keys: Sequence[int]) -> list[int]:
    """For each request, when its key is asked for again; NEVER when it is not."""
    coming: dict[int, int] = {}
    uses = [NEVER] * len(keys)
    for at in range(len(keys) - 1, -1, -1):
        uses[at] = coming.get(keys[at], NEVER)
        coming[keys[at]] = at
    return uses


def belady(keys: Sequence[int], entries: int) -> float:
    """The most hits that any policy can have, as a share, with room for so many entries of equal size.

    Belady's MIN, which need not take an entry in: who is asked for again last goes, the new one included.
    """
    held: dict[int, int] = {}  # key: its next use
    latest: list[tuple[int, int]] = []  # (-next use, key); out of date where `held` says otherwise
    hits = 0
    for at, use in enumerate(next_uses(keys)):
        key = keys[at]
        if key in held:
            hits += 1
        held[key] = use
        heappush(latest, (-use, key))
        while len(held) > entries:
            gone, key = heappop(latest)
            if held.get(key) == -gone:
                del held[key]
    return hits / len(keys)


def most_saved(
    keys: Sequence[int], sizes: Mapping[int, int], costs: Mapping[int, float], max_bytes: int
) -> float:
    """A share of all backend seconds that no policy can save more of; whether one can save as much is open.

    The upper bound of Berger, Beckmann and Harchol-Balter's practical flow-based offline optimum (PFOO-U),
    with seconds in place of hits. A hit needs its answer's bytes from the last request for it to this one:
    size x requests between of a total of max_bytes x all requests. Filled with the hits that save the most
    seconds for what they need, the last one in part. It lets the bound be broken at one moment where another
    has room, which no cache can.
    """
    needs = []
    for at, use in enumerate(next_uses(keys)):
        if use != NEVER:
            need = sizes[keys[at]] * (use - at)
            needs.append((costs[keys[at]] / need, need))
    needs.sort(reverse=True)
    room = float(max_bytes * len(keys))
    saved = 0.0
    for worth, need in needs:
        taken = min(room, need)
        saved += worth * taken
        room -= taken
        if room <= 0.0:
            break
    return saved / sum(costs[key] for key in keys)
