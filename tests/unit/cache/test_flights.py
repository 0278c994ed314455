"""Whoever comes, goes or is slow, in any order: does everybody get exactly the answer, in bounded room?"""

from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.cache.flights import Flight, Flights, Tap
from gateway.cache.parties import Ending

HIGH = 50  # bytes that a client's buffer takes before it is full


class Upstream:
    """Where the pieces come from; being told twice is a fault."""

    def __init__(self) -> None:
        self.paused = False

    def pause(self) -> None:
        assert not self.paused
        self.paused = True

    def resume(self) -> None:
        assert self.paused
        self.paused = False


class Client:
    """A client as the flight sees it. `wake` is what its script does when it is woken."""

    def __init__(self) -> None:
        self.writable = True
        self.lost = False
        self.cut = False
        self.got: list[bytes] = []
        self.buffered = 0
        self.source: Tap | None = None
        self.on_cut: Callable[[], None] = lambda: None

    def relay(self, data: bytes) -> None:
        assert not self.lost, "bytes for a client that has left"
        self.got.append(data)
        self.buffered += len(data)
        if self.buffered > HIGH and self.writable:
            self.writable = False
            if self.source is not None:
                self.source.pause()

    def cut_reply(self) -> None:
        self.lost = self.cut = True
        self.source = None
        self.on_cut()

    def stalled(self, at: float) -> bool:
        return not self.writable

    def drain(self) -> None:
        self.buffered = 0
        if not self.writable:
            self.writable = True
            if self.source is not None:
                self.source.resume()

    def relay_from(self, tap: Tap) -> None:
        self.source = tap
        if not self.writable:
            tap.pause()


class Follower:
    """One who has joined: as `Visit._follow` does it, in short."""

    def __init__(self, flight: Flight) -> None:
        self.flight = flight
        self.client = Client()
        self.client.on_cut = self.wake
        self.tap: Tap | None = None
        self.ended: Ending | None = None
        self.busy = False
        flight.join(self.wake)
        self.wake()

    def wake(self) -> None:
        if self.ended is not None or self.busy:
            return
        self.busy = True
        flight = self.flight
        if flight.begun and self.tap is None and flight.ending is Ending.UNDER_WAY:
            self.tap = flight.tap(self.client, True)
            self.client.relay_from(self.tap)
        if flight.ending is not Ending.UNDER_WAY or self.client.lost:
            self.leave(flight.ending)
        self.busy = False

    def leave(self, ending: Ending) -> None:
        self.ended = ending
        self.client.source = None
        self.flight.leave(self.wake, self.tap)


class FlightMachine(RuleBasedStateMachine):
    """One flight among others' bytes; its leader's client reads, is full or leaves, and so do followers."""

    def __init__(self) -> None:
        super().__init__()

    @initialize(
        bound=st.sampled_from([30, 200, 1000]),
        of_all=st.sampled_from([100, 10_000]),
        least=st.sampled_from([1, 5, 15]),
    )
    def start(self, bound: int, of_all: int, least: int) -> None:
        self.bound = bound
        self.least = least  # pieces before it ends
        self.flights = Flights(of_all)
        self.take_off()

    def take_off(self) -> None:
        self.needed: list[bool] = []
        self.sent: list[bytes] = []
        self.followers: list[Follower] = []
        self.gone = False  # the leader's transport, not only its client
        self.balanced = True
        self.flight = Flight(b"key", self.flights, self.bound, self.needed.append)
        self.flights.add(b"key", self.flight)
        self.upstream = Upstream()
        self.leader = Client()

    @property
    def under_way(self) -> bool:
        return self.flight.ending is Ending.UNDER_WAY

    def here(self) -> list[Follower]:
        return [follower for follower in self.followers if follower.ended is None]

    @precondition(lambda self: self.flights.find(b"key") is not None)
    @rule()
    def join(self) -> None:
        self.followers.append(Follower(self.flight))

    @precondition(lambda self: self.under_way and not self.flight.begun)
    @rule()
    def begin(self) -> None:
        flight = self.flight
        self.leader.relay_from(flight.tap(self.leader, False))
        flight.feed(self.upstream)
        flight.begin(200, b"", None, b"key", ())

    @precondition(lambda self: self.under_way and self.flight.begun and not self.upstream.paused)
    @rule(size=st.sampled_from([1, 10, 30, 60]))
    def piece(self, size: int) -> None:
        self.sent.append(bytes([len(self.sent) % 256]) * size)
        self.flight.add(self.sent[-1])
        self.balanced = True

    @precondition(lambda self: any(not f.client.writable for f in self.followers))
    @rule(data=st.data())
    def follower_reads(self, data: st.DataObject) -> None:
        full = [follower.client for follower in self.followers if not follower.client.writable]
        data.draw(st.sampled_from(full)).drain()

    @precondition(lambda self: not self.leader.writable and not self.leader.lost)
    @rule()
    def leader_reads(self) -> None:
        self.leader.drain()

    @precondition(lambda self: self.here())
    @rule(data=st.data())
    def follower_leaves(self, data: st.DataObject) -> None:
        follower = data.draw(st.sampled_from(self.here()))
        follower.client.lost = True
        follower.leave(Ending.UNDER_WAY)

    @precondition(lambda self: self.here() and not self.leader.lost)
    @rule(half=st.booleans())
    def leader_leaves(self, half: bool) -> None:
        """By half: it has closed its sending side, and its transport is still there."""
        self.leader.lost = True
        self.balanced = False
        if not half:
            self.leader_is_gone()

    @precondition(lambda self: self.leader.lost and not self.gone)
    @rule()
    def leader_is_gone(self) -> None:
        leader = self.leader
        self.gone = leader.writable = True
        if leader.source is not None and self.here():
            leader.source.resume()
            self.balanced = True

    @precondition(lambda self: self.under_way and len(self.sent) >= self.least)
    @rule(ending=st.sampled_from([Ending.WHOLE, Ending.CUT, Ending.FAILED]))
    def end(self, ending: Ending) -> None:
        here = self.here()
        self.flights.remove(self.flight)
        self.flight.end(ending)
        assert all(follower.ended is ending for follower in here)
        if ending is Ending.WHOLE:
            clients = [follower.client for follower in here]
            clients += [] if self.leader.lost else [self.leader]
            assert all(client.got == self.sent for client in clients)

    @precondition(lambda self: self.under_way and not self.flight.begun and self.least == 1 and self.here())
    @rule(ending=st.sampled_from([Ending.REFUSED, Ending.FAILED]))
    def end_before(self, ending: Ending) -> None:
        here = self.here()
        self.flights.remove(self.flight)
        self.flight.end(ending)
        assert all(follower.ended is ending and not follower.client.got for follower in here)

    @precondition(lambda self: not self.under_way)
    @rule()
    def the_next(self) -> None:
        self.take_off()

    @invariant()
    def all_have_got_the_beginning(self) -> None:
        for client in [self.leader, *(follower.client for follower in self.followers)]:
            assert client.got == self.sent[: len(client.got)]

    @invariant()
    def nobody_who_takes_is_behind(self) -> None:
        if self.flight.begun and self.under_way:
            clients = [follower.client for follower in self.here()]
            assert all(c.got == self.sent for c in [self.leader, *clients] if c.writable and not c.lost)

    @invariant()
    def what_is_held_is_counted_and_bounded(self) -> None:
        held = self.flights.held_bytes
        assert held == (self.flight.size if self.under_way else 0)
        if self.under_way:
            assert held == sum(map(len, self.flight.pieces)) <= self.bound
            assert self.flight.whole is (self.flight.pieces == self.sent)

    @invariant()
    def only_who_is_too_far_behind_is_cut(self) -> None:
        for client in [self.leader, *(follower.client for follower in self.followers)]:
            if client.cut:
                assert sum(map(len, self.sent[len(client.got) :])) > self.bound

    @invariant()
    def the_backend_pauses_while_nobody_takes(self) -> None:
        if self.flight.begun and self.under_way and self.balanced:
            takers = [client for client in (tap.taker for tap in self.flight.taps) if not client.lost]
            assert self.flight.untapped == 0
            assert self.upstream.paused is (bool(takers) and not any(taker.writable for taker in takers))
            assert self.flight.paused is self.upstream.paused

    @invariant()
    def the_leader_knows_whether_it_is_needed(self) -> None:
        assert (self.needed[-1] if self.needed else False) is bool(self.here())
        assert len(self.flight.followers) == len(self.here())

    @invariant()
    def the_table_has_what_is_under_way(self) -> None:
        assert len(self.flights) == self.under_way
        found = self.flights.find(b"key")
        assert found is (self.flight if self.under_way and self.flight.whole else None)


FlightMachine.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
TestFlights = FlightMachine.TestCase


def never(needed: bool) -> None:
    raise AssertionError("nobody joins")


def test_a_whole_answer_is_given_to_those_who_wait() -> None:
    """What is there at once has its length, takes none of the bounded room, and ends the flight."""
    flights = Flights(100)
    flight = Flight(b"key", flights, 10, lambda needed: None)
    follower = Follower(flight)
    flight.finish(200, b"Fields: yes\r\n", b"x" * 50, b"key", ())
    assert follower.ended is Ending.WHOLE
    assert (flight.length, flight.pieces, flights.held_bytes) == (50, [b"x" * 50], 0)


def test_a_key_taken_by_another_stays_its_own() -> None:
    """A flight that ends frees the keys that are still its own, all of them."""
    flights = Flights(100)
    one, two = Flight(b"a", flights, 10, never), Flight(b"a", flights, 10, never)
    flights.add(b"a", one)
    flights.add(b"b", one)
    flights.add(b"a", two)
    flights.remove(one)
    assert flights.find(b"a") is two
    assert flights.find(b"b") is None
    flights.remove(two)
    assert len(flights) == 0


def test_a_flight_that_has_ended_stays_as_it_ended() -> None:
    """The first ending counts."""
    flight = Flight(b"a", Flights(100), 10, never)
    flight.end(Ending.REFUSED)
    flight.end(Ending.WHOLE)
    assert flight.ending is Ending.REFUSED
    assert not flight.joinable


def test_while_all_together_hold_too_much_each_holds_what_is_needed() -> None:
    """Ten answers of which each is below its own bound: what has been given to all is let go."""
    flights = Flights(1000)
    made = [Flight(b"%d" % number, flights, 500, never) for number in range(10)]
    clients = [Client() for _ in made]
    for flight, client in zip(made, clients, strict=True):
        flight.tap(client, False)
        flight.begin(200, b"", None, flight.variant, ())
    for _ in range(8):
        for flight, client in zip(made, clients, strict=True):
            flight.add(b"x" * 50)
            client.drain()
            assert flights.held_bytes <= 1050
    assert all(len(client.got) == 8 and not client.cut for client in clients)
    for flight in made:
        flight.end(Ending.WHOLE)
    assert flights.held_bytes == 0


def test_all_are_asked_whether_they_have_taken_something() -> None:
    """A stall is when none of those who are left has; and each notes it."""
    asked: list[int] = []

    class Asked(Client):
        def stalled(self, at: float) -> bool:
            asked.append(id(self))
            return not self.writable

    flight = Flight(b"a", Flights(100), 10, never)
    clients = [Asked() for _ in range(3)]
    for client in clients:
        flight.tap(client, False)
        client.writable = False
    assert flight.stalled(1.0)
    clients[0].writable = True
    assert not flight.stalled(2.0)
    clients[0].lost = True
    assert flight.stalled(3.0)
    assert len(asked) == 8


def test_after_a_failure_one_goes_on_and_the_rest_wait_for_that_one_unwoken() -> None:
    """The first leads; who has not been woken is with the new flight, whose leader is needed."""
    flights = Flights(100)
    needed: list[tuple[str, bool]] = []
    old = Flight(b"a", flights, 10, lambda yes: needed.append(("old", yes)))
    new = Flight(b"a", flights, 10, lambda yes: needed.append(("new", yes)))
    woken: list[int] = []

    def first() -> None:
        woken.append(0)
        old.leave(first, None)
        old.heir = new

    rest = [lambda number=number: woken.append(number) for number in (1, 2, 3)]
    for wake in [first, *rest]:
        old.join(wake)
    old.end(Ending.FAILED)
    assert woken == [0]
    assert list(new.followers) == rest
    assert (new.untapped, old.successor, len(old.followers)) == (3, new, 0)
    assert needed[-2:] == [("new", True), ("old", False)]
    new.finish(200, b"", b"x", b"a", ())
    assert woken == [0, 1, 2, 3]


def test_where_the_first_fails_at_once_the_next_goes_on() -> None:
    """Without waiting inside each other, however many there are."""
    flights = Flights(100)
    old = Flight(b"a", flights, 10, lambda yes: None)
    ended: list[Flight] = []

    def follower() -> None:
        def wake() -> None:
            old.leave(wake, None)
            old.heir = heir = Flight(b"a", flights, 10, never)
            heir.end(Ending.FAILED)
            ended.append(heir)

        old.join(wake)

    for _ in range(5000):
        follower()
    old.end(Ending.FAILED)
    assert len(ended) == 5000
    assert old.successor is None
