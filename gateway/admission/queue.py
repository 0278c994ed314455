"""Who waits for a backend, in what order, and who had better not wait at all?

One bounded queue for each pool, of three classes: high, normal, low. Classes are served by weight, within a
class credentials in turn, and of one credential's requests the earliest deadline first while all can be met.
When they cannot, that order serves everybody at the last moment or too late. So once the queue has been late
for a while, that is, what waits takes half as long as requests are ready to wait, the newest are first: most
get their answer at once, and those lose who have waited longest anyway. This is adaptive LIFO (Maurer, Fail
at Scale, ACM Queue 2015), and the sign is CoDel's, a delay that has not been short for an interval. Maurer's
own sign, a queue that has not been empty for 100 ms, would not do here: clients that keep more requests open
than there are places never let it become empty, wait a moment each, and would starve one another for nothing.

Who cannot be served in time is refused at once, as far as the rate of the last grants tells.
"""

import random
from dataclasses import dataclass

from gateway.admission.drain import DrainRate
from gateway.admission.ring import Ring
from gateway.admission.ticket import Place, Ticket
from gateway.errors import GatewayError

__all__ = ["QueueRule", "Ticket", "WaitQueue"]

#: Late: what waits takes so much of the time that requests are ready to wait.
LATE = 0.5
#: How long it must have been late, unless the rule says: so much of that time, and at least Maurer's 100 ms.
STANDING = 0.125
LEAST_STANDING_S = 0.1
#: Shedding begins at this saturation and is complete at 1; llm-d's flow control is gradual in the same way.
SHED_FROM = 0.8
#: How far the time that requests are ready to wait follows each of them.
PATIENCE = 1.0 / 32.0
#: Bounds of Retry-After before up to a fifth is added, a minute in all; and what it is when nothing is known.
LEAST_RETRY_S, MOST_RETRY_S, UNKNOWN_RETRY_S = 1.0, 50.0, 5.0

#: Reason → kind of the error, and its message.
REFUSALS: dict[str, tuple[str, str]] = {
    "queue_full": ("queue_full", "Too many requests wait for a backend; try again later."),
    "shed": ("shed", "Turned away to keep room for more urgent requests; try again later."),
    "deadline": ("deadline", "The wait for a backend would be longer than this request can wait."),
    "timeout": ("queue_timeout", "No backend had room for this request in time; try again later."),
    "evicted": ("shed", "Gave up its place in the queue to another request; try again later."),
}


@dataclass(frozen=True, slots=True)
class QueueRule:
    """What a queue goes by: most tickets, longest wait, weights of high, normal and low.

    `standing_s` is how long it must have been late before the newest are first; None: an eighth of the time
    that requests are ready to wait, and at least 100 ms.
    """

    capacity: int = 1000
    timeout_s: float = 30.0
    weights: tuple[float, float, float] = (16.0, 4.0, 1.0)
    standing_s: float | None = None


class WaitQueue:
    """Owns the tickets that wait; operations take O(log n) on average.

    `entered`, `granted`, `left` and `refused`, by reason, count tickets. Those who entered were granted, have
    left, timed out, were evicted, or wait.
    """

    __slots__ = (
        "_at",
        "_drain",
        "_late_at",
        "_patience_s",
        "_rings",
        "_rng",
        "_since",
        "_size",
        "entered",
        "granted",
        "left",
        "newest_first",
        "refused",
        "rule",
    )

    def __init__(self, rule: QueueRule, rng: random.Random) -> None:
        self.rule = rule
        self.entered = 0
        self.granted = 0
        self.left = 0
        self.refused = dict.fromkeys(REFUSALS, 0)
        self.newest_first = False  # as of the last operation
        self._rng = rng
        self._rings = tuple([Ring(weight) for weight in rule.weights])
        self._drain = DrainRate()
        self._size = 0
        self._at = 0.0  # when somebody was last handed out
        self._since = 0.0  # when the queue was last in time
        self._late_at = 0.0  # and when it was last late
        self._patience_s = 0.0  # about how long requests are ready to wait; 0: none came yet

    def __repr__(self) -> str:
        order = "newest first" if self.newest_first else "earliest deadline first"
        return f"<WaitQueue {self._size} of {self.rule.capacity}, {order}>"

    def __len__(self) -> int:
        return self._size

    def waiting(self, priority: int) -> int:
        """How many of this class wait."""
        return self._rings[priority].size

    # -- coming and going ------------------------------------------------------------------------------

    def enter(self, ticket: Ticket, now: float, service_s: float = 0.0) -> None:
        """Let a ticket wait, and set its `until`; `service_s` is what its answer should take, 0 if unknown.

        Raises GatewayError, with `retry_after_s`: `deadline` when it cannot be served in time, `queue_full`,
        or `shed` when its class has to leave room. Another ticket may lose its place to it.
        """
        ring = self._rings[ticket.priority]
        self._begin(ring, now)
        ready_s = min(self.rule.timeout_s, ticket.deadline - service_s - now)
        ticket.until = now + ready_s
        if ready_s > 0.0:
            usual_s = self._patience_s or ready_s
            self._patience_s = usual_s + (ready_s - usual_s) * PATIENCE
        self._order(now)
        if ready_s <= 0.0 or self._wait_s(ring, ticket, now) > ready_s:
            raise self._refusal("deadline", now)
        full = self._size >= self.rule.capacity
        victim = self._victim(ticket) if full else None
        if full and victim is None:
            raise self._refusal("queue_full", now)
        if self._sheds(ticket.priority, now):
            raise self._refusal("shed", now)
        self.entered += 1
        self._size += 1
        ticket.number = self.entered
        ticket.place = Place.WAITING
        ring.add(ticket)
        if victim is not None:
            self._evict(victim, now)  # last: it may enter again at once

    def leave(self, ticket: Ticket, now: float) -> None:
        """Its client has gone. Does nothing to a ticket that does not wait."""
        if ticket.place is Place.WAITING:
            self._remove(ticket, now)
            self.left += 1
        ticket.place = Place.NOWHERE

    def timed_out(self, ticket: Ticket, now: float) -> GatewayError:
        """Take out a ticket that has waited up to its `until`; what its client is told."""
        if ticket.refused is None:
            if ticket.place is Place.WAITING:
                self._remove(ticket, now)
            ticket.refused = self._refusal("timeout", now)
        return ticket.refused

    def next(self, now: float) -> Ticket | None:
        """The ticket whose turn it is, no longer in the queue; None when nobody waits.

        Whoever asked sets its `grant` and wakes it, or puts it back. Those whose time is up are refused on
        the way, without waking them: their own alarms are due.
        """
        self._order(now)
        self._at = now
        while self._size:
            ring = min([ring for ring in self._rings if ring.size], key=lambda ring: ring.turn)
            ticket = ring.first(self.newest_first)
            if ticket.until <= now:
                self.timed_out(ticket, now)
                continue
            ring.take(ticket)
            ring.drain.granted(now)
            self._drain.granted(now)
            self._size -= 1
            self.granted += 1
            ticket.place = Place.OUT
            return ticket
        return None

    def put_back(self, ticket: Ticket) -> None:
        """Nobody was fit for it, and it keeps its place. Put several back in the reverse order of `next`."""
        ring = self._rings[ticket.priority]
        ring.drain.taken_back()
        self._drain.taken_back()
        self.granted -= 1
        if ticket.place is not Place.OUT:
            self.left += 1  # while it was out
            return
        ticket.place = Place.WAITING
        ring.put_back(ticket, self.newest_first)
        self._size += 1
        if self._size > self.rule.capacity:  # others came while it was out
            self._evict(self._rings[self._lowest()].last(self.newest_first), self._at)

    # -- what it goes by -------------------------------------------------------------------------------

    def retry_after_s(self, now: float) -> float:
        """When to come back: once what waits now is served, at the present rate, within 1 and 50 seconds.

        Up to a fifth more at random, so that those who were refused do not return together.
        """
        wait_s = self._drain.wait_s(self._size, now) or UNKNOWN_RETRY_S
        return min(max(wait_s, LEAST_RETRY_S), MOST_RETRY_S) * (1.0 + 0.2 * self._rng.random())

    def _begin(self, ring: Ring, now: float) -> None:
        """Somebody comes: what was empty begins anew, from the turn that was last taken by anybody."""
        if not self._size:
            self._since = now
            self.newest_first = False
            self._drain.begin(now)
        if not ring.size:
            ring.drain.begin(now)
            ring.turn = max(ring.turn, max([each.turn - each.stride for each in self._rings]))

    def _order(self, now: float) -> None:
        """Newest first once the queue has been late for a while, until it has been in time for long."""
        patience_s = self._patience_s
        if self._drain.usual_s(self._size) >= LATE * patience_s > 0.0:
            self._late_at = now
            standing_s = self.rule.standing_s
            if standing_s is None:
                standing_s = max(LEAST_STANDING_S, STANDING * patience_s)
            if now - self._since >= standing_s:
                self.newest_first = True
        else:
            self._since = now
            if self.newest_first and now - self._late_at > patience_s:
                self.newest_first = False  # who came while it was late has been served, or has given up

    def _wait_s(self, ring: Ring, ticket: Ticket, now: float) -> float:
        """How long a newcomer will wait; 0.0 when that is unknown.

        By who is before it, in its class and by weight in the others, at the queue's rate; and by who is
        before it in its class at the class's own rate, which shows what others keep taking.
        """
        own = ring.ahead(ticket.flow, ticket.until, self.newest_first) + 1.0
        everybody = own
        for other in self._rings:
            if other is not ring:
                everybody += min(float(other.size), own * ring.stride / other.stride)
        return max(self._drain.wait_s(everybody, now), ring.drain.wait_s(own, now))

    def _sheds(self, priority: int, now: float) -> bool:
        """Whether a newcomer has to leave room, the more probably the more of places and time is taken.

        Low leaves room for all, normal for high, high for nobody: refusing some requests of one class early
        would help none of that class.
        """
        if priority == 0:
            return False
        number = self._size if priority == len(self._rings) - 1 else self._rings[0].size
        saturation = max(number / self.rule.capacity, self._drain.wait_s(number, now) / self._patience_s)
        return self._rng.random() < (saturation - SHED_FROM) / (1.0 - SHED_FROM)

    # -- making room -----------------------------------------------------------------------------------

    def _victim(self, ticket: Ticket) -> Ticket | None:
        """Who loses a place in the full queue to a newcomer: about the one who would be served last.

        A higher class takes it from the lowest there is. Within the lowest a credential takes it from one
        with two more, and, while the newest are first, fresh work from stale.
        """
        lowest = self._lowest()
        if lowest < ticket.priority:
            return None
        ring = self._rings[lowest]
        fair = self.newest_first or ring.longest > ring.of(ticket.flow) + 1
        return ring.last(self.newest_first) if fair or lowest > ticket.priority else None

    def _lowest(self) -> int:
        """The lowest class of which somebody waits; -1 when nobody does."""
        return max([priority for priority, ring in enumerate(self._rings) if ring.size], default=-1)

    def _evict(self, ticket: Ticket, now: float) -> None:
        self._remove(ticket, now)
        ticket.refused = self._refusal("evicted", now)
        ticket.wake()

    def _remove(self, ticket: Ticket, now: float) -> None:
        ring = self._rings[ticket.priority]
        ring.remove(ticket)
        self._size -= 1
        ticket.place = Place.NOWHERE
        if not ring.size:
            ring.drain.end(now)
        if not self._size:
            self._drain.end(now)

    def _refusal(self, reason: str, now: float) -> GatewayError:
        self.refused[reason] += 1
        kind, message = REFUSALS[reason]
        return GatewayError(kind, message, retry_after_s=self.retry_after_s(now))
