"""Who is next within one class?

Flows, that is credentials, take turns, so that a hundred requests of one do not push back the single one of
another. Within a flow the earliest deadline is first, or the newest arrival when the queue is late.
"""

from collections import OrderedDict
from heapq import heapify, heappop, heappush

from gateway.admission.drain import DrainRate
from gateway.admission.ticket import Ticket

#: Positions are counted exactly among so many, and estimated from as many among more.
_SAMPLE = 32


class Flow:
    """The waiting tickets of one credential, in order of arrival and by `until`.

    Who leaves is passed over in the heap, and swept out when such entries are more than the others.
    """

    __slots__ = ("_heap", "key", "tickets")

    def __init__(self, key: int) -> None:
        self.key = key
        self.tickets: OrderedDict[int, Ticket] = OrderedDict()
        self._heap: list[tuple[float, int, Ticket]] = []

    def __repr__(self) -> str:
        return f"<Flow {len(self.tickets)} tickets>"

    def add(self, ticket: Ticket) -> None:
        self.tickets[ticket.number] = ticket
        heap = self._heap
        heappush(heap, (ticket.until, ticket.number, ticket))
        if len(heap) > 2 * len(self.tickets) + 8:
            self._heap = [(waiting.until, number, waiting) for number, waiting in self.tickets.items()]
            heapify(self._heap)

    def remove(self, ticket: Ticket) -> None:
        del self.tickets[ticket.number]

    def first(self, newest: bool) -> Ticket:
        if newest:
            return self.tickets[next(reversed(self.tickets))]
        heap = self._heap
        while heap[0][1] not in self.tickets:
            heappop(heap)
        return heap[0][2]

    def last(self, newest: bool) -> Ticket:
        """About the one that is served last."""
        return self.tickets[next(iter(self.tickets) if newest else reversed(self.tickets))]

    def ahead(self, until: float) -> int:
        """About how many have no later `until` than this."""
        heap = self._heap
        sample = heap[:: max(1, len(heap) // _SAMPLE)]
        earlier = sum([entry[0] <= until for entry in sample])
        return len(self.tickets) * earlier // len(sample)


class Ring:
    """The flows of one class in the order of their turns; a flow without tickets is forgotten.

    `turn` is the virtual time at which the class is due, and moves on by `stride` = 1 / weight with each
    grant (stride scheduling, Waldspurger and Weihl 1995). `longest` is the length of the longest flow.
    """

    __slots__ = ("_by_length", "drain", "flows", "longest", "size", "stride", "turn")

    def __init__(self, weight: float) -> None:
        self.stride = 1.0 / weight
        self.turn = 0.0
        self.size = 0
        self.longest = 0
        self.drain = DrainRate()
        self.flows: OrderedDict[int, Flow] = OrderedDict()
        self._by_length: dict[int, OrderedDict[int, Flow]] = {}

    def __repr__(self) -> str:
        return f"<Ring {self.size} tickets of {len(self.flows)}>"

    def add(self, ticket: Ticket) -> None:
        """A newcomer is the last of its flow, a new flow the last of all."""
        flow = self.flows.get(ticket.flow)
        if flow is None:
            flow = self.flows[ticket.flow] = Flow(ticket.flow)
        flow.add(ticket)
        self._resized(flow, 1)

    def put_back(self, ticket: Ticket, newest: bool) -> None:
        """Undo the last `take` that was not undone."""
        self.add(ticket)
        flow = self.flows[ticket.flow]
        self.flows.move_to_end(ticket.flow, last=False)
        if not newest:
            flow.tickets.move_to_end(ticket.number, last=False)
        self.turn -= self.stride

    def first(self, newest: bool) -> Ticket:
        """Whose turn it is; there must be somebody."""
        return self.flows[next(iter(self.flows))].first(newest)

    def take(self, ticket: Ticket) -> None:
        """Remove the first; its flow's turn is over."""
        self.remove(ticket)
        if ticket.flow in self.flows:
            self.flows.move_to_end(ticket.flow)
        self.turn += self.stride

    def remove(self, ticket: Ticket) -> None:
        flow = self.flows[ticket.flow]
        flow.remove(ticket)
        if not flow.tickets:
            del self.flows[ticket.flow]
        self._resized(flow, -1)

    def last(self, newest: bool) -> Ticket:
        """About the one that is served last: of the longest flow, so that who fills the queue pays for it."""
        flows = self._by_length[self.longest]
        return flows[next(iter(flows))].last(newest)

    def of(self, flow: int) -> int:
        """How many tickets this flow has."""
        found = self.flows.get(flow)
        return 0 if found is None else len(found.tickets)

    def ahead(self, flow: int, until: float, newest: bool) -> int:
        """About how many of this class are served before a newcomer."""
        found = self.flows.get(flow)
        own = 0 if found is None or newest else found.ahead(until)
        others = self.size - self.of(flow)
        turns = (own + 1) * (len(self.flows) - (found is not None))
        return own + min(others, turns)

    def _resized(self, flow: Flow, change: int) -> None:
        """Keep account of the longest flow; lengths change by one, so this takes no search."""
        self.size += change
        length = len(flow.tickets)
        before = length - change
        if before:
            peers = self._by_length[before]
            del peers[flow.key]
            if not peers:
                del self._by_length[before]
                if before == self.longest:
                    self.longest = length
        if length:
            self._by_length.setdefault(length, OrderedDict())[flow.key] = flow
            self.longest = max(self.longest, length)
