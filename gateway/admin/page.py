"""What does a person see who opens the admin address in a browser? The list of what can be asked here."""

from html import escape

_LINKS = (
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

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #5f6670; --line: #d9dde2; --ground: #fbfbfa;
  --accent: #0b57a4; --good: #1a7f37; --bad: #b42318; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e9eb; --soft: #a0a7b1; --line: #34383e;
  --ground: #16181b; --accent: #7ab8f5; --good: #57c477; --bad: #ff8a7a; } }
body { margin: 0 auto; padding: 3rem 1.25rem; max-width: 52rem; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; }
p { color: var(--soft); margin: .25rem 0 2rem; }
a { color: var(--accent); }
a:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
code { font: .9em ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.good { color: var(--good); } .bad { color: var(--bad); }
dl { margin: 0; border-top: 1px solid var(--line); }
dl div { padding: .6rem 0; border-bottom: 1px solid var(--line); }
dt small { display: inline-block; width: 3.6rem; color: var(--soft); }
dd { margin: 0 0 0 3.6rem; color: var(--soft); }
"""


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
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>gateway {escape(version)}</h1>
<p>Admin side. <strong class="{"good" if ready else "bad"}">{escape(state)}</strong></p>
<dl>
{rows}
</dl>
</main>
</body>
</html>
"""


def _row(method: str, path: str, what: str) -> str:
    shown = f"<code>{escape(path)}</code>"
    if method == "GET" and "{" not in path:
        shown = f'<a href="{escape(path)}">{shown}</a>'
    return f"<div><dt><small>{method}</small>{shown}</dt><dd>{escape(what)}</dd></div>"
