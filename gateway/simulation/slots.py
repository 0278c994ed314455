"""When is a job done on a machine that works on a few at once, first come first served?

The model of classic model servers, embeddings and vision: `places` slots, each as fast as the machine is at
the time; what finds none free waits. The finish of a job is found by integrating the speed.
"""

from collections import deque
from functools import partial
from heapq import heapify, heapreplace
from random import Random

from gateway.simulation.engine import Engine
from gateway.simulation.machines import GONE, Job, Machine
from gateway.simulation.schedule import Schedule


class SlotMachine(Machine):
    """`places` slots and a first-come-first-served queue without bound.

    With `hiccups` (share, times slower) that share of the jobs, drawn from `dice`, takes so much longer.
    """

    __slots__ = ("_dice", "_finishes", "_hiccups", "_queue")

    def __init__(
        self,
        engine: Engine,
        name: str,
        speed: Schedule,
        places: int,
        honours_cancel: bool = True,
        hiccups: tuple[float, float] = (0.0, 1.0),
        dice: Random | None = None,
    ) -> None:
        super().__init__(engine, name, speed, places, honours_cancel)
        self._queue: deque[Job] = deque()
        self._finishes: dict[Job, float] = {}  # of those in a slot
        self._hiccups = hiccups
        self._dice = dice or Random(name)

    def begin(self, job: Job) -> None:
        share, slower = self._hiccups
        if share and self._dice.random() < share:
            job.slower = slower
        if self.inside < self.places:
            self._start(job)
        else:
            self._queue.append(job)

    def cancel(self, job: Job) -> None:
        job.place = GONE
        if self._finishes.pop(job, None) is not None:
            self.wasted_s += self.engine.now - job.since
            self._free()

    def drop(self) -> None:
        now = self.engine.now
        self.wasted_s += sum(now - job.since for job in self._finishes)
        self._queue.clear()
        self._finishes.clear()
        self.occupy(-self.inside)

    def finish_if_sent(self, work_s: float) -> float:
        """When a job of that much work would be done if it came now, all speeds to come being known."""
        now = self.engine.now
        free = list(self._finishes.values())
        free += [now] * (self.places - len(free))
        heapify(free)
        for job in self._queue:
            if job.place != GONE:
                heapreplace(free, self.speed.finish(free[0], job.task.work_s * job.slower))
        return self.speed.finish(free[0], work_s)

    def _start(self, job: Job) -> None:
        now = self.engine.now
        job.since = now
        self.occupy(1)
        task = job.task
        self._finishes[job] = finish = self.speed.finish(now, task.work_s * job.slower)
        self.engine.at(finish, partial(self._finish, job))
        if task.first_s:
            first = self.speed.finish(now, task.first_s * job.slower)
            self.engine.at(first, partial(self._begin_answer, job))

    def _begin_answer(self, job: Job) -> None:
        if job in self._finishes and not job.abandoned:
            job.began()

    def _finish(self, job: Job) -> None:
        if self._finishes.pop(job, None) is None:
            return  # cancelled or dropped meanwhile
        self._over(job, self.engine.now - job.since)
        self._free()
        if not job.abandoned:
            job.ended()

    def _free(self) -> None:
        self.occupy(-1)
        queue = self._queue
        while queue:
            job = queue.popleft()
            if job.place != GONE:
                self._start(job)
                return
