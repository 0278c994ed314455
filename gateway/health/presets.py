"""What is each kind of model server asked, and what does it say while it is loading?

A preset is data; a new one is an entry in `PRESETS` and its name in `gateway/settings/pools.py`. Where each
comes from stands beside it, by the file of the server's own source. What they have in common: weights are
mostly loaded before the port is opened, so a refused connection is the usual sign of loading, and cannot be
told from a dead server; `loading` is what a server says that already answers.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from gateway.health.state import HealthRule


@dataclass(frozen=True, slots=True)
class Preset:
    """How one kind of server is asked.

    `path` is empty where only a connection is opened. `loading` maps a status to what its body must contain,
    in lower case, to mean "not ready"; empty: whatever it contains. `timeout_s` holds where the configuration
    says nothing.
    """

    path: str
    expect: str = "200"
    loading: Mapping[int, bytes] = field(default_factory=dict)
    timeout_s: float = 2.0


PRESETS: dict[str, Preset] = {
    # vllm/entrypoints/serve/instrumentator/health.py: 200 while the engine runs, 503 once it is dead, which
    # is a failure. The port answers only when the engine is up. 503 "The model is currently scaling" is said
    # during elastic expert parallelism (ScalingMiddleware; newer versions leave /health alone).
    "vllm": Preset("/health", loading={503: b"currently scaling"}),
    # sglang/srt/entrypoints/http_server.py: 503 until the warm-up is over, and while it shuts down. An idle
    # server generates one token for /health unless SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION=false, a busy one
    # counts its own traffic; /health_generate does so whatever that variable says, hence not that. It looks
    # once a second for a sign of life, so it needs patience: SGLang's own router gives it 5 s.
    "sglang": Preset("/health", loading={503: b""}, timeout_s=5.0),
    # router/src/server.rs, kserve.rs: /health is 503 {"error":"unhealthy"} unless the model has just worked
    # (a forward pass after a failure, else an allocation on the device), with llama.cpp inside also while it
    # loads. /v2/health/ready is 200 whatever happens, hence not that.
    "tgi": Preset("/health", loading={503: b""}),
    # src/http_server.cc, HandleServerHealth: 200, or 400 while not every model is loaded (--strict-readiness,
    # the default); 503 while the server is going away. /v2/health/live does not know of models.
    "triton": Preset("/v2/health/ready", loading={400: b"", 503: b""}),
    # server/routes.go: models are loaded by the first request for them, so no answer says "loading", and slow
    # start is what protects a cold one. /api/version touches neither disk nor GPU; /api/tags reads every
    # manifest.
    "ollama": Preset("/api/version"),
    # tools/server/README.md: 503 {"error": {"message": "Loading model", …}}, in older ones {"status":
    # "loading model"}. Those also answered 503 "no slot available", which is busy: hence the text.
    "llamacpp": Preset("/health", loading={503: b"loading model"}),
    # Any server at all: it accepts a connection, and with https the handshake succeeds.
    "tcp": Preset(""),
}


def resolve(rule: HealthRule, given: Collection[str]) -> HealthRule | None:
    """The rule to probe by, from a pool's settings; None when nothing is to be asked.

    `rule` has the settings' values, an empty path standing for `path: null`. `given` names the settings that
    were written down (of `path`, `expect` and `timeout`): those are kept, the others are the preset's. A
    connection has no path and no status, so `tcp` keeps neither.
    """
    if rule.preset is None:
        return rule if rule.path else None
    preset = PRESETS[rule.preset]
    rule = replace(
        rule,
        path=rule.path if preset.path and "path" in given else preset.path,
        expect=rule.expect if "expect" in given else preset.expect,
        timeout_s=rule.timeout_s if "timeout" in given else min(preset.timeout_s, rule.interval_s),
    )
    return None if preset.path and not rule.path else rule
