"""Who waits, in what order, and who is refused: number by number."""

import random
from collections.abc import Callable
from math import inf

import pytest

from gateway.admission.queue import REFUSALS, QueueRule, Ticket, WaitQueue
from gateway.admission.ticket import Place
from gateway.errors import RULES, GatewayError

HIGH, NORMAL, LOW = 0, 1, 2


class Waiting:
    """A queue, its clock, and tickets named by what they are for."""

    def __init__(self, rule: QueueRule | None = None) -> None:
        self.queue = WaitQueue(rule or QueueRule(), random.Random(1))
        self.now = 1000.0
        self.woken: list[str] = []
        self.tickets: list[Ticket] = []

    def ticket(self, name: str, priority: int = NORMAL, flow: int = 0, within: float = inf) -> Ticket:
        return Ticket(priority, flow, self.now, self.now + within, name, lambda: self.woken.append(name))

    def enter(
        self, name: str, priority: int = NORMAL, flow: int = 0, within: float = inf, service_s: float = 0.0
    ) -> Ticket:
        ticket = self.ticket(name, priority, flow, within)
        self.queue.enter(ticket, self.now, service_s)
        self.tickets.append(ticket)
        return ticket

    def here(self) -> list[str]:
        """The names of those who wait, in the order of their arrival."""
        self.tickets = [ticket for ticket in self.tickets if ticket.place is Place.WAITING]
        return [str(ticket.context) for ticket in self.tickets]

    def ring(self) -> None:
        """The alarms of those whose time is up."""
        for ticket in self.tickets:
            if ticket.place is Place.WAITING and ticket.until <= self.now:
                self.queue.timed_out(ticket, self.now)

    def refused(
        self, name: str, priority: int = NORMAL, flow: int = 0, within: float = inf, service_s: float = 0.0
    ) -> str:
        """The kind of error that a newcomer gets; "" when it may wait."""
        try:
            self.enter(name, priority, flow, within, service_s)
        except GatewayError as error:
            assert error.retry_after_s is not None
            return error.kind
        return ""

    def grant(self, count: int = 1, every_s: float = 0.0) -> list[str]:
        """The names of the next so many; those who are granted."""
        names = []
        for _ in range(count):
            self.now += every_s
            ticket = self.queue.next(self.now)
            if ticket is None:
                break
            ticket.grant = "lease"
            names.append(str(ticket.context))
        return names

    def drain(self, a_second: float = 10.0) -> None:
        """Make the rate known, in 40 grants; the queue is empty before and after."""
        for _ in range(20):
            self.fill(2)
            assert len(self.grant(2, 1.0 / a_second)) == 2

    def fill(self, count: int, priority: int = NORMAL, flow: int = 0, within: float = inf) -> list[Ticket]:
        return [self.enter(f"{number}", priority, flow, within) for number in range(count)]


# -- order -----------------------------------------------------------------------------------------------


def test_who_comes_first_is_served_first() -> None:
    """With nothing else to tell them apart."""
    waiting = Waiting()
    for name in "abc":
        waiting.enter(name)
    assert waiting.grant(4) == ["a", "b", "c"]


def test_the_earliest_deadline_is_served_first() -> None:
    """A deadline beyond the queue's own limit on waiting does not count as one."""
    waiting = Waiting(QueueRule(timeout_s=30.0))
    waiting.enter("patient", within=300.0)
    waiting.enter("indifferent")
    waiting.enter("urgent", within=5.0)
    assert waiting.grant(3) == ["urgent", "patient", "indifferent"]


def test_the_time_an_answer_takes_is_part_of_its_deadline() -> None:
    """What takes ten seconds and has fifteen is more urgent than what takes none and has ten."""
    waiting = Waiting()
    waiting.enter("short", within=10.0)
    waiting.enter("long", within=15.0, service_s=10.0)
    assert waiting.grant(2) == ["long", "short"]


def test_until_is_the_last_moment_at_which_a_grant_is_of_use() -> None:
    """The queue's own limit, or the deadline less the time that the answer takes."""
    waiting = Waiting(QueueRule(timeout_s=30.0))
    assert waiting.enter("a").until == waiting.now + 30.0
    assert waiting.enter("b", within=40.0, service_s=15.0).until == waiting.now + 25.0


def test_credentials_take_turns() -> None:
    """One request of somebody else waits for one of those who sent a hundred, not for all."""
    waiting = Waiting()
    for number in range(100):
        waiting.enter(f"many {number}", flow=1)
    waiting.enter("single", flow=2)
    assert waiting.grant(2) == ["many 0", "single"]


def test_classes_are_served_by_weight() -> None:
    """While all three have requests: 16 high, 4 normal, 1 low, again and again, and evenly mixed."""
    waiting = Waiting()
    for priority, name in enumerate(("high", "normal", "low")):
        for _ in range(200):
            waiting.enter(name, priority)
    for _ in range(9):
        served = waiting.grant(21)
        assert [served.count(name) for name in ("high", "normal", "low")] == [16, 4, 1]
        assert served[:8].count("high") >= 5


def test_weights_are_the_rule_s() -> None:
    """One to one to two."""
    waiting = Waiting(QueueRule(weights=(1.0, 1.0, 2.0)))
    for priority, name in enumerate(("high", "normal", "low")):
        for _ in range(50):
            waiting.enter(name, priority)
    served = waiting.grant(40)
    assert [served.count(name) for name in ("high", "normal", "low")] == [10, 10, 20]


def test_an_idle_class_saves_no_credit() -> None:
    """After a hundred of another class, the first of each are served by weight as from the start."""
    waiting = Waiting()
    waiting.fill(100, LOW)
    waiting.grant(100)
    for priority, name in enumerate(("high", "normal", "low")):
        for _ in range(30):
            waiting.enter(name, priority)
    served = waiting.grant(21)
    assert served.count("normal") == 4
    assert 15 <= served.count("high") <= 17


def test_a_class_that_comes_later_neither_catches_up_nor_pays() -> None:
    """High comes while low is being served: from then on it gets sixteen of seventeen."""
    waiting = Waiting()
    for _ in range(60):
        waiting.enter("low", LOW)
    waiting.grant(40)
    for _ in range(60):
        waiting.enter("high", HIGH)
    assert 2 <= waiting.grant(51).count("low") <= 4


def test_an_empty_queue_has_nobody_next() -> None:
    """Nobody is None."""
    assert Waiting().queue.next(0.0) is None


# -- handing out and taking back -------------------------------------------------------------------------


def test_who_is_put_back_keeps_its_place() -> None:
    """In its class, among credentials and within its own; and the counts are as if it had not been asked."""

    def queue() -> Waiting:
        waiting = Waiting()
        for number in range(30):
            waiting.enter(f"{number}", number % 3, flow=number % 4, within=30.0 - number % 5)
        return waiting

    untouched, asked = queue(), queue()
    for _ in range(3):
        tickets = [asked.queue.next(asked.now) for _ in range(12)]
        for ticket in reversed(tickets):
            assert ticket is not None
            asked.queue.put_back(ticket)
    assert len(asked.queue) == 30
    assert asked.queue.granted == 0
    assert asked.grant(30) == untouched.grant(30)


def test_asking_without_granting_is_no_sign_of_speed() -> None:
    """The rate is that of grants, however often somebody is handed out and put back in between."""
    waiting = Waiting()
    waiting.drain(a_second=10.0)
    waiting.fill(300)
    for _ in range(20):
        for _ in range(5):
            waiting.now += 0.02
            ticket = waiting.queue.next(waiting.now)
            assert ticket is not None
            waiting.queue.put_back(ticket)
        waiting.grant(1)
    assert 28.0 < waiting.queue.retry_after_s(waiting.now) < 28.0 * 1.2 * 1.05


def test_who_leaves_while_it_is_handed_out_is_not_put_back() -> None:
    """Its client is gone: nobody would take what it is granted."""
    waiting = Waiting()
    waiting.enter("a")
    ticket = waiting.queue.next(waiting.now)
    assert ticket is not None
    waiting.queue.leave(ticket, waiting.now)
    waiting.queue.put_back(ticket)
    assert len(waiting.queue) == 0
    assert (waiting.queue.granted, waiting.queue.left) == (0, 1)


def test_others_who_came_meanwhile_do_not_overfill_it() -> None:
    """When a ticket comes back to a full queue, the one that would be served last goes."""
    waiting = Waiting(QueueRule(capacity=2))
    waiting.enter("a")
    waiting.enter("b")
    first = waiting.queue.next(waiting.now)
    assert first is not None
    waiting.enter("c")
    waiting.queue.put_back(first)
    assert len(waiting.queue) == 2
    assert waiting.woken == ["c"]
    assert waiting.grant(2) == ["a", "b"]


# -- leaving ---------------------------------------------------------------------------------------------


def test_who_leaves_is_not_served() -> None:
    """And leaving again, or after a grant, does nothing."""
    waiting = Waiting()
    gone, stays = waiting.enter("gone"), waiting.enter("stays")
    for _ in range(2):
        waiting.queue.leave(gone, waiting.now)
    assert waiting.grant(2) == ["stays"]
    waiting.queue.leave(stays, waiting.now)
    queue = waiting.queue
    assert (queue.entered, queue.granted, queue.left, len(queue)) == (2, 1, 1, 0)


def test_whose_time_is_up_is_told_so() -> None:
    """Once, with the same error however often it is asked for; leaving afterwards counts for nothing."""
    waiting = Waiting()
    ticket = waiting.enter("a")
    waiting.now = ticket.until
    error = waiting.queue.timed_out(ticket, waiting.now)
    assert error.kind == "queue_timeout"
    assert waiting.queue.timed_out(ticket, waiting.now) is error
    waiting.queue.leave(ticket, waiting.now)
    assert waiting.queue.refused["timeout"] == 1
    assert waiting.queue.left == 0
    assert len(waiting.queue) == 0


def test_whose_time_is_up_is_passed_over() -> None:
    """It is refused without a word: its own alarm rings at that moment."""
    waiting = Waiting(QueueRule(timeout_s=30.0))
    late = waiting.enter("late", within=5.0)
    waiting.now += 3.0
    waiting.enter("in time")
    waiting.now += 2.0
    assert waiting.grant(2) == ["in time"]
    assert late.refused is not None
    assert late.refused.kind == "queue_timeout"
    assert waiting.woken == []
    assert waiting.queue.refused["timeout"] == 1


def test_those_passed_over_take_no_turn() -> None:
    """Of two credentials, the one whose first request had waited too long is still next."""
    waiting = Waiting()
    waiting.enter("too late", flow=1, within=1.0)
    waiting.enter("b", flow=2)
    waiting.enter("a", flow=1)
    waiting.now += 1.0
    assert waiting.grant(2) == ["a", "b"]


# -- a full queue ----------------------------------------------------------------------------------------


def test_a_full_queue_refuses() -> None:
    """As many as the rule says, and not one more."""
    waiting = Waiting(QueueRule(capacity=3))
    waiting.fill(3)
    assert waiting.refused("fourth") == "queue_full"
    assert len(waiting.queue) == 3
    assert waiting.queue.refused["queue_full"] == 1


def test_a_queue_of_none_lets_nobody_wait() -> None:
    """Whatever the class."""
    waiting = Waiting(QueueRule(capacity=0))
    assert [waiting.refused("a", priority) for priority in (HIGH, NORMAL, LOW)] == ["queue_full"] * 3


def test_a_higher_class_takes_a_place_from_the_lowest() -> None:
    """From who would be served last of it; that one is told, and woken, and everybody else stays."""
    waiting = Waiting(QueueRule(capacity=4))
    waiting.enter("n", NORMAL)
    waiting.enter("low 1", LOW)
    low = waiting.enter("low 2", LOW)
    waiting.enter("m", NORMAL)
    waiting.enter("high", HIGH)
    assert waiting.woken == ["low 2"]
    assert low.refused is not None
    assert (low.refused.kind, low.refused.rule.status) == ("shed", 503)
    assert waiting.queue.refused["evicted"] == 1
    assert [waiting.queue.waiting(priority) for priority in (HIGH, NORMAL, LOW)] == [1, 2, 1]
    waiting.enter("high", HIGH)
    assert waiting.woken == ["low 2", "low 1"]
    waiting.enter("high", HIGH)
    assert waiting.woken == ["low 2", "low 1", "m"]


def test_a_lower_class_takes_no_place_from_a_higher() -> None:
    """Normal is refused by a queue full of high."""
    waiting = Waiting(QueueRule(capacity=2))
    waiting.fill(2, HIGH)
    assert waiting.refused("n", NORMAL) == "queue_full"


def test_nobody_fills_the_queue_for_others() -> None:
    """A credential takes places from the one with most until they have about as many; its newest go."""
    waiting = Waiting(QueueRule(capacity=5))
    for number in range(5):
        waiting.enter(f"many {number}", flow=1)
    assert waiting.refused("few", flow=2) == ""
    assert waiting.refused("few", flow=2) == ""
    assert waiting.woken == ["many 4", "many 3"]
    assert waiting.refused("few", flow=2) == "queue_full"  # two against three: nothing would be gained
    assert waiting.refused("many", flow=1) == "queue_full"


def test_who_is_evicted_may_come_again_at_once() -> None:
    """Its wake runs on while the newcomer enters; it is a newcomer then, like any other."""
    waiting = Waiting(QueueRule(capacity=1))
    heard: list[str] = []

    def again() -> None:
        assert low.refused is not None
        heard.append(waiting.refused("again", LOW))

    low = Ticket(LOW, 0, waiting.now, inf, "low", again)
    waiting.queue.enter(low, waiting.now)
    waiting.enter("high", HIGH)
    assert heard == ["queue_full"]
    assert waiting.grant(2) == ["high"]


def test_nobody_loses_its_place_to_one_that_is_refused() -> None:
    """High that could not be served in time anyway evicts nobody."""
    waiting = Waiting(QueueRule(capacity=2))
    waiting.fill(2, LOW)
    assert waiting.refused("late", HIGH, within=1.0, service_s=2.0) == "deadline"
    assert waiting.woken == []


# -- who cannot be served in time ------------------------------------------------------------------------


def test_nobody_is_refused_before_anything_is_known() -> None:
    """With five hundred before it and no grant yet, even a second may be enough."""
    waiting = Waiting()
    waiting.fill(500)
    waiting.now += 20.0
    assert waiting.refused("urgent", within=1.0) == ""


def test_an_answer_that_takes_longer_than_there_is_time() -> None:
    """Is refused however empty the queue: that much is known."""
    assert Waiting().refused("a", within=5.0, service_s=6.0) == "deadline"
    assert Waiting().refused("b", within=0.0) == "deadline"
    assert Waiting().refused("c", within=6.0, service_s=5.0) == ""


def test_who_would_wait_too_long_is_refused_at_once() -> None:
    """Ten a second and fifty before it that are as urgent: four seconds are too few, seven are enough."""
    for seconds, kind in ((4.0, "deadline"), (7.0, "")):
        waiting = Waiting()
        waiting.drain(a_second=10.0)
        for number in range(50):
            waiting.enter(f"{number}", flow=number, within=30.0)
        assert waiting.refused("a", flow=99, within=seconds) == kind
        assert waiting.queue.refused["deadline"] == (kind == "deadline")


def test_the_time_the_answer_takes_is_counted_in() -> None:
    """Seven seconds are enough for a wait of five, but not with three more for the answer."""
    waiting = Waiting()
    waiting.drain(a_second=10.0)
    for number in range(50):
        waiting.enter(f"{number}", flow=number)
    assert waiting.refused("a", flow=99, within=7.0, service_s=3.0) == "deadline"
    assert waiting.refused("a", flow=99, within=7.0, service_s=1.0) == ""


def test_who_would_wait_beyond_the_queue_s_own_limit_is_refused() -> None:
    """It would be refused in the end: better now. At ten a second, thirty can be served in three seconds."""
    waiting = Waiting(QueueRule(timeout_s=3.0))
    waiting.drain(a_second=10.0)
    kinds = [waiting.refused(f"{number}") for number in range(40)]
    assert set(kinds[:26]) == {""}
    assert set(kinds[34:]) == {"deadline"}


def test_the_urgent_are_not_refused_for_those_behind_them() -> None:
    """A deadline earlier than those of the fifty that wait makes it the first."""
    waiting = Waiting()
    waiting.drain(a_second=10.0)
    waiting.fill(50)
    assert waiting.refused("urgent", within=1.0) == ""
    assert waiting.grant(1) == ["urgent"]


def test_a_credential_does_not_wait_for_the_queue_of_another() -> None:
    """Its wait is that of a turn, where one more of the other would come after a hundred."""
    waiting = Waiting()
    waiting.drain(a_second=10.0)
    waiting.fill(100, flow=1)
    waiting.now += 16.0
    assert waiting.refused("same", flow=1, within=15.0) == "deadline"
    assert waiting.refused("other", flow=2, within=1.0) == ""


def test_classes_wait_by_their_weight() -> None:
    """Behind 140 low ones a high or normal one is served almost at once, a low one after fourteen seconds."""
    waiting = Waiting()
    waiting.drain(a_second=10.0)
    waiting.fill(140, LOW)
    waiting.now += 16.0
    assert waiting.refused("low", LOW, within=15.0) == "deadline"
    assert waiting.refused("normal", NORMAL, within=1.0) == ""
    assert waiting.refused("high", HIGH, within=1.0) == ""


def test_a_low_one_waits_for_sixteen_high_ones() -> None:
    """One and a half seconds at ten a second, if it is the first of its class."""
    for seconds, kind in ((1.4, "deadline"), (2.1, "")):
        waiting = Waiting()
        waiting.drain(a_second=10.0)
        waiting.fill(160, HIGH)
        assert waiting.refused("low", LOW, within=seconds) == kind


def test_what_others_keep_taking_counts() -> None:
    """High comes as fast as it is served, and never waits for long; normal gets a quarter of ten a second.

    A queue of twenty normal ones then takes eight seconds, though twenty grants take two.
    """
    waiting = Waiting(QueueRule(timeout_s=24.0))
    waiting.fill(65)
    for _ in range(45):
        waiting.grant(1, every_s=0.1)
        for _ in range(3):
            asked = waiting.queue.next(waiting.now)  # nobody is fit for that one
            assert asked is not None
            waiting.queue.put_back(asked)
            waiting.enter("high", HIGH)
            assert waiting.grant(1, every_s=0.1) == ["high"]
    assert waiting.queue.waiting(NORMAL) == 20
    assert waiting.refused("a", within=7.0) == "deadline"
    assert waiting.refused("b", within=10.0) == ""


def waits_in_vain(waiting: Waiting, priority: int, seconds: float) -> None:
    """One waits for so long while ten high ones a second are served, and leaves without a grant."""
    ticket = waiting.enter("in vain", priority)
    ticket.until = inf
    for _ in range(int(seconds * 10)):
        waiting.enter("high", HIGH)
        assert waiting.grant(1, every_s=0.1) == ["high"]
    waiting.queue.leave(ticket, waiting.now)


def test_those_who_waited_in_vain_count() -> None:
    """Low was served twice a second at first, later not at all for seconds: twenty will take long."""
    rule = QueueRule(timeout_s=25.0, weights=(1000.0, 1.0, 0.001))  # next to high, low is never due
    quick, slow = Waiting(rule), Waiting(rule)
    for waiting in (quick, slow):
        for _ in range(20):
            waiting.enter("low", LOW)
            assert waiting.grant(1, every_s=0.5) == ["low"]
    for _ in range(20):
        waits_in_vain(slow, LOW, 1.0)
    quick_kinds, slow_kinds = (
        [waiting.refused(f"{number}", LOW, flow=number) for number in range(30)] for waiting in (quick, slow)
    )
    assert quick_kinds.count("") == 30
    assert 10 < slow_kinds.count("") < 20
    assert slow_kinds[-1] == "deadline"


def test_the_queue_counts_them_too() -> None:
    """For what it says about coming back."""
    waiting = Waiting()
    waiting.drain(a_second=10.0)
    for _ in range(40):
        ticket = waiting.enter("in vain")
        waiting.now += 0.1
        waiting.queue.leave(ticket, waiting.now)
    waiting.fill(100)
    assert waiting.queue.retry_after_s(waiting.now) > 18.0


# -- shedding --------------------------------------------------------------------------------------------


def shares(waiting: Waiting, priority: int, tries: int = 400) -> float:
    """The share of newcomers that are shed; those that are not leave at once."""
    shed = 0
    for _ in range(tries):
        ticket = waiting.ticket("newcomer", priority, flow=99)
        try:
            waiting.queue.enter(ticket, waiting.now)
        except GatewayError as error:
            assert error.kind == "shed"
            shed += 1
        else:
            waiting.queue.leave(ticket, waiting.now)
    return shed / tries


@pytest.mark.parametrize(("fill", "share"), [(800, 0.0), (850, 0.25), (900, 0.5), (950, 0.75), (999, 1.0)])
def test_low_is_shed_the_more_the_fuller_the_queue(fill: int, share: float) -> None:
    """None up to 80 %, all at 100 %, in between in proportion; normal and high not at all."""
    waiting = Waiting(QueueRule(capacity=1000))
    waiting.fill(fill)
    assert shares(waiting, LOW) == pytest.approx(share, abs=0.06)
    assert shares(waiting, NORMAL) == 0.0
    assert shares(waiting, HIGH) == 0.0


def test_low_is_shed_by_the_wait_too() -> None:
    """A tenth of the places, but nine tenths of the time that requests are ready to wait."""
    waiting = Waiting(QueueRule(capacity=10_000, timeout_s=10.0))
    waiting.drain(a_second=100.0)
    waiting.fill(900)
    assert shares(waiting, LOW) == pytest.approx(0.5, abs=0.2)
    assert shares(waiting, NORMAL) == 0.0


def test_normal_is_shed_when_high_alone_fills_the_queue() -> None:
    """It leaves room for high, as low does for both; high leaves room for nobody."""
    waiting = Waiting(QueueRule(capacity=1000))
    waiting.fill(900, HIGH)
    assert shares(waiting, NORMAL) == pytest.approx(0.5, abs=0.06)
    assert shares(waiting, HIGH) == 0.0


# -- newest first ----------------------------------------------------------------------------------------


def overloaded(waiting: Waiting, seconds: float = 20.0) -> None:
    """Twice as many come as are served, which is ten a second."""
    for step in range(int(seconds * 10)):
        waiting.refused(f"{step} a")
        waiting.refused(f"{step} b")
        waiting.grant(1, every_s=0.1)
        waiting.ring()


def test_a_late_queue_serves_the_newest_first() -> None:
    """Once what waits takes half of what requests are ready to wait, and that for an eighth of it."""
    waiting = Waiting(QueueRule(timeout_s=8.0))
    overloaded(waiting, 4.0)
    assert not waiting.queue.newest_first
    assert waiting.grant(1)[0] != "39 b"
    overloaded(waiting, 2.0)
    assert waiting.queue.newest_first
    waiting.enter("newest")
    assert waiting.grant(1) == ["newest"]


def test_how_long_it_must_be_late_can_be_said() -> None:
    """With a rule of a minute, twenty seconds of overload change nothing."""
    waiting = Waiting(QueueRule(timeout_s=8.0, standing_s=60.0))
    overloaded(waiting)
    assert not waiting.queue.newest_first


def test_a_queue_that_never_empties_is_not_late_for_that() -> None:
    """Thirty clients on ten places: twenty wait all the time, two seconds each, and nobody longer."""
    waiting = Waiting()
    waiting.fill(20)
    for number in range(600):
        waiting.enter(f"n{number}")
        waiting.grant(1, every_s=0.1)
    assert not waiting.queue.newest_first
    assert waiting.queue.refused == dict.fromkeys(REFUSALS, 0)


def test_being_late_for_a_moment_is_not_enough() -> None:
    """A queue that has long been in time gets two hundred more at once, twenty seconds of thirty."""
    waiting = Waiting()
    waiting.fill(20)
    for number in range(200):
        waiting.enter(f"n{number}")
        waiting.grant(1, every_s=0.1)
    waiting.fill(200)
    waiting.grant(20, every_s=0.1)
    assert not waiting.queue.newest_first
    waiting.fill(40)
    waiting.grant(20, every_s=0.1)
    assert waiting.queue.newest_first


def test_how_long_requests_are_ready_to_wait_is_learned() -> None:
    """One impatient request, and then three hundred with time: ten seconds of waiting are not late."""
    waiting = Waiting(QueueRule(timeout_s=100.0))
    waiting.enter("impatient", within=2.0)
    waiting.drain(a_second=10.0)
    waiting.fill(100)
    for number in range(100):
        waiting.enter(f"n{number}")
        waiting.grant(1, every_s=0.1)
    assert not waiting.queue.newest_first


def test_a_standstill_does_not_turn_the_order() -> None:
    """Ten seconds nothing moves, and two hundred wait who can all be served in time: they are, in order."""
    waiting = Waiting()
    waiting.drain(a_second=25.0)
    for number in range(200):
        waiting.enter(f"{number}")
        waiting.now += 0.05
    assert waiting.grant(200, every_s=0.04) == [f"{number}" for number in range(200)]


def test_a_newcomer_to_a_late_queue_is_expected_at_once() -> None:
    """It is the first, whatever waits behind it."""
    waiting = Waiting(QueueRule(timeout_s=8.0))
    overloaded(waiting)
    assert len(waiting.queue) > 30
    assert waiting.refused("newest", within=8.0, service_s=7.0) == ""


def test_fresh_work_is_not_refused_for_stale() -> None:
    """In a full late queue the oldest loses its place, also to one of its own class and credential."""
    waiting = Waiting(QueueRule(capacity=50, timeout_s=8.0))
    overloaded(waiting, 6.0)
    assert waiting.queue.newest_first
    waiting.fill(1)
    here = waiting.here()
    assert len(here) == 50
    waiting.woken.clear()
    waiting.enter("fresh")
    assert waiting.woken == here[:1]
    assert waiting.here() == [*here[1:], "fresh"]


def test_low_does_not_push_out_normal_even_then() -> None:
    """Fresh work of a lower class has to wait for its turn."""
    waiting = Waiting(QueueRule(capacity=50, timeout_s=8.0))
    overloaded(waiting, 6.0)
    waiting.fill(1)
    assert waiting.refused("low", LOW) == "queue_full"


def test_the_order_turns_back_when_the_queue_has_been_empty() -> None:
    """At once."""
    waiting = Waiting(QueueRule(timeout_s=8.0))
    overloaded(waiting)
    waiting.grant(1000)
    assert len(waiting.queue) == 0
    waiting.enter("a")
    waiting.enter("b")
    assert waiting.grant(2) == ["a", "b"]


def test_the_order_turns_back_when_the_queue_has_long_been_in_time() -> None:
    """Also if it is never empty: once it has not been late for as long as anybody is ready to wait."""
    waiting = Waiting(QueueRule(timeout_s=8.0))
    overloaded(waiting)
    waiting.grant(len(waiting.queue) - 20)
    for step in range(120):
        assert waiting.queue.newest_first == (step <= 80)
        waiting.enter(f"{step}")
        if step % 5 == 0:
            waiting.enter(f"one more {step}")
        waiting.grant(1, every_s=0.1)
        waiting.ring()
        assert len(waiting.queue)


# -- what it tells ---------------------------------------------------------------------------------------


def test_come_back_when_what_waits_now_is_served() -> None:
    """Ten a second and two hundred that wait: twenty seconds, and up to a fifth more."""
    waiting = Waiting()
    waiting.drain(a_second=10.0)
    waiting.fill(200)
    told = [waiting.queue.retry_after_s(waiting.now) for _ in range(200)]
    assert 19.0 < min(told) < 20.5
    assert 23.0 < max(told) < 24.6
    assert len(set(told)) > 150


def test_come_back_in_a_second_at_least_and_a_minute_at_most() -> None:
    """And in five, or a little more, when nothing is known."""
    waiting = Waiting(QueueRule(timeout_s=1e6))
    assert 5.0 <= waiting.queue.retry_after_s(waiting.now) <= 6.0
    waiting.drain(a_second=10.0)
    waiting.fill(2)
    assert 1.0 <= waiting.queue.retry_after_s(waiting.now) <= 1.2
    waiting.fill(990)
    assert 50.0 <= waiting.queue.retry_after_s(waiting.now) <= 60.0


def test_every_refusal_is_an_error_of_overload() -> None:
    """503, with a message that names nobody."""
    for kind, message in REFUSALS.values():
        assert (RULES[kind].status, RULES[kind].side, RULES[kind].type) == (503, "overload", "server_error")
        assert message.endswith(".")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda waiting: waiting.queue, "<WaitQueue 1 of 1000, earliest deadline first>"),
        (lambda waiting: waiting.first, "<Ticket 1 of class 1, waiting>"),
        (lambda waiting: waiting.queue._rings[1], "<Ring 1 tickets of 1>"),
        (lambda waiting: waiting.queue._rings[1].flows[0], "<Flow 1 tickets>"),
    ],
)
def test_it_can_be_logged(make: Callable[[Waiting], object], said: str) -> None:
    """Each in a few words."""
    waiting = Waiting()
    waiting.first = waiting.enter("a")  # type: ignore[attr-defined]
    assert repr(make(waiting)) == said
