"""When does a machine that decodes many streams together make which token?

Continuous batching, as vLLM, SGLang and TGI do it. The machine works in steps. A step gives every decoding
stream one token and reads up to `chunk` prompt tokens of those that have none yet, first come first served
(chunked prefill); it takes

    a + b x (streams decoding) + (prompt tokens read) / prefill            seconds, at speed 1

A prompt's last step makes its first token. At most `places` streams are inside, others wait in order. What
arrives or leaves in the middle of a step takes part, or no longer does, from the next one on. Steps are
counted, not simulated one by one: an event falls only where the batch changes, so a stream costs a few
events of O(log n), however many tokens it has. Not modelled: memory for the cache of keys and values, and
preemption when it runs out; `places` stands for it.
"""

from collections import deque
from functools import partial
from heapq import heappop, heappush
from math import ceil

from gateway.simulation.engine import Engine
from gateway.simulation.machines import DECODING, GONE, INSIDE, WAITING, Job, Machine
from gateway.simulation.scenario import Steps
from gateway.simulation.schedule import Schedule


class BatchMachine(Machine):
    """Steps are numbered from 0; `_done` of the `_planned` ones of this run are over at `_since`."""

    __slots__ = (
        "_decoding",
        "_done",
        "_ends",
        "_planned",
        "_planning",
        "_prefill",
        "_reads",
        "_run",
        "_share",
        "_since",
        "_step",
        "_step_s",
        "_waiting",
        "cost",
    )

    def __init__(
        self,
        engine: Engine,
        name: str,
        speed: Schedule,
        places: int,
        cost: Steps,
        honours_cancel: bool = True,
    ) -> None:
        super().__init__(engine, name, speed, places, honours_cancel)
        self.cost = cost
        self._waiting: deque[Job] = deque()  # those without a place
        self._prefill: deque[Job] = deque()  # those whose prompt is being read
        self._ends: list[tuple[int, int, Job]] = []  # those that decode, by the step that is their last
        self._decoding = 0
        self._step = 0  # steps before this run
        self._planned = 0  # steps of this run; 0: nothing to do
        self._done = 0.0  # of them, at _since
        self._since = 0.0
        self._step_s = 0.0  # seconds of a step of this run, at speed 1
        self._reads = 0  # prompt tokens in each
        self._run = 0  # number of the run, by which outdated events know themselves
        self._planning = False  # a run has just ended and the next is about to be planned
        self._share = 0.0  # integral of 1 / (jobs inside): what one place has cost so far

    # -- what the machine is asked ---------------------------------------------------------------------

    def begin(self, job: Job) -> None:
        self._waiting.append(job)
        if self._planning:
            return
        if not self._planned:
            self._plan()
        elif self.inside < self.places and not self._reads:
            self._shorten()

    def cancel(self, job: Job) -> None:
        place, job.place = job.place, GONE  # who is gone is passed over where it stands
        if place == WAITING:
            return
        self._decoding -= place == DECODING
        self.wasted_s += self._cost(job)
        self.occupy(-1)
        if not self._planning:
            self._shorten()

    def drop(self) -> None:
        inside = (*self._prefill, *[job for _, _, job in self._ends])
        self.wasted_s += sum(self._cost(job) for job in inside if job.place != GONE)
        self._step = self.steps()
        self._waiting.clear()
        self._prefill.clear()
        self._ends.clear()
        self._decoding = 0
        self.occupy(-self.inside)
        self._planned = 0
        self._done = 0.0
        self._run += 1

    def steps(self) -> int:
        return self._step + int(self._progress())

    @property
    def pending(self) -> int:
        """Prompt tokens that are still to be read."""
        return sum(job.left for job in (*self._prefill, *self._waiting) if job.place != GONE)

    @property
    def decoding(self) -> int:
        return self._decoding

    # -- runs of equal steps ---------------------------------------------------------------------------

    def _progress(self) -> float:
        """Steps of this run that are over, in fractions."""
        if not self._planned or not self.speed_now:
            return self._done
        done = self._done + (self.engine.now - self._since) * self.speed_now / self._step_s
        return min(done + 1e-9, self._planned)  # a step's end must count as one, however it was rounded

    def _plan(self) -> None:
        """Begin a run of steps that are all alike: up to the first change of the batch known by now."""
        while self._waiting and self.inside < self.places:
            job = self._waiting.popleft()
            if job.place != GONE:
                self.occupy(1)
                job.since = self._share
                job.place = INSIDE
                self._prefill.append(job)
        while self._prefill and self._prefill[0].place == GONE:
            self._prefill.popleft()
        ends = self._ends
        while ends and ends[0][2].place == GONE:
            heappop(ends)
        self._reads, steps = self._chunk()
        if ends:
            steps = min(steps, ends[0][0] - self._step) if steps else ends[0][0] - self._step
        self._planned = steps
        if steps:
            cost = self.cost
            self._step_s = cost.a + cost.b * self._decoding + self._reads / cost.prefill
            self._done = 0.0
            self._since = self.engine.now
            self._arm()

    def _chunk(self) -> tuple[int, int]:
        """Prompt tokens to read in each step, and in how many steps; none when no prompt waits."""
        if not self._prefill:
            return 0, 0
        chunk, first = self.cost.chunk, self._prefill[0].left
        if first >= 2 * chunk:
            return chunk, first // chunk
        read = 0
        for job in self._prefill:
            read += job.left  # of one who is gone too, in the middle: rare, and a step at most
            if read >= chunk:
                return chunk, 1
        return read, 1

    def _arm(self) -> None:
        self._run += 1
        if self.speed_now:
            left_s = (self._planned - self._done) * self._step_s / self.speed_now
            self.engine.at(self._since + left_s, partial(self._end, self._run))

    def _shorten(self) -> None:
        """End the run with the step under way."""
        progress = self._progress()
        planned = max(1, ceil(progress - 2e-9))
        if planned < self._planned:
            self._done, self._since, self._planned = progress, self.engine.now, planned
            self._arm()

    def changed(self) -> None:
        self._done, self._since = self._progress(), self.engine.now

    def rearm(self) -> None:
        if self._planned:
            self._arm()

    def _end(self, run: int) -> None:
        """The run is over: tokens come out, streams end, and the next run is planned."""
        if run != self._run:
            return
        steps, read = self._planned, self._planned * self._reads
        self._step += steps
        self._planned = 0
        self._done = 0.0
        self._planning = True
        while self._ends and self._ends[0][0] <= self._step:
            job = heappop(self._ends)[2]
            if job.place != GONE:
                self._decoding -= 1
                self._let_go(job)
        while read and self._prefill:
            job = self._prefill[0]
            if job.left > read:
                job.left -= read
                break
            read -= job.left
            job.left = 0
            self._prefill.popleft()
            if job.place != GONE:
                self._first_token(job)
        self._planning = False
        self._plan()

    def _first_token(self, job: Job) -> None:
        task = job.task
        if task.output <= 1:
            self._let_go(job)
            return
        job.place = DECODING
        self._decoding += 1
        self._run += 1  # any number that no other job has: it only breaks ties
        heappush(self._ends, (self._step + task.output - 1, self._run, job))
        if task.stream and not job.abandoned:
            job.began()

    def _let_go(self, job: Job) -> None:
        job.place = GONE
        self.occupy(-1)
        self._over(job, self._cost(job))
        if not job.abandoned:
            job.ended()

    def occupy(self, change: int) -> None:
        if self.inside:
            self._share += (self.engine.now - self._busy_at) / self.inside
        super().occupy(change)

    def _cost(self, job: Job) -> float:
        """Seconds of the machine that `job` has had, shared with the others inside, in seconds of a place."""
        share = self._share
        if self.inside:
            share += (self.engine.now - self._busy_at) / self.inside
        return (share - job.since) * self.places
