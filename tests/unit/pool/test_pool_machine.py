"""Whatever happens to a pool, in whatever order, these stay true."""

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.errors import GatewayError
from gateway.health.outlier import OutlierRule
from gateway.health.state import HealthRule
from gateway.messages import FAILURES, Outcome
from gateway.pool.backend import STATES, Backend, BackendSpec
from gateway.pool.lease import Lease
from gateway.pool.pool import Pool, PoolRules
from gateway.registry import POLICIES

NAMES = ("a", "b", "c", "d", "e")

#: The changes of state that make sense; anything else is a bug.
ALLOWED = {
    "starting": {"up", "down", "ejected", "draining"},
    "up": {"down", "ejected", "draining"},
    "down": {"up", "ejected", "draining"},  # up again while its ejection still runs: ejected
    "ejected": {"up", "starting", "down", "draining"},
    "draining": {"up", "starting", "down", "ejected"},
}


class PoolMachine(RuleBasedStateMachine):
    """Requests, probes, drains, reloads and time, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.open: list[Lease] = []
        self.changes: list[tuple[str, str]] = []

    @initialize(
        policy=st.sampled_from(sorted(POLICIES)),
        share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
        panic_below=st.sampled_from([0.0, 0.5]),
        probed=st.booleans(),
        limit=st.sampled_from([None, 1, 2]),
    )
    def start(self, policy: str, share: float, panic_below: float, probed: bool, limit: int | None) -> None:
        rules = PoolRules(HealthRule() if probed else None, OutlierRule(2, 10.0, 25.0, share), panic_below)
        self.limit = limit
        self.pool = Pool(
            "p", self.specs(NAMES[:3]), policy, POLICIES[policy](), random.Random(1), rules, self.told
        )

    def specs(self, names: tuple[str, ...]) -> list[BackendSpec]:
        return [BackendSpec(f"http://{name}.test", name, max_in_flight=self.limit) for name in names]

    def told(self, pool: Pool, backend: Backend, old: str, new: str, why: str) -> None:
        assert why
        self.changes.append((old, new))

    @rule(tried=st.sets(st.sampled_from(NAMES), max_size=2))
    def acquire(self, tried: set[str]) -> None:
        candidates = [b for b in self.pool.candidates(self.now) if b.name not in tried]
        try:
            lease = self.pool.acquire(self.now, tuple(tried))
        except GatewayError as error:
            assert not candidates
            assert error.retry_after_s is not None
            assert error.retry_after_s >= 1.0
        else:
            assert lease.backend in candidates
            self.open.append(lease)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), outcome=st.sampled_from(list(Outcome)), answered=st.booleans())
    def close(self, data: st.DataObject, outcome: Outcome, answered: bool) -> None:
        lease = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        if answered:
            lease.first_body_byte(self.now)
        lease.close(outcome, self.now)

    @rule(names=st.sets(st.sampled_from(NAMES), min_size=1), outcome=st.sampled_from(sorted(FAILURES)))
    def fail(self, names: set[str], outcome: Outcome) -> None:
        """Requests to these fail until the pool ejects them or cannot."""
        for backend in self.pool.backends:
            others = tuple(peer.name for peer in self.pool.backends if peer is not backend)
            for _ in range(2 if backend.name in names else 0):
                if backend in self.pool.candidates(self.now):
                    self.pool.acquire(self.now, others).close(outcome, self.now)

    @rule(index=st.integers(0, 4), results=st.lists(st.booleans(), min_size=1, max_size=3))
    def probe(self, index: int, results: list[bool]) -> None:
        if self.pool.backends:
            for ok in results:
                self.pool.probed(self.pool.backends[index % len(self.pool.backends)], ok, "probe", self.now)

    @rule(index=st.integers(0, 4), out=st.booleans())
    def drain(self, index: int, out: bool) -> None:
        if self.pool.backends:
            name = self.pool.backends[index % len(self.pool.backends)].name
            (self.pool.drain if out else self.pool.undrain)(name, self.now)

    @rule(names=st.sets(st.sampled_from(NAMES), max_size=5))
    def reload(self, names: set[str]) -> None:
        self.pool.replace(self.specs(tuple(names)), self.now)

    @rule(seconds=st.sampled_from([0.0, 0.5, 9.9, 10.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def in_flight_is_the_open_leases(self) -> None:
        backends = {id(lease.backend): lease.backend for lease in self.open}
        for backend in [*backends.values(), *self.pool.backends]:
            assert backend.in_flight == sum(lease.backend is backend for lease in self.open)

    @invariant()
    def candidates_are_eligible(self) -> None:
        candidates = self.pool.candidates(self.now)
        assert list(candidates) == sorted(candidates, key=lambda backend: backend.name)
        for backend in self.pool.backends:
            well = backend.state in ("up", "starting") or (self.pool.panic and not backend.draining)
            assert (backend in candidates) == (well and not backend.full)
        assert set(candidates) <= set(self.pool.backends)

    @invariant()
    def ejections_leave_enough(self) -> None:
        present = [backend for backend in self.pool.backends if not backend.draining]
        ejected = [backend for backend in present if backend.outlier.until > self.now]
        assert len(ejected) <= self.pool.rules.outlier.most_ejected(len(present))

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
TestPoolMachine.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
