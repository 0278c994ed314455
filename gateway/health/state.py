"""What do the probes of a backend add up to?

One failed probe removes nobody, one good probe does not bring a broken backend back. A server that says
itself that it is still loading is believed at once, and so is its first good answer after that. The whole
machine is the table `STEPS`; what it does not list leaves the phase as it is and starts the count again.
"""

import enum
from dataclasses import dataclass
from typing import Literal


class Phase(enum.Enum):
    """What the active checks say, apart from ejection and draining."""

    STARTING = "starting"  # not known yet: may take work, so that a gateway serves from its first second
    UP = "up"
    DOWN = "down"
    LOADING = "loading"  # alive, and by its own word not ready: no work, asked again soon


#: What came of one probe. `loading`: the server answered that it is not ready. `skipped`: it was not asked,
#: because its live traffic proves it well.
Result = Literal["success", "failure", "loading", "skipped"]
RESULTS: tuple[Result, ...] = ("success", "failure", "loading", "skipped")


@dataclass(frozen=True, slots=True)
class HealthRule:
    """How a pool's backends are probed. Times in seconds, `expect` as `200-399` or `200,204`.

    `preset` is a key of `presets.PRESETS`, or None: it says what `loading` looks like. `path` is empty
    where only a connection is opened.
    """

    path: str = "/health"
    interval_s: float = 5.0
    timeout_s: float = 2.0
    rise: int = 2
    fall: int = 3
    expect: str = "200-399"
    preset: str | None = None


Threshold = Literal["one", "rise", "fall"]

#: (phase, result of a probe) → how many such probes in a row lead to which phase. One `loading` is enough,
#: as one 503 is for Envoy: it is no lost packet but the server's own word, and it is asked again soon.
STEPS: dict[tuple[Phase, Result], tuple[Threshold, Phase]] = {
    (Phase.STARTING, "success"): ("one", Phase.UP),
    (Phase.STARTING, "failure"): ("fall", Phase.DOWN),
    (Phase.STARTING, "loading"): ("one", Phase.LOADING),
    (Phase.UP, "failure"): ("fall", Phase.DOWN),
    (Phase.UP, "loading"): ("one", Phase.LOADING),
    (Phase.DOWN, "success"): ("rise", Phase.UP),
    (Phase.DOWN, "loading"): ("one", Phase.LOADING),
    (Phase.LOADING, "success"): ("one", Phase.UP),
    (Phase.LOADING, "failure"): ("fall", Phase.DOWN),
}


class HealthState:
    """The phase of one backend and the run of probes that may change it.

    With `rule` None nobody probes and the backend counts as up: only its traffic can take it out.
    """

    __slots__ = ("checked_at", "phase", "rule", "streak")

    def __init__(self, rule: HealthRule | None) -> None:
        self.rule = rule
        self.phase = Phase.UP if rule is None else Phase.STARTING
        self.streak = 0  # probes in a row that speak for leaving the phase
        self.checked_at: float | None = None

    def __repr__(self) -> str:
        return f"<HealthState {self.phase.value}, {self.streak} against>"

    @property
    def unfit(self) -> bool:
        """Do the probes keep this backend from work?"""
        return self.phase is Phase.DOWN or self.phase is Phase.LOADING

    @property
    def settled(self) -> bool:
        """False while the next probes decide something: worth asking again soon."""
        return self.streak == 0 and (self.phase is Phase.UP or self.phase is Phase.DOWN)

    def observe(self, result: Result, now: float) -> bool:
        """Take one probe's result; True when the phase changed."""
        self.checked_at = now
        step = STEPS.get((self.phase, result))
        if step is None or self.rule is None:
            self.streak = 0
            return False
        threshold, target = step
        self.streak += 1
        needed = 1 if threshold == "one" else self.rule.rise if threshold == "rise" else self.rule.fall
        if self.streak < needed:
            return False
        self.phase = target
        self.streak = 0
        return True

    def adopt(self, rule: HealthRule | None) -> None:
        """Go on under another rule; without one the backend counts as up."""
        if rule is None and self.rule is not None:
            self.phase = Phase.UP
            self.streak = 0
        self.rule = rule

    def next_probe_s(self, now: float) -> float | None:
        """Seconds until a probe can be expected; None when nobody probes."""
        if self.rule is None:
            return None
        if self.checked_at is None or not self.settled:
            return min(1.0, self.rule.interval_s)
        return max(0.0, self.checked_at + self.rule.interval_s - now)


def parse_expect(text: str) -> tuple[tuple[int, int], ...]:
    """`200-399` or `200,204` or a mixture, as inclusive ranges of status codes.

    Raises ValueError, with what is accepted, on anything else.
    """
    ranges = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        try:
            first, last = int(low), int(high if dash else low)
        except ValueError:
            first, last = 0, 0
        if not 100 <= first <= last <= 599:
            raise ValueError(f"expect {text!r}: write status codes and ranges, such as 200-399 or 200,204")
        ranges.append((first, last))
    return tuple(ranges)
