"""How is load made, and who answers it? The mock, wrk for answers, our own client for streams."""

import json
import subprocess
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rig import machine, proc

BACKENDS = 4
PATIENCE_S = 30
CHATS = ("wrk.lua", "0")


class LoadFailed(Exception):
    """A load generator ended without a result; the message has what it said."""


class Mock:
    """The model server behind every candidate: one process, `BACKENDS` ports."""

    def __init__(self, cores: machine.Cores) -> None:
        program = machine.build("mock")
        command = [str(program), str(BACKENDS)]
        self._process = proc.Process(command, cores.load, machine.WORK / "mock-errors.txt", subprocess.PIPE)
        line = self._process.stdout.readline()
        if not line:
            self._process.stop()
            raise LoadFailed(f"the mock did not start: {self._process.complaint()}")
        self.ports = tuple(int(port) for port in line.split())
        self.pid = self._process.pid

    def __repr__(self) -> str:
        return f"<Mock pid {self.pid} ports {self.ports}>"

    def stats(self) -> dict[str, int]:
        """`answers`, `streams` begun, `ended` complete, `cut` by the other side."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[0]}/stats", timeout=5) as answer:
            counters: dict[str, int] = json.load(answer)
            return counters

    def stop(self) -> None:
        self._process.stop()


def parse_wrk(output: str) -> dict[str, float]:
    """The line our script prints at the end; raises `LoadFailed` where it is missing."""
    for line in output.splitlines():
        if line.startswith("RESULT "):
            figures: dict[str, float] = json.loads(line.removeprefix("RESULT "))
            return figures
    raise LoadFailed(f"wrk gave no result: {output.strip()[-500:] or '(no output)'}")


def wrk(
    port: int,
    connections: int,
    seconds: float,
    cores: machine.Cores,
    work: Path,
    script: Sequence[str] = CHATS,
) -> dict[str, float]:
    """Closed-loop load: requests, seconds, p50_ms, p99_ms, errors (time-outs and bad statuses included).

    `script`: the file that says what is sent, and its arguments.
    """
    command = [
        machine.tool("wrk"),
        "-t1",
        f"-c{connections}",
        f"-d{max(1, round(seconds))}s",
        "--timeout",
        "10s",
    ]
    command += ["-s", str(machine.HERE / script[0]), f"http://127.0.0.1:{port}", "--", *script[1:]]
    output, errors = work / "wrk.txt", work / "wrk-errors.txt"
    with output.open("wb") as sink, proc.Process(command, cores.load, errors, stdout=sink) as process:
        try:
            process.wait(seconds + PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise LoadFailed(f"wrk did not end within {seconds + PATIENCE_S:.0f} s") from None
    return parse_wrk(output.read_text(errors="replace") + errors.read_text(errors="replace"))


@dataclass(frozen=True, slots=True)
class Shape:
    """What a load of streams consists of; `interval_us=0`: connections that are idle after one request."""

    count: int
    interval_us: int = 0
    chunks: int = 0  # of each stream; 0: endless
    chunk_bytes: int = 150


class Streams:
    """Streams, or idle connections, held by one `sse_load` process; ended on leaving.

    `until` is `end` (of every stream), `hold` (until `result` is asked for) or a number of seconds.
    """

    def __init__(
        self, port: int, shape: Shape, cores: machine.Cores, work: Path, *, until: str, timeout_s: int
    ) -> None:
        numbers = (port, shape.count, shape.chunks, shape.interval_us, shape.chunk_bytes)
        texts = [str(number) for number in numbers]
        command = [str(machine.build("sse_load")), *texts, until, str(timeout_s)]
        errors = work / f"sse-load-{shape.count}.txt"
        self._process = proc.Process(command, cores.load, errors, subprocess.PIPE, subprocess.PIPE)

    def __enter__(self) -> "Streams":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()

    def wait_for(self, word: str) -> None:
        """Wait for `ready`, `start` or `stop`; bounded by the program's own time-out."""
        line = self._process.stdout.readline().decode().strip()
        if line != word:
            raise LoadFailed(f"sse_load said {line!r} where {word!r} was due: {self._process.complaint()}")

    def result(self) -> dict[str, float]:
        """End a hold, if it is one, and read the figures."""
        self._process.close_input()
        line = self._process.stdout.readline()
        if not line:
            raise LoadFailed(f"sse_load gave no result: {self._process.complaint()}")
        figures: dict[str, float] = json.loads(line)
        return figures
