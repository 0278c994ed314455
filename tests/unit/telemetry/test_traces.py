"""Do all spans reach the exporter or the count of those dropped, whatever it does, and does nobody wait?"""

import threading
from collections.abc import Sequence
from random import Random

import pytest

from gateway import clock
from gateway.messages import Exchange, Trace
from gateway.telemetry.spans import Span
from gateway.telemetry.traces import BATCH, Traces


class Taking:
    """An exporter; `answer` is what it says, and it waits until `may` is set."""

    def __init__(self, answer: bool | Exception = True) -> None:
        self.answer = answer
        self.may = threading.Event()
        self.may.set()
        self.asked = threading.Event()
        self.batches: list[list[Span]] = []
        self.closed = 0

    def export(self, spans: Sequence[tuple[Trace, Span]], offset_s: float) -> bool:
        self.asked.set()
        self.may.wait(30)
        if isinstance(self.answer, Exception):
            raise self.answer
        assert abs(clock.now() + offset_s - clock.wall()) < 5.0
        self.batches.append([span for _, span in spans])
        return self.answer

    def close(self) -> None:
        self.closed += 1


def exchange(number: int = 0, sampled: bool = True) -> Exchange:
    made = Exchange("GET", f"/{number}", "id", "10.0.0.9", 1.0)
    made.ended = 2.0
    trace = made.trace = Trace("a" * 32, "", f"{number + 1:016x}", sampled, Random(1))
    trace.waited("p", 1.0, 1.5)
    trace.attempt("p", "a", "http://a/", 1.5)
    return made


def test_all_are_exported_in_order():
    """Three spans of each, in batches; what is not sampled, or not traced at all, is none."""
    taking = Taking()
    traces = Traces(taking, {})
    for number in range(100):
        traces.add(exchange(number))
        traces.add(exchange(number, sampled=False))
    untraced = exchange()
    untraced.trace = None
    traces.add(untraced)
    traces.close(30.0)
    spans = [span for batch in taking.batches for span in batch]
    servers = [span.attributes["url.path"] for span in spans if span.kind == "server"]
    assert servers == [f"/{number}" for number in range(100)]
    assert (traces.exported, traces.dropped, len(spans), taking.closed) == (300, 0, 300, 1)
    assert max(map(len, taking.batches)) <= 3 * BATCH


def test_nothing_runs_before_the_first():
    """Without requests there is no thread; closing it twice is closing it once."""
    taking, before = Taking(), threading.active_count()
    traces = Traces(taking, {})
    assert threading.active_count() == before
    traces.close()
    traces.close()
    traces.add(exchange())
    assert (traces.exported, traces.dropped, taking.closed) == (0, 3, 1)


@pytest.mark.parametrize("answer", [False, ValueError("broken")])
def test_what_is_not_taken_is_counted(answer, caplog):
    """A collector that refuses, an exporter that crashes: spans are dropped, and the next batch is tried."""
    taking = Taking(answer)
    traces = Traces(taking, {})
    for number in range(3 * BATCH):
        traces.add(exchange(number))
    traces.close(30.0)
    assert (traces.exported, traces.dropped) == (0, 9 * BATCH)
    assert ("ValueError" in caplog.text) == isinstance(answer, ValueError)


def test_a_full_backlog_drops_what_comes():
    """While the exporter hangs, so many requests wait and no more; nobody waits for it but the end, for as
    long as it is told to."""
    taking = Taking()
    taking.may.clear()
    traces = Traces(taking, {}, backlog=20)
    traces.add(exchange())
    assert taking.asked.wait(30)
    for number in range(50):
        traces.add(exchange(number))
    assert traces.dropped == 30 * 3
    traces.close(0.05)
    assert (traces.exported, traces.dropped, taking.closed) == (0, 51 * 3, 1), "those under way among them"
    taking.may.set()
    assert traces._thread is not None
    traces._thread.join(30)
    assert (traces.exported, traces.dropped) == (3, 50 * 3), "one export has come through after all"
