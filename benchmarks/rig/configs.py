"""How is each proxy set up for one core and the same work? Pure: a setup in, its configuration out.

The settings are the ones each project's own manual gives for throughput: HTTP/1.1 and kept connections
towards the backends, one thread, no access log unless the candidate is about it, and nothing that holds a
streamed chunk back.
"""

from dataclasses import dataclass
from pathlib import Path

REQUESTS_PER_CONNECTION = (
    100_000_000  # nginx closes a kept connection after 1000 requests if not told otherwise
)


@dataclass(frozen=True, slots=True)
class Setup:
    """One proxy's place: where it listens, the backends, where it may write, and what it must hold."""

    port: int
    admin_port: int
    backends: tuple[int, ...]
    work: Path
    connections: int = 4096
    streams: bool = False
    caches: bool = False
    access_log: Path | None = None


NGINX_LOG = {
    "time": "time_iso8601",
    "client": "remote_addr",
    "method": "request_method",
    "path": "uri",
    "status": "status",
    "bytes": "body_bytes_sent",
    "seconds": "request_time",
    "backend": "upstream_addr",
    "backend_seconds": "upstream_response_time",
    "id": "request_id",
}


def _log_fields() -> str:
    """The JSON object nginx writes for a request."""
    return "{" + ",".join(f'"{name}":"${variable}"' for name, variable in NGINX_LOG.items()) + "}"


def nginx(setup: Setup) -> str:
    """One process, no master: the same event loop as a worker, and its CPU time stands in one place."""
    servers = "\n".join(f"    server 127.0.0.1:{port};" for port in setup.backends)
    temporary = "\n".join(
        f"  {kind}_temp_path {setup.work}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    log = f"{setup.access_log} line" if setup.access_log else "off"
    store, use = NGINX_CACHE if setup.caches else ("", "")
    return f"""\
daemon off;
master_process off;
worker_processes 1;
pid {setup.work}/nginx.pid;
error_log {setup.work}/nginx-error.log warn;
events {{ worker_connections {setup.connections * 2 + 512}; }}
http {{
{temporary}{store.format(work=setup.work)}
  log_format line escape=json '{_log_fields()}';
  access_log {log};
  keepalive_requests {REQUESTS_PER_CONNECTION};
  keepalive_timeout 600s;
  client_body_buffer_size 64k;
  upstream mock {{
{servers}
    keepalive 256;
    keepalive_requests {REQUESTS_PER_CONNECTION};
  }}
  server {{
    listen 127.0.0.1:{setup.port} backlog=4096;
    location / {{
      proxy_pass http://mock;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering {"off" if setup.streams else "on"};
      proxy_read_timeout 300s;{use}
    }}
  }}
}}
"""


#: Where entries are kept, and what is kept. Files stay open, which is what its manual gives for many hits.
NGINX_CACHE = (
    """
  proxy_cache_path {work}/cache keys_zone=kept:16m max_size=256m inactive=1h use_temp_path=off;
  open_file_cache max=10000 inactive=1h;
  open_file_cache_valid 1h;""",
    """
      proxy_cache kept;
      proxy_cache_valid 200 1h;""",
)

#: A thread serves one connection at a time, so there must be as many as there are connections.
VARNISH_OPTIONS = ["-s", "malloc,256m", "-t", "3600", "-p", "thread_pools=1", "-p", "thread_pool_min=200"]


def varnish(setup: Setup) -> str:
    """Its own rules: only GET and HEAD without credentials are looked up."""
    return f"""\
vcl 4.1;
backend mock {{ .host = "127.0.0.1"; .port = "{setup.backends[0]}"; }}
"""


def haproxy(setup: Setup) -> str:
    """One thread; `http-no-delay` because without it chunks of a stream wait for one another.

    `no strict-limits`: it wants two files for each of `maxconn`, also where most connections are idle.
    """
    servers = "\n".join(f"  server s{i} 127.0.0.1:{port}" for i, port in enumerate(setup.backends))
    return f"""\
global
  nbthread 1
  no strict-limits
  maxconn {setup.connections}
defaults
  mode http
  option http-no-delay
  http-reuse always
  timeout connect 5s
  timeout client 600s
  timeout server 300s
  timeout http-keep-alive 600s
frontend front
  bind 127.0.0.1:{setup.port} backlog 4096
  maxconn {setup.connections}
  default_backend mock
backend mock
  balance roundrobin
{servers}
"""


_PAGES = """\
  - name: pages
    match: {path: /v1/pages/*, methods: [GET]}
    pool: bench
    cache: on
"""


def gateway(setup: Setup) -> str:
    """Everything a user would have on: routing by the body's model, least latency, health checks, retries."""
    backends = "\n".join(f"      - http://127.0.0.1:{port}" for port in setup.backends)
    kept = "\n    cache: on" if setup.caches else ""
    return f"""\
listen: 127.0.0.1:{setup.port}
admin: 127.0.0.1:{setup.admin_port}
log: {{access: {"json" if setup.access_log else '"off"'}}}
limits:
  max_connections: {setup.connections}
  keepalive_timeout: 10m
pools:
  bench:
    policy: least_latency
    backends:
{backends}
    health: {{path: /health, interval: 5s}}
    retries: {{attempts: 2}}
  other:
    backends:
      - http://127.0.0.1:{setup.backends[0]}
    health: {{path: /health, interval: 5s}}
routes:
  - name: other
    match: {{path: /v1/chat/*, methods: [POST], model: "other-*"}}
    pool: other{kept}
  - name: chat
    match: {{path: /v1/chat/*, methods: [POST], model: "bench-*"}}
    pool: bench{kept}
{_PAGES if setup.caches else ""}"""
