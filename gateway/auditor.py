"""When is a kept answer asked for anew, only to see whether it still holds? When its pool has nothing to do.

A small share of hits is asked once more, behind the client's back: the answer is compared with what is kept,
and goes nowhere. Where too many differ, something is wrong with the route's key, its model or its sampling,
and its cache goes off.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Protocol

from gateway import clock
from gateway.cache.audit import AuditRule, Result, Said, Tally, compare
from gateway.cache.cache import Cache, Spawn
from gateway.cache.entry import Entry
from gateway.cache.lines import parts_of, values_of
from gateway.cache.store import Purge
from gateway.errors import ClientGone, GatewayError
from gateway.messages import Exchange, Request, ResponseHead
from gateway.ports import Capture, Client, Upstream
from gateway.route_cache import RouteCache

log = logging.getLogger(__name__)

#: One audit is begun at most so often, of all routes together; seconds.
EVERY_S = 1.0
#: How long a hit waits for its pool to be idle; credentials that come with it may be good for minutes only.
WAIT_S = 30.0


class Count(Protocol):
    """Where one route's audits are counted: by result; `mismatch_ratio` is None before the first."""

    audits: dict[str, int]
    mismatch_ratio: float | None


class Detached(Client, Protocol):
    """A client of the gateway's own."""

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None: ...
    def end(self) -> None: ...


Detach = Callable[[str, Callable[[BaseException | None], None]], Detached]
#: Asks a backend of the named pool; raises GatewayError when none answers.
Ask = Callable[[Client, Request, Exchange, Capture, str], Coroutine[Any, Any, None]]


class Hearing:
    """The capture of an answer that is only looked at, up to `bound` bytes of it."""

    active = True
    conditional: bytes | None = None

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._pieces: list[bytes] = []
        self._size = 0
        self._head: ResponseHead | None = None
        self.whole_now = False  # all of the answer is here

    def __repr__(self) -> str:
        return f"<Hearing {self._size} bytes{'' if self.whole_now else ' so far'}>"

    @property
    def said(self) -> Said | None:
        """The answer, once it is whole."""
        if self._head is None or not self.whole_now:
            return None
        return Said(self._head.status, self._head.parts, b"".join(self._pieces))

    def declines(self, head: ResponseHead) -> bool:
        return False

    def head(self, head: ResponseHead, length: int | None, until_close: bool, sent: float) -> bytes:
        self._head = head
        return b""

    def whole(self, body: bytes, took_s: float) -> None:
        self.relay(body)
        self.whole_now = True

    def begin(self, upstream: Upstream) -> None: ...

    def relay(self, data: bytes) -> None:
        if self._size <= self._bound:  # one that is longer is another answer already
            self._pieces.append(data)
            self._size += len(data)

    def paused(self) -> bool:
        return False

    def stalled(self, at: float) -> bool:
        return False

    def finish(self, took_s: float) -> None:
        self.whole_now = True

    def broke(self) -> None: ...


class Audit:
    """One hit that is to be asked for anew. `since`: when it was given, wall clock, like `sent`."""

    __slots__ = ("client", "entry", "hearing", "record", "request", "sent", "since")

    def __init__(self, request: Request, record: Exchange, entry: Entry, since: float, bound: int) -> None:
        self.request = Request(request.head, request.content_length, 0.0)
        self.request.body, self.request.received = list(request.body), request.received
        self.request.complete = True
        self.record = Exchange(record.method, record.path, "", record.client, 0.0)
        self.record.route, self.record.model, self.record.stream = record.route, record.model, record.stream
        self.entry = entry
        self.since = since
        self.sent = 0.0
        self.hearing = Hearing(bound)
        self.client: Detached | None = None

    def __repr__(self) -> str:
        return f"<Audit of {self.record!r}>"


class RouteAudits:
    """One route's audits: the hit that waits for its turn, and what was found. `ask` asks for this route."""

    def __init__(self, route: RouteCache, count: Count, ask: Ask) -> None:
        self.route = route
        self.count = count
        self.ask = ask
        self.tally = Tally()
        self.waiting: Audit | None = None
        self.busy = False

    def __repr__(self) -> str:
        return f"<RouteAudits {self.name} {self.tally!r}>"

    @property
    def name(self) -> str:
        return self.route.keys.route

    def is_of_version(self, audit: Audit, now: float) -> bool:
        """Whether it was answered by the version that gave what is kept."""
        entry, said, route = audit.entry, audit.hearing.said, self.route
        if not entry.fingerprint or said is None:
            return True
        if route.version_field:
            return entry.fingerprint.encode("latin-1", "replace") in values_of(
                said.parts, route.version_field
            )
        version = route.cache.version_of(entry.pool, audit.record.backend, audit.sent, now)
        return version == entry.fingerprint


class Auditor:
    """Owns the audits of all routes. `idle`: whether a pool has nothing to do."""

    def __init__(
        self,
        rule: AuditRule,
        cache: Cache,
        spawn: Spawn,
        detach: Detach,
        make_id: Callable[[], str],
        idle: Callable[[str], bool],
        rng: Random,
    ) -> None:
        self.rule = rule
        self.routes: list[RouteAudits] = []
        self._spawn = spawn
        self._detach = detach
        self._make_id = make_id
        self._idle = idle
        self._rng = rng
        cache.on_purge.append(self.purged)

    def __repr__(self) -> str:
        return f"<Auditor {self.routes}>"

    def watch(self, route: RouteCache, count: Count, ask: Ask) -> None:
        """Audit hits of this route too."""
        audits = RouteAudits(route, count, ask)
        self.routes.append(audits)
        route.on_hit = lambda request, record, entry: self.offer(audits, request, record, entry)

    def offer(self, audits: RouteAudits, request: Request, record: Exchange, entry: Entry) -> None:
        """A client is given what is kept: perhaps that is audited when there is time."""
        if audits.waiting is None and not audits.busy and self._rng.random() < self.rule.share:
            audits.waiting = Audit(request, record, entry, clock.wall(), audits.route.rule.max_entry)

    async def run(self) -> None:
        """Begin audits for ever, one at a time."""
        while True:
            await asyncio.sleep(EVERY_S)
            self.turn(clock.wall())

    def turn(self, now: float) -> None:
        """Begin the audit that has waited longest, if its pool is idle."""
        for audits in sorted(self.routes, key=lambda audits: audits.waiting.since if audits.waiting else 0.0):
            audit = audits.waiting
            if audit is None:
                continue
            if now - audit.since > WAIT_S or audit.entry.age(now) >= audit.entry.fresh_s:
                audits.waiting = None
            elif self._idle(audit.entry.pool):
                audits.waiting = None
                self._begin(audits, audit, now)
                return

    def _begin(self, audits: RouteAudits, audit: Audit, now: float) -> None:
        audits.busy = True
        request, record = audit.request, audit.record
        request.started = record.started = clock.now()
        record.request_id = self._make_id()
        audit.sent = now
        client = audit.client = self._detach(record.client, lambda error: self._ended(audits, audit, error))
        client.start(audits.ask(client, request, record, audit.hearing, audit.entry.pool))

    def _ended(self, audits: RouteAudits, audit: Audit, error: BaseException | None) -> None:
        assert audit.client is not None
        audit.client.end()
        if error is not None and not isinstance(error, GatewayError | ClientGone):
            log.error("an audit of route %s failed", audits.name, exc_info=error)
        said = audit.hearing.said if error is None else None
        if said is None or not audits.is_of_version(audit, clock.wall()):
            self._take(audits, "failed")
        else:
            self._spawn("cache audit", self._judge(audits, audit.entry, said))

    async def _judge(self, audits: RouteAudits, entry: Entry, said: Said) -> None:
        """Compare, in a thread: two answers of megabytes take longer than clients should wait."""
        result: Result = "failed"
        try:
            kept = Said(entry.status, parts_of(entry.fields), entry.body)
            result = await asyncio.to_thread(compare, kept, said)
        finally:
            self._take(audits, result)

    def _take(self, audits: RouteAudits, result: Result) -> None:
        audits.busy = False
        tally, count = audits.tally, audits.count
        tally.add(result)
        count.audits[result] = tally.counts[result]
        count.mismatch_ratio = tally.ratio if tally.checked else None
        if result == "mismatch":
            log.info("route %s: an answer asked for anew is not the one that is kept", audits.name)
        if tally.exceeds(self.rule) and not audits.route.off:
            audits.route.off = True
            log.warning(
                "route %s: its cache is off: of the last %d audits %.1f%% found another answer than is kept, "
                "and %g%% may; see that equal requests get equal answers (temperature 0 or a seed, one "
                "version of the model, nothing ignored that matters), then purge the route's cache",
                audits.name,
                tally.checked,
                tally.ratio * 100,
                self.rule.max_mismatch * 100,
            )

    def purged(self, what: Purge) -> None:
        """All that was kept of a route went: it is judged anew, and its cache is on."""
        if what.model is not None or what.digest is not None:
            return
        for audits in self.routes:
            if what.route is None or what.route == audits.name:
                audits.waiting = None
                audits.tally.clear()
                audits.count.mismatch_ratio = None
                if audits.route.off:
                    audits.route.off = False
                    log.info("route %s: its cache is on again", audits.name)
