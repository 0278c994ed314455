"""How does a model server work its requests off? In slots, or in a continuous batch. Pure.

Both engines measure work in seconds at speed 1 and keep a clock of work done (`Pace`) that runs faster or
slower as the backend does. What ends between two calls ends at its own moment of that clock, so a server that
looks late delays an answer but never the requests behind it.
"""

import heapq
from collections import deque
from dataclasses import dataclass
from typing import Protocol

ROUNDING_S = 1e-9  # the moment `next_at` gives may fall short of the end by the last digits of a float


@dataclass(slots=True, eq=False)
class Job:
    """One request inside an engine: `work_s` for slots; `prompt` and `tokens` (at least 1) for a batch."""

    work_s: float = 0.0
    prompt: int = 0
    tokens: int = 1
    made: int = 0  # tokens so far
    ended: bool = False  # finished or cancelled


Progress = tuple[Job, bool]  # a token of the job (of a batch), or its end: True


class Engine(Protocol):
    """What the server asks of both kinds. Times are seconds of one clock that never goes back."""

    def arrive(self, now: float, job: Job) -> None: ...

    def cancel(self, now: float, job: Job) -> None: ...

    def advance(self, now: float) -> list[Progress]: ...

    def next_at(self) -> float | None: ...

    def set_speed(self, now: float, speed: float) -> None: ...

    @property
    def load(self) -> int: ...


class Pace:
    """Work done since the beginning, in seconds at speed 1; runs at `speed`, stands still at 0."""

    __slots__ = ("_since", "done", "speed")

    def __init__(self, now: float, speed: float) -> None:
        self._since = now
        self.done = 0.0
        self.speed = speed

    def __repr__(self) -> str:
        return f"<Pace {self.done:.3f} s done at speed {self.speed:g}>"

    def to(self, now: float) -> float:
        """Run until `now`; the work done by then."""
        self.done += (now - self._since) * self.speed
        self._since = now
        return self.done

    def when(self, done: float) -> float | None:
        """The moment at which `done` is reached at this speed; None if never."""
        return self._since + (done - self.done) / self.speed if self.speed > 0 else None


class Slots:
    """`slots` requests at once, each at full speed; the others wait, first come first served."""

    __slots__ = ("_ends", "_free", "_pace", "_started", "_waiting")

    def __init__(self, now: float, slots: int, speed: float = 1.0) -> None:
        self._pace = Pace(now, speed)
        self._free = slots
        self._waiting: deque[Job] = deque()
        self._ends: list[tuple[float, int, Job]] = []  # cancelled ones stay in until their end comes
        self._started = 0

    def __repr__(self) -> str:
        return f"<Slots {self._free} free, {len(self._waiting)} waiting, {self._pace!r}>"

    @property
    def load(self) -> int:
        """Requests inside, running and waiting."""
        return len(self._waiting) + sum(not job.ended for _, _, job in self._ends)

    def arrive(self, now: float, job: Job) -> None:
        """Take a request in; raises nothing, whatever is waiting already."""
        self._waiting.append(job)
        self._fill(self._pace.to(now))

    def cancel(self, now: float, job: Job) -> None:
        """Forget a request whose client has gone: its slot is free at once."""
        if job.ended:
            return
        job.ended = True
        if job in self._waiting:
            self._waiting.remove(job)
            return
        self._free += 1
        self._fill(self._pace.to(now))

    def advance(self, now: float) -> list[Progress]:
        """What has ended by `now`, in order."""
        done, ended = self._pace.to(now), []
        while self._ends and self._ends[0][0] <= done + ROUNDING_S:
            at, _, job = heapq.heappop(self._ends)
            if job.ended:
                continue
            job.ended = True
            ended.append((job, True))
            self._free += 1
            self._fill(at)
        return ended

    def next_at(self) -> float | None:
        """When `advance` is next worth calling; None: only after another call."""
        while self._ends and self._ends[0][2].ended:
            heapq.heappop(self._ends)
        return self._pace.when(self._ends[0][0]) if self._ends else None

    def set_speed(self, now: float, speed: float) -> None:
        """Work on at `speed` from now on; what is running keeps what it has done."""
        self._pace.to(now)
        self._pace.speed = speed

    def _fill(self, done: float) -> None:
        """Start waiting requests in free slots, at the moment `done` of the clock of work."""
        while self._free and self._waiting:
            job = self._waiting.popleft()
            self._free -= 1
            self._started += 1
            heapq.heappush(self._ends, (done + job.work_s, self._started, job))


@dataclass(frozen=True, slots=True)
class Batching:
    """A continuous batch: a step takes `a_s + b_s · streams`, and its new prompts `1 / prefill` s a token.

    At most `streams` at once, at most `chunk` prompt tokens begin in one step (one prompt always may).
    """

    a_s: float
    b_s: float
    streams: int
    prefill: float
    chunk: int = 2048


class Batch:
    """Every running request gets a token at the end of each step; newcomers join between steps."""

    __slots__ = ("_active", "_pace", "_shape", "_step_ends", "_waiting")

    def __init__(self, now: float, shape: Batching, speed: float = 1.0) -> None:
        self._shape = shape
        self._pace = Pace(now, speed)
        self._waiting: deque[Job] = deque()
        self._active: list[Job] = []
        self._step_ends: float | None = None  # None: idle

    def __repr__(self) -> str:
        return f"<Batch {len(self._active)} streams, {len(self._waiting)} waiting, {self._pace!r}>"

    @property
    def load(self) -> int:
        """Requests inside, running and waiting."""
        return len(self._waiting) + sum(not job.ended for job in self._active)

    def arrive(self, now: float, job: Job) -> None:
        """Take a request in; it starts with the next step, at once where nothing runs."""
        self._waiting.append(job)
        done = self._pace.to(now)
        if self._step_ends is None:
            self._step(done)

    def cancel(self, now: float, job: Job) -> None:
        """Forget a request whose client has gone; its place in the batch is free after this step."""
        self._pace.to(now)
        job.ended = True
        if job in self._waiting:
            self._waiting.remove(job)

    def advance(self, now: float) -> list[Progress]:
        """The tokens made by `now`, in order; each job's last one is followed by its end."""
        done = self._pace.to(now)
        made: list[Progress] = []
        while self._step_ends is not None and self._step_ends <= done + ROUNDING_S:
            for job in self._active:
                if job.ended:
                    continue
                job.made += 1
                made.append((job, False))
                if job.made >= job.tokens:
                    job.ended = True
                    made.append((job, True))
            self._step(self._step_ends)
        return made

    def next_at(self) -> float | None:
        """When the running step ends; None while idle or standing still."""
        return None if self._step_ends is None else self._pace.when(self._step_ends)

    def set_speed(self, now: float, speed: float) -> None:
        """Work on at `speed` from now on; the running step keeps what it has done."""
        self._pace.to(now)
        self._pace.speed = speed

    def _step(self, begins: float) -> None:
        """Begin a step at the moment `begins` of the clock of work; idle if there is nothing to do."""
        shape = self._shape
        self._active = [job for job in self._active if not job.ended]
        prompts = 0
        while self._waiting and len(self._active) < shape.streams:
            if prompts and prompts + self._waiting[0].prompt > shape.chunk:
                break
            job = self._waiting.popleft()
            prompts += job.prompt
            self._active.append(job)
        if not self._active:
            self._step_ends = None
            return
        self._step_ends = begins + shape.a_s + shape.b_s * len(self._active) + prompts / shape.prefill
