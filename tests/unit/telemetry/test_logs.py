"""Do the program's messages come out as honest lines, at a bearable rate, without holding anybody up?"""

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry import repeats
from gateway.telemetry.logs import Logs, set_up
from gateway.telemetry.repeats import ALLOWED, MAX_KINDS, Repeats

log = logging.getLogger("gateway.test")


@contextmanager
def logging_to(out: list[bytes], form="json", level="info") -> Iterator[Logs]:
    """A context, no fixture: the test runner adds a handler of its own when the test's body begins."""
    logs = set_up(level, form, out.append)
    try:
        yield logs
    finally:
        logs.close()


def lines(out: list[bytes]) -> list[dict[str, str]]:
    return [json.loads(line) for line in b"".join(out).decode().splitlines()]


def test_a_json_line():
    """Time, level, logger, message; nothing else without an exception."""
    out: list[bytes] = []
    with logging_to(out):
        log.info("listening on %s", "127.0.0.1:8080")
    (line,) = lines(out)
    assert line.pop("time").endswith("Z")
    assert line == {"level": "info", "logger": "gateway.test", "message": "listening on 127.0.0.1:8080"}


def test_lines_below_the_level_are_not_written():
    """At `info`, debug messages cost nothing and leave nothing."""
    out: list[bytes] = []
    with logging_to(out):
        log.debug("no")
    assert out == []


def test_an_unknown_level_is_refused_with_what_is_accepted():
    """The text says what to write."""
    with pytest.raises(ValueError, match="debug, info, warning or error"):
        set_up("loud", "json", lambda data: None)


def test_closing_gives_the_root_logger_back():
    """Handlers and level are what they were."""
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    set_up("debug", "text", lambda data: None).close()
    assert (root.level, root.handlers) == before


def test_exceptions_are_told():
    """The traceback is part of the line."""
    out: list[bytes] = []
    with logging_to(out):
        try:
            raise RuntimeError("boom\nfake line")
        except RuntimeError:
            log.exception("it failed")
    (line,) = lines(out)
    assert line["message"] == "it failed"
    assert "RuntimeError: boom" in line["exception"]


def test_a_text_line_cannot_be_forged():
    """Line ends in a message are escaped; a traceback's lines are indented, so none looks like a message."""
    out: list[bytes] = []
    logs = set_up("info", "text", out.append)
    try:
        raise RuntimeError("boom\n2030-01-01T00:00:00.000Z INFO gateway: all is well\x1b[2J")
    except RuntimeError:
        log.exception("bad path %s", "/x\n2030 INFO forged\x1b[31m")
    logs.close()
    text = b"".join(out).decode()
    first, *rest = text.splitlines()
    assert "ERROR   gateway.test: bad path /x\\n2030 INFO forged\\x1b[31m" in first
    assert rest and all(line.startswith("    ") for line in rest)
    assert "\x1b" not in text


def test_a_wrong_logging_call_is_still_a_line():
    """Arguments that do not fit the template neither raise nor vanish."""
    out: list[bytes] = []
    with logging_to(out):
        log.info("%d of %d", 1)
    (line,) = lines(out)
    assert "%d of %d" in line["message"] and "do not fit" in line["message"]


def test_long_messages_are_cut():
    """One message cannot fill the disk."""
    out: list[bytes] = []
    with logging_to(out):
        log.info("x" * 100_000)
    assert len(b"".join(out)) < 10_000


def test_repeated_errors_are_counted_instead(monkeypatch):
    """Of many like errors five are written at once, the rest is a number; other messages are not affected."""
    monkeypatch.setattr(repeats, "WINDOW_S", 3600.0)  # however slow this machine is
    out: list[bytes] = []
    with logging_to(out) as logs:
        for number in range(100):
            log.error("backend %s is gone", number)
        log.error("another matter")
        for number in range(100):
            log.info("an ordinary line %s", number)
    messages = [line["message"] for line in lines(out)]
    gone = [m for m in messages if m.startswith("backend")]
    summary = [m for m in messages if "more like this left out" in m]
    assert gone == [f"backend {n} is gone" for n in range(5)]
    assert summary == ["95 more like this left out: backend %s is gone"]
    assert messages.count("another matter") == 1
    assert len([m for m in messages if m.startswith("an ordinary")]) == 100
    assert logs.suppressed == 95


def test_a_stuck_output_does_not_hold_up_the_caller():
    """Messages beyond the backlog are dropped and counted; logging goes on."""
    release = threading.Event()
    logs = set_up("info", "json", lambda data: release.wait(30))
    logs._writer._backlog = 2000
    for number in range(200):
        log.info("line %s", number)
    assert 100 < logs.dropped < 200
    logs.close(0.01)
    assert logs.dropped == 200
    release.set()


async def test_the_service_says_what_was_left_out(monkeypatch):
    """The count comes even when the storm is over and nothing like it is logged again."""
    monkeypatch.setattr("gateway.telemetry.logs._SWEEP_S", 0.01)
    monkeypatch.setattr(repeats, "WINDOW_S", 0.01)
    monkeypatch.setattr(repeats, "ALLOWED", 0)
    loop, told, out = asyncio.get_running_loop(), asyncio.Event(), []

    def write(data: bytes) -> None:
        out.append(data)
        if b"left out" in data:
            loop.call_soon_threadsafe(told.set)

    logs = set_up("info", "json", write)
    log.error("storm")
    log.error("storm")
    log.error("storm")
    task = asyncio.create_task(logs.run())
    await asyncio.wait_for(told.wait(), 10)
    task.cancel()
    logs.close()
    assert "more like this left out: storm" in lines(out)[-1]["message"]


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0.0, 0.5)), max_size=200))
def test_every_line_is_written_or_counted(events):
    """Written and left out add up, kind by kind, and no window writes more than its share."""
    limiter = Repeats()
    now, written, told, tried = 0.0, 0, 0, 0
    for number, step in events:
        now += step
        tried += 1
        allowed, before = limiter.allow(("x", 40, str(number)), now)
        written += allowed
        told += before
    told += sum(count for _, count in limiter.sweep(float("inf")))
    assert written + told == tried
    assert limiter.suppressed == told


def test_kinds_are_bounded_and_the_rest_share_one_allowance():
    """Thousands of different messages in one instant neither fill memory nor the log."""
    limiter = Repeats()
    allowed = sum(limiter.allow(("x", 40, str(n)), 1.0)[0] for n in range(5000))
    assert allowed == MAX_KINDS + ALLOWED
    assert len(limiter._kinds) <= MAX_KINDS + 1
    assert sum(count for _, count in limiter.sweep(10.0)) == 5000 - allowed
    assert limiter._kinds == {}
