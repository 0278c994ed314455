"""The screen of `gateway status`."""

from gateway.top.report import screen, table
from tests.unit.top.documents import backend, overview, pool, route


def test_one_screen_says_all() -> None:
    """Process, pools with their backends and why, routes, cache: each figure where it belongs."""
    outcomes = {"ok": 90, "timeout": 10, "cancelled": 5}
    chat = pool(
        "chat",
        backend("gpu-1", outcomes=outcomes, in_flight=3, limit=8, latency_s=0.18, slowness=1.25),
        backend(
            "gpu-2",
            state="draining",
            why="drained by an operator",
            excluded="draining: drained by an operator",
        ),
        queue={"high": 2},
        panic=True,
    )
    durations = {"count": 100, "sum_s": 50.0, "p50_s": 0.4, "p95_s": 1.5}
    chats = route(
        "chat",
        requests=100,
        errors=10,
        in_flight=3,
        duration=durations,
        cache={"hit": 25, "miss": 75},
        saved_s=42.0,
    )
    found = overview(
        routes=[chats, route("-", requests=1)],
        pools=[chat],
        cache={"entries": 7, "bytes": 2048, "max_bytes": 4096, "store": "redis", "off": ["chat"]},
        uptime_s=185.0,
        listeners=["0.0.0.0:8080"],
        connections=1,
    )
    assert screen(found, "http://gateway.test:9901") == (
        """\
gateway 1.2.3 at http://gateway.test:9901: ready
up 3 min 5 s, pid 7, not compiled, listens on 0.0.0.0:8080, 1 client connection

pool chat: least_latency, 1 of 2 backends can take work, 2 requests wait, PANIC: too few are healthy, \
health is ignored
  BACKEND  STATE     IN FLIGHT  LIMIT  LATENCY  SLOWNESS  REQUESTS  ERRORS  WHY
  gpu-1    up                3      8   180 ms       1.2       100     10%  well
  gpu-2    draining          0      –        –         –         0       –  drained by an operator

  ROUTE  REQUESTS  ERRORS  IN FLIGHT    MEAN     P50     P95  CACHE HITS  SAVED
  chat        100     10%          3  500 ms  400 ms  1.50 s         25%   42 s
  -             1      0%          0       –       –       –           –      –

cache: 7 entries, 2 KiB of 4 KiB in memory, store redis, OFF for chat: what it kept was found wrong"""
    )


def test_not_ready_is_loud() -> None:
    """With its reason, in the first line."""
    found = overview(ready=False, reason="no backend of any pool can take work", compiled=True)
    first, second = screen(found, "http://g:1").splitlines()
    assert first.endswith("NOT READY: no backend of any pool can take work")
    assert second == "up 1 s, pid 7, compiled, listens on nothing, 0 client connections"


def test_names_are_only_shown() -> None:
    """What would steer a terminal is a blot."""
    assert "\x1b" not in screen(overview(pools=[pool("p", backend("a\x1b[2J", why="\x1b"))]), "http://g:1")
    assert table(["a", "b"], [["x", "1"], ["longer", "22"]], 1) == "  A        B\n  x        1\n  longer  22"
