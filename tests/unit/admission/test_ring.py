"""One class of the queue: flows in turn, and the order within each."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.admission.ring import Flow, Ring
from gateway.admission.ticket import Ticket


def ticket(number: int, flow: int = 0, until: float = 100.0) -> Ticket:
    made = Ticket(1, flow, 0.0, until, None, lambda: None)
    made.number = number
    return made


def filled(*flows: int) -> Ring:
    """A ring with tickets 1, 2, 3, … of these flows."""
    ring = Ring(4.0)
    for number, flow in enumerate(flows, 1):
        ring.add(ticket(number, flow))
    return ring


def drained(ring: Ring, newest: bool = False) -> list[int]:
    taken = []
    while ring.size:
        first = ring.first(newest)
        ring.take(first)
        taken.append(first.number)
    return taken


def test_flows_take_turns() -> None:
    """A flow with five tickets gets one of three turns as long as the two others have some."""
    assert drained(filled(7, 7, 7, 7, 7, 8, 8, 9)) == [1, 6, 8, 2, 7, 3, 4, 5]


def test_a_flow_that_comes_back_is_the_last() -> None:
    """Whoever sends one request after the other gains nothing by having no other waiting."""
    ring = filled(7, 8, 8, 9)
    ring.take(ring.first(False))
    ring.add(ticket(5, 7))
    assert drained(ring) == [2, 4, 5, 3]


def test_the_earliest_deadline_is_first_within_a_flow() -> None:
    """And of equal ones the first that came."""
    ring = Ring(1.0)
    for number, until in enumerate((30.0, 10.0, 20.0, 10.0), 1):
        ring.add(ticket(number, 7, until))
    assert drained(ring) == [2, 4, 3, 1]


def test_the_newest_is_first_when_that_is_wanted() -> None:
    """Within its flow; flows still take turns."""
    assert drained(filled(7, 7, 7, 8, 8), newest=True) == [3, 5, 2, 4, 1]


@pytest.mark.parametrize("newest", [False, True])
@pytest.mark.parametrize("taken", [1, 2, 3, 7])
def test_put_back_in_reverse_nothing_has_changed(taken: int, newest: bool) -> None:
    """Order and turn are those of a ring that nobody has touched."""
    flows = (7, 8, 7, 7, 9, 8, 7)
    ring = filled(*flows)
    out = []
    for _ in range(taken):
        out.append(ring.first(newest))
        ring.take(out[-1])
    assert ring.size == len(flows) - taken
    for each in reversed(out):
        ring.put_back(each, newest)
    assert ring.turn == 0.0
    assert drained(ring, newest) == drained(filled(*flows), newest)


def test_a_turn_is_one_over_the_weight() -> None:
    """The class with the lowest turn is next, so one of weight 4 is due four times as often."""
    ring = filled(7, 7, 7)
    drained(ring)
    assert ring.turn == 3 * 0.25


def test_the_last_is_of_the_longest_flow() -> None:
    """Its newest while the oldest are served first, and its oldest while the newest are."""
    ring = filled(7, 8, 8, 9, 8, 7)
    assert ring.last(False).number == 5
    assert ring.last(True).number == 2


def test_who_is_ahead_of_a_newcomer() -> None:
    """Those of its own flow that are as urgent, and as many of each other flow as it has turns to await."""
    ring = filled(7, 7, 7, 8, 9, 9)
    assert ring.ahead(7, 100.0, newest=False) == 3 + 3  # all others: they have fewer than four turns
    assert ring.ahead(7, 99.0, newest=False) == 0 + 2  # one of each other flow
    assert ring.ahead(6, 100.0, newest=False) == 3
    assert ring.ahead(7, 100.0, newest=True) == 2
    assert Ring(1.0).ahead(7, 100.0, newest=False) == 0


def test_positions_among_many_are_about_right() -> None:
    """Of a thousand, not all are looked at."""
    flow = Flow(7)
    for number in range(1, 1001):
        flow.add(ticket(number, 7, until=float(number * 7919 % 1000)))
    for until in (-1.0, 250.0, 500.0, 999.0):
        assert flow.ahead(until) == pytest.approx(until + 1, abs=100)


def test_who_leaves_is_swept_out() -> None:
    """Coming and going without ever being served does not fill the memory."""
    flow = Flow(7)
    flow.add(ticket(1, 7))
    for number in range(2, 2000):
        passing = ticket(number, 7, until=200.0)
        flow.add(passing)
        flow.remove(passing)
    assert len(flow._heap) < 20
    assert flow.first(newest=False).number == 1


class RingMachine(RuleBasedStateMachine):
    """Against plain lists: nobody is lost, and the lengths of flows are known."""

    def __init__(self) -> None:
        super().__init__()
        self.ring = Ring(1.0)
        self.waiting: list[Ticket] = []
        self.numbers = 0

    @rule(flow=st.integers(0, 3), until=st.integers(0, 5))
    def add(self, flow: int, until: int) -> None:
        self.numbers += 1
        self.waiting.append(ticket(self.numbers, flow, float(until)))
        self.ring.add(self.waiting[-1])

    @precondition(lambda self: self.waiting)
    @rule(newest=st.booleans(), back=st.booleans())
    def take(self, newest: bool, back: bool) -> None:
        first = self.ring.first(newest)
        self.ring.take(first)
        if back:
            self.ring.put_back(first, newest)
        else:
            self.waiting.remove(first)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        self.ring.remove(self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1))))

    @invariant()
    def it_knows_who_is_there(self) -> None:
        flows = {each.flow: [one for one in self.waiting if one.flow == each.flow] for each in self.waiting}
        lengths = [len(tickets) for tickets in flows.values()]
        assert self.ring.size == len(self.waiting)
        assert self.ring.flows.keys() == flows.keys()
        assert self.ring.longest == max(lengths, default=0)
        if self.waiting:
            assert len(flows[self.ring.last(False).flow]) == self.ring.longest
            first = self.ring.first(False)
            assert (first.until, first.number) == min((one.until, one.number) for one in flows[first.flow])


TestRingMachine = RingMachine.TestCase
TestRingMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
