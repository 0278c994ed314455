"""Which backends of a pool may take work right now? Their states, and what changes them.

Eligibility changes rarely (a probe, an ejection, a drain, a limit reached) and is worked out once per change,
into two lists: `well`, everybody fit for work, and `free`, those of them below their limit.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from operator import attrgetter

from gateway.admission.queue import QueueRule
from gateway.attempts.hedge import HedgeRule
from gateway.health.outlier import Reason
from gateway.health.state import Phase, Result
from gateway.pool.backend import Backend, BackendRules, BackendSpec, State
from gateway.pool.ewma import Typical
from gateway.pool.work import WorkModel

_ROUNDING = 1e-9  # 0.28 * 25 is 7.000000000000001
#: How often a weight follows its ramp; seconds.
REWEIGH_S = 0.25

_rank = attrgetter("rank")

#: (name of the pool, backend, old state, new state, why)
OnChange = Callable[[str, Backend, State, State, str], None]


@dataclass(frozen=True, slots=True)
class PoolRules:
    """What a pool goes by. `panic_below` is a share 0..1; `hedge` None: no second attempts."""

    backend: BackendRules = field(default_factory=BackendRules)
    panic_below: float = 0.5
    queue: QueueRule = field(default_factory=QueueRule)
    hedge: HedgeRule | None = None


class Roster:
    """Owns a pool's backends and their states.

    `free` and `well` are in order by name and true as of the last `candidates`. `panic` is True while so few
    backends are healthy that health is ignored; `panics` only grows. `by_slowness`: whoever chooses goes by
    the slowness of backends, so that one that is cold gets little whatever its weight.
    """

    __slots__ = (
        "_expires", "_stale", "_typical", "backends", "by_slowness", "free", "model", "name", "now",
        "on_change", "panic", "panics", "rules", "well",
    )  # fmt: skip

    def __init__(
        self, name: str, rules: PoolRules, on_change: OnChange | None, by_slowness: bool = False
    ) -> None:
        self.name = name
        self.rules = rules
        self.by_slowness = by_slowness
        self.on_change = on_change
        self.backends: tuple[Backend, ...] = ()
        self.well: list[Backend] = []
        self.free: list[Backend] = []
        self.panic = False
        self.panics = 0
        self.model = WorkModel()
        self.now = 0.0  # the latest time it was told
        self._typical = Typical()
        self._stale = True
        self._expires = inf  # the soonest end of an ejection, or step of a ramp

    def candidates(self, now: float) -> list[Backend]:
        """The backends that may take work at `now`, sorted by name."""
        if self._stale or now >= self._expires:
            self._rebuild(now)
        return self.free

    def changed(self) -> None:
        """Something that decides eligibility changed: work the candidates out anew before the next pick."""
        self._stale = True

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

    # -- limits --------------------------------------------------------------------------------------

    def set_full(self, backend: Backend) -> None:
        """`backend` has reached its limit."""
        at = bisect_left(self.free, backend.rank, key=_rank)
        if at < len(self.free) and self.free[at] is backend:
            del self.free[at]

    def set_free(self, backend: Backend) -> None:
        """`backend` has room again."""
        at = bisect_left(self.well, backend.rank, key=_rank)
        if at < len(self.well) and self.well[at] is backend:
            self.free.insert(bisect_left(self.free, backend.rank, key=_rank), backend)

    # -- changes of state ----------------------------------------------------------------------------

    def probed(self, backend: Backend, result: Result, detail: str, now: float) -> None:
        """Take the result of one active check; `detail` is a reason in a few words."""
        backend.health_checks[result] = backend.health_checks.get(result, 0) + 1
        if result == "success" and self.by_slowness and backend.doubted(now):
            # It was away for too short a time to be taken out, as when it was restarted. Its failures would
            # keep it idle for seconds now that it is back; those of one whose checks are fine stand.
            backend.slow_start.begin(now)
            backend.speed.forgive()
            self._stale = True
        if backend.health.observe(result, now):
            self._stale = True  # who fails after loading stays down, but is part of the pool again
        rule = backend.health.rule
        if rule is not None and backend.outlier.refuted(result == "success", rule.rise):
            backend.outlier.release(now)
            detail = "called back: it is there again"
        self._settle(backend, now, detail)
        if result in ("failure", "loading") and backend.state in ("down", "starting"):
            backend.why = detail  # the latest reason helps most

    def eject(self, backend: Backend, now: float, reason: Reason = "consecutive_failures") -> bool:
        """Take a backend out for a while; False when the pool cannot spare it, or the rule only watches."""
        if reason in ("would_consecutive_failures", "would_failure_ratio"):
            backend.ejections[reason] = backend.ejections.get(reason, 0) + 1
            return False
        if backend.draining or backend not in self.backends:
            return False
        present = [peer for peer in self.backends if not peer.draining]
        ejected = sum(peer.outlier.until > now for peer in present)
        if ejected >= self.rules.backend.outlier.most_ejected(len(present)):
            return False
        evidence = backend.outlier.evidence(reason)
        length_s = backend.outlier.eject(now)
        backend.ejections[reason] = backend.ejections.get(reason, 0) + 1
        self._settle(backend, now, f"{evidence}; out for {length_s:g} s")
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
        unfit = backend.health.unfit
        self._settle(backend, at, "its checks failed while it was drained" if unfit else "no longer drained")
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
            (Backend(self.name, spec, rules.backend, self._typical, self.model), spec) for spec in backends
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
                if self.backends:  # somebody else is warm: it need not take all its share at once
                    backend.slow_start.begin(at)
                came.append(backend)
            else:
                survivor.adopt(spec, rules.backend)
                kept.append(survivor)
        self.rules = rules
        self.backends = tuple(sorted(kept + came, key=lambda backend: backend.name))
        for rank, backend in enumerate(self.backends):
            backend.rank = rank
        for backend in kept:
            self._settle(backend, at, "checks changed")
        self._spare(at)
        return came, list(old.values())

    def _heard(self, now: float | None) -> float:
        """`now`, or the latest time this pool was told."""
        if now is not None:
            self.now = now
        return self.now

    def _rebuild(self, now: float) -> None:
        self.now = now
        present = fit = 0
        self._expires = inf
        for backend in self.backends:
            until = backend.outlier.until
            if until and now >= until:
                backend.outlier.release(until)
                self._settle(backend, until, "ejection over")
            elif until:
                self._expires = min(self._expires, until)
            backend.reweigh(now, self.by_slowness)
            if backend.slow_start.ramping:
                self._expires = min(self._expires, now + REWEIGH_S)
            if now < backend.cool_until:
                self._expires = min(self._expires, backend.cool_until)
            if backend.present:
                present += 1
                fit += backend.state in ("up", "starting")
        panic = fit + _ROUNDING < present * self.rules.panic_below
        self.panics += panic and not self.panic
        self.panic = panic
        well = [b for b in self.backends if b.present and (panic or b.state in ("up", "starting"))]
        rested = [backend for backend in well if backend.cool_until <= now]
        self.well = rested or well  # when all ask for a rest, none can have it
        self.free = [backend for backend in self.well if backend.in_flight < backend.limit]
        self._stale = False

    def _settle(self, backend: Backend, now: float, why: str) -> None:
        """Bring `state` in line with draining, probes and ejection, in that order; tell when it changed."""
        state: State
        if backend.draining:
            state = "draining"
        elif backend.health.unfit:
            state = "down"
        elif backend.outlier.until > now:
            state = "ejected"
        else:
            state = "up" if backend.health.phase is Phase.UP else "starting"
        old = backend.state
        if state == old:
            return
        if old not in ("up", "starting") and state in ("up", "starting"):
            backend.slow_start.begin(now)
            backend.speed.forgive()
        backend.state = state
        backend.since = now
        backend.why = why
        self._stale = True
        if self.on_change is not None:
            self.on_change(self.name, backend, old, state, why)

    def _spare(self, now: float) -> None:
        """Call ejected backends back, the soonest due first, while more are out than the pool can spare."""
        self._stale = True
        present = [backend for backend in self.backends if not backend.draining]
        ejected = sorted((b for b in present if b.outlier.until > now), key=lambda b: b.outlier.until)
        surplus = len(ejected) - self.rules.backend.outlier.most_ejected(len(present))
        for backend in ejected[: max(0, surplus)]:
            backend.outlier.release(now)
            self._settle(backend, now, "called back: too few are left")
