"""Which backends may take work right now, and who takes this request?

Two things are kept apart. Whether a backend *may* take work changes rarely (a probe, an ejection, a drain)
and is decided here, once per change, into a tuple. Which one *does* is the policy's choice among that
tuple, for every request.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf

from gateway.balancing.policy import PickContext, Policy
from gateway.errors import GatewayError
from gateway.health.outlier import OutlierRule
from gateway.health.state import HealthRule, Phase
from gateway.pool.backend import Backend, BackendSpec, State
from gateway.pool.ewma import Typical
from gateway.pool.explain import explain
from gateway.pool.lease import Lease
from gateway.pool.refusal import reason, refusal, retry_after_s

_ROUNDING = 1e-9  # 0.7 * 10 is 7.000000000000001

#: (pool, backend, old state, new state, why)
OnChange = Callable[["Pool", Backend, State, State, str], None]


@dataclass(frozen=True, slots=True)
class PoolRules:
    """What a pool goes by. `health` None means no active checks; `panic_below` is a share 0..1."""

    health: HealthRule | None = None
    outlier: OutlierRule = field(default_factory=OutlierRule)
    panic_below: float = 0.5


class Pool:
    """Owns the backends of one pool and everything known about them.

    `panic` is True while so few backends are healthy that health is ignored. `retries`, `shed` and `panics`
    only grow.
    """

    def __init__(
        self,
        name: str,
        backends: Sequence[BackendSpec],
        policy_name: str,
        policy: Policy,
        rng: random.Random,
        rules: PoolRules = PoolRules(),
        on_change: OnChange | None = None,
    ) -> None:
        self.name = name
        self.policy_name = policy_name
        self.policy = policy
        self.rules = rules
        self.on_change = on_change
        self.backends: tuple[Backend, ...] = ()
        self.panic = False
        self.panics = 0
        self.retries: Counter[str] = Counter()
        self.shed: Counter[str] = Counter()
        self._typical = Typical()
        self._context = PickContext(0.0, rng)
        self._candidates: tuple[Backend, ...] = ()
        self._stale = True
        self._expires = inf  # the soonest end of an ejection
        self.replace(backends)

    def __repr__(self) -> str:
        well = sum(backend.state in ("up", "starting") for backend in self.backends)
        panic = ", panic" if self.panic else ""
        return f"<Pool {self.name} {self.policy_name}, {well} of {len(self.backends)} well{panic}>"

    def acquire(self, now: float, tried: tuple[str, ...] = (), allow_tried: bool = False) -> Lease:
        """Choose a backend for one attempt and count it in; the lease must be closed.

        `tried` names backends this request has been to; they are left out, or with `allow_tried` taken
        when there is no other. Raises GatewayError `no_backend` with an honest `retry_after_s`.
        """
        candidates = self._candidates
        if self._stale or now >= self._expires:
            candidates = self.candidates(now)
        if tried:
            untried = tuple([backend for backend in candidates if backend.name not in tried])
            if untried or not allow_tried:
                candidates = untried
        if not candidates:
            raise self._refusal(now, tried)
        context = self._context
        context.now = now
        context.tried = tried
        # The candidates are this pool's own backends, so what the policy returns is one of them.
        backend: Backend = self.policy.pick(candidates, context)  # type: ignore[assignment]
        backend.in_flight += 1
        backend.selected += 1
        if backend.in_flight == backend.max_in_flight:
            self._stale = True
        return Lease(self, backend, now)

    def candidates(self, now: float) -> tuple[Backend, ...]:
        """The backends that may take work at `now`, sorted by name."""
        if self._stale or now >= self._expires:
            self._rebuild(now)
        return self._candidates

    def sampled(self, now: float) -> None:
        """A latency was measured: let the pool's typical latency follow."""
        if now >= self._typical.due:
            self._typical.refresh([backend.latency for backend in self.backends], now)

    def changed(self) -> None:
        """Something that decides eligibility changed: work the candidates out anew before the next pick."""
        self._stale = True

    # -- seen from outside ---------------------------------------------------------------------------

    @property
    def in_flight_total(self) -> int:
        """Attempts under way on the backends of this pool."""
        return sum(backend.in_flight for backend in self.backends)

    def backend(self, name: str) -> Backend:
        """The backend called `name`; KeyError, naming those there are, when there is none."""
        for backend in self.backends:
            if backend.name == name:
                return backend
        known = ", ".join(backend.name for backend in self.backends)
        raise KeyError(f"pool {self.name} has no backend {name!r}; it has {known or 'none'}")

    def able(self, now: float) -> bool:
        """Is any backend well? Full ones are (they will take work again); panic does not make one well."""
        self.candidates(now)
        return any(backend.state in ("up", "starting") for backend in self.backends)

    def retry_after(self, now: float) -> float:
        """Seconds after which a refused client may hope: when something can free a backend, at least 1."""
        return retry_after_s(self.backends, now, self._context.rng)

    def explain(
        self, now: float, tried: tuple[str, ...] = ()
    ) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
        """Why a pick at `now` goes where it goes: candidates with scores, best first; the others with why."""
        return explain(self.backends, self.candidates(now), self.policy, now, tried)

    # -- changes of state ----------------------------------------------------------------------------

    def probed(self, backend: Backend, ok: bool, detail: str, now: float) -> None:
        """Take the result of one active check; `detail` is a reason in a few words."""
        backend.health_checks["success" if ok else "failure"] += 1
        backend.health.observe(ok, now)
        self._settle(backend, now, detail)
        if not ok and backend.state in ("down", "starting"):
            backend.why = detail  # the latest reason helps most

    def eject(self, backend: Backend, now: float, reason: str = "consecutive_failures") -> bool:
        """Take a backend out for a while; False when the pool cannot spare it."""
        if backend.draining or backend not in self.backends:
            return False
        present = [peer for peer in self.backends if not peer.draining]
        ejected = sum(peer.outlier.until > now for peer in present)
        if ejected >= self.rules.outlier.most_ejected(len(present)):
            return False
        failures = backend.outlier.failures
        length_s = backend.outlier.eject(now)
        backend.ejections[reason] = backend.ejections.get(reason, 0) + 1
        self._settle(backend, now, f"consecutive failures: {failures}; out for {length_s:g} s")
        self._stale = True  # its end must be watched for even when the backend was down already
        return True

    def drain(self, name: str, now: float | None = None) -> None:
        """Give `name` no new work; what it has in flight finishes. KeyError when there is no such backend."""
        backend = self.backend(name)
        backend.draining = True
        at = self._heard(now)
        self._settle(backend, at, "drained by an operator")
        self._spare(at)

    def undrain(self, name: str, now: float | None = None) -> None:
        """Let `name` take work again. KeyError when there is no such backend."""
        backend = self.backend(name)
        backend.draining = False
        at = self._heard(now)
        down = backend.health.phase is Phase.DOWN
        self._settle(backend, at, "its checks failed while it was drained" if down else "no longer drained")
        self._spare(at)

    def replace(
        self, backends: Sequence[BackendSpec], now: float | None = None, rules: PoolRules | None = None
    ) -> tuple[list[Backend], list[Backend]]:
        """Make these the pool's backends; return those that came and those that went.

        A backend of the same name and URL keeps its state, latency and counts. One that went keeps its
        open leases until they are closed. Raises ValueError, changing nothing, on a bad or doubled name.
        """
        at = self._heard(now)
        rules = rules or self.rules
        fresh = [
            (Backend(self.name, spec, rules.health, rules.outlier, self._typical), spec) for spec in backends
        ]
        names = Counter(backend.name for backend, _ in fresh)
        if doubled := sorted(name for name, times in names.items() if times > 1):
            raise ValueError(
                f"pool {self.name}: {', '.join(doubled)} named twice; give each backend its own name"
            )
        old = {(backend.name, backend.url): backend for backend in self.backends}
        kept: list[Backend] = []
        came: list[Backend] = []
        for backend, spec in fresh:
            survivor = old.pop((backend.name, backend.url), None)
            if survivor is None:
                backend.since = at
                came.append(backend)
            else:
                survivor.adopt(spec)
                survivor.health.adopt(rules.health)
                survivor.outlier.rule = rules.outlier
                kept.append(survivor)
        self.rules = rules
        self.backends = tuple(sorted(kept + came, key=lambda backend: backend.name))
        for backend in kept:
            self._settle(backend, at, "checks changed")
        self._spare(at)
        return came, list(old.values())

    def _heard(self, now: float | None) -> float:
        """`now`, or the latest time this pool was told."""
        if now is not None:
            self._context.now = now
        return self._context.now

    def _rebuild(self, now: float) -> None:
        self._context.now = now
        present = well = 0
        self._expires = inf
        for backend in self.backends:
            until = backend.outlier.until
            if until and now >= until:
                backend.outlier.release(until)
                self._settle(backend, until, "ejection over")
            elif until:
                self._expires = min(self._expires, until)
            if not backend.draining:
                present += 1
                well += backend.state in ("up", "starting")
        panic = well + _ROUNDING < present * self.rules.panic_below
        self.panics += panic and not self.panic
        self.panic = panic
        self._candidates = tuple(
            [
                backend
                for backend in self.backends
                if (panic or backend.state in ("up", "starting"))
                and not backend.draining
                and not backend.full
            ]
        )
        self._stale = False

    def _settle(self, backend: Backend, now: float, why: str) -> None:
        """Bring `state` in line with draining, probes and ejection, in that order; tell when it changed."""
        state: State
        if backend.draining:
            state = "draining"
        elif backend.health.phase is Phase.DOWN:
            state = "down"
        elif backend.outlier.until > now:
            state = "ejected"
        else:
            state = "up" if backend.health.phase is Phase.UP else "starting"
        old = backend.state
        if state == old:
            return
        backend.state = state
        backend.since = now
        backend.why = why
        self._stale = True
        if self.on_change is not None:
            self.on_change(self, backend, old, state, why)

    def _spare(self, now: float) -> None:
        """Call ejected backends back, the soonest due first, while more are out than the pool can spare."""
        self._stale = True
        present = [backend for backend in self.backends if not backend.draining]
        ejected = sorted((b for b in present if b.outlier.until > now), key=lambda b: b.outlier.until)
        surplus = len(ejected) - self.rules.outlier.most_ejected(len(present))
        for backend in ejected[: max(0, surplus)]:
            backend.outlier.release(now)
            self._settle(backend, now, "called back: too few are left")

    def _refusal(self, now: float, tried: tuple[str, ...]) -> GatewayError:
        why = "tried"
        if not tried:
            why = reason(self.backends)
            self.shed[why] += 1
        return refusal(why, self.retry_after(now))
