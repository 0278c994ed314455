"""What do Prometheus and its kind get to read? The figures as metric families, and a scrape of them."""

from asyncio import sleep
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TypeVar

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as Shown
from prometheus_client.samples import Sample

from gateway import clock
from gateway.telemetry.exemplars import Exemplar, Labels, latest
from gateway.telemetry.figures import ScrapedBackend, ScrapedCache, ScrapedPool
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.readings import HISTOGRAMS, VALUES, Histograms, Values
from gateway.telemetry.render import OPENMETRICS, TEXT, render, wants_openmetrics
from gateway.telemetry.series import SERIES, Series

#: Samples of a family that are made at once: about 1 ms of work, and as much again to write them.
ROWS = 500

Row = TypeVar("Row")


class Exposition(Collector):
    """Reads `metrics` and the pools at each scrape; owns the registry they are shown through."""

    def __init__(
        self,
        metrics: Metrics,
        pools: Callable[[], Iterable[ScrapedPool]],
        now: Callable[[], float] = clock.now,
        cache: Callable[[], ScrapedCache | None] = lambda: None,
    ) -> None:
        self.metrics = metrics
        self.now = now
        self._pools = pools
        self._cache = cache
        self.registry = CollectorRegistry()
        self.registry.register(self)
        PlatformCollector(self.registry)
        ProcessCollector(registry=self.registry)
        GCCollector(self.registry)

    def __repr__(self) -> str:
        return f"<Exposition of {self.metrics!r}>"

    @property
    def pools(self) -> Iterable[ScrapedPool]:
        """The pools as they are now."""
        return self._pools()

    @property
    def cache(self) -> ScrapedCache | None:
        """The cache, where a route has one."""
        return self._cache()

    def backends(self) -> Iterator[tuple[ScrapedPool, ScrapedBackend]]:
        """Every backend with its pool."""
        for pool in self._pools():
            for backend in pool.backends:
                yield pool, backend

    def collect(self) -> Iterator[Metric]:
        """The families of `SERIES`, in that order, without those that nobody counts.

        Long ones come in parts, each a family of the same name, so that others can be served in between.
        """
        now = self.now()
        for pool in self._pools():
            pool.candidates(now)
        for series in SERIES:
            if series.type == "histogram":
                exemplars = self.metrics.exemplars.of(series.name)
                for part in _parts(HISTOGRAMS[series.name](self), ROWS // (len(series.buckets) + 3)):
                    yield _histogram(series, part, exemplars)
            elif series.name in self.metrics.readers:
                yield _family(series, [((), self.metrics.readers[series.name]())])
            elif series.name in VALUES:
                for values in _parts(VALUES[series.name](self), ROWS):
                    yield _family(series, values)

    async def scrape(self, accept: str = "") -> tuple[bytes, str]:
        """(body, content type) in the format that the request's `Accept` prefers.

        Rendered in slices between which the event loop serves others: many backends make a long text.
        """
        openmetrics = wants_openmetrics(accept)
        parts: list[bytes] = []
        for part in render(self.registry.collect(), openmetrics):
            parts.append(part.encode())
            await sleep(0)
        return b"".join(parts), OPENMETRICS if openmetrics else TEXT


def _parts(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """The rows in lists of so many, at least one, all read at once: what is counted may change in between."""
    read = list(rows)
    for start in range(0, max(len(read), 1), size):
        yield read[start : start + size]


def _family(series: Series, rows: Values) -> Metric:
    kind = CounterMetricFamily if series.type == "counter" else GaugeMetricFamily
    family = kind(series.name, series.help, labels=series.labels, unit=series.unit)
    for labels, value in rows:
        family.add_metric(labels, value)
    return family


def _histogram(series: Series, rows: Histograms, exemplars: Mapping[Labels, dict[int, Exemplar]]) -> Metric:
    """Cumulative buckets of `series.buckets`, which are among the bounds that were counted in."""
    family = HistogramMetricFamily(series.name, series.help, labels=series.labels, unit=series.unit)
    bucket, total, sums = f"{series.name}_bucket", f"{series.name}_count", f"{series.name}_sum"
    uppers = [repr(bound) for bound in series.buckets]
    positions: list[int] = []
    bounds: tuple[float, ...] | None = None
    samples = family.samples
    for values, histogram in rows:
        if histogram.bounds is not bounds:
            bounds = histogram.bounds
            positions = [bisect_right(bounds, upper) - 1 for upper in series.buckets]
        labels = dict(zip(series.labels, values, strict=True))
        counts = list(accumulate(histogram.counts))
        for upper, position in zip(uppers, positions, strict=True):
            samples.append(Sample(bucket, labels | {"le": upper}, counts[position]))
        samples.append(Sample(bucket, labels | {"le": "+Inf"}, counts[-1]))
        if exemplars and values in exemplars:
            _attach(samples, exemplars[values], [*positions, len(counts) - 1])
        samples.append(Sample(total, labels, counts[-1]))
        samples.append(Sample(sums, labels, histogram.sum))
    return family


def _attach(samples: list[Sample], kept: dict[int, Exemplar], positions: list[int]) -> None:
    """Give the last samples, one bucket for each of `positions`, the newest exemplar that is in it alone."""
    offset = clock.wall() - clock.now()
    begin = len(samples) - len(positions)
    first = 0
    for index, last in enumerate(positions, begin):
        one = latest(kept, first, last)
        first = last + 1
        if one is not None:
            shown = Shown({"trace_id": one.trace_id}, one.seconds, round(one.at + offset, 3))
            samples[index] = samples[index]._replace(exemplar=shown)
