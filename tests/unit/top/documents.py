"""Overviews as the admin side would tell them, with only what a test is about."""

import json
from typing import Any

from gateway.top.document import Overview, read

BOUNDS = (0.1, 1.0)


def route(name: str, **members: Any) -> dict[str, Any]:
    return {"name": name, **members}


def backend(name: str, **members: Any) -> dict[str, Any]:
    return {"name": name, "url": f"http://{name}.test:8000", "state": "up", "why": "well", **members}


def pool(name: str, *backends: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"name": name, "policy": "least_latency", "backends": list(backends), **members}


def overview(
    at_s: float = 1.0,
    routes: list[dict[str, Any]] | None = None,
    pools: list[dict[str, Any]] | None = None,
    cache: dict[str, Any] | None = None,
    **status: Any,
) -> Overview:
    """Read from JSON, as a real one; `status` are members of its status."""
    document = {
        "time": "2026-03-02T22:40:59.026Z",
        "at_s": at_s,
        "status": {
            "version": "1.2.3",
            "pid": 7,
            "uptime_s": at_s,
            "ready": True,
            "reason": "ready",
            **status,
        },
        "latency_bounds_s": BOUNDS,
        "routes": routes or [],
        "pools": pools or [],
        "cache": cache,
        "something_newer": {"that": "is passed over"},
    }
    return read(json.dumps(document).encode())
