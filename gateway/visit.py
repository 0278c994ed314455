"""What does a request do that is no hit? It waits for another's answer, or asks a backend for all who wait.

Of those who want the same, one asks and the others wait for that answer, each no longer than it would for
its own. The request's script drives its visit.
"""

from math import inf

from gateway import clock
from gateway.cache.entry import Entry, Key
from gateway.cache.flights import Flight
from gateway.cache.parties import Ending
from gateway.cache.serving import Serve, may_serve_on_error, serve
from gateway.cache.vary import vary_key
from gateway.cache.wishes import Wishes
from gateway.capture import Capture
from gateway.errors import GatewayError
from gateway.following import Following
from gateway.messages import Exchange, Request
from gateway.passing import Passing
from gateway.ports import Client
from gateway.replaying import replay
from gateway.route_cache import BYPASS, GIVEN, MISS, RouteCache

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

    def at_once(self) -> bool:
        """Take the turn to ask a backend, as `turn` would without waiting; False: go through `turn`."""
        if self.capture is not None:
            return True
        cache = self.route.cache
        newer = self._wants_newer()
        if self.what in GIVEN or (cache.shared is not None and not newer):
            return False
        if self._joins(newer) and cache.flights.find(self.digest) is not None:
            return False
        client = self.client
        assert client is not None
        self.record.cache = MISS
        self.capture = self._made(self._take_lead(newer), client)
        return True

    async def turn(self) -> bool:
        """Wait for an answer, or for the turn to ask a backend. True: ask, with `capture`; False: answered.

        Raises GatewayError when the time is over, and ClientGone.
        """
        if self.capture is not None:
            return True
        client, cache, route = self.client, self.route.cache, self.route
        assert client is not None
        if self.what in GIVEN:
            assert self.entry is not None
            await replay(route, client, self.request, self.record, self.entry, self.until)
            return False
        newer = self._wants_newer()
        joins = self._joins(newer)
        self.record.cache = MISS
        while True:
            flight = cache.flights.find(self.digest) if joins else None
            if flight is None:
                return await self._lead(newer)
            following = Following(route, client, self.request, self.record, self.wishes, self.key, self.until)
            ending = await following.until_landed(flight)
            self.followed = following.failed or self.followed
            if ending is Ending.WHOLE or ending is Ending.CUT:
                return False
            if ending is Ending.REFUSED:
                self.record.cache, self.record.cache_detail = BYPASS, "uncacheable"
                self.capture = Passing(route, "uncacheable", self.request, self.record, [])
                return True
            if self._look():
                return False

    def _wants_newer(self) -> bool:
        """Whether the client wants the backend's own word."""
        return self.what is Serve.REQUEST or self.wishes.no_cache

    def _joins(self, newer: bool) -> bool:
        """Whether another's answer under way is good enough."""
        return self.route.rule.coalesce and not newer and self.request.head.method != "HEAD"

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
        client = self.client
        assert client is not None
        flight = self._take_lead(newer)
        if self.route.cache.shared is not None and not newer and await self._shared(client):
            return False
        self.capture = self._made(flight, client)
        return True

    def _take_lead(self, newer: bool) -> Flight:
        """From now on who wants the same can join."""
        cache, rule = self.route.cache, self.route.rule
        flight = self.flight = Flight(self.digest, cache.flights, rule.max_entry, self._needed)
        # An answer without its body is for nobody else; and one refresh is enough, whoever joins it.
        joinable = self.detached or (rule.coalesce and self.request.head.method != "HEAD")
        if joinable and (not newer or self.alone):
            cache.flights.add(self.digest, flight)
            if self.followed is not None and self.followed.variant == self.digest:
                self.followed.heir = flight
        self.followed = None
        return flight

    def _made(self, flight: Flight, client: Client) -> Capture:
        """The capture of the answer that a backend is asked for now."""
        capture = Capture(self.route, flight, self.key, client, self.request, self.record, self.wishes)
        if self.digest is not self.key.digest:
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
