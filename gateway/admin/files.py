"""Which files is the console made of, and how are they served?

They are small, read once and kept in memory; a browser keeps them too, and asks whether they have changed.
"""

import hashlib
from importlib.resources import files

from aiohttp import web

TYPES = {
    "css": "text/css",
    "html": "text/html",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}


class Console:
    """The page at `/` and what it loads, under `/console/`."""

    def __init__(self) -> None:
        folder = files("gateway.admin") / "console"
        self._files: dict[str, tuple[bytes, str, str]] = {}  # name → content, type, ETag
        for file in sorted(folder.iterdir(), key=lambda one: one.name):
            kind = TYPES.get(file.name.rpartition(".")[2])
            if kind is not None:
                content = file.read_bytes()
                self._files[file.name] = content, kind, hashlib.sha256(content).hexdigest()[:16]

    def __repr__(self) -> str:
        return f"<Console of {len(self._files)} files>"

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/", self.index)
        app.router.add_get("/console/{file}", self.file)

    async def index(self, request: web.Request) -> web.Response:
        return self._answer(request, "index.html")

    async def file(self, request: web.Request) -> web.Response:
        name = request.match_info["file"]
        if name not in self._files or name == "index.html":
            raise web.HTTPNotFound
        return self._answer(request, name)

    def _answer(self, request: web.Request, name: str) -> web.Response:
        content, kind, tag = self._files[name]
        headers = {"Cache-Control": "no-cache"}
        found = request.if_none_match
        known = found is not None and any(one.value == tag for one in found)
        response = (
            web.Response(status=304, headers=headers)
            if known
            else web.Response(body=content, content_type=kind, charset="utf-8", headers=headers)
        )
        response.etag = tag
        return response
