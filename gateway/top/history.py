"""What is remembered while somebody watches? The last documents, short courses of figures, and silences."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gateway.top.document import Overview
from gateway.top.rates import Figures, figures, restarted

POINTS = 60  # of each course: the last minute, at one document a second
WINDOW_S = 5.0  # what figures look back on: steadier than a second, quick enough to see what one does


@dataclass(slots=True)
class Course:
    """How two figures of one backend, or of all, went; None where one could not be told."""

    rate: deque[float | None] = field(default_factory=lambda: deque(maxlen=POINTS))
    latency: deque[float | None] = field(default_factory=lambda: deque(maxlen=POINTS))


@dataclass(frozen=True, slots=True)
class Silence:
    """The gateway does not answer: since when by the wall clock (seconds since the epoch), and why."""

    since: float
    why: str


class History:
    """What was seen of one gateway, oldest first; nothing in it grows beyond `POINTS` for each backend.

    `figures` look back on `window_s` seconds, as far as they were seen; courses on the time between two
    documents. After a restart both begin anew, the courses with a gap.
    """

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._documents: deque[Overview] = deque()
        self.figures: Figures | None = None
        self.silence: Silence | None = None
        self.restarts = 0
        self.total = Course()
        self.backends: dict[tuple[str, str], Course] = {}

    @property
    def latest(self) -> Overview | None:
        """The last document; while the gateway is silent, the last before."""
        return self._documents[-1] if self._documents else None

    def add(self, overview: Overview) -> None:
        """The gateway has answered."""
        self.silence = None
        before = self.latest
        if before is not None and restarted(before, overview):
            self.restarts += 1
            self._documents.clear()
            before = None
        if before is not None and overview.at_s == before.at_s:
            return  # the same document once more
        self._documents.append(overview)
        while len(self._documents) > 2 and overview.at_s - self._documents[1].at_s >= self._window_s:
            self._documents.popleft()
        self.figures = figures(self._documents[0], overview)
        self._extend(overview, None if before is None else figures(before, overview))

    def failed(self, why: str, wall: float) -> None:
        """It has not, at `wall`; the first time counts, the last reason is kept."""
        since = wall if self.silence is None else self.silence.since
        self.silence = Silence(since, why)

    def course(self, pool: str, backend: str) -> Course:
        """How the backend's figures went; an empty one when there is none of that name."""
        return self.backends.get((pool, backend)) or Course()

    def _extend(self, overview: Overview, between: Figures | None) -> None:
        self.total.rate.append(between.total.per_s if between else None)
        self.total.latency.append(between.total.mean_s if between else None)
        old, self.backends = self.backends, {}
        for key, latency_s in _latencies(overview):
            course = self.backends[key] = old.get(key) or Course()
            flow = between.backends.get(key) if between else None
            course.rate.append(flow.per_s if flow else None)
            course.latency.append(latency_s)


def _latencies(overview: Overview) -> Iterator[tuple[tuple[str, str], float | None]]:
    for pool in overview.pools:
        for backend in pool.backends:
            yield (pool.name, backend.name), backend.latency_s


def highest(courses: Sequence[Course]) -> float:
    """The highest rate in any of the courses: what they are drawn against, side by side."""
    return max((rate for course in courses for rate in course.rate if rate is not None), default=0.0)
