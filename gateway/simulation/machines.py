"""What does a model server do with what it is sent, on good days and on bad ones?

A `Machine` decides whether a job is taken, refused, failed or lost; the two kinds of machine, `slots.py` and
`batching.py`, decide when it is done. Several gateways may send to the same machine.
"""

from collections.abc import Callable
from enum import Enum
from functools import partial

from gateway.health.state import Result
from gateway.simulation.engine import Engine
from gateway.simulation.schedule import Schedule
from gateway.simulation.task import Task

#: A job's `place`. Who is gone is passed over where it stands.
WAITING, INSIDE, DECODING, GONE = range(4)
TIMEOUT = "timeout"  # why a probe failed that got no answer
REFUSING_S = 0.001  # how long a machine takes to say 429


class Mode(Enum):
    """What is the matter with a machine."""

    WELL = "well"
    FAILING = "failing"  # answers an error at once
    LOADING = "loading"  # the same, and says so when probed
    DOWN = "down"  # nothing listens


class Job:
    """One attempt at a task, as a machine sees it; whoever sent it implements the four endings.

    `place` is where it stands; `left` the prompt tokens not read yet; `since` the machine's mark for what it
    has cost; `slower` how many times longer than it should this one takes; `abandoned` that nobody waits for
    it any more.
    """

    __slots__ = ("abandoned", "left", "place", "since", "slower", "task")

    def __init__(self, task: Task) -> None:
        self.task = task
        self.place = WAITING
        self.left = task.prompt
        self.since = 0.0
        self.slower = 1.0
        self.abandoned = False

    def began(self) -> None:
        """The first byte of the answer's body is on its way; more follow."""

    def ended(self) -> None:
        """The answer is whole."""

    def refused(self, status: int, retry_after_s: float | None) -> None:
        """An error instead of an answer."""

    def broke(self) -> None:
        """The machine is gone."""


class Machine:
    """One model server: its speed, its state, and what it has done. `seconds` are of one place, or slot.

    `places` is how many jobs it works on at once, `inside` how many those are, `held` how many are there at
    all. `honours_cancel`: a job whose client has left gives its place back at once.
    """

    __slots__ = (
        "_busy_at",
        "busy_s",
        "engine",
        "failing_s",
        "held",
        "honours_cancel",
        "inside",
        "jobs",
        "listeners",
        "mode",
        "most",
        "name",
        "places",
        "retry_after_s",
        "speed",
        "speed_now",
        "status",
        "taken",
        "wasted_s",
    )

    def __init__(
        self, engine: Engine, name: str, speed: Schedule, places: int, honours_cancel: bool = True
    ) -> None:
        self.engine = engine
        self.name = name
        self.speed = speed
        self.speed_now = speed.at(0.0)
        self.places = places
        self.honours_cancel = honours_cancel
        self.mode = Mode.WELL
        self.status, self.failing_s = 503, 0.002  # how it fails while it does
        self.most = 1 << 30  # jobs held above which it says 429
        self.retry_after_s = 1.0
        self.jobs: dict[Job, None] = {}  # in order of arrival
        self.listeners: list[Callable[[], None]] = []  # called when its connections break
        self.inside = 0
        self.held = 0
        self.taken = 0
        self.busy_s = 0.0
        self.wasted_s = 0.0
        self._busy_at = 0.0
        for when, value in speed.changes():
            engine.at(when, partial(self._set_speed, value))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.mode.value}, {self.inside} of {self.places} busy>"

    def receive(self, job: Job) -> None:
        """A job arrives."""
        if self.mode is not Mode.WELL:
            self.engine.at(self.engine.now + self.failing_s, partial(_refuse, job, self.status, None))
        elif self.held >= self.most:
            self.engine.at(self.engine.now + REFUSING_S, partial(_refuse, job, 429, self.retry_after_s))
        else:
            self.held += 1
            self.taken += 1
            self.jobs[job] = None
            self.begin(job)

    def leave(self, job: Job) -> None:
        """Whoever sent `job` does not want it any more."""
        job.abandoned = True
        if self.honours_cancel and job in self.jobs:
            del self.jobs[job]
            self.held -= 1
            self.cancel(job)

    def turn(self, mode: Mode) -> None:
        """Be well, failing, loading or down from now on; going down breaks everything under way."""
        self.mode = mode
        if mode is Mode.DOWN:
            jobs = [job for job in self.jobs if not job.abandoned]
            self.jobs.clear()
            self.held = 0
            self.drop()
            for listener in self.listeners:
                listener()
            for job in jobs:
                job.broke()

    def stop_listening(self) -> None:
        """No new connections from now on, as a server told to end: jobs under way finish."""
        self.mode = Mode.DOWN
        for listener in self.listeners:
            listener()

    def probe(self) -> tuple[Result, str]:
        """What its health endpoint says, and why. Failing requests do not show there."""
        if self.mode is Mode.DOWN:
            return "failure", "connection refused"
        if self.mode is Mode.LOADING:
            return "loading", "status 503"
        return ("success", "") if self.speed_now else ("failure", TIMEOUT)

    def occupy(self, change: int) -> None:
        """`change` more jobs are being worked on."""
        now = self.engine.now
        self.busy_s += (now - self._busy_at) * self.inside
        self._busy_at = now
        self.inside += change

    def steps(self) -> int:
        """Decoding steps done since 0; 0 for a machine that does not batch."""
        return 0

    def moved_at(self) -> float:
        """When it last got on with what it does, at the latest `now`."""
        now = self.engine.now
        return now if self.speed_now else max(when for when in self.speed.times if when <= now)

    def begin(self, job: Job) -> None:
        """Take `job` in."""
        raise NotImplementedError

    def cancel(self, job: Job) -> None:
        """Let go of `job`."""
        raise NotImplementedError

    def drop(self) -> None:
        """Let go of everything."""
        raise NotImplementedError

    def changed(self) -> None:
        """`speed_now` is about to change; it still has the old value."""

    def rearm(self) -> None:
        """`speed_now` has changed."""

    def _set_speed(self, value: float) -> None:
        self.changed()
        self.speed_now = value
        self.rearm()

    def _over(self, job: Job, seconds: float) -> None:
        """`job` leaves after so many seconds of a place."""
        del self.jobs[job]
        self.held -= 1
        if job.abandoned:
            self.wasted_s += seconds


def _refuse(job: Job, status: int, retry_after_s: float | None) -> None:
    if not job.abandoned:
        job.refused(status, retry_after_s)
