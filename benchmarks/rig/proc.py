"""What has a process used, and how is it started and ended? CPU and memory come from /proc."""

import ctypes
import os
import resource
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
STOP_S = 5.0


@dataclass(frozen=True, slots=True)
class Stat:
    """The parts of /proc/PID/stat that are used; `cpu_ticks` includes children that have ended."""

    pid: int
    parent: int
    cpu_ticks: int


def parse_stat(text: str) -> Stat:
    """Read one line of /proc/PID/stat (proc(5)); the name in brackets may itself hold spaces and brackets."""
    pid, _, rest = text.partition(" (")
    fields = rest[rest.rindex(")") + 2 :].split()
    return Stat(int(pid), int(fields[1]), sum(int(ticks) for ticks in fields[11:15]))


def parse_status(text: str, key: str) -> int:
    """The value of `key` in /proc/PID/status in bytes (its kB are KiB); 0 where it is absent."""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) * 1024
    return 0


def descendants(stats: Sequence[Stat], root: int) -> list[Stat]:
    """`root` and everything below it, from a listing of all processes."""
    kids: dict[int, list[Stat]] = {}
    for stat in stats:
        kids.setdefault(stat.parent, []).append(stat)
    found = [stat for stat in stats if stat.pid == root]
    for stat in found:  # grows while it is walked
        found.extend(kids.get(stat.pid, ()))
    return found


def read_tree(root: int) -> list[Stat]:
    """`root` and its living descendants, now."""
    stats: list[Stat] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stats.append(parse_stat((entry / "stat").read_text()))
            except OSError:  # it has ended meanwhile
                continue
    return descendants(stats, root)


def cpu_s(root: int) -> float:
    """CPU seconds, user and system, of `root`, its living descendants and those that have ended."""
    return sum(stat.cpu_ticks for stat in read_tree(root)) * TICK_S


def memory_bytes(root: int, key: str = "VmRSS") -> int:
    """Resident memory of `root` and its descendants (`VmHWM`: the sum of their peaks)."""
    total = 0
    for stat in read_tree(root):
        try:
            total += parse_status(Path(f"/proc/{stat.pid}/status").read_text(), key)
        except OSError:
            continue
    return total


def open_files(pid: int) -> int:
    """How many files and sockets `pid` has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def raise_files(wanted: int) -> int:
    """Raise the limit of open files, which children inherit, to `wanted` if possible; returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return soft
    for limits in ((wanted, max(wanted, hard)), (min(wanted, hard), hard)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            return limits[0]
        except (OSError, ValueError):
            continue
    return soft


class Process:
    """One started program, pinned to `cpus`; its errors go to a file whose end is shown when it fails."""

    def __init__(
        self,
        command: Sequence[str],
        cpus: Sequence[int],
        errors: Path,
        stdout: IO[bytes] | int = subprocess.DEVNULL,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        self.command = list(command)
        self._errors = errors
        prctl = ctypes.CDLL(None).prctl

        def prepare() -> None:
            os.sched_setaffinity(0, cpus)
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # not even a killed benchmark leaves a proxy behind

        with errors.open("wb") as sink:
            self._popen = (
                subprocess.Popen(  # a session of its own: Ctrl-C reaches the benchmark, which ends it
                    command,
                    stdin=stdin,
                    stdout=stdout,
                    stderr=sink,
                    preexec_fn=prepare,
                    start_new_session=True,
                )
            )

    def __repr__(self) -> str:
        return f"<Process {self.pid} {self.command[0]}>"

    def __enter__(self) -> "Process":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def stdout(self) -> IO[bytes]:
        """The pipe asked for with `stdout=subprocess.PIPE`."""
        assert self._popen.stdout is not None
        return self._popen.stdout

    def running(self) -> bool:
        return self._popen.poll() is None

    def complaint(self) -> str:
        """The last of what it wrote to standard error."""
        return self._errors.read_text(errors="replace")[-1500:].strip() or "(nothing on standard error)"

    def close_input(self) -> None:
        """End its standard input, asked for with `stdin=subprocess.PIPE`."""
        if self._popen.stdin is not None:
            self._popen.stdin.close()

    def wait(self, seconds: float) -> int:
        """Its exit code; raises `subprocess.TimeoutExpired` after `seconds`."""
        return self._popen.wait(seconds)

    def stop(self) -> None:
        """SIGTERM, then SIGKILL to it and what it started; returns when it is gone."""
        if self.running():
            self._popen.terminate()
            deadline = time.monotonic() + STOP_S
            while self.running() and time.monotonic() < deadline:
                time.sleep(0.02)
        if self.running():
            for stat in read_tree(self.pid):
                os.kill(stat.pid, signal.SIGKILL)
        self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                pipe.close()
