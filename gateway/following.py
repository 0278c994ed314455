"""What does a request do while another one asks for the same? It takes that one's answer, as it comes."""

from gateway import clock
from gateway.cache.entry import Entry, Key
from gateway.cache.flights import Flight, Tap
from gateway.cache.parties import Ending
from gateway.cache.serving import Serve, may_serve_on_error, serve
from gateway.cache.status import forward_line
from gateway.cache.vary import vary_key
from gateway.cache.wishes import Wishes
from gateway.errors import GatewayError
from gateway.messages import Exchange, Request
from gateway.ports import Client
from gateway.route_cache import COALESCED, GIVEN, RouteCache, own_lines

wall = clock.wall


class Following:
    """One request that follows flights, no longer than `until`; `failed`: the last that gave nothing."""

    def __init__(
        self,
        route: RouteCache,
        client: Client,
        request: Request,
        record: Exchange,
        wishes: Wishes,
        key: Key,
        until: float,
    ) -> None:
        self._route = route
        self._client = client
        self._request = request
        self._record = record
        self._wishes = wishes
        self._key = key
        self._until = until
        self.failed: Flight | None = None

    def __repr__(self) -> str:
        return f"<Following of {self._key.route} until {self._until:.3f}>"

    async def until_landed(self, flight: Flight) -> Ending:
        """Wait with others; how it ended. Once `_begin` has begun the reply there is no way back."""
        client = self._client
        self._route.cache.flights.joined += 1
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
                if at >= self._until:
                    if client.replying:
                        self._record.error = over_time(self._request, self._until).kind
                        client.cut_reply()
                        return Ending.CUT
                    raise over_time(self._request, self._until)
                at = await client.pause(at, self._until)
        finally:
            flight = _latest(flight)
            flight.leave(client.wake, tap)
            if flight.ending is Ending.FAILED and not flight.begun:
                self.failed = flight

    def _other(self, flight: Flight) -> bool:
        """Whether the flight's answer is for requests that differ from this one by what its Vary names."""
        return vary_key(self._key.digest, flight.vary, self._request.head) != flight.variant

    def _begin(self, flight: Flight, client: Client) -> Tap | None:
        """Begin the reply, as far as the answer is here; all of it may be."""
        record = self._record
        record.cache, record.status = COALESCED, flight.status
        fields = flight.fields + forward_line("miss", "collapsed") + own_lines(client, record)
        if flight.ending is Ending.WHOLE:
            body = b"".join(flight.pieces)
            self._route.saved(flight.took_s, len(body))
            if flight.status == 204:
                client.begin_reply(self._request, 204, fields, None, False)
                client.end_reply()
            else:
                client.reply_whole(self._request, flight.status, fields, body)
            return None
        client.begin_reply(self._request, flight.status, fields, flight.length, flight.status != 204)
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
            self._route.saved(flight.took_s, client.bytes_out)
        elif tap is not None:
            self._record.error = "reset"
            client.cut_reply()
            return Ending.CUT
        return ending

    def _taken(self, flight: Flight, entry: Entry, client: Client) -> Ending:
        """What the leader was given is given to this follower, if it may have it."""
        now = wall()
        if flight.vary and self._other(flight):
            return Ending.FAILED
        what = serve(entry, self._wishes, now)
        if what is Serve.FRESH:
            detail = ""
        elif what in GIVEN:
            detail = "stale"
        elif flight.stands_in and may_serve_on_error(entry, self._wishes, now):
            detail = "error"
        else:  # what must be asked about by each is asked about at the same time
            return Ending.REFUSED if entry.fresh_s <= 0.0 else Ending.FAILED
        self._route.give(client, self._request, self._record, self._wishes, entry, now, detail)
        return Ending.WHOLE


def over_time(request: Request, until: float) -> GatewayError:
    """What a request gets that has waited `until` its time is over: by whose bound, its own or ours."""
    wish = request.head.timeout_s
    if wish is not None and until >= request.started + wish:
        return GatewayError("deadline_exceeded", "The time that the request allows is over.")
    return GatewayError("total_timeout", "The request took longer than its total time.")


def _latest(flight: Flight) -> Flight:
    """The flight that those who had joined `flight` wait for now."""
    while flight.successor is not None:
        flight = flight.successor
    return flight
