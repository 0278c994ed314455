"""What does a request do that is no hit? It waits for another's answer, or asks a backend for all who wait.

Of those who want the same, one asks and the others wait for that answer, each no longer than it would for
its own. The request's script drives its visit.
"""

from math import inf

from gateway import clock
from gateway.cache.entry import Entry, Key
from gateway.cache.flights import Flight, Tap
from gateway.cache.parties import Ending
from gateway.cache.serving import Serve, may_serve_on_error, serve
from gateway.cache.status import forward_line, hit_lines
from gateway.cache.vary import vary_key
from gateway.cache.wishes import Wishes
from gateway.capture import Capture
from gateway.errors import GatewayError
from gateway.messages import Exchange, Request
from gateway.passing import Passing
from gateway.ports import Client
from gateway.route_cache import BYPASS, COALESCED, HIT, MISS, RouteCache, own_lines

#: What may be given at once.
GIVEN = (Serve.FRESH, Serve.STALE_ALLOWED, Serve.STALE_REVALIDATE)

wall = clock.wall


class Visit:
    """One request's way through the cache after it was no hit; the request's script drives it."""

    def __init__(
        self,
        route: RouteCache,
        client: Client | None,
        request: Request,
        record: Exchange,
        wishes: Wishes,
        key: Key,
    ) -> None:
        self.route = route
        self.client = client
        self.request = request
        self.record = record
        self.wishes = wishes
        self.key = key
        self.pool = ""
        self.digest = key.digest
        self.entry: Entry | None = None
        self.what = Serve.MISS
        self.until = inf
        self.given = False  # the client has a stale answer; whether there is to be a new one is not said
        self.detached = False  # it is about a request of the gateway's own
        self.flight: Flight | None = None
        self.followed: Flight | None = None  # the last one that has failed
        self.capture: Capture | Passing | None = None
        self.kept = False  # the answer was kept; known once it is closed

    def __repr__(self) -> str:
        return f"<Visit {self.key.route} {self.what.name}>"

    @property
    def alone(self) -> bool:
        """Whether nobody asks for it already."""
        return self.route.cache.flights.find(self.digest) is None

    @property
    def refreshes(self) -> bool:
        """Whether what was given stale is to be asked for anew now; a HEAD's answer could not replace it."""
        return self.what is Serve.STALE_REVALIDATE and self.request.head.method != "HEAD" and self.alone

    def detach(self, client: Client, request: Request, record: Exchange) -> None:
        """From now on it is about a request of the gateway's own."""
        self.client, self.request, self.record = client, request, record
        self.detached = True
        self.what = Serve.REVALIDATE
        self.until = inf

    async def turn(self) -> bool:
        """Wait for an answer, or for the turn to ask a backend. True: ask, with `capture`; False: answered.

        Raises GatewayError when the time is over, and ClientGone.
        """
        if self.capture is not None:
            return True
        client, cache, route = self.client, self.route.cache, self.route
        assert client is not None
        if self.what in GIVEN:
            await self._replay()
            return False
        newer = self.what is Serve.REQUEST or self.wishes.no_cache
        joins = route.rule.coalesce and not newer and self.request.head.method != "HEAD"
        self.record.cache = MISS
        while True:
            flight = cache.flights.find(self.digest) if joins else None
            if flight is None:
                return await self._lead(newer)
            ending = await self._follow(flight, client)
            if ending is Ending.WHOLE or ending is Ending.CUT:
                return False
            if ending is Ending.REFUSED:
                self.record.cache, self.record.cache_detail = BYPASS, "uncacheable"
                self.capture = Passing(route, "uncacheable", self.request, self.record, [])
                return True
            if self._look():
                return False

    def _look(self) -> bool:
        """Look again in memory; whether that has answered."""
        now, route, client = wall(), self.route, self.client
        assert client is not None
        entry = route.cache.get(self.key.digest, now)
        self.digest = self.key.digest
        if entry is not None and entry.status == 0:
            self.digest = vary_key(self.key.digest, entry.vary, self.request.head)
            entry = route.cache.variant(entry, self.digest, now)
        self.entry = entry
        self.what = serve(entry, self.wishes, now)
        if entry is None or self.what is not Serve.FRESH:
            return False
        route.give(client, self.request, self.record, self.wishes, entry, now, "")
        return True

    async def _lead(self, newer: bool) -> bool:
        """Take the lead: ask the shared store, if there is one, then a backend."""
        route, client = self.route, self.client
        assert client is not None
        cache, rule = route.cache, route.rule
        flight = self.flight = Flight(self.digest, cache.flights, rule.max_entry, self._needed)
        # An answer without its body is for nobody else; and one refresh is enough, whoever joins it.
        joinable = self.detached or (rule.coalesce and self.request.head.method != "HEAD")
        if joinable and (not newer or self.alone):
            cache.flights.add(self.digest, flight)
            if self.followed is not None and self.followed.variant == self.digest:
                self.followed.heir = flight
        self.followed = None
        if cache.shared is not None and not newer and await self._shared(client):
            return False
        self.capture = self._made(flight, client)
        return True

    def _made(self, flight: Flight, client: Client) -> Capture:
        """The capture of the answer that a backend is asked for now."""
        capture = Capture(self.route, flight, self.key, client, self.request, self.record, self.wishes)
        capture.key = Key(self.digest, self.key.route, self.key.model)
        capture.pool = self.pool
        if self.entry is not None:
            forward = "request" if self.what is Serve.REQUEST else "stale"
            capture.revalidates(self.entry, forward)
        elif self.digest is not self.key.digest:
            capture.forward = "vary-miss"
        elif self.wishes.no_cache:
            capture.forward = "request"
        return capture

    async def _shared(self, client: Client) -> bool:
        """Ask the shared store; whether that has answered."""
        route, flight = self.route, self.flight
        assert flight is not None
        entry = await self._fetch(client)
        now = wall()
        if entry is not None and entry.status == 0:  # answers under this key are told apart
            self.digest = vary_key(self.key.digest, entry.vary, self.request.head)
            flight.variant, flight.vary = self.digest, entry.vary
            marker = entry
            entry = route.cache.variant(marker, self.digest, now) or await self._fetch(client)
            now = wall()
            if entry is not None and entry.stored_at < marker.stored_at:
                entry = None
        if entry is None or entry.status == 0:
            return False
        what = serve(entry, self.wishes, now)
        if what not in GIVEN:
            self.entry, self.what = entry, what
            return False
        detail = "" if what is Serve.FRESH else "stale"
        route.give(client, self.request, self.record, self.wishes, entry, now, detail)
        self.done()
        flight.entry = entry
        flight.end(Ending.WHOLE)
        return True

    async def _fetch(self, client: Client) -> Entry | None:
        """What the shared store has under the key, which memory then has too."""
        cache = self.route.cache
        fetch = cache.fetch(Key(self.digest, self.key.route, self.key.model), client.wake)
        at = clock.now()
        while not fetch.done and at < self.until:
            at = await client.pause(at, self.until)
        if fetch.entry is not None:
            cache.memory.put(self.digest, fetch.entry, wall())
        return fetch.entry

    def _needed(self, needed: bool) -> None:
        """Whether others wait for what this one asks: then it goes on though its client has left."""
        client = self.client
        if client is not None:
            client.needed = needed
            if not needed and client.lost:
                client.wake()

    async def _follow(self, flight: Flight, client: Client) -> Ending:
        """Wait with others; how it ended. Once `_begin` has begun the reply there is no way back."""
        self.route.cache.flights.joined += 1
        tap: Tap | None = None
        flight.join(client.wake)
        at = clock.now()
        try:
            while True:
                flight = _latest(flight)
                if flight.begun and tap is None and not client.replying:
                    if flight.vary and self._other(flight):
                        return Ending.FAILED
                    tap = self._begin(flight, client)
                if flight.ending is not Ending.UNDER_WAY:
                    return self._landed(flight, client, tap)
                if tap is not None and client.lost:
                    return Ending.CUT
                if at >= self.until:
                    if client.replying:
                        self.record.error = self._over_time().kind
                        client.cut_reply()
                        return Ending.CUT
                    raise self._over_time()
                at = await client.pause(at, self.until)
        finally:
            flight = _latest(flight)
            flight.leave(client.wake, tap)
            if flight.ending is Ending.FAILED and not flight.begun:
                self.followed = flight

    def _over_time(self) -> GatewayError:
        """By whose bound its time is over, its own or ours."""
        wish = self.request.head.timeout_s
        if wish is not None and self.until >= self.request.started + wish:
            return GatewayError("deadline_exceeded", "The time that the request allows is over.")
        return GatewayError("total_timeout", "The request took longer than its total time.")

    def _other(self, flight: Flight) -> bool:
        """Whether the flight's answer is for requests that differ from this one by what its Vary names."""
        return vary_key(self.key.digest, flight.vary, self.request.head) != flight.variant

    def _begin(self, flight: Flight, client: Client) -> Tap | None:
        """Begin the reply, as far as the answer is here; all of it may be."""
        record = self.record
        record.cache, record.status = COALESCED, flight.status
        fields = flight.fields + forward_line("miss", "collapsed") + own_lines(client, record)
        if flight.ending is Ending.WHOLE:
            body = b"".join(flight.pieces)
            self.route.saved(0.0, len(body))
            if flight.status == 204:
                client.begin_reply(self.request, 204, fields, None, False)
                client.end_reply()
            else:
                client.reply_whole(self.request, flight.status, fields, body)
            return None
        client.begin_reply(self.request, flight.status, fields, flight.length, flight.status != 204)
        tap = flight.tap(client, True)
        client.relay_from(tap)
        return tap

    def _landed(self, flight: Flight, client: Client, tap: Tap | None) -> Ending:
        """The flight is over; what that means for this follower."""
        ending = flight.ending
        if flight.entry is not None and not client.replying:
            return self._taken(flight, flight.entry, client)
        if tap is not None and ending is Ending.WHOLE:
            client.end_reply()
            self.route.saved(0.0, client.bytes_out)
        elif tap is not None:
            self.record.error = "reset"
            client.cut_reply()
            return Ending.CUT
        return ending

    def _taken(self, flight: Flight, entry: Entry, client: Client) -> Ending:
        """What the leader was given is given to this follower, if it may have it."""
        now = wall()
        if flight.vary and self._other(flight):
            return Ending.FAILED
        what = serve(entry, self.wishes, now)
        if what is Serve.FRESH:
            detail = ""
        elif what in GIVEN:
            detail = "stale"
        elif flight.stands_in and may_serve_on_error(entry, self.wishes, now):
            detail = "error"
        else:  # what must be asked about by each is asked about at the same time
            return Ending.REFUSED if entry.fresh_s <= 0.0 else Ending.FAILED
        self.route.give(client, self.request, self.record, self.wishes, entry, now, detail)
        return Ending.WHOLE

    async def _replay(self) -> None:
        """Give a stored stream at the pace at which it came."""
        route, client, entry = self.route, self.client, self.entry
        assert client is not None and entry is not None
        now = wall()
        self.record.cache, self.record.status = HIT, entry.status
        fields = entry.fields + hit_lines(entry.age(now), entry.fresh_s) + own_lines(client, self.record)
        client.begin_reply(self.request, entry.status, fields, None, True)
        begin = at = clock.now()
        position = 0
        for offset_s, size in entry.pieces:
            while at < begin + offset_s or not client.writable:
                due = begin + offset_s if client.writable else self.until
                if at >= self.until:
                    self.record.error = self._over_time().kind
                    client.cut_reply()
                    return
                at = await client.pause(at, min(max(due, at), self.until))
            client.relay(entry.body[position : position + size])
            position += size
        client.end_reply()
        route.saved(entry.cost_s, len(entry.body))

    # After the turn.

    def settled(self) -> bool:
        """A backend was asked. Whether the client has its answer; if not, it is to be asked once more."""
        capture = self.capture
        if not isinstance(capture, Capture) or not capture.declined:
            return True
        if capture.declined == "again":
            self.entry, self.what = None, Serve.MISS
            assert self.flight is not None and self.client is not None
            self.capture = self._made(self.flight, self.client)
            self.capture.forward = capture.forward
            return False
        self._stand_in(capture, "" if capture.declined == "refreshed" else "error")
        return True

    def failed(self, error: GatewayError) -> bool:
        """Whether something stale stands in for what asking a backend failed with."""
        capture = self.capture
        if not isinstance(capture, Capture) or capture.stale is None or error.rule.side == "caller":
            return False
        if self.client is None or self.client.replying:
            return False
        if not may_serve_on_error(capture.stale, self.wishes, wall()):
            return False
        self.record.error = None
        self._stand_in(capture, "error")
        return True

    def _stand_in(self, capture: Capture, detail: str) -> None:
        client, entry = self.client, capture.stale
        assert client is not None and entry is not None
        if not self.detached:
            self.route.give(client, self.request, self.record, self.wishes, entry, wall(), detail)
        flight = self.flight
        self.done()
        if flight is not None:
            flight.entry = entry
            flight.stands_in = bool(detail)
            flight.end(Ending.WHOLE)

    def done(self) -> None:
        """The lead is over, whatever became of it."""
        if self.flight is not None:
            self.route.cache.flights.remove(self.flight)

    def close(self) -> None:
        """`done`, and nobody waits any more: who still does goes on as after a failure."""
        self.done()
        if self.flight is not None:
            self.flight.end(Ending.FAILED)
        if isinstance(self.capture, Capture) and self.capture.flight is not self.flight:
            self.capture.close()
        # The flight holds this: no ring is left behind, which only the garbage collector would find.
        self.kept = isinstance(self.capture, Capture) and self.capture.kept
        self.flight = self.capture = self.followed = None


def _latest(flight: Flight) -> Flight:
    """The flight that those who had joined `flight` wait for now."""
    while flight.successor is not None:
        flight = flight.successor
    return flight
