"""How is each candidate told to do the same? Its configuration, and nothing in it that slows it down. Pure.

The same for all who have it: health checks each second (out after 2 failures, in after 2 successes), connect
within 1 s, the scenario's time to the first byte, 3 attempts on no connection, a cut, a time-out, 429, 502,
503 and 504, five failures in a row put a backend aside for 5 s, at most half of them; connections kept on
both sides, one thread, no access log, nothing that holds a chunk of a stream back. What cannot be said to a
candidate stands beside its function, and in README.md.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ATTEMPTS = 3
RETRIES = ATTEMPTS - 1
CHECK_S = 1
THRESHOLD = 2
FAILURES = 5
ASIDE_S = 5
CONNECT_S = 1
TOTAL_S = 60
KEPT = 256
FOREVER = 100_000_000  # requests over one connection


@dataclass(frozen=True, slots=True)
class Setup:
    """One candidate's place in one measurement. `at_once`: each backend's limit, told to those that ask."""

    port: int
    admin_port: int
    backends: tuple[int, ...]
    at_once: tuple[int, ...]
    work: Path
    first_byte_s: float = 10.0
    streams: bool = False

    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self.backends]


def nginx(setup: Setup) -> str:
    """least_conn. No active checks in the free version; `max_fails` at its default: the first failure puts a
    backend aside."""
    servers = "\n".join(
        f"    server 127.0.0.1:{port} max_fails=1 fail_timeout={ASIDE_S}s;" for port in setup.backends
    )
    temporary = "\n".join(
        f"  {kind}_temp_path {setup.work}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""\
daemon off;
master_process off;
worker_processes 1;
pid {setup.work}/nginx.pid;
error_log {setup.work}/nginx-error.log crit;
events {{ worker_connections 8192; }}
http {{
{temporary}
  access_log off;
  keepalive_requests {FOREVER};
  keepalive_timeout 600s;
  client_body_buffer_size 64k;
  upstream models {{
    least_conn;
{servers}
    keepalive {KEPT};
    keepalive_requests {FOREVER};
  }}
  server {{
    listen 127.0.0.1:{setup.port} backlog=4096;
    location / {{
      proxy_pass http://models;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_connect_timeout {CONNECT_S}s;
      proxy_read_timeout {setup.first_byte_s:g}s;
      proxy_next_upstream error timeout http_429 http_502 http_503 http_504 non_idempotent;
      proxy_next_upstream_tries {ATTEMPTS};
    }}
  }}
}}
"""


def haproxy(setup: Setup, balance: str = "leastconn", limited: bool = False) -> str:
    """`observe` and `on-error` are its passive checks; the active ones bring a server back.

    `limited` gives each server its `maxconn`: the others wait in HAProxy for the first that is free. 2.6 can
    send again on 503, but not on 429. `http-no-delay`: without it chunks wait for one another.
    """
    checks = f"check inter {CHECK_S}s fall {THRESHOLD} rise {THRESHOLD}"
    servers = "\n".join(
        f"  server s{number} 127.0.0.1:{port}" + (f" maxconn {limit}" if limited else "")
        for number, (port, limit) in enumerate(zip(setup.backends, setup.at_once, strict=True))
    )
    return f"""\
global
  nbthread 1
  no strict-limits
  maxconn 8192
defaults
  mode http
  option http-no-delay
  option http-buffer-request
  option redispatch 1
  http-reuse always
  retries {RETRIES}
  retry-on conn-failure empty-response response-timeout 502 503 504
  timeout connect {CONNECT_S}s
  timeout client {TOTAL_S}s
  timeout server {round(setup.first_byte_s * 1000)}ms
  timeout queue 30s
  timeout http-keep-alive 600s
frontend front
  bind 127.0.0.1:{setup.port} backlog 4096
  default_backend models
backend models
  balance {balance}
  option httpchk GET /health
  default-server {checks} observe layer7 error-limit {FAILURES} on-error mark-down
{servers}
"""


def _envoy_route(setup: Setup) -> dict[str, Any]:
    """`per_try_idle_timeout` is its time to the first byte; a try's whole time is not limited.

    `previous_hosts` sends a retry elsewhere.
    """
    predicate = "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    return {
        "cluster": "models",
        "timeout": f"{TOTAL_S}s",
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream,reset,gateway-error,retriable-status-codes",
            "retriable_status_codes": [429, 502, 503, 504],
            "num_retries": RETRIES,
            "per_try_idle_timeout": f"{setup.first_byte_s:g}s",
            "retry_host_predicate": [
                {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {"@type": predicate}}
            ],
            "host_selection_retry_max_attempts": 5,
        },
    }


def _envoy_cluster(setup: Setup) -> dict[str, Any]:
    """Least request of two chosen at random (its default), circuit breakers out of the way."""
    endpoints = [
        {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
        for port in setup.backends
    ]
    most = {
        name: 100_000 for name in ("max_connections", "max_pending_requests", "max_requests", "max_retries")
    }
    return {
        "name": "models",
        "type": "STATIC",
        "connect_timeout": f"{CONNECT_S}s",
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": {"cluster_name": "models", "endpoints": [{"lb_endpoints": endpoints}]},
        "circuit_breakers": {"thresholds": [most]},
        "health_checks": [
            {
                "timeout": f"{CHECK_S}s",
                "interval": f"{CHECK_S}s",
                "unhealthy_threshold": THRESHOLD,
                "healthy_threshold": THRESHOLD,
                "http_health_check": {"path": "/health"},
            }
        ],
        "outlier_detection": {
            "consecutive_5xx": FAILURES,
            "consecutive_gateway_failure": FAILURES,
            "enforcing_consecutive_gateway_failure": 100,
            "interval": "1s",
            "base_ejection_time": f"{ASIDE_S}s",
            "max_ejection_percent": 50,
        },
    }


def envoy(setup: Setup) -> str:
    """JSON, which is YAML too."""
    filters = "type.googleapis.com/envoy.extensions.filters"
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{filters}.http.router.v3.Router"},
    }
    manager = {
        "@type": f"{filters}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "front",
        "codec_type": "HTTP1",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": _envoy_route(setup)}],
                }
            ]
        },
        "http_filters": [router],
    }
    listener = {
        "name": "front",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": setup.port}},
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    document = {"static_resources": {"listeners": [listener], "clusters": [_envoy_cluster(setup)]}}
    return json.dumps(document, indent=1) + "\n"


def gateway(setup: Setup, policy: str, limited: bool = False) -> str:
    """Its defaults but for what is the same in all; `limited` gives each backend its `max_in_flight`."""
    backends = [
        {"url": url} | ({"max_in_flight": limit} if limited else {})
        for url, limit in zip(setup.urls(), setup.at_once, strict=True)
    ]
    pool = {
        "policy": policy,
        "backends": backends,
        "health": {
            "path": "/health",
            "interval": f"{CHECK_S}s",
            "timeout": f"{CHECK_S}s",
            "rise": THRESHOLD,
            "fall": THRESHOLD,
        },
        "timeouts": {
            "connect": f"{CONNECT_S}s",
            "first_byte": f"{setup.first_byte_s:g}s",
            "total": f"{TOTAL_S}s",
        },
        "retries": {
            "attempts": ATTEMPTS,
            "on": ["connect", "reset", "timeout", "429", "502", "503", "504"],
        },
        "outlier": {"consecutive_failures": FAILURES, "ejection": f"{ASIDE_S}s", "max_ejected": "50%"},
        "keepalive": {"max_idle": KEPT},
    }
    document = {
        "listen": f"127.0.0.1:{setup.port}",
        "admin": f"127.0.0.1:{setup.admin_port}",
        "log": {"access": "off", "level": "error"},
        "pools": {"models": pool},
        "routes": [{"name": "chat", "match": {"path": "/v1/*"}, "pool": "models"}],
    }
    return json.dumps(document, indent=1) + "\n"
