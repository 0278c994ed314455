"""Who else waits for an answer that has been asked for already? Identical requests under way, joined.

Owns the flights. One request leads: its answer is collected as it arrives, and goes on, piece by piece, to
every client that has joined. Nobody holds up another: a client that takes nothing is left behind, and the
backend is paused only while all of them are. What a flight holds is bounded; who has fallen further behind
than that is cut off, which a client sees as a cut.
"""

from collections.abc import Callable

from gateway.cache.entry import Entry
from gateway.cache.parties import Ending, Taker, Upstream


class Tap:
    """One client's place in a flight's answer; `position` counts pieces from the first."""

    __slots__ = ("_flight", "position", "taker")

    def __init__(self, flight: "Flight", taker: Taker) -> None:
        self._flight = flight
        self.taker = taker
        self.position = 0

    def __repr__(self) -> str:
        return f"<Tap at {self.position} of {self._flight!r}>"

    # As the source of its client's reply, it hears when that is full.

    def pause(self) -> None:
        self._flight.balance()

    def resume(self) -> None:
        self.pump()
        self._flight.balance()

    def pump(self) -> None:
        """Give the client what it has not got yet, as far as it takes it."""
        flight, taker = self._flight, self.taker
        while taker.writable and not taker.lost and self.position < flight.arrived:
            piece = flight.pieces[self.position - flight.dropped]
            self.position += 1
            taker.relay(piece)

    def rest(self) -> None:
        """Give it all that is left, now that no more will come."""
        flight, taker = self._flight, self.taker
        while self.position < flight.arrived:
            piece = flight.pieces[self.position - flight.dropped]
            self.position += 1
            taker.relay(piece)


class Flight:
    """One answer under way. `followers`: the wake-ups of those who have joined, in order.

    From `begun` on its head is known: `status`, `fields` (lines for anybody) and `length`. `variant` is the
    key among those that its Vary tells apart, or its own. At most `bound` bytes of pieces are held.
    """

    __slots__ = (
        "_bound",
        "_counted",
        "_flights",
        "_lead",
        "_paused",
        "_upstream",
        "arrived",
        "begun",
        "dropped",
        "ending",
        "entry",
        "fields",
        "followers",
        "heir",
        "keys",
        "length",
        "pieces",
        "size",
        "stands_in",
        "status",
        "successor",
        "taps",
        "took_s",
        "untapped",
        "variant",
        "vary",
        "whole",
    )  # fmt: skip

    def __init__(self, variant: bytes, flights: "Flights", bound: int, lead: Callable[[bool], None]) -> None:
        self.variant = variant
        self._flights = flights
        self._bound = bound
        self._lead = lead
        self._upstream: Upstream | None = None
        self._paused = False
        self.begun = False
        self.status = 0
        self.fields = b""
        self.length: int | None = None
        self.vary: tuple[bytes, ...] = ()
        self.pieces: list[bytes] = []
        self.arrived = 0  # pieces
        self.dropped = 0  # pieces no longer held, from the first
        self.size = 0  # bytes held
        self._counted = True  # they are among those of all flights
        self.whole = True  # nothing was dropped, and it was not spoilt: it can be joined, and kept
        self.taps: list[Tap] = []
        self.followers: dict[Callable[[], None], None] = {}  # in the order in which they joined
        self.untapped = 0  # followers that have not begun to take it
        self.ending = Ending.UNDER_WAY
        self.entry: Entry | None = None
        self.stands_in = False  # that is given in place of an error
        self.keys: list[bytes] = []  # under which it can be found
        self.heir: Flight | None = None  # of the follower who goes on after a failure
        self.successor: Flight | None = None  # which all others have joined then
        self.took_s = 0.0  # backend seconds, once it is whole

    def __repr__(self) -> str:
        return f"<Flight {self.variant.hex()[:8]} {self.size} bytes, {len(self.followers)} followers>"

    @property
    def joinable(self) -> bool:
        return self.whole and self.ending is Ending.UNDER_WAY

    def join(self, wake: Callable[[], None]) -> None:
        """Somebody waits: the leader goes on even without its own client."""
        self.followers[wake] = None
        self.untapped += 1
        self._lead(True)
        self.balance()

    def leave(self, wake: Callable[[], None], tap: Tap | None) -> None:
        """Somebody waits no more; with the last one the leader answers for its own client alone."""
        del self.followers[wake]
        if tap is None:
            self.untapped -= 1
        elif tap in self.taps:
            self.taps.remove(tap)
        self.balance()
        if not self.followers:
            self._lead(False)

    def tap(self, taker: Taker, follows: bool) -> Tap:
        """From now on `taker` is given the answer, what has arrived first; `follows`: it had joined."""
        tap = Tap(self, taker)
        self.taps.append(tap)
        if follows:
            self.untapped -= 1
            tap.pump()
        return tap

    def begin(
        self, status: int, fields: bytes, length: int | None, variant: bytes, vary: tuple[bytes, ...]
    ) -> None:
        """The head is here, and the answer is for others too."""
        self.begun = True
        self.status, self.fields, self.length = status, fields, length
        self.variant, self.vary = variant, vary
        self._tell()

    def finish(
        self, status: int, fields: bytes, body: bytes, variant: bytes, vary: tuple[bytes, ...]
    ) -> None:
        """All of it is here at once."""
        self.begun = True
        self.status, self.fields, self.length = status, fields, len(body)
        self.variant, self.vary = variant, vary
        self.pieces = [body] if body else []
        self.arrived = len(self.pieces)
        self.end(Ending.WHOLE)

    def feed(self, upstream: Upstream) -> None:
        """Where the pieces come from, to be paused."""
        self._upstream = upstream

    def add(self, piece: bytes) -> None:
        """One more piece has arrived."""
        flights = self._flights
        self.pieces.append(piece)
        self.arrived += 1
        self.size += len(piece)
        flights.held_bytes += len(piece)
        for tap in list(self.taps) if len(self.taps) > 1 else self.taps:
            if not tap.taker.lost:
                tap.pump()
        if self.size > self._bound or flights.held_bytes > flights.bound:
            self._drop()
        self.balance()

    def _drop(self) -> None:
        """Hold no more than the bound, and only what somebody has not got yet: nobody can join any more."""
        self.whole = False
        taps = [tap for tap in self.taps if not tap.taker.lost]
        needed = min((tap.position for tap in taps), default=self.arrived)
        while self.dropped < self.arrived and (self.dropped < needed or self.size > self._bound):
            size = len(self.pieces.pop(0))
            self.size -= size
            self._flights.held_bytes -= size
            self.dropped += 1
        behind = [tap for tap in taps if tap.position < self.dropped]
        for tap in behind:
            self.taps.remove(tap)
        for tap in behind:  # its client's script may end here and now
            tap.taker.cut_reply()

    def balance(self) -> None:
        """Pause the backend while nobody can take more, and no longer."""
        upstream = self._upstream
        if upstream is None:
            return
        waits = False
        if not self.untapped:
            for tap in self.taps:
                if not tap.taker.lost:  # a leader whose client has left takes nothing, and holds up nobody
                    waits = not tap.taker.writable
                    if not waits:
                        break
        if waits is not self._paused:
            self._paused = waits
            if waits:
                upstream.pause()
            else:
                upstream.resume()

    @property
    def paused(self) -> bool:
        """Whether the backend is paused, because nobody takes anything."""
        return self._paused

    def stalled(self, at: float) -> bool:
        """Whether nobody has taken anything since this was asked last, or since they were full."""
        stalled = True
        for tap in self.taps:
            if not tap.taker.lost and not tap.taker.stalled(at):
                stalled = False  # the others are asked all the same: each notes what it has taken
        return stalled

    def end(self, ending: Ending) -> None:
        """No more will come; every follower is told, in the order in which they joined."""
        if self.ending is not Ending.UNDER_WAY:
            return
        self.ending = ending
        self._upstream = None
        if self._counted:
            self._flights.held_bytes -= self.size
            self._counted = False
        if ending is Ending.WHOLE:
            for tap in list(self.taps):
                if not tap.taker.lost:
                    tap.rest()
        self._tell()

    def _tell(self) -> None:
        for wake in list(self.followers):
            if wake in self.followers:
                wake()
            heir = self.heir
            if heir is not None:
                self.heir = None
                if heir.joinable and not heir.begun:
                    self._hand_over(heir)
                    return

    def _hand_over(self, heir: "Flight") -> None:
        """All who are left wait for another, and need not be woken for that: they may be many."""
        self.successor = heir
        if self.followers:
            heir.followers.update(self.followers)
            heir.untapped += len(self.followers)
            heir._lead(True)
            heir.balance()
            self.followers.clear()
            self._lead(False)


class Flights:
    """Owns the flights by key.

    While all of them together hold more than `bound` bytes, each holds only what somebody has not got yet.
    """

    __slots__ = ("_flights", "bound", "held_bytes", "joined")

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._flights: dict[bytes, Flight] = {}
        self.held_bytes = 0  # of answers under way
        self.joined = 0  # requests that have joined one, ever

    def __repr__(self) -> str:
        return f"<Flights {len(self._flights)}, {self.held_bytes} bytes>"

    def __len__(self) -> int:
        return len(self._flights)

    def find(self, digest: bytes) -> Flight | None:
        """The flight under this key that can be joined."""
        flight = self._flights.get(digest)
        return flight if flight is not None and flight.joinable else None

    def add(self, digest: bytes, flight: Flight) -> None:
        """From now on it is found under this key, in place of one that can be joined no more."""
        self._flights[digest] = flight
        flight.keys.append(digest)

    def remove(self, flight: Flight) -> None:
        """Its keys are free again; where another has taken one, that one stays."""
        for digest in flight.keys:
            if self._flights.get(digest) is flight:
                del self._flights[digest]
        flight.keys.clear()

    def spoil(self, digest: bytes | None) -> None:
        """What is under way under this key (None: under any) is for who has joined it alone, and not kept."""
        for key, flight in self._flights.items():
            if digest is None or key == digest:
                flight.whole = False
