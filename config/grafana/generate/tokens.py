"""Which panels show what model servers are judged by: tokens per second, and the time between them?"""

from config.grafana.generate.panels import Panel
from config.grafana.generate.queries import BACKEND, PROCESS, Query, quantile, quantiles, rate

_AT = f"{PROCESS}, {BACKEND}"
_OF = "{{pool}} {{backend}}"
_UNIT = "suffix: tok/s"
_FIRST, _BETWEEN, _TOKENS = (
    "gateway_time_to_first_token_seconds",
    "gateway_inter_token_seconds",
    "gateway_tokens_total",
)
_SLOW_FIRST = (
    "It grows with waiting in the model server and with long prompts: add servers, prefix_aware, or a limit."
)
_SLOW_NEXT = (
    "It grows with how many requests a server computes at once: lower concurrency.limit, or add servers."
)

ALL = (
    Panel(
        "Time to first token",
        "Median, 95th and 99th percentile of the time from sending to the backend until the first event of a"
        " streamed"
        " answer that carries content.",
        _SLOW_FIRST,
        "s",
        quantiles(_FIRST, _AT),
        warn=2,
        alarm=10,
        runbook="GatewayLatency",
    ),
    Panel(
        "Time between tokens",
        "Median, 95th and 99th percentile of the time between two events of a streamed answer that carry"
        " content.",
        _SLOW_NEXT,
        "s",
        quantiles(_BETWEEN, _AT),
        warn=0.1,
        alarm=0.5,
        runbook="GatewayLatency",
    ),
    Panel(
        "Tokens per second",
        "Tokens of answers made by backends, as they report them, by kind; cached are those of the prompt"
        " that the"
        " backend did not have to compute anew. Answers from the gateway's cache are not counted.",
        "Completion falls while requests wait: the servers are at their limit. Traffic has no threshold.",
        _UNIT,
        (Query(rate(_TOKENS, _AT, "kind"), "{{kind}}"),),
    ),
)
BACKENDS = (
    Panel(
        "Time to first token, p95 by backend",
        "95th percentile of the time until the first event of a streamed answer that carries content.",
        _SLOW_FIRST,
        "s",
        (Query(quantile(0.95, _FIRST, _AT, "pool", "backend"), _OF),),
        warn=2,
        alarm=10,
        runbook="GatewayLatency",
    ),
    Panel(
        "Time between tokens, p95 by backend",
        "95th percentile of the time between two events of a streamed answer that carry content.",
        _SLOW_NEXT,
        "s",
        (Query(quantile(0.95, _BETWEEN, _AT, "pool", "backend"), _OF),),
        warn=0.1,
        alarm=0.5,
        runbook="GatewayLatency",
    ),
    Panel(
        "Completion tokens per second by backend",
        "Tokens that each backend makes, as it reports them.",
        "Lower than its peers' at the same in flight: it is slower. See slowness.",
        _UNIT,
        (Query(rate(_TOKENS, f'{_AT}, kind="completion"', "pool", "backend"), _OF),),
        kind="stacked",
    ),
)
