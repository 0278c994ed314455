"""How does the benchmark run its model servers? One process, ports nobody else is given, a line to it."""

import json
import random
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from benchmarks.rig import machine, proc
from benchmarks.rig.load import LoadFailed
from benchmarks.shootout.plan import as_json
from benchmarks.shootout.scenarios import Scenario

FIRST_PORT = 20_000
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def quiet_ports(count: int, rng: random.Random) -> list[int]:
    """Free ports below those the kernel gives to outgoing connections: one that is closed for a while must
    not be taken meanwhile."""
    below = int(RANGE.read_text().split()[0]) if RANGE.exists() else 32_768
    if below < FIRST_PORT + 10 * count:
        raise machine.Missing(f"outgoing connections begin at port {below}: see {RANGE}")
    found: list[int] = []
    for port in rng.sample(range(FIRST_PORT, below), below - FIRST_PORT):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            break
    return found


class Servers:
    """The model servers of one measurement; ended on leaving."""

    def __init__(self, scenario: Scenario, cores: machine.Cores, work: Path) -> None:
        self.ports = tuple(quiet_ports(len(scenario.backends), random.Random()))
        plan = work / "plan.json"
        plan.write_text(as_json(scenario.backends, scenario.events, list(self.ports)))
        command = [sys.executable, "-m", "benchmarks.shootout.model_server", str(plan)]
        self._process = proc.Process(command, cores.load, work / "servers.txt", subprocess.PIPE)
        line = self._process.stdout.readline()
        if not line:
            complaint = self._process.complaint()
            self._process.stop()
            raise LoadFailed(f"the model servers did not start: {complaint}")
        self._control = socket.create_connection(("127.0.0.1", int(line)), timeout=10)
        self._lines = self._control.makefile("rwb")

    def __repr__(self) -> str:
        return f"<Servers pid {self._process.pid} ports {self.ports}>"

    def __enter__(self) -> "Servers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        self._control.close()
        self._process.stop()

    def cpu_s(self) -> float:
        return proc.cpu_s(self._process.pid)

    def start(self, zero: float) -> None:
        """Let the scenario's events happen at their times after `zero` (monotonic)."""
        self._say(f"start {zero!r}")

    def stats(self) -> list[dict[str, int]]:
        """Each backend's counters so far: requests, answered, failed, limited, abandoned."""
        counts: list[dict[str, int]] = json.loads(self._say("stats"))
        return counts

    def _say(self, line: str) -> bytes:
        self._lines.write(line.encode() + b"\n")
        self._lines.flush()
        answer = self._lines.readline()
        if not answer:
            raise LoadFailed(f"the model servers have ended: {self._process.complaint()}")
        return answer
