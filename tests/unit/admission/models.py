"""Two kinds of backend under a limiter, with a queue in front that lets no more in than the limit says."""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import log, sqrt
from statistics import fmean
from typing import Protocol

from gateway.admission.limit import AutoLimit

Service = Callable[[random.Random], float]


class Limiter(Protocol):
    limit: int

    def observe(self, x: float, in_flight: int, now: float, passed: int) -> None: ...


def exponential(rng: random.Random) -> float:
    return rng.expovariate(1.0)


def lognormal(rng: random.Random, cv: float = 2.0) -> float:
    sigma = sqrt(log(1.0 + cv * cv))
    return rng.lognormvariate(-sigma * sigma / 2.0, sigma)


def mild(rng: random.Random) -> float:
    """Between constant and wild: coefficient of variation 0.5."""
    return lognormal(rng, 0.5)


def truncated(rng: random.Random) -> float:
    """Prequal's load: normal, standard deviation the mean, nothing below zero."""
    return max(0.01, rng.gauss(1.0, 1.0)) / 1.08


def constant(rng: random.Random) -> float:
    return 1.0


@dataclass
class Trace:
    """What happened, second by second: limit, answers so far, work done so far, waiting in the queue."""

    rows: list[tuple[int, float, float, int]] = field(default_factory=list)

    def limit(self, start: int, end: int) -> float:
        """The mean limit from one second to another."""
        return fmean([row[0] for row in self.rows[start:end]])

    def highest(self, start: int, end: int) -> int:
        return max(row[0] for row in self.rows[start:end])

    def done(self, start: int, end: int) -> float:
        """Work done per second."""
        return (self.rows[end - 1][2] - self.rows[start - 1][2]) / (end - start)


class Slots:
    """`slots(now)` places served in order of arrival; work takes `slowness(now)` times its seconds.

    Requests come at random, `rate(now)` times what the slots can do.
    """

    def __init__(
        self,
        seed: int,
        service: Service,
        slots: Callable[[float], int],
        rate: Callable[[float], float] = lambda now: 3.0,
        slowness: Callable[[float], float] = lambda now: 1.0,
        mean_s: float = 0.2,
    ) -> None:
        self.rng = random.Random(seed)
        self.service, self.slots, self.rate, self.slowness, self.mean_s = (
            service,
            slots,
            rate,
            slowness,
            mean_s,
        )
        self.limiter = AutoLimit()
        self.now = 0.0
        self.events: list[tuple[float, int, str, tuple[float, int, int, float]]] = []
        self.number = 0
        self.waiting = self.in_flight = self.busy = self.answers = 0
        self.work = 0.0
        self.inside: deque[tuple[float, int, int]] = deque()  # (sent, in flight then, answers by then)

    def at(self, time: float, kind: str, what: tuple[float, int, int, float] = (0.0, 0, 0, 0.0)) -> None:
        self.number += 1
        heapq.heappush(self.events, (time, self.number, kind, what))

    def run(self, seconds: int) -> Trace:
        trace = Trace()
        self.at(0.0, "arrival")
        for second in range(1, seconds + 1):
            self.at(float(second), "tick")
        while len(trace.rows) < seconds:
            self.now, _, kind, what = heapq.heappop(self.events)
            if kind == "arrival":
                self.waiting = min(self.waiting + 1, 2000)
                mean_gap_s = (
                    self.mean_s / self.slots(self.now) / self.rate(self.now) * self.slowness(self.now)
                )
                self.at(self.now + self.rng.expovariate(1.0 / mean_gap_s), "arrival")
            elif kind == "answer":
                self.answered(*what)
            else:
                trace.rows.append((self.limiter.limit, self.answers, self.work, self.waiting))
            self.go_on()
        return trace

    def answered(self, sent: float, in_flight: int, answers: int, work_s: float) -> None:
        passed = self.answers - answers
        self.busy -= 1
        self.in_flight -= 1
        self.answers += 1
        self.work += work_s
        self.limiter.observe((self.now - sent) / self.mean_s, in_flight, self.now, passed)

    def go_on(self) -> None:
        while self.waiting and self.in_flight < self.limiter.limit:
            self.waiting -= 1
            self.in_flight += 1
            self.inside.append((self.now, self.in_flight, self.answers))
        while self.inside and self.busy < self.slots(self.now):
            self.busy += 1
            work_s = self.service(self.rng) * self.mean_s
            self.at(self.now + work_s * self.slowness(self.now), "answer", (*self.inside.popleft(), work_s))


class Batch:
    """Continuous batching, as gateway/simulation/batching.py has it, one step after the other.

    A step takes 15 ms + 0.6 ms per stream + 1/16 ms per prompt token read, 512 of them at most; `places`
    streams are inside, prompts of 1000 tokens on average, answers of `output`. There is always more to do.
    """

    def __init__(self, seed: int, places: int, output: float, limiter: Limiter | None = None) -> None:
        self.rng = random.Random(seed)
        self.places, self.output = places, output
        self.limiter: Limiter = AutoLimit() if limiter is None else limiter
        self.outside: deque[list[float]] = (
            deque()
        )  # [sent, in flight and begun then, prompt, expected seconds]
        self.reading: deque[list[float]] = deque()
        self.writing: list[tuple[int, int]] = []
        self.in_flight = self.step = self.number = 0
        self.now = 0.0

    def run(self, seconds: int) -> Trace:
        """`done` of the trace is tokens a second."""
        trace, tokens, answers = Trace(), 0, 0
        while len(trace.rows) < seconds:
            self.fill()
            read, first = self.read()
            self.now += 0.015 + 0.0006 * len(self.writing) + read / 16_000.0
            self.step += 1
            tokens += len(self.writing) + len(first)
            for sent, in_flight, begun, _, expected_s in first:
                passed = self.number - int(begun)
                self.limiter.observe((self.now - sent) / expected_s, int(in_flight), self.now, passed)
                self.number += 1
                length = max(1, int(self.output * lognormal(self.rng, 1.0)))
                heapq.heappush(self.writing, (self.step + length, self.number))
            while self.writing and self.writing[0][0] <= self.step:
                heapq.heappop(self.writing)
                self.in_flight -= 1
                answers += 1
            while len(trace.rows) < int(self.now) and len(trace.rows) < seconds:
                trace.rows.append((self.limiter.limit, answers, float(tokens), 0))
        return trace

    def fill(self) -> None:
        while self.in_flight < self.limiter.limit:
            self.in_flight += 1
            prompt = max(1.0, 1000.0 * lognormal(self.rng, 1.0))
            self.outside.append([self.now, self.in_flight, self.number, prompt, 0.0156 + prompt / 16_000.0])
        while self.outside and len(self.reading) + len(self.writing) < self.places:
            self.reading.append(self.outside.popleft())

    def read(self) -> tuple[float, list[list[float]]]:
        """Prompt tokens read in this step, and whose first token it makes."""
        read, first = 0.0, []
        while self.reading and read < 512.0:
            job = self.reading[0]
            part = min(512.0 - read, job[3])
            job[3] -= part
            read += part
            if job[3] <= 0.0:
                first.append(self.reading.popleft())
        return read, first
