"""How much memory does the cache take? RSS growth of a process ÷ `max_size`, over a million puts."""

import argparse
import gc
import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.rig.table import markdown
from gateway.cache.entry import Entry
from gateway.cache.eviction import POLICIES
from gateway.cache.memory import MemoryStore

#: Dear ones to make: a tenth of the puts turn the store over often enough.
FEWER = ("64-512 KB", "streams")
#: Measured, not promised: malloc keeps what one size left between others when all the load turns to another.
STRESS = "turning"

KB, MB = 1024, 1 << 20
BOUND = 1.15
SAMPLES = 100  # of the RSS, over a run

#: Name: what an answer's body is, and how many pieces of a stream.
MIXES = {
    "200 B": "each body 200 bytes",
    "1-64 KB": "bodies of 1 to 64 KB, each doubling as frequent",
    "1-64 KB even": "bodies of 1 to 64 KB, each size as frequent",
    "64-512 KB": "bodies of 64 to 512 KB, which malloc maps one by one or not",
    "streams": "4 to 32 KB in 20 to 200 pieces, with their times",
    "turning": "a tenth of the puts 1 KB, the next 2 KB and so on to 64 KB, and back",
}


def lengths(mix: str, count: int, rng: random.Random) -> Iterator[int]:
    """Bytes of each body."""
    for number in range(count):
        if mix == "200 B":
            yield 200
        elif mix == "1-64 KB":
            yield int(KB * 2 ** rng.uniform(0, 6))
        elif mix == "1-64 KB even":
            yield rng.randint(KB, 64 * KB)
        elif mix == "64-512 KB":
            yield rng.randint(64 * KB, 512 * KB)
        elif mix == "streams":
            yield rng.randint(4 * KB, 32 * KB)
        else:
            step = 10 * number // count
            yield int(rng.uniform(0.9, 1.1) * KB * 2 ** min(step, 9 - step, 6))


def entry(length: int, mix: str, now: float, rng: random.Random, source: bytes) -> Entry:
    """As one comes out of a request: every object its own that would be."""
    start = rng.randrange(4096)
    pieces: tuple[tuple[float, int], ...] = ()
    if mix == "streams":
        each = rng.randint(20, 200)
        pieces = tuple((number * 0.02 + now * 1e-9, 300 + number) for number in range(each))
    return Entry(
        status=200,
        fields=source[start : start + rng.randint(80, 240)],
        body=source[start : start + length],
        stored_at=now + 1e-3,
        age_s=rng.random() * 1e-3,
        fresh_s=600.0 + rng.random(),
        stale_while_s=rng.random(),
        stale_if_error_s=600.0 + rng.random(),
        cost_s=rng.lognormvariate(0.0, 1.0),
        route="chat",
        pool="llama",
        model=f"llama-3-{rng.randrange(5)}b-instruct",
        backend="http://10.0.0.1:8000",
        fingerprint=f"sha256:{rng.getrandbits(128):032x}",
        etag=b'"%016x"' % rng.getrandbits(64),
        last_modified=b"Tue, 24 Nov 2026 09:%02d:00 GMT" % rng.randrange(60),
        pieces=pieces,
    )


def rss() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def child(policy: str, mix: str, max_bytes: int, puts: int) -> None:
    """Fill a store in this process; prints growth at the end, at most, entries, share of bytes used."""
    rng = random.Random(1)
    source = rng.randbytes(600 * KB)
    now = 1_700_000_000.0
    store = MemoryStore(64 * KB, policy)  # code and tables are warm before RSS is first read
    for number, length in enumerate(lengths(mix, 300, rng)):
        store.put(hashlib.sha256(b"%d" % number).digest(), entry(length, mix, now, rng, source), now)
    gc.collect()
    store = MemoryStore(max_bytes, policy)
    before, most = rss(), 0
    for number, length in enumerate(lengths(mix, puts, rng)):
        now += 1e-3
        digest = hashlib.sha256(b"%d" % number).digest()
        store.put(digest, entry(length, mix, now, rng, source), now)
        if rng.random() < 0.3:  # some are asked for again, near or far
            again = number - int(min(number, rng.expovariate(1 / 20_000)))
            store.get(hashlib.sha256(b"%d" % again).digest(), now)
        if number % max(1, puts // SAMPLES) == 0:
            most = max(most, rss() - before)
    last = rss() - before
    print(last, max(most, last), store.figures.entries, store.figures.bytes)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-size", type=int, default=64, help="MB of the store")
    parser.add_argument("--puts", type=int, default=1_000_000)
    parser.add_argument("--policies", nargs="+", default=list(POLICIES), choices=list(POLICIES))
    parser.add_argument("--mixes", nargs="+", default=list(MIXES), choices=list(MIXES))
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    max_bytes = options.max_size * MB
    if options.child:
        child(options.policies[0], options.mixes[0], max_bytes, options.puts)
        return 0
    rows, worst = [], 0.0
    for mix in options.mixes:
        for policy in options.policies:
            puts = options.puts // 10 if mix in FEWER else options.puts
            command = [sys.executable, "-m", "benchmarks.cache_memory", "--child"]
            command += ["--policies", policy, "--mixes", mix]
            command += ["--puts", str(puts), "--max-size", str(options.max_size)]
            print(f"{mix}, {policy}", file=sys.stderr)
            ran = subprocess.run(command, check=True, capture_output=True, text=True)
            last, most, entries, used = map(int, ran.stdout.split())
            if mix != STRESS:
                worst = max(worst, most / max_bytes)
            shares = [f"{share / max_bytes:.2f}" for share in (used, last, most)]
            rows.append([mix, policy, str(puts), str(entries), *shares])
    print(f"RSS growth ÷ max_size of {options.max_size} MB; at most {BOUND}, but for `{STRESS}`\n")
    head = ["bodies", "policy", "puts", "entries", "counted", "at the end", "at most"]
    print(markdown(head, rows))
    return 0 if worst <= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
