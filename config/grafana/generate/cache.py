"""What does the board of the response cache show?"""

from dataclasses import replace

from config.grafana.generate.boards import Board, Row
from config.grafana.generate.panels import Panel
from config.grafana.generate.queries import JOB, PROCESS, ROUTE, Query, by, rate, share

_RESULTS = "gateway_cache_requests_total"
_AT = f"{PROCESS}, {ROUTE}"
_HITS = rate(_RESULTS, f'{_AT}, result=~"hit|stale|coalesced"')
_STORE = "gateway_cache_shared_requests_total"
_NOT_FOUND = (
    "Clients changed what they send (an id or time in the body belongs into ignore), or entries go too soon."
)

HIT_NUMBER = Panel(
    "Cache hit ratio",
    "Share of the requests of routes with a cache that were answered from it: hit, stale and coalesced of"
    " all,"
    " bypasses among them. No data: no route has a cache.",
    "Backends get what the cache does not answer. See bypasses, evictions and the store behind memory.",
    "percentunit",
    (Query(share(_HITS, rate(_RESULTS, _AT)), "hits"),),
    kind="number",
    most=1,
    runbook="GatewayHitRatio",
    width=3,
    height=4,
)
HIT_RATIO = Panel(
    "Hit ratio by route",
    "Share of a route's requests answered from the cache, bypasses among them.",
    f"{_NOT_FOUND} The alert compares with the median of a day, so there is no threshold.",
    "percentunit",
    (Query(f"job_route:gateway_cache_hits_per_requests:ratio_rate5m{{{JOB}, {ROUTE}}}", "{{route}}"),),
    most=1,
    runbook="GatewayHitRatio",
)
SAVED = Panel(
    "Backend seconds saved per second",
    "The work that backends need not do: 1.5 is that of one and a half places at a backend.",
    "It falls with the hit ratio, and with the worth of what is hit. Savings have no threshold.",
    "none",
    (Query(f"job_route:gateway_cache_saved_seconds:rate5m{{{JOB}, {ROUTE}}}", "{{route}}"),),
    kind="stacked",
)
RESULTS = Panel(
    "Requests by the cache's part",
    "hit; stale: given though expired; coalesced: waited for another's answer; miss; bypass: the cache was"
    " not asked.",
    "Much bypass: see the reasons. Much stale: backends are slow to answer anew, or fail.",
    "reqps",
    (Query(rate(_RESULTS, _AT, "result"), "{{result}}"),),
    kind="stacked",
)
SAVED_NUMBERS = (
    Panel(
        "Seconds saved",
        "Backend seconds that answers from the cache had taken when they were made, in the time shown.",
        "Little saved: the cache holds what is cheap, or is not asked. Savings have no threshold.",
        "s",
        (Query(by((), f"increase(gateway_cache_saved_seconds_total{{{_AT}}}[$__range])"), "saved"),),
        kind="number",
        width=5,
        height=4,
        instant=True,
    ),
    Panel(
        "Bytes saved",
        "Body bytes of answers for which no backend was asked, in the time shown.",
        "Little saved: see the hit ratio. Savings have no threshold.",
        "bytes",
        (Query(by((), f"increase(gateway_cache_saved_bytes_total{{{_AT}}}[$__range])"), "saved"),),
        kind="number",
        width=5,
        height=4,
        instant=True,
    ),
    Panel(
        "Answers kept",
        "Answers kept in memory.",
        "It falls at a restart and after a purge, and fills again. A number has no threshold.",
        "short",
        (Query(by((), f"gateway_cache_entries{{{PROCESS}}}"), "entries"),),
        kind="number",
        width=5,
        height=4,
    ),
    Panel(
        "Audits that found another answer",
        "The worst route's share of its last 100 audits in which a kept answer was no longer what a backend"
        " says.",
        "At max_mismatch (5 %) the route's cache goes off. Requests without a temperature, or too much in"
        " ignore.",
        "percentunit",
        (Query(f"max(gateway_cache_mismatch_ratio{{{_AT}}})", "mismatch"),),
        kind="number",
        warn=0.02,
        alarm=0.05,
        runbook="GatewayCacheMismatch",
        width=5,
        height=4,
    ),
)
MEMORY = (
    Panel(
        "Memory of answers",
        "What kept answers and answers under way take.",
        "At cache.max_size what is worth least goes: give it more if evictions by size hurt the hit ratio.",
        "bytes",
        (
            Query(by((), f"gateway_cache_bytes{{{PROCESS}}}"), "kept"),
            Query(by((), f"gateway_cache_flight_bytes{{{PROCESS}}}"), "under way"),
        ),
        kind="stacked",
    ),
    Panel(
        "Entries that left memory",
        "Per second, by reason. replaced and expired are usual.",
        "size: there is too little room. corrupt: the disk or memory is at fault. model: a new version came.",
        "ops",
        (Query(rate("gateway_cache_evictions_total", PROCESS, "reason"), "{{reason}}"),),
        kind="stacked",
        runbook="GatewayHitRatio",
    ),
    Panel(
        "Answers under way",
        "Answers being fetched that others may join.",
        "Growing with few hits: many different questions at once, or slow backends.",
        "short",
        (Query(by((), f"gateway_cache_flights{{{PROCESS}}}"), "under way"),),
    ),
    Panel(
        "Bypasses by reason",
        "Requests per second that went past the cache. docs/cache.md explains the reasons.",
        "sampled: temperature above 0 without a seed. no_store: clients say so. audit: the cache is off."
        " uncacheable:"
        " answers forbid it.",
        "reqps",
        (Query(rate("gateway_cache_bypass_total", PROCESS, "reason"), "{{reason}}"),),
        kind="stacked",
        runbook="GatewayHitRatio",
    ),
    Panel(
        "Refreshes",
        "Answers asked for anew behind a stale one, per second: stored, refused (not to be kept) or failed.",
        "failed: backends do not answer; stale answers are given as long as they may be.",
        "ops",
        (Query(rate("gateway_cache_refreshes_total", PROCESS, "result"), "{{result}}"),),
        kind="stacked",
    ),
)
BEHIND = (
    Panel(
        "Store behind memory: questions",
        "Questions per second to the disk or Redis: hit or miss. Nothing where cache.store is memory.",
        "Only misses with several gateways: another namespace or salt. No questions: memory answers all.",
        "ops",
        (Query(rate(_STORE, PROCESS, "result"), "{{result}}"),),
        kind="stacked",
    ),
    Panel(
        "Store behind memory: errors",
        "What went wrong with it, per second; each was a miss, or not stored.",
        "Mend the disk or Redis. Requests do not fail of it, but backends get more to do.",
        "ops",
        (Query(rate("gateway_cache_shared_errors_total", PROCESS, "kind"), "{{kind}}"),),
        warn=0.1,
        alarm=1,
        runbook="GatewayHitRatio",
    ),
)
AUDITS = (
    Panel(
        "Audits",
        "Kept answers that were asked for anew, per second: match, mismatch, or failed (nothing to compare).",
        "mismatch: see the share below. Only failed: backends answer audits with errors.",
        "ops",
        (Query(rate("gateway_cache_audits_total", _AT, "route", "result"), "{{route}} {{result}}"),),
        runbook="GatewayCacheMismatch",
    ),
    Panel(
        "Mismatches by route",
        "Share of the last 100 audits that found another answer; absent while there were none.",
        "At max_mismatch (5 %) the route's cache goes off: find the cause before, see the runbook.",
        "percentunit",
        (Query(f"max by (route) (gateway_cache_mismatch_ratio{{{_AT}}})", "{{route}}"),),
        warn=0.02,
        alarm=0.05,
        runbook="GatewayCacheMismatch",
    ),
)

CACHE = Board(
    "cache",
    "Gateway: response cache",
    "What the response cache answers and saves, what it takes, and whether it is right.",
    ("job", "instance", "route"),
    (
        Row("Now", (replace(HIT_NUMBER, width=4), *SAVED_NUMBERS)),
        Row("Hits", (HIT_RATIO, SAVED, RESULTS)),
        Row("What is kept", (*MEMORY[:3], *(replace(panel, width=12) for panel in MEMORY[3:]))),
        Row(
            "Behind memory, and whether it is right",
            tuple(replace(panel, width=12) for panel in (*BEHIND, *AUDITS)),
        ),
    ),
)
