"""What does each eviction policy save? Hit ratio and backend seconds, beside others and the offline optimum.

The references S3-FIFO, W-TinyLFU and GDSF are libCacheSim's, the adaptive W-TinyLFU is theine's:
`pip install libcachesim theine`. Without them their columns are left out, with a note.
"""

import argparse
import hashlib
import importlib
import importlib.util
import random
import sys
from collections.abc import Callable, Mapping, Sequence

from benchmarks.rig import offline
from benchmarks.rig.table import NOTHING, markdown
from benchmarks.rig.traces import LOGNORMAL_KEYS, UNIT, Answer, lognormal
from gateway.cache.entry import Entry
from gateway.cache.eviction import POLICIES
from gateway.cache.memory import MemoryStore

MB = 1 << 20
NOW = 1_700_000_000.0
ENTRIES = (1_000, 10_000)  # 1 % and 10 % of the keys
MAX_MB = (1, 8)
LIBCACHESIM = {"S3-FIFO": "S3FIFO", "W-TinyLFU": "WTinyLFU"}
THEINE = "theine"
NEAR = 1.0  # points of hit ratio: how far `cost` may be from the best of the references
MORE = 1.3  # times lru's saved seconds

Figures = tuple[float, float]  # share of requests that hit, share of seconds saved
ONE = Answer(0, 1.0)


def entry(answer: Answer) -> Entry:
    return Entry(
        200, b"", bytes(answer.body_bytes), NOW, 0.0, 1e9, 0.0, 0.0, answer.cost_s, "r", "p", "m", "b"
    )


def ours(policy: str, keys: Sequence[int], answers: Mapping[int, Answer] | None, max_bytes: int) -> Figures:
    """The gateway's own store. `answers` None: all alike."""
    store = MemoryStore(max_bytes, policy)
    digests = {key: hashlib.sha256(b"%d" % key).digest() for key in dict.fromkeys(keys)}
    hits, saved, total = 0, 0.0, 0.0
    for key in keys:
        answer = answers[key] if answers else ONE
        total += answer.cost_s
        if store.get(digests[key], NOW) is None:
            store.put(digests[key], entry(answer), NOW)
        else:
            hits += 1
            saved += answer.cost_s
    return hits / len(keys), saved / total


def libcachesim(
    policy: str, keys: Sequence[int], answers: Mapping[int, Answer] | None, max_bytes: int
) -> Figures:
    """One of libCacheSim's policies, given the sizes the gateway counts (1 each where all are alike)."""
    library = importlib.import_module("libcachesim")
    cache = getattr(library, policy)(cache_size=max_bytes)
    request = library.Request(obj_size=1)
    sizes = {key: entry(answer).size for key, answer in answers.items()} if answers else {}
    hits, saved, total = 0, 0.0, 0.0
    for key in keys:
        cost_s = 1.0
        request.obj_id = key
        if answers:
            request.obj_size = sizes[key]
            cost_s = answers[key].cost_s
        total += cost_s
        if cache.get(request):
            hits += 1
            saved += cost_s
    return hits / len(keys), saved / total


def theine(keys: Sequence[int], entries: int) -> float:
    """Share of hits of theine's W-TinyLFU, which fits its window to the load."""
    cache = importlib.import_module("theine").Cache(entries)
    hits = 0
    for key in keys:
        _, found = cache.get(key)
        if found:
            hits += 1
        else:
            cache.set(key, key)
    cache.close()
    return hits / len(keys)


def references() -> list[str]:
    """Those that are installed; the others are named on standard error."""
    found = []
    for module, names in (("libcachesim", list(LIBCACHESIM)), (THEINE, [THEINE])):
        if importlib.util.find_spec(module):
            found += names
        else:
            print(f"left out: {', '.join(names)} (pip install {module})", file=sys.stderr)
    return found


def unit_table(traces: Sequence[str], count: int, seed: int) -> tuple[str, bool]:
    """Hit ratios where all answers are alike; whether `cost` is near the best reference everywhere."""
    others, size, near = references(), entry(ONE).size, True
    titles = ["trace", "entries", *POLICIES, *others, "optimum", "cost − best reference"]
    rows = []
    for name in traces:
        keys = UNIT[name](random.Random(seed), count)
        for entries in ENTRIES:
            print(f"{name}, {entries}", file=sys.stderr)
            cells = [ours(policy, keys, None, entries * size)[0] for policy in POLICIES]
            theirs = [
                theine(keys, entries)
                if other == THEINE
                else libcachesim(LIBCACHESIM[other], keys, None, entries)[0]
                for other in others
            ]
            apart = 100 * (cells[list(POLICIES).index("cost")] - max(theirs)) if theirs else 0.0
            near = near and apart >= -NEAR
            shares = [*cells, *theirs, offline.belady(keys, entries)]
            row = [name, str(entries), *(f"{100 * share:.1f}" for share in shares)]
            rows.append([*row, f"{apart:+.1f}" if theirs else NOTHING])
    return markdown(titles, rows), near


def cost_table(count: int, seed: int) -> tuple[str, bool]:
    """Hits and seconds saved where sizes and costs are lognormal; whether `cost` saves enough."""
    keys, answers = lognormal(random.Random(seed), count)
    sizes = {key: entry(answer).size for key, answer in answers.items()}
    costs = {key: answer.cost_s for key, answer in answers.items()}
    run: dict[str, Callable[[int], Figures]] = {}
    for policy in POLICIES:
        run[policy] = lambda size, name=policy: ours(name, keys, answers, size)
    if "S3-FIFO" in references():
        for title, policy in {**LIBCACHESIM, "GDSF, every cost 1": "GDSF"}.items():
            run[title] = lambda size, name=policy: libcachesim(name, keys, answers, size)
    found: dict[str, list[Figures]] = {}
    for title, measure in run.items():
        print(title, file=sys.stderr)
        found[title] = [measure(size * MB) for size in MAX_MB]
    titles, rows = ["policy"], [[title] for title in found]
    bounds = ["no policy more than"]
    for at, size in enumerate(MAX_MB):
        titles += [f"{size} MB: hits %", "seconds saved %", "÷ lru"]
        lru = found["lru"][at][1]
        for row, figures in zip(rows, found.values(), strict=True):
            hits, saved = figures[at]
            row += [f"{100 * hits:.1f}", f"{100 * saved:.1f}", f"{saved / lru:.2f}"]
        bound = offline.most_saved(keys, sizes, costs, size * MB)
        bounds += [NOTHING, f"{100 * bound:.1f}", f"{bound / lru:.2f}"]
    more = all(cost[1] >= MORE * lru[1] for cost, lru in zip(found["cost"], found["lru"], strict=True))
    return markdown(titles, [*rows, bounds]), more


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--traces", nargs="+", default=list(UNIT), choices=list(UNIT))
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests")
    options = parser.parse_args()
    count = options.requests // 10 if options.quick else options.requests
    table, more = cost_table(count, options.seed)
    print(f"### Sizes and costs lognormal, {count} requests for {LOGNORMAL_KEYS} keys and 30 % others\n")
    print(table, end="\n\n", flush=True)
    table, near = unit_table(options.traces, count, options.seed)
    print(f"### All answers alike, {count} requests: hits %\n")
    print(table)
    for reached, target in (
        (more, f"cost saves at least {MORE} times the seconds that lru saves"),
        (near, f"cost hits at most {NEAR} points less often than the best reference"),
    ):
        print(f"\n{'Reached' if reached else 'MISSED'}: {target}.")
    return 0 if more and near else 1


if __name__ == "__main__":
    sys.exit(main())
