"""Does each request leave one honest line, and can neither a stranger nor a stuck output do harm?"""

import asyncio
import json
import re
import threading
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import clock
from gateway.messages import Exchange, Trace
from gateway.tasks import Tasks
from gateway.telemetry import access_log
from gateway.telemetry.access_log import AccessLog, Line
from gateway.telemetry.writer import Writer

FIELDS = [
    *(
        "time",
        "request_id",
        "client",
        "method",
        "path",
        "route",
        "pool",
        "backend",
        "model",
        "status",
        "error",
    ),
    *("attempts", "stream", "bytes_in", "bytes_out", "duration_ms", "first_byte_ms", "overhead_ms"),
]


def exchange(**more) -> Exchange:
    made = Exchange("POST", "/v1/chat", "req-1", "10.0.0.9", clock.now())
    made.ended = made.started + 0.25
    for name, value in more.items():
        setattr(made, name, value)
    return made


async def written(*exchanges: Exchange) -> list[dict[str, object]]:
    out: list[bytes] = []
    log = AccessLog(out.append)
    for one in exchanges:
        log.add(one)
    await log.close()
    assert log.dropped == 0
    return [json.loads(line) for line in b"".join(out).split(b"\n")[:-1]]


async def test_a_line_says_what_happened():
    """Every field is there, in order, times in milliseconds, with what the exchange held."""
    started = clock.now()
    (line,) = await written(
        exchange(
            started=started,
            ended=started + 1.5,
            sent=started + 0.001,
            first_byte=started + 0.201,
            overhead_s=0.000321,
            route="chat",
            pool="gpus",
            backend="gpu-1",
            model="llama",
            status=200,
            attempts=2,
            stream=True,
            bytes_in=1000,
            bytes_out=600,
            wall=1_700_000_000.25,
        )
    )
    assert list(line) == [*FIELDS, "sent_ms"]
    assert line | {"time": ""} == {
        "time": "",
        "request_id": "req-1",
        "client": "10.0.0.9",
        "method": "POST",
        "path": "/v1/chat",
        "route": "chat",
        "pool": "gpus",
        "backend": "gpu-1",
        "model": "llama",
        "status": 200,
        "error": None,
        "attempts": 2,
        "stream": True,
        "bytes_in": 1000,
        "bytes_out": 600,
        "duration_ms": 1500.0,
        "first_byte_ms": 200.0,
        "overhead_ms": 0.321,
        "sent_ms": 1.0,
    }
    assert line["time"] == clock.iso(1_700_000_000.25) == "2023-11-14T22:13:20.250Z"


async def test_wall_time_is_worked_out_when_nobody_noted_it():
    """Without `wall` the line's time is that of `started`, by the clock on the wall."""
    before = clock.iso(clock.wall() - 60.0)
    (line,) = await written(exchange(started=clock.now() - 60.0))
    assert before <= line["time"] <= clock.iso(clock.wall() - 59.0)


async def test_lines_of_one_second_and_of_the_next_have_their_own_times():
    """The remembered part of the time does not stick."""
    lines = await written(*(exchange(wall=1_700_000_000.0 + i * 0.75) for i in range(4)))
    assert [line["time"][17:] for line in lines] == ["20.000Z", "20.750Z", "21.500Z", "22.250Z"]


async def test_traceparent_is_there_only_when_set():
    """The trace of a request that belongs to one is logged."""
    without, with_one = await written(exchange(), exchange(traceparent="00-abc-def-01"))
    assert "traceparent" not in without
    assert with_one["traceparent"] == "00-abc-def-01"


async def test_the_trace_s_id_is_the_gateway_s_or_the_client_s():
    """With tracing it is that of the request's trace; without, what the client says, if well formed."""
    client, own = "a" * 32, "b" * 32
    sent = f"00-{client}-{'1' * 16}-00"
    trace = Trace(own, "", "2" * 16, False, Random(1))
    lines = await written(
        exchange(),
        exchange(traceparent="00-abc-def-01"),
        exchange(traceparent=sent),
        exchange(traceparent=sent, trace=trace),
    )
    assert [line.get("trace_id") for line in lines] == [None, None, client, own]


async def test_waits_are_there_only_when_there_were_any():
    """Milliseconds in the queue, and for connections; none for a request that no backend was asked for."""
    without, with_both = await written(exchange(), exchange(queued_s=0.25, connect_s=0.0125))
    assert not {"queued_ms", "connect_ms", "sent_ms"} & without.keys()
    assert (with_both["queued_ms"], with_both["connect_ms"]) == (250.0, 12.5)


async def test_tokens_are_there_only_when_known():
    """What a streamed answer took, without usage, with it, and of an answer that is none of a model's."""
    started = clock.now()
    none, counted, told, whole = await written(
        exchange(),
        exchange(sent=started, first_token=started + 0.5, completion_tokens=7),
        exchange(sent=started, first_token=started + 0.25, prompt_tokens=12, completion_tokens=0),
        exchange(prompt_tokens=12, completion_tokens=3),
    )
    fields = ("ttft_ms", "prompt_tokens", "completion_tokens")
    assert not none.keys() & set(fields)
    assert [counted.get(field) for field in fields] == [500.0, None, 7]
    assert [told.get(field) for field in fields] == [250.0, 12, 0]
    assert [whole.get(field) for field in fields] == [None, 12, 3]


async def test_a_request_that_never_got_anywhere():
    """No backend, no first byte: nulls and zeros, never a negative time."""
    (line,) = await written(exchange(ended=0.0, status=404, error="route_not_found"))
    assert line["first_byte_ms"] is None
    assert line["duration_ms"] == 0.0
    assert line["error"] == "route_not_found"


@given(st.text(max_size=600), st.text(max_size=600), st.text(max_size=600))
def test_nobody_can_forge_a_line(path, model, request_id):
    """Whatever a client sends stays one line of JSON, valid UTF-8, printable, 256 characters a field."""
    out: list[bytes] = []
    log = AccessLog(out.append)
    log.add(exchange(path=path, model=model, request_id=request_id))
    asyncio.run(log.close())
    (data,) = out
    text = data.decode()
    assert data.count(b"\n") == 1 and data.endswith(b"\n")
    assert all(c.isprintable() or c == "\x7f" for c in text[:-1])
    line = json.loads(text)
    if path.isascii():
        assert line["path"] == path[:256]


@pytest.mark.parametrize(
    ("raw", "logged"),
    [
        ('x","status":200,"y":"', 'x","status":200,"y":"'),
        ("a\r\nb\x1b[2J", "a\r\nb\x1b[2J"),
        ("a\x9b2J", "a\\x9b2J"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("\ud800", "\\ud800"),
        ("x" * 300, "x" * 256),
        ("ж" * 300, "ж" * 256),
    ],
)
async def test_hostile_text(raw, logged):
    """Quotes, line ends, terminal orders and half characters arrive as text, not as what they pretend."""
    (line,) = await written(exchange(model=raw))
    assert line["model"] == logged


async def test_when_off_nothing_is_kept():
    """A log that is off costs no memory and starts no thread."""
    out: list[bytes] = []
    log = AccessLog(out.append, enabled=False)
    log.add(exchange())
    await log.close()
    assert out == [] and log.dropped == 0


async def test_the_service_writes_while_running():
    """A line is written soon, without waiting for the end."""
    out: list[bytes] = []
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()

    def write(data: bytes) -> None:
        out.append(data)
        loop.call_soon_threadsafe(arrived.set)

    tasks, log = Tasks(), AccessLog(write)
    tasks.service("access log", log.run)
    for _ in range(access_log.AT_ONCE + 1):
        log.add(exchange())
    await asyncio.wait_for(arrived.wait(), 10)
    await tasks.close()
    await log.close()
    assert sum(data.count(b"\n") for data in out) == access_log.AT_ONCE + 1


async def test_a_stuck_output_costs_lines_not_time():
    """With nobody reading: `add`, flushing and closing go on, memory is bounded, lost lines are counted."""
    release = threading.Event()
    out: list[bytes] = []

    def stuck(data: bytes) -> None:
        release.wait(30)
        out.append(data)

    log = AccessLog(stuck)
    log._writer = Writer("access-log", stuck, backlog=1000)
    total = 3 * access_log.AT_ONCE
    for _ in range(total):
        log.add(exchange())
    await log.close(timeout_s=0.05)
    assert log.dropped == total
    release.set()


async def test_a_line_that_cannot_be_made_does_not_stand_in_the_way(caplog):
    """A fault in one exchange costs its batch, counted and reported; what comes after is written."""
    out: list[bytes] = []
    log = AccessLog(out.append)
    log.add(exchange(path=None))
    log._flush_slice()
    log.add(exchange())
    await log.close()
    assert log.dropped == 1 and b"".join(out).count(b"\n") == 1
    assert "1 access log lines could not be formatted" in caplog.text


async def test_what_waits_is_bounded_even_when_the_service_has_stopped():
    """Under load lines are formatted by `add` itself: nothing piles up, nothing is lost."""
    out: list[bytes] = []
    log = AccessLog(out.append)
    for _ in range(5 * access_log.AT_ONCE + 3):
        log.add(exchange())
        assert len(log._waiting) < access_log.AT_ONCE
    await log.close()
    assert log.dropped == 0
    assert b"".join(out).count(b"\n") == 5 * access_log.AT_ONCE + 3


def test_each_field_is_in_the_manual():
    """docs/logs.md has a row that tells of it, and of no other."""
    manual = (Path(__file__).parents[3] / "docs" / "logs.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]*`) \|", manual, re.MULTILINE)
    assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] != []
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(Line.__struct_fields__)
