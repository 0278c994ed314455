"""Whatever happens to a queue, in whatever order, these stay true."""

import random
from math import inf

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.admission.queue import QueueRule, Ticket, WaitQueue
from gateway.admission.ticket import Place
from gateway.errors import GatewayError

CLASSES = range(3)


class QueueMachine(RuleBasedStateMachine):
    """Tickets come, are granted, put back, leave, run out of time and are evicted, while time goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.tickets: list[Ticket] = []  # all that ever entered
        self.refused = 0
        # For each ticket's flow while it waits, how often each other flow of its class was served before it.
        self.passed: dict[tuple[int, int], dict[int, int]] = {}

    @initialize(
        capacity=st.sampled_from([0, 1, 5, 20]),
        timeout_s=st.sampled_from([2.0, 30.0]),
        standing_s=st.sampled_from([None, 0.0, 1e9]),
    )
    def start(self, capacity: int, timeout_s: float, standing_s: float | None) -> None:
        self.queue = WaitQueue(QueueRule(capacity, timeout_s, standing_s=standing_s), random.Random(1))

    def waiting(self, priority: int | None = None) -> list[Ticket]:
        return [
            ticket
            for ticket in self.tickets
            if ticket.place is Place.WAITING and priority in (None, ticket.priority)
        ]

    @rule(
        priority=st.sampled_from(CLASSES),
        flow=st.integers(0, 3),
        within=st.sampled_from([0.0, 0.5, 3.0, 10.0, inf]),
        service_s=st.sampled_from([0.0, 1.0]),
    )
    def enter(self, priority: int, flow: int, within: float, service_s: float) -> None:
        ticket = Ticket(priority, flow, self.now, self.now + within, None, lambda: self.woken(ticket))
        before = self.waiting()
        try:
            self.queue.enter(ticket, self.now, service_s)
        except GatewayError as error:
            self.refused += 1
            assert error.retry_after_s is not None
            assert 1.0 <= error.retry_after_s <= 60.0
            assert ticket.place is Place.NOWHERE
            assert self.waiting() == before
            return
        assert ticket.place is Place.WAITING
        assert self.now < ticket.until <= self.now + self.queue.rule.timeout_s
        self.tickets.append(ticket)
        evicted = [one for one in before if one.place is not Place.WAITING]
        assert len(evicted) <= 1
        for one in evicted:
            assert len(before) == self.queue.rule.capacity
            assert one.priority >= priority
            assert one.priority == max(other.priority for other in before)

    def woken(self, ticket: Ticket) -> None:
        """Only those who are evicted are woken by the queue, and they know why by then."""
        assert ticket.refused is not None
        assert ticket.refused.kind == "shed"

    def next(self) -> Ticket | None:
        """The next one, which is the right one of its flow."""
        candidates = self.waiting()
        ticket = self.queue.next(self.now)
        for one in candidates:
            if one is not ticket and one.place is not Place.WAITING:  # passed over
                assert one.until <= self.now
                assert one.refused is not None
        if ticket is None:
            assert not self.waiting()
            return None
        assert ticket.grant is None
        assert ticket.refused is None
        assert ticket.until > self.now
        own = [one for one in self.waiting(ticket.priority) if one.flow == ticket.flow]
        if self.queue.newest_first:
            assert all(one.number < ticket.number for one in own)
        else:
            assert all((one.until, one.number) > (ticket.until, ticket.number) for one in own)
        return ticket

    @rule(count=st.integers(1, 4))
    def grant(self, count: int) -> None:
        for _ in range(count):
            ticket = self.next()
            if ticket is None:
                return
            ticket.grant = object()
            self.fair(ticket)

    def fair(self, ticket: Ticket) -> None:
        """Nobody's flow is overtaken twice by another of its class."""
        for one in self.waiting(ticket.priority):
            if one.flow != ticket.flow:
                overtaken = self.passed.setdefault((one.priority, one.flow), {})
                # Several tickets of a flow wait for the same turn.
                overtaken[ticket.flow] = overtaken.get(ticket.flow, 0)
        for (priority, flow), overtaken in self.passed.items():
            if priority == ticket.priority and flow != ticket.flow and ticket.flow in overtaken:
                overtaken[ticket.flow] += 1
                assert overtaken[ticket.flow] <= 1
        self.passed.pop((ticket.priority, ticket.flow), None)

    @rule(count=st.integers(1, 6), leaving=st.booleans())
    def put_back(self, count: int, leaving: bool) -> None:
        before, granted = len(self.queue), self.queue.granted
        out = [ticket for ticket in [self.next() for _ in range(count)] if ticket is not None]
        lost = before - len(self.queue) - len(out)  # those whose time was up
        if leaving and out:
            self.queue.leave(out[0], self.now)
        for ticket in reversed(out):
            self.queue.put_back(ticket)
        assert len(self.queue) == before - lost - (leaving and bool(out))
        assert self.queue.granted == granted

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """At any moment, also twice, also after a grant or a refusal."""
        self.queue.leave(data.draw(st.sampled_from(self.tickets)), self.now)

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.3, 2.0, 40.0]))
    def wait(self, seconds: float) -> None:
        """Time passes; the alarms of those whose time is up ring, or do not get to it yet."""
        self.now += seconds
        for ticket in self.waiting()[::2]:
            if ticket.until <= self.now:
                assert self.queue.timed_out(ticket, self.now) is ticket.refused

    @invariant()
    def flows_that_stopped_waiting_are_owed_nothing(self) -> None:
        there = {(ticket.priority, ticket.flow) for ticket in self.waiting()}
        for key in list(self.passed):
            if key not in there:
                del self.passed[key]
        for (priority, _), overtaken in self.passed.items():
            for flow in list(overtaken):
                if (priority, flow) not in there:
                    del overtaken[flow]

    @invariant()
    def it_holds_those_who_wait(self) -> None:
        assert len(self.queue) == len(self.waiting()) <= self.queue.rule.capacity
        assert [self.queue.waiting(n) for n in CLASSES] == [len(self.waiting(n)) for n in CLASSES]

    @invariant()
    def everybody_has_come_to_one_end(self) -> None:
        queue = self.queue
        ended = queue.refused["timeout"] + queue.refused["evicted"]
        assert queue.entered == len(self.tickets)
        assert queue.entered == queue.granted + queue.left + ended + len(queue)
        assert queue.granted == sum(ticket.grant is not None for ticket in self.tickets)
        assert ended == sum(ticket.refused is not None for ticket in self.tickets)
        assert sum(queue.refused.values()) - ended == self.refused
        assert not any(ticket.grant is not None and ticket.refused is not None for ticket in self.tickets)


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
