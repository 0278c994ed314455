"""What can be asked at the admin address? The list of it, for people."""

from html import escape

_LINKS = (
    ("GET", "/", "the console"),
    ("GET", "/api/overview", "all of it in one document: status, routes, pools, cache"),
    ("GET", "/api/live?interval=1", "the same again and again, and new decisions, as server-sent events"),
    ("GET", "/metrics", "figures for Prometheus, as text or OpenMetrics"),
    ("GET", "/healthz", "200 while the process lives"),
    ("GET", "/readyz", "200 while requests can be served, else 503 and the reason"),
    ("GET", "/api/status", "version, uptime, configuration, listeners"),
    ("GET", "/api/config", "the configuration in force, without its secrets"),
    ("GET", "/api/pools", "pools and their backends: state, load, latency, score, totals"),
    ("GET", "/api/pools/{pool}", "one pool"),
    ("POST", "/api/pools/{pool}/backends/{name}/drain", "give a backend no new work"),
    ("POST", "/api/pools/{pool}/backends/{name}/undrain", "and let it take work again"),
    ("GET", "/api/cache", "what the cache keeps and saves, by route"),
    ("DELETE", "/api/cache?route=…&model=…", "throw away what it keeps of a route, a model, or all of it"),
    ("POST", "/api/cache/explain", "whether two request bodies share a key, and if not, where they differ"),
    ("GET", "/api/decisions?limit=20", "the last requests: where each went, and why"),
)


def page(version: str, ready: bool, why: str) -> str:
    """The page as HTML; it needs no script and nothing from elsewhere."""
    state = "ready" if ready else f"not ready: {why}"
    rows = "\n".join(_row(method, path, what) for method, path, what in _LINKS)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>gateway admin</title>
<link rel="icon" href="console/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="console/tokens.css">
<link rel="stylesheet" href="console/list.css">
</head>
<body>
<main>
<h1>gateway {escape(version)}</h1>
<p>All that can be asked here. <strong class="{"good" if ready else "bad"}">{escape(state)}</strong></p>
<dl>
{rows}
</dl>
</main>
</body>
</html>
"""


def _row(method: str, path: str, what: str) -> str:
    shown = f"<code>{escape(path)}</code>"
    if method == "GET" and "{" not in path and "/live" not in path:  # which never ends
        shown = f'<a href="{escape(path[1:] or "./")}">{shown}</a>'
    return f"<div><dt><small>{method}</small>{shown}</dt><dd>{escape(what)}</dd></div>"
