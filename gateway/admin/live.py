"""How do consoles stay up to date? One document for all who listen, made while somebody does.

Server-sent events: an `overview` at once and then at the listener's interval, `decisions` when there are new
ones. All intervals are multiples of the same beat, so however many listen, at most two documents a second are
made; who is slow gets the newest when he can take it, and those between not at all.
"""

import asyncio
import contextlib
import math

import msgspec
from aiohttp import web

from gateway import clock
from gateway.admin.answers import refusal
from gateway.admin.overview import overview
from gateway.admin.view import AdminView

BEAT_S = 0.5
MIN_INTERVAL_S, MAX_INTERVAL_S = 0.5, 10.0
EARLY_S = 0.05
MAX_LISTENERS = 20
MAX_DECISIONS = 50
#: A document that is no older than this is not made again for somebody who has just come.
FRESH_S = 0.25
#: Somebody who cannot take one document in this time is gone, or as good as.
STUCK_S = 30.0
RETRY_MS = 1000

_WRONG = f"interval: seconds from {MIN_INTERVAL_S:g} to {MAX_INTERVAL_S:g}"


class Feed:
    """The newest document and decisions, encoded once for everybody."""

    def __init__(self, view: AdminView) -> None:
        self._view = view
        self._lock = asyncio.Lock()
        self._made_at = -math.inf
        self._document = b""
        self._decisions: dict[int, tuple[bytes, int]] = {}  # by how many were known; of this document's time

    async def document(self) -> bytes:
        """The overview as an event; made anew unless one is fresh. Those who come meanwhile wait for it."""
        async with self._lock:
            now = clock.now()
            if now - self._made_at > FRESH_S:
                self._document = event("overview", await overview(self._view))
                self._made_at = now
                self._decisions.clear()
        return self._document

    def decisions(self, known: int) -> tuple[bytes, int]:
        """(those recorded since there were `known` as an event, b"" for none; how many there are now)."""
        recorded = self._view.decisions.recorded
        if recorded == known:
            return b"", known
        found = self._decisions.get(known)
        if found is None:
            rows = self._view.decisions.brief(min(recorded - known, MAX_DECISIONS))
            data = msgspec.json.encode({"recorded": recorded, "decisions": rows})
            found = self._decisions[known] = event("decisions", data), recorded
        return found


def event(name: str, data: bytes) -> bytes:
    """A server-sent event; `data` is JSON, which has no line breaks of its own when it is compact."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def until_beat(now: float, interval_s: float) -> float:
    """Seconds until the next multiple of `interval_s`, so that all with the same interval wake together.

    One that is about to come is passed over: timers run early by up to a millisecond, and who was woken just
    before his beat would be sent the same again until it has come.
    """
    left_s = interval_s - now % interval_s
    return left_s if left_s > EARLY_S else left_s + interval_s


def parse_interval(text: str) -> float | None:
    """Seconds, to the next multiple of the beat; None for what is no number within the bounds."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    if not MIN_INTERVAL_S <= seconds <= MAX_INTERVAL_S:
        return None
    return math.ceil(seconds / BEAT_S) * BEAT_S


class Live:
    """The endpoint: who listens, and the end of it all."""

    def __init__(self, view: AdminView) -> None:
        self._feed = Feed(view)
        self.listeners = 0
        self._closing = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Live {self.listeners} listen>"

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/api/live", self.listen, allow_head=False)
        app.on_shutdown.append(self.close)

    async def close(self, app: web.Application | None = None) -> None:
        """End all streams."""
        self._closing.set()

    async def listen(self, request: web.Request) -> web.StreamResponse:
        interval_s = parse_interval(request.query.get("interval", "1"))
        if interval_s is None:
            raise web.HTTPBadRequest(reason=_WRONG)
        if self.listeners >= MAX_LISTENERS:
            why = f"{MAX_LISTENERS} listen already, which is the most; GET /api/overview answers once"
            return refusal(503, why, {"Retry-After": "10"})
        self.listeners += 1
        try:
            return await self._stream(request, interval_s)
        finally:
            self.listeners -= 1

    async def _stream(self, request: web.Request, interval_s: float) -> web.StreamResponse:
        response = web.StreamResponse(headers={"X-Accel-Buffering": "no"})  # no proxy should hold it back
        response.content_type = "text/event-stream"
        response.charset = "utf-8"
        await response.prepare(request)
        data, known = b"retry: %d\n\n" % RETRY_MS, 0
        while not self._closing.is_set():
            data += await self._feed.document()
            decisions, known = self._feed.decisions(known)
            try:
                async with asyncio.timeout(STUCK_S):
                    await response.write(data + decisions)
            except (TimeoutError, ConnectionError):
                if request.transport is not None:
                    request.transport.abort()
                return response
            data = b""
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), until_beat(clock.now(), interval_s))
        return response
