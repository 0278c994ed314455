"""Whatever happens to a pool and to those who wait in it, in whatever order, these stay true."""

import random
from typing import Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.admission.limit import AutoLimit
from gateway.admission.queue import QueueRule, Ticket
from gateway.balancing.context import PickContext
from gateway.balancing.policy import PolicyOptions
from gateway.errors import GatewayError
from gateway.health.faults import FAILURES
from gateway.health.outlier import OutlierRule
from gateway.health.state import RESULTS, HealthRule, Phase, Result
from gateway.messages import Outcome
from gateway.pool.backend import STATES, Backend, BackendRules, BackendSpec
from gateway.pool.lease import Lease
from gateway.pool.pool import ASK_AGAIN_S, Pool
from gateway.pool.roster import PoolRules
from gateway.registry import POLICIES

NAMES = ("a", "b", "c", "d", "e")
TIMEOUT_S = 20.0

#: The changes of state that make sense; anything else is a bug.
ALLOWED = {
    "starting": {"up", "down", "ejected", "draining"},
    "up": {"down", "ejected", "draining"},
    "down": {"up", "ejected", "draining"},  # up again while its ejection still runs: ejected
    "ejected": {"up", "starting", "down", "draining"},
    "draining": {"up", "starting", "down", "ejected"},
}


class Waiter:
    """A request that waits. A hasty one is answered as soon as it is given a backend, in the very call."""

    def __init__(
        self, machine: "PoolMachine", priority: int, flow: int, context: PickContext, hasty: bool
    ) -> None:
        self.machine = machine
        self.hasty = hasty
        self.woken = 0
        self.lease: Lease | None = None
        now = context.now
        self.ticket = Ticket(priority, flow, now, now + 2 * TIMEOUT_S, context, self.wake)

    def __repr__(self) -> str:
        return f"<Waiter {self.ticket!r}, tried {self.ticket.context.tried}>"

    def wake(self) -> None:
        """Something has become of it: the pool says what, once."""
        self.woken += 1
        assert (self.ticket.grant is None) != (self.ticket.refused is None)
        self.lease = self.ticket.grant
        if self.lease is not None and self.hasty:
            self.lease.close(Outcome.OK, self.machine.now)
            self.machine.hasted = True


class PoolMachine(RuleBasedStateMachine):
    """Requests that come, wait, leave and end, probes, drains, reloads and time, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1.0
        self.open: list[Lease] = []
        self.waiting: list[Waiter] = []
        self.granted = self.refused = self.left = 0
        self.hasted = False
        self.changes: list[tuple[str, str]] = []
        self.seen: dict[int, tuple[Backend, int, int]] = {}  # backends with in flight and limit

    @initialize(
        policy=st.sampled_from(sorted(POLICIES)),
        share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
        panic_below=st.sampled_from([0.0, 0.5]),
        probed=st.booleans(),
        limit=st.sampled_from([1, 2, None]),
        others=st.sampled_from([None, 1, "auto"]),
        capacity=st.sampled_from([6, 2, 0]),
    )
    def start(
        self,
        policy: str,
        share: float,
        panic_below: float,
        probed: bool,
        limit: int | None,
        others: int | Literal["auto"] | None,
        capacity: int,
    ) -> None:
        rules = PoolRules(
            BackendRules(HealthRule() if probed else None, OutlierRule(2, 10.0, 25.0, share), limit=others),
            panic_below,
            QueueRule(capacity, TIMEOUT_S),
        )
        self.limit = limit
        self.pool = Pool(
            "p",
            self.specs(NAMES[:3]),
            policy,
            POLICIES[policy](PolicyOptions()),
            random.Random(1),
            rules,
            self.told,
        )
        for backend in self.pool.backends:
            if backend.limiter is not None:  # nearer to where limits are reached
                backend.limiter = AutoLimit(2)
                backend.limit = 2

    def specs(self, names: tuple[str, ...]) -> list[BackendSpec]:
        return [BackendSpec(f"http://{name}.test", name, max_in_flight=self.limit) for name in names]

    def told(self, pool: str, backend: Backend, old: str, new: str, why: str) -> None:
        assert why
        self.changes.append((old, new))

    def context(self, tried: set[str], size: int = 100, stream: bool = False) -> PickContext:
        return PickContext(self.now, self.pool.rng, tuple(sorted(tried)), size, stream)

    def allowed(self, tried: tuple[str, ...]) -> list[Backend]:
        """Who may take such a request now: free, and not tried unless there is nobody else who is well."""
        free = self.pool.candidates(self.now)
        if all(backend.name in tried for backend in self.pool.well):
            return list(free)
        return [backend for backend in free if backend.name not in tried]

    def settle(self) -> None:
        """See what has become of those who waited, as their scripts would."""
        for waiter in list(self.waiting):
            ticket = waiter.ticket
            if ticket.grant is not None:
                assert ticket.refused is None
                assert waiter.woken == 1
                self.granted += 1
                if not waiter.hasty:
                    self.open.append(ticket.grant)
            elif ticket.refused is not None:
                self.refused += 1
            else:
                assert not waiter.woken
                continue
            self.waiting.remove(waiter)
        if self.hasted:  # who was passed over in that very call asks again a moment later
            self.hasted = False
            self.ask_again()

    def ask_again(self) -> None:
        """Who waits does so every quarter of a second, and gives up when his time is over."""
        for waiter in self.waiting:
            ticket = waiter.ticket
            if ticket.grant is None and ticket.refused is None and self.now >= ticket.until:
                error = self.pool.queue.timed_out(ticket, self.now)
                assert error is ticket.refused
        self.pool.bind(self.now)
        self.settle()

    # -- requests --------------------------------------------------------------------------------------

    @rule(
        tried=st.just(set()) | st.sets(st.sampled_from(NAMES), max_size=2),
        priorities=st.lists(st.integers(0, 2), min_size=1, max_size=5),
        flow=st.integers(0, 1),
        size=st.sampled_from([0, 100, 10_000]),
        stream=st.booleans(),
        hasty=st.booleans(),
    )
    def come(
        self, tried: set[str], priorities: list[int], flow: int, size: int, stream: bool, hasty: bool
    ) -> None:
        for priority in priorities:
            self.comes(self.context(tried, size, stream), priority, flow, hasty)

    def comes(self, context: PickContext, priority: int, flow: int, hasty: bool) -> None:
        allowed = self.allowed(context.tried)
        try:
            lease = self.pool.acquire(context)
        except GatewayError as error:
            assert not self.pool.well
            assert error.kind == "no_backend"
            assert error.retry_after_s is not None
            assert error.retry_after_s >= 1.0
            return
        if lease is not None:
            assert lease.backend in allowed
            assert not self.waiting, "nobody overtakes those who wait"
            self.open.append(lease)
            return
        assert self.waiting or self.pool.policy.patient or not allowed
        waiter = Waiter(self, priority, flow, context, hasty)
        try:
            self.pool.wait(waiter.ticket, self.now)
        except GatewayError as error:
            assert error.kind in ("queue_full", "shed", "deadline")
            assert error.retry_after_s is not None
            assert error.retry_after_s >= 1.0
            assert waiter.ticket.grant is None
            assert not waiter.woken
        else:
            self.waiting.append(waiter)
        self.settle()

    @precondition(lambda self: self.open)
    @rule(
        ends=st.lists(
            st.tuples(
                st.integers(0, 99),
                st.just(Outcome.OK) | st.sampled_from(list(Outcome)),
                st.booleans(),
                st.sampled_from([None, 0.0, 5.0]),
            ),
            min_size=1,
            max_size=6,
        ),
        seconds=st.sampled_from([0.0, 0.01, 3.0]),
    )
    def close(self, ends: list[tuple[int, Outcome, bool, float | None]], seconds: float) -> None:
        self.now += seconds
        for index, outcome, answered, retry_after_s in ends:
            if not self.open:
                break
            lease = self.open.pop(index % len(self.open))
            if answered and outcome is not Outcome.CLIENT_ERROR:
                lease.first_body_byte(self.now)
            lease.close(outcome, self.now, retry_after_s)
            self.settle()
        if seconds:
            self.ask_again()

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def second_attempt(self, data: st.DataObject) -> None:
        """Only where somebody else is free, and nobody waits for him."""
        first = data.draw(st.sampled_from(self.open))
        context = self.context({first.backend.name})
        free = [b for b in self.pool.candidates(self.now) if b.name != first.backend.name]
        lease = self.pool.spare(context)
        assert (lease is None) == (not free or bool(self.waiting))
        if lease is not None:
            assert lease.backend in free
            self.open.append(lease)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """The client of one that waits goes."""
        waiter = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        self.pool.queue.leave(waiter.ticket, self.now)
        assert waiter.ticket.grant is None
        self.left += 1

    @rule(names=st.sets(st.sampled_from(NAMES), min_size=1), outcome=st.sampled_from(sorted(FAILURES)))
    def fail(self, names: set[str], outcome: Outcome) -> None:
        """Requests to these fail until the pool ejects them or cannot."""
        for backend in self.pool.backends:
            others = {peer.name for peer in self.pool.backends if peer is not backend}
            for _ in range(2 if backend.name in names else 0):
                if not self.waiting and backend in self.pool.candidates(self.now):
                    lease = self.pool.acquire(self.context(others))
                    assert lease is not None
                    lease.close(outcome, self.now)

    # -- what else happens -----------------------------------------------------------------------------

    @rule(index=st.integers(0, 4), results=st.lists(st.sampled_from(RESULTS), min_size=1, max_size=3))
    def probe(self, index: int, results: list[Result]) -> None:
        if self.pool.backends:
            backend = self.pool.backends[index % len(self.pool.backends)]
            for result in results:
                self.pool.probed(backend, result, "probe", self.now)
            self.ask_again()

    @rule(index=st.integers(0, 4), out=st.booleans())
    def drain(self, index: int, out: bool) -> None:
        if self.pool.backends:
            name = self.pool.backends[index % len(self.pool.backends)].name
            (self.pool.drain if out else self.pool.undrain)(name, self.now)
            self.ask_again()

    @rule(
        names=st.sets(st.sampled_from(NAMES), min_size=3) | st.sets(st.sampled_from(NAMES), max_size=2),
        limit=st.sampled_from([1, 2, None]),
    )
    def reload(self, names: set[str], limit: int | None) -> None:
        self.limit = limit
        self.pool.replace(self.specs(tuple(names)), self.now)
        self.ask_again()

    @rule(seconds=st.sampled_from([ASK_AGAIN_S, 0.5, 9.9, 10.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.ask_again()

    # -- what is true ----------------------------------------------------------------------------------

    @invariant()
    def in_flight_is_the_open_leases(self) -> None:
        backends = {id(lease.backend): lease.backend for lease in self.open}
        for backend in [*backends.values(), *self.pool.backends]:
            assert backend.in_flight == sum(lease.backend is backend for lease in self.open)

    @invariant()
    def nobody_is_given_more_than_his_limit(self) -> None:
        """More than that only where the limit has fallen since."""
        for backend in self.pool.backends:
            _, in_flight, limit = self.seen.get(id(backend), (backend, 0, backend.limit))
            assert backend.in_flight <= max(backend.limit, limit, in_flight)
        self.seen = {id(b): (b, b.in_flight, b.limit) for b in self.pool.backends}

    @invariant()
    def who_waits_is_in_the_queue_and_nobody_else(self) -> None:
        """Nobody is lost, and nobody comes out twice."""
        queue = self.pool.queue
        assert len(queue) == len(self.waiting) <= queue.rule.capacity
        assert queue.granted == self.granted
        assert queue.left == self.left
        assert queue.refused["timeout"] + queue.refused["evicted"] == self.refused
        assert queue.entered == self.granted + self.left + self.refused + len(self.waiting)
        assert self.pool.queued.total == self.granted

    @invariant()
    def nobody_waits_in_vain(self) -> None:
        """While a backend that could take him is free, but for one that is worth waiting for and full."""
        for waiter in self.waiting:
            if allowed := self.allowed(waiter.ticket.context.tried):
                assert self.pool.policy.patient, f"{waiter} waits, though {allowed} are free"
                assert any(backend.full for backend in self.pool.well)

    @invariant()
    def nothing_is_promised_between_events(self) -> None:
        backends = [*self.pool.backends, *(lease.backend for lease in self.open)]
        assert all(backend.promised == 0 for backend in backends)

    @invariant()
    def candidates_are_eligible(self) -> None:
        candidates = self.pool.candidates(self.now)
        assert list(candidates) == sorted(candidates, key=lambda backend: backend.name)
        present = [b for b in self.pool.backends if not b.draining and b.health.phase is not Phase.LOADING]
        well = [b for b in present if b.state in ("up", "starting") or self.pool.panic]
        rested = [b for b in well if b.cool_until <= self.now] or well
        assert self.pool.well == rested
        assert candidates == [b for b in rested if not b.full]

    @invariant()
    def panic_is_for_pools_of_which_little_is_well(self) -> None:
        present = [b for b in self.pool.backends if not b.draining and b.health.phase is not Phase.LOADING]
        fit = [b for b in present if b.state in ("up", "starting")]
        self.pool.candidates(self.now)
        assert self.pool.panic == (len(fit) < self.pool.rules.panic_below * len(present))

    @invariant()
    def ejections_leave_enough(self) -> None:
        present = [backend for backend in self.pool.backends if not backend.draining]
        ejected = [backend for backend in present if backend.outlier.until > self.now]
        assert len(ejected) <= self.pool.rules.backend.outlier.most_ejected(len(present))

    @invariant()
    def states_are_known_and_follow_one_another(self) -> None:
        assert all(backend.state in STATES for backend in self.pool.backends)
        assert all(new in ALLOWED[old] for old, new in self.changes)

    @invariant()
    def explain_accounts_for_everybody(self) -> None:
        rows, excluded = self.pool.explain(self.now)
        named = [row["backend"] for row in [*rows, *excluded]]
        assert sorted(map(str, named)) == [backend.name for backend in self.pool.backends]


TestPoolMachine = PoolMachine.TestCase
TestPoolMachine.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)
