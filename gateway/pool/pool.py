"""Who takes this request, and what happens when nobody can just now?

The policy chooses among the backends that are free. When all that are well are at their limits the request
waits in the pool's queue, where it can still be given up, overtaken and sent anywhere, and whoever has room
next is given it ("late binding"): no work is stuck behind a slow backend while a fast one stands idle.
"""

import random
from collections import Counter
from collections.abc import Sequence

from gateway.admission.queue import Ticket, WaitQueue
from gateway.attempts.hedge import Hedger
from gateway.balancing.context import PickContext
from gateway.balancing.policy import Policy, Remembering
from gateway.errors import GatewayError
from gateway.messages import AttemptTrace
from gateway.pool.backend import Backend, BackendSpec
from gateway.pool.explain import Rows, explain
from gateway.pool.lease import Lease
from gateway.pool.refusal import reason, refusal, retry_after_s
from gateway.pool.roster import OnChange, PoolRules, Roster
from gateway.pool.speed import compare
from gateway.pool.stats import Histogram

#: How often backends are compared with their peers and their own past; seconds.
JUDGE_S = 1.0
#: While no more than so many wait, each may wait for a faster backend rather than take a slow one at once.
PATIENT = 6
#: How often somebody who waits asks again by itself, whatever else happens; seconds.
ASK_AGAIN_S = 0.25


class Pool(Roster):
    """One pool: its backends, the policy that chooses among them, and the queue of those who wait.

    `retries`, `hedges` and `shed` only grow. `patient` policies are asked about full backends too, and may
    thereby say that waiting is better.
    """

    __slots__ = (
        "_binding",
        "_judge_at",
        "_promised",
        "hedger",
        "hedges",
        "policy",
        "policy_name",
        "queue",
        "queued",
        "retries",
        "rng",
        "shed",
    )

    def __init__(
        self,
        name: str,
        backends: Sequence[BackendSpec],
        policy_name: str,
        policy: Policy,
        rng: random.Random,
        rules: PoolRules | None = None,
        on_change: OnChange | None = None,
    ) -> None:
        rules = rules or PoolRules()
        super().__init__(name, rules, on_change, policy.by_slowness)
        self.policy_name = policy_name
        self.policy = policy
        self.rng = rng
        self.retries: Counter[str] = Counter()
        self.hedges: Counter[str] = Counter()
        self.shed: Counter[str] = Counter()
        self.queue = WaitQueue(rules.queue, rng)
        self.queued = Histogram()  # how long those waited who had to
        self.hedger = None if rules.hedge is None else Hedger(rules.hedge)
        self._binding = False  # somebody who waited is being given a backend
        self._promised: list[Backend] = []  # those whose `promised` is not 0
        self._judge_at = 0.0
        self.replace(backends)

    def __repr__(self) -> str:
        well = sum(backend.state in ("up", "starting") for backend in self.backends)
        panic = ", panic" if self.panic else ""
        return f"<Pool {self.name} {self.policy_name}, {well} of {len(self.backends)} well{panic}>"

    # -- choosing ------------------------------------------------------------------------------------

    def acquire(self, context: PickContext) -> Lease | None:
        """Choose a backend for one attempt and count it in; the lease must be closed.

        None when it has to wait: those who could take it are full, or others wait already. Backends in
        `context.tried` are left out, unless there is no other. Raises GatewayError `no_backend`, with an
        honest `retry_after_s`, when nobody is well.
        """
        now = context.now
        if self._stale or now >= self._expires:
            self._rebuild(now)
        if not self.well:
            raise self.refuse(now)
        if len(self.queue):
            return None
        backend = self._choose(context)
        return None if backend is None else self._lend(backend, context)

    def spare(self, context: PickContext) -> Lease | None:
        """A backend for a second attempt: one that is free at once, while nobody waits; else None."""
        if len(self.queue) or not (free := _untried(self.candidates(context.now), context.tried)):
            return None
        return self._lend(self._pick(free, context), context)

    def _choose(self, context: PickContext) -> Backend | None:
        """Who takes it now; None when it has to wait, or had better."""
        free, well, tried = self.free, self.well, context.tried
        if tried:
            others = _untried(well, tried)
            if others:  # else there is nobody but those it has been to
                free, well = _untried(free, tried), others
        if not free:
            return None
        if len(free) == len(well) or len(self.queue) >= PATIENT or not self.policy.patient:
            return self._pick(free, context)
        backend = self._pick(well, context)
        if backend.in_flight < backend.limit:
            return backend
        if self._binding:  # those behind him are asked next, and should know
            backend.promised += 1
            self._promised.append(backend)
        return None

    def _pick(self, among: list[Backend], context: PickContext) -> Backend:
        # The candidates are this pool's own backends, so what the policy returns is one of them.
        return self.policy.pick(among, context)  # type: ignore[return-value]

    def _lend(self, backend: Backend, context: PickContext) -> Lease:
        backend.in_flight += 1
        backend.selected += 1
        if backend.in_flight == backend.limit:
            self.set_full(backend)
        return Lease(self, backend, context.now, context.kind, context.stream)

    # -- waiting -------------------------------------------------------------------------------------

    def wait(self, ticket: Ticket, now: float) -> None:
        """Let a request wait; raises GatewayError when it may not. Its `grant` is a Lease once it has one."""
        self.queue.enter(ticket, now, self.model.first_s(ticket.context.kind))
        self.bind(now)

    def bind(self, now: float) -> None:
        """Give backends that are free to those who wait, as far as they go."""
        if self._binding or not len(self.queue):
            return
        self._binding = True  # who is given one may run on at once, and free others
        passed: list[Ticket] = []
        try:
            while self.candidates(now) and (ticket := self.queue.next(now)) is not None:
                context = ticket.context
                context.now = now
                backend = self._choose(context)
                if backend is None:
                    passed.append(ticket)
                else:
                    ticket.grant = self._lend(backend, context)
                    self.queued.observe(now - ticket.entered)
                    ticket.wake()
        finally:
            self._binding = False
            for ticket in reversed(passed):
                self.queue.put_back(ticket)
            for backend in self._promised:
                backend.promised = 0
            self._promised.clear()

    def close(self) -> None:
        """Nobody who waits is given a backend from now on."""
        self._binding = True

    # -- what leases tell ----------------------------------------------------------------------------

    def answered(self, kind: int, seconds: float, now: float) -> None:
        """A good answer has begun, `seconds` after its start."""
        if self.hedger is not None:
            self.hedger.observe(kind, seconds)
        self.sampled(now)

    def released(self, backend: Backend, now: float) -> None:
        """An attempt at `backend` has ended."""
        limiter = backend.limiter
        if limiter is not None and limiter.limit != backend.limit:
            backend.limit = limiter.limit
            self._stale = True
        elif backend.in_flight + 1 == backend.limit and not self._stale:
            self.set_free(backend)
        if len(self.queue):
            self.bind(now)

    def sampled(self, now: float) -> None:
        """Something was measured: let what is typical of the pool follow."""
        if now < self._typical.due:
            return
        self._typical.refresh([backend.latency for backend in self.backends], now)
        asked = [backend for backend in self.well if backend.selected]
        compare(self.model, [backend.speed for backend in asked], [backend.pieces for backend in asked], now)
        if now >= self._judge_at:
            self._judge_at = now + JUDGE_S
            self._judge(now)

    def _judge(self, now: float) -> None:
        """Compare everybody with its peers and its own past."""
        for backend in self.well:
            if backend.slow_start.ramping:
                continue
            before = backend.degraded.degraded
            if backend.degraded.judge(backend.slowness(now), 1.0, now) is not before:
                backend.why = (
                    "as fast as its peers again" if before else "degraded: slow for its peers and past"
                )
                backend.reweigh(now)

    # -- seen from outside ---------------------------------------------------------------------------

    @property
    def prefix_entries(self) -> int | None:
        """Beginnings of prompts that the policy remembers; None where it remembers none by its nature."""
        policy = self.policy
        return policy.size if isinstance(policy, Remembering) else None

    def retry_after(self, now: float) -> float:
        """Seconds after which a refused client may hope: when something can free a backend, at least 1."""
        return retry_after_s(self.backends, now, self.rng)

    def refuse(self, now: float) -> GatewayError:
        """What a request is told that nobody can take; counted."""
        why = reason(self.backends)
        self.shed[why] += 1
        return refusal(why, self.retry_after(now))

    def explain(self, now: float) -> tuple[Rows, Rows]:
        """How a pick at `now` would go, of a request about which nothing is known; see `trace`."""
        return self._reasons(PickContext(now, self.rng))

    def _reasons(self, context: PickContext) -> tuple[Rows, Rows]:
        candidates = self.candidates(context.now)
        if _untried(self.well, context.tried):  # else it goes back to one of those, as in `_choose`
            candidates = _untried(candidates, context.tried)
        return explain(self.backends, candidates, self.policy, context)

    def trace(self, context: PickContext) -> AttemptTrace:
        """A record of the choice that is about to be made: candidates with scores, best first; the others
        with the reason why not."""
        return AttemptTrace(self.name, self.policy_name, "", *self._reasons(context))


def _untried(backends: list[Backend], tried: tuple[str, ...]) -> list[Backend]:
    return [backend for backend in backends if backend.name not in tried]
