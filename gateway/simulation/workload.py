"""Who asks for what, and when? Arrivals and sizes, drawn from seeded dice.

Token lengths follow published traces by their medians and 99th percentiles, as lognormals through both:

    azure-conversation  prompt 1020 / 4142, output 129 / 601
    azure-code          prompt 1469 / 7436, output 13 / 249
    mooncake            prompt 6909 / 85000, output 350 / 1115

The first two are AzureLLMInferenceTrace_conv and _code of Azure/AzurePublicDataset (Patel et al.,
"Splitwise", ISCA 2024), the third is FAST25-release/traces/conversation_trace of kvcache-ai/Mooncake (Qin et
al., FAST 2025).
In the Azure traces prompt and output lengths do not correlate (-0.11 and 0.00), so they are drawn apart.
Gaps between arrivals have a coefficient of variation of 1.09 in the conversation trace and of 13.2 in the
code trace: `cv`. Service times of classic models: Normal with standard deviation = mean, truncated at 0, as
in Wydrowski et al., "Load is not what you should balance: Introducing Prequal", NSDI 2024.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from random import Random

from gateway.simulation.scenario import Scenario, Work
from gateway.simulation.task import Task

Draw = Callable[[Random], float]

_P99 = 2.3263478740408408  # standard deviations from the median of a Normal to its 99th percentile
LONG_SIGMA = 0.5  # of the logarithm of long outputs
#: Bytes of a JSON body for each prompt token, and beside the prompt: what a gateway sees of a task's size.
BYTES_PER_TOKEN, BYTES_BESIDE = 4, 200


@dataclass(frozen=True, slots=True)
class Lognormal:
    """A lognormal by its median and the standard deviation of its logarithm."""

    median: float
    sigma: float

    @classmethod
    def through(cls, median: float, p99: float) -> "Lognormal":
        return cls(median, log(p99 / median) / _P99)

    @classmethod
    def of(cls, mean: float, cv: float) -> "Lognormal":
        """By its mean and its coefficient of variation."""
        spread = log(1.0 + cv * cv)
        return cls(mean / exp(spread / 2), sqrt(spread))

    @property
    def mean(self) -> float:
        return self.median * exp(self.sigma * self.sigma / 2)

    def draw(self, rng: Random) -> float:
        return self.median * exp(rng.gauss(0.0, self.sigma))


#: Name of a trace → prompt and output lengths, in tokens.
TRACES: dict[str, tuple[Lognormal, Lognormal]] = {
    "azure-conversation": (Lognormal.through(1020, 4142), Lognormal.through(129, 601)),
    "azure-code": (Lognormal.through(1469, 7436), Lognormal.through(13, 249)),
    "mooncake": (Lognormal.through(6909, 85_000), Lognormal.through(350, 1115)),
}


@dataclass(frozen=True, slots=True)
class Means:
    """Of a task on average: seconds of service, prompt tokens, output tokens."""

    work_s: float
    prompt: float
    output: float


def means(work: Work) -> Means:
    prompts, outputs = TRACES[work.trace]
    long = Lognormal(work.long_output, LONG_SIGMA).mean
    return Means(
        service(work)[1], prompts.mean, outputs.mean * (1 - work.long_share) + long * work.long_share
    )


def service(work: Work) -> tuple[Draw, float]:
    """How service times are drawn, and their true mean in seconds: a truncated Normal has 1.29 times the mean
    of the one it was cut from."""
    mean = work.mean_s
    if work.service == "normal":
        # phi(1) / Phi(1), by how much cutting off what is below zero raises the mean
        return (lambda rng: _truncated(rng, mean)), mean * (1.0 + 0.24197072451914337 / 0.8413447460685429)
    if work.service == "lognormal":
        return Lognormal.of(mean, work.service_cv).draw, mean
    if work.service == "exponential":
        return (lambda rng: rng.expovariate(1.0 / mean)), mean
    return (lambda rng: mean), mean


def _truncated(rng: Random, mean: float) -> float:
    while (drawn := rng.gauss(mean, mean)) <= 0.0:
        pass
    return drawn


def gaps(cv: float, rng: Random) -> Iterator[float]:
    """Gaps between arrivals, 1 on average, Gamma with that coefficient of variation: 1 is Poisson, 0 even."""
    shape = 1.0 / (cv * cv) if cv else 0.0
    while True:
        if cv == 1:
            yield rng.expovariate(1.0)
        else:
            yield rng.gammavariate(shape, 1.0 / shape) if cv else 1.0


def arrivals(
    rate: float, cv: float, bursts: Sequence[tuple[float, float, float]], until: float, rng: Random
) -> Iterator[float]:
    """Times of arrival up to `until`: `rate` a second on average, times the factor within each (from, to,
    factor) of `bursts`, which are in order of time and do not overlap."""
    edges = [(0.0, 1.0)]
    for start, end, factor in bursts:
        edges += [(start, factor), (end, 1.0)]
    ends = [*(start for start, _ in edges[1:]), until]
    drawn = gaps(cv, rng)
    now, i = 0.0, 0
    while True:
        left = next(drawn) / rate  # seconds at factor 1
        while now + left / edges[i][1] > min(ends[i], until):
            left -= (min(ends[i], until) - now) * edges[i][1]
            now, i = ends[i], i + 1
            if now >= until:
                return
        now += left / edges[i][1]
        yield now


def tasks(scenario: Scenario, rate: float, seed: int) -> Iterator[Task]:
    """The tasks of `scenario`, `rate` a second, in order of arrival. Times and sizes have dice of their own:
    the same seed asks for the same things at another rate too."""
    work, batching = scenario.work, scenario.machine == "batching"
    dice = Random(f"{seed} sizes")
    prompts, outputs = TRACES[work.trace]
    long = Lognormal(work.long_output, LONG_SIGMA)
    draw, _ = service(work)
    names, shares = list(work.priorities), list(work.priorities.values())
    when = arrivals(rate, work.cv, work.bursts, scenario.duration_s, Random(f"{seed} arrivals"))
    for number, at in enumerate(when):
        priority = names[0] if len(names) == 1 else dice.choices(names, shares)[0]
        if not batching:
            yield Task(number, at, draw(dice), priority=priority, deadline_s=work.deadline_s)
            continue
        drawn = long if work.long_share and dice.random() < work.long_share else outputs
        prompt = max(1, round(prompts.draw(dice)))
        yield Task(
            number,
            at,
            prompt=prompt,
            output=max(1, round(drawn.draw(dice))),
            stream=work.streamed == 1.0 or dice.random() < work.streamed,
            priority=priority,
            deadline_s=work.deadline_s,
            size=BYTES_BESIDE + BYTES_PER_TOKEN * prompt,
        )
