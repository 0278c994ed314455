"""What becomes of an answer that comes through the cache? Kept, shared while it arrives, or neither.

A capture stands between one exchange and its client: told of the answer's head, its pieces and its end, it
says what the client hears of the cache, passes each piece to all who have joined, and keeps the whole.
"""

from gateway import clock
from gateway.cache.endings import Shape, is_whole
from gateway.cache.entry import Entry, Key
from gateway.cache.flights import Flight
from gateway.cache.parties import Ending
from gateway.cache.rules import Verdict, judge
from gateway.cache.serving import ERRORS, may_serve_on_error
from gateway.cache.status import forward_line
from gateway.cache.traits import PLAIN, Traits
from gateway.cache.validators import conditional_lines, confirms, merged, refreshed, without_conditionals
from gateway.cache.vary import vary_key
from gateway.cache.wishes import Wishes
from gateway.messages import Exchange, Request, ResponseHead
from gateway.ports import Client, Upstream
from gateway.route_cache import RouteCache

_READS = frozenset(("GET", "HEAD"))


def _no_matter(needed: bool) -> None:
    """Nobody joins this flight."""


class Capture:
    """The capture of an answer that may be kept. `stale`: what has expired under its key, or was not wanted.

    `declined` says what to do with the answer in place of giving it to the client: "" give it; "stale", give
    what is stale; "refreshed", give what the backend has confirmed.
    """

    def __init__(
        self,
        route: RouteCache,
        flight: Flight,
        key: Key,
        client: Client,
        request: Request,
        record: Exchange,
        wishes: Wishes,
    ) -> None:
        self._route = route
        self._cache = route.cache
        self._rule = route.rule
        self.flight = flight
        self._primary = key
        self._client = client
        self._request = request
        self._record = record
        self._wishes = wishes
        self._verdict: Verdict | None = None
        self._traits: Traits = PLAIN
        self._head: ResponseHead | None = None
        self._fields = b""
        self._shape = Shape.OTHER
        self._length: int | None = None
        self._timed: list[tuple[float, int]] | None = None
        self._began = 0.0
        self._since = route.cache.deletions.count
        self.key = key
        self.pool = ""
        self.version = ""
        self._sent = 0.0  # when its backend was asked, wall clock
        self.forward = "miss"
        self.stale: Entry | None = None
        self.conditional: bytes | None = None
        self.active = False
        self.kept = False
        self.declined = ""

    def __repr__(self) -> str:
        return f"<Capture {self.key.digest.hex()[:8]}{' active' if self.active else ''}>"

    def revalidates(self, entry: Entry, forward: str) -> None:
        """What is kept is asked about, if it has a validator and the method allows it."""
        self.stale = entry
        self.forward = forward
        head = self._request.head
        lines = conditional_lines(entry) if head.method in _READS else b""
        if lines:
            self.conditional = b"".join(without_conditionals(head.parts)) + lines

    # What the exchange tells it.

    def declines(self, head: ResponseHead) -> bool:
        """Whether the client is to get something else than this answer, of which only the head is here."""
        stale = self.stale
        if stale is None:
            return False
        now = clock.wall()
        if head.status == 304 and self.conditional is not None:
            if self._record.pool == self.pool:
                self._confirmed(stale, head, now)
            else:  # another pool's word: it cannot confirm what this one's backends have said
                self.declined = "again"
            return True
        if head.status in ERRORS and may_serve_on_error(stale, self._wishes, now):
            self.declined = "stale"
            return True
        return False

    def _confirmed(self, stale: Entry, head: ResponseHead, now: float) -> None:
        if not confirms(stale, head):
            self._cache.delete(self.key, "replaced")
            self.declined = "again"
            return
        news = merged(stale, head)
        meaning = self._cache.meaning(news, self._route.date.line(now), now)
        verdict = judge(self._rule, self._request.head, self._wishes, meaning.traits, now)
        self.declined = "refreshed"
        if verdict.store and not self._cache.deletions.since(self._since, self._primary.digest):
            self.stale = refreshed(stale, news, meaning.traits, verdict, self._route.date.line(now), now)
            self._cache.put(self.key, self.stale, now)
            self.kept = True
        else:
            self._cache.delete(self.key, "replaced")

    def head(self, head: ResponseHead, length: int | None, until_close: bool, sent: float) -> bytes:
        """The answer is given: its head, how long its body is if that is known, and when it was asked for.

        Returns the line that tells the client of the cache.
        """
        now = clock.wall()
        cache, rule, record = self._cache, self._rule, self._record
        meaning = cache.meaning(head, self._route.date.line(now), now)
        if self._route.version_field:
            self.version = self._route.noted(record.pool, record.backend, head)
        delay_s = clock.now() - sent
        mine = record.pool == self.pool  # what another pool answers in its place is not this pool's answer
        if mine and self._route.asks_models:
            self._sent = now - delay_s
            self.version = cache.version_of(self.pool, record.backend, self._sent, now)
        verdict = judge(rule, self._request.head, self._wishes, meaning.traits, now, delay_s)
        self._head, self._fields, self._shape = head, meaning.fields, meaning.shape
        self._traits, self._verdict = meaning.traits, verdict
        digest, method = self._primary.digest, self._request.head.method
        fits = length is None or length <= rule.max_entry
        if verdict.store and fits and mine and not until_close and method != "HEAD":
            self.active = True
            self._length = length
            if not verdict.shareable:  # kept to be asked about: nobody is given it unasked
                self._alone()
            self._tell_apart(verdict, now)
            # Of an unknown version it is not kept, but those who wait for it may have it.
            return forward_line(
                self.forward, "" if self._route.asks_models and not self.version else "stored"
            )
        if verdict.hold:
            cache.held.hold(digest, now)
        # An error, or what only this request's condition has brought about, says nothing of the others.
        failed = head.status >= 400 or head.status == 304
        self.flight.end(Ending.FAILED if failed else Ending.REFUSED)
        return forward_line(self.forward)

    def _alone(self) -> None:
        """From here on the answer is collected for its own client alone."""
        shared, flights = self.flight, self._cache.flights
        self.flight = Flight(self._primary.digest, flights, self._rule.max_entry, _no_matter)
        flights.remove(shared)
        shared.end(Ending.REFUSED)

    def _tell_apart(self, verdict: Verdict, now: float) -> None:
        """Where answers differ by request fields, each has a key of its own, and a marker says so."""
        key, vary = self._primary, verdict.vary
        if not vary:
            self.key = key
            return
        digest = vary_key(key.digest, vary, self._request.head)
        self.key = Key(digest, key.route, key.model)
        marker = self._cache.get(key.digest, now)
        if marker is not None and marker.status == 0 and marker.vary == vary:
            return
        marker = Entry(
            0, b"", b"", now, 0.0, verdict.fresh_s, verdict.stale_while_s, verdict.stale_if_error_s, 0.0,
            key.route, self.pool, key.model, "", "", b"", b"", vary, (), verdict.keep_s,
        )  # fmt: skip
        self._cache.put(key, marker, now)
        if verdict.shareable and self._rule.coalesce and self._cache.flights.find(digest) is None:
            self._cache.flights.add(digest, self.flight)

    def whole(self, body: bytes, took_s: float) -> None:
        """All of the answer is here, and the client has it. `took_s`: backend seconds that it took."""
        flight, verdict = self.flight, self._verdict
        self._note_leaving()
        flight.took_s = took_s
        assert verdict is not None and self._head is not None
        if self._head.status >= 300 or is_whole(self._shape, (body,)):
            self._keep(body, (), took_s)
        flight.finish(self._head.status, self._fields, body, self.key.digest, verdict.vary)

    def begin(self, upstream: Upstream) -> None:
        """The answer arrives in pieces, which now come from `upstream`."""
        flight, verdict, head = self.flight, self._verdict, self._head
        assert verdict is not None and head is not None
        self._began = clock.now()
        self._timed = [] if self._paced() else None
        self._client.relay_from(flight.tap(self._client, False))
        flight.feed(upstream)
        flight.begin(head.status, self._fields, self._length, self.key.digest, verdict.vary)

    def _paced(self) -> bool:
        """Whether it is a stream that is to be given again at its pace."""
        if self._rule.replay != "recorded" or self._length is not None:
            return False
        return self._record.stream or b"event-stream" in self._fields.lower()

    def relay(self, data: bytes) -> None:
        """One piece of it, in the order of their arrival."""
        timed = self._timed
        if timed is not None:
            timed.append((clock.now() - self._began, len(data)))
        self.flight.add(data)

    def paused(self) -> bool:
        """Whether the backend is paused, because no client takes anything."""
        return self.flight.paused

    def stalled(self, at: float) -> bool:
        """Whether none of them has taken anything since this was asked last."""
        return self.flight.stalled(at)

    def finish(self, took_s: float) -> None:
        """Its last piece has been here; what a client could not take yet is written now."""
        flight, head = self.flight, self._head
        assert head is not None
        self._note_leaving()
        flight.took_s = took_s
        pieces = flight.pieces
        if flight.whole and (head.status >= 300 or is_whole(self._shape, pieces)):
            self._keep(b"".join(pieces), tuple(self._timed or ()), took_s)
        flight.end(Ending.WHOLE)

    def _note_leaving(self) -> None:
        """The answer is whole, for those who wait; its own client may have left meanwhile."""
        if self._client.lost and self._record.error is None:
            self._record.status, self._record.error = 499, "client_closed"

    def broke(self) -> None:
        """It broke off, or its client has had enough of it."""
        self.flight.end(Ending.CUT if self.flight.begun else Ending.FAILED)

    def close(self) -> None:
        """Nobody hears of the answer any more."""
        self._cache.flights.remove(self.flight)
        self.flight.end(Ending.FAILED)

    def _keep(self, body: bytes, timed: tuple[tuple[float, int], ...], took_s: float) -> None:
        head, traits, key = self._head, self._traits, self.key
        assert head is not None
        now = clock.wall()
        verdict = self._verdict
        if verdict is None or verdict.explicit:  # how long it took counts in its age
            verdict = judge(self._rule, self._request.head, self._wishes, traits, now, took_s)
        if not verdict.store or self._cache.deletions.since(self._since, self._primary.digest):
            return
        if self._route.asks_models and not self._is_certain(now):
            return
        entry = Entry(
            head.status,
            self._fields,
            body,
            now,
            verdict.age_s,
            verdict.fresh_s,
            verdict.stale_while_s,
            verdict.stale_if_error_s,
            took_s,
            key.route,
            self.pool,
            key.model,
            self._record.backend,
            self.version,
            traits.etag,
            traits.last_modified,
            (),
            timed if len(timed) > 1 else (),
            verdict.keep_s,
        )
        self._cache.put(key, entry, now)
        self._cache.held.release(self._primary.digest)
        self.kept = True

    def _is_certain(self, now: float) -> bool:
        """Whether the backend has been of one known version from the request to the answer's end."""
        version = self._cache.version_of(self.pool, self._record.backend, self._sent, now)
        return version != "" and version == self.version
