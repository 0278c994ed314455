"""When is which backend asked which version of its model it serves? A loop per backend, at /v1/models.

What it says goes to `cache/versions.py`, which knows what follows. Backends are asked on connections of
their own, since those of the traffic may lead to a process that is about to leave.
"""

import asyncio
import logging
import random
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import aiohttp

from gateway import clock
from gateway.cache.model_list import NO_LIST, version_text
from gateway.cache.versions import Versions
from gateway.health.checker import pause_s
from gateway.health.probes import Asked, open_session, reason
from gateway.rounds import Key, Rounds
from gateway.tasks import Tasks

log = logging.getLogger(__name__)

PATH = "/v1/models"
EVERY_S = 10.0
TIMEOUT_S = 3.0
MAX_BYTES = 1024 * 1024  # of an answer; longer ones are not understood
#: Statuses by which a server says that it has no such path.
NO_SUCH = frozenset((404, 405, 501))
#: After so many other versions in a row it is said that this leads nowhere.
MANY = 5

#: `said`: its version; `lost`: nobody is there; `silent`: no answer now; `unclear`: none that is understood.
What = Literal["said", "lost", "silent", "unclear"]


@dataclass(frozen=True, slots=True)
class Source:
    """A backend to ask, and with which TLS settings (None: the usual ones)."""

    backend: Asked
    tls: ssl.SSLContext | None = None


class VersionAsker:
    """Asks every source for ever, while it takes requests, and notes what it says in `versions`."""

    def __init__(
        self, tasks: Tasks, versions: Versions, rng: random.Random, wall: Callable[[], float] = clock.wall
    ) -> None:
        self._rounds = Rounds(tasks, "model version", open_session, self._loop)
        self._versions = versions
        self._rng = rng
        self._wall = wall
        self._news: dict[Key, asyncio.Event] = {}

    def __repr__(self) -> str:
        return f"<VersionAsker {len(self._rounds)} backends>"

    async def start(self, sources: Iterable[Source]) -> None:
        """Begin to ask; the first question to each goes out at once."""
        self._rounds.start()
        self.update(sources)

    def update(self, sources: Iterable[Source]) -> None:
        """Ask exactly these from now on. A source that is as before goes on undisturbed."""
        wanted = {(source.backend.pool, source.backend.name): source for source in sources}
        for pool in {pool for pool, _ in (*wanted, *self._news)}:
            self._versions.expect(pool, [name for its, name in wanted if its == pool])
        gone, come = self._rounds.update(wanted)
        for key in gone:
            del self._news[key]
            self._versions.doubted(*key)
        for key in come:
            self._news[key] = asyncio.Event()

    def changed(self, pool: str, backend: str, state: str) -> None:
        """A backend's state has changed: what it said may no longer hold, and it is asked at once."""
        news = self._news.get((pool, backend))
        if news is None:
            return
        if state not in ("up", "starting"):
            self._versions.lost(pool, backend)
        elif not self._versions.known(pool, backend):
            self._versions.doubted(pool, backend)
            news.set()

    async def close(self) -> None:
        """Stop asking and close the connections."""
        await self._rounds.close()
        self._news.clear()

    async def _loop(self, session: aiohttp.ClientSession, source: Source) -> None:
        backend = source.backend
        news = self._news[backend.pool, backend.name]
        first, told = True, _Told(backend)
        while True:
            news.clear()
            settled = True
            if backend.state in ("up", "starting"):
                asked = self._wall()
                what, text = await ask(session, backend, source.tls)
                if backend.state in ("up", "starting"):
                    settled = self._take(backend, what, text, asked, told)
            with suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), pause_s(EVERY_S, settled, first, self._rng))
            first = False

    def _take(self, backend: Asked, what: What, text: str, asked: float, told: "_Told") -> bool:
        """Note what came of a question; whether there is no hurry with the next."""
        versions, pool, name = self._versions, backend.pool, backend.name
        if what == "said":
            told.said(versions.noted(pool, name, text, asked, self._wall()))
            return True
        if what == "unclear":
            versions.doubted(pool, name)
            told.unclear(text)
            return True
        if what == "lost":
            versions.lost(pool, name)
        return versions.known(pool, name)


class _Told:
    """What the log was told of one backend: each thing once."""

    def __init__(self, backend: Asked) -> None:
        self._of = f"{backend.pool}/{backend.name}"
        self._why = ""
        self._row = 0

    def said(self, changed: bool) -> None:
        self._why = ""
        self._row = self._row + 1 if changed else 0
        if self._row == MANY:
            log.warning(
                "backend %s: %s says something else each time, so nothing that is kept is ever given again; "
                "give cache.fingerprint a text of your own, or header:NAME",
                self._of,
                PATH,
            )
        elif changed and self._row < MANY:
            log.info("backend %s: another version of its model, by %s", self._of, PATH)

    def unclear(self, why: str) -> None:
        if why != self._why:
            self._why = why
            log.warning(
                "backend %s: %s: its model's version is not known, so none of its answers are kept; "
                "give cache.fingerprint a text of your own, or header:NAME",
                self._of,
                why,
            )


async def ask(session: aiohttp.ClientSession, backend: Asked, tls: ssl.SSLContext | None) -> tuple[What, str]:
    """GET the list of models, below the backend's own prefix; what came of it, and the version or why not."""
    url = f"{backend.scheme}://{backend.authority.decode()}{backend.prefix}{PATH}"
    try:
        async with session.get(
            url,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            ssl=True if tls is None else tls,
        ) as response:
            return await _read(response)
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        gone = isinstance(error, aiohttp.ClientConnectorError)
        return "lost" if gone else "silent", reason(error, TIMEOUT_S)


async def _read(response: aiohttp.ClientResponse) -> tuple[What, str]:
    status = response.status
    if status in NO_SUCH:
        return "said", NO_LIST
    said = f"{PATH} answered {status}"
    if status >= 500 or status in (408, 429):
        return "silent", said
    if status != 200:
        return "unclear", said
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > MAX_BYTES:
            return "unclear", f"{said} with more than {MAX_BYTES} bytes"
    version = version_text(bytes(body))
    return ("unclear", f"{said} with no list of models") if version is None else ("said", version)
