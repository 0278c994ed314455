"""How are the AI gateways told the same as the others? LiteLLM's file, the Rust routers' flags. Pure."""

import json

from benchmarks.shootout.client import KEY
from benchmarks.shootout.plan import MODEL
from benchmarks.shootout.texts import (
    ASIDE_S,
    ATTEMPTS,
    CHECK_S,
    FAILURES,
    RETRIES,
    THRESHOLD,
    TOTAL_S,
    Setup,
)


def litellm(setup: Setup, strategy: str) -> str:
    """Its cooldown is its passive check; it has no limit on the connect alone, no active check that routes.

    `stream_timeout` is its time to a stream's first chunk; `timeout` that of a whole answer.
    """
    models = [
        {
            "model_name": MODEL,
            "litellm_params": {"model": f"openai/{MODEL}", "api_base": f"{url}/v1", "api_key": KEY},
        }
        for url in setup.urls()
    ]
    document = {
        "model_list": models,
        "router_settings": {
            "routing_strategy": strategy,
            "num_retries": RETRIES,
            "timeout": TOTAL_S if setup.streams else setup.first_byte_s,
            "stream_timeout": setup.first_byte_s,
            "allowed_fails": FAILURES,
            "cooldown_time": ASIDE_S,
        },
        "litellm_settings": {"telemetry": False, "drop_params": False},
        "general_settings": {"master_key": KEY},
    }
    return json.dumps(document, indent=1) + "\n"


def router(setup: Setup) -> list[str]:
    """Arguments sglang-router, smg and vllm-router have in common: they are of one family.

    Their only time-out is that of a whole answer; retries wait 50 ms at first, which is their default.
    """
    settings = {
        "host": "127.0.0.1",
        "port": setup.port,
        "prometheus-port": setup.admin_port,
        "log-level": "error",
        "request-timeout-secs": TOTAL_S if setup.streams else round(setup.first_byte_s),
        "retry-max-retries": ATTEMPTS,
        "cb-failure-threshold": FAILURES,
        "cb-timeout-duration-secs": ASIDE_S,
        "health-check-interval-secs": CHECK_S,
        "health-check-timeout-secs": CHECK_S,
        "health-failure-threshold": THRESHOLD,
        "health-success-threshold": THRESHOLD,
        "worker-startup-check-interval": 1,
    }
    flags = [text for name, value in settings.items() for text in (f"--{name}", str(value))]
    return ["--worker-urls", *setup.urls(), *flags]
