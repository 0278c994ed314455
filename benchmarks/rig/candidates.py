"""Which proxies are compared, and how is each started? A name, what it needs, the command that runs it."""

import http.client
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from types import TracebackType

from benchmarks.rig import configs, machine, proc
from benchmarks.rig.configs import Setup
from benchmarks.rig.load import Mock
from benchmarks.rig.started import Failed, Started

START_S = 20.0
LOG_S = 3.0
BODY = json.dumps({"model": "bench-a", "messages": [{"role": "user", "content": "Say hello."}]})


@dataclass(frozen=True, slots=True)
class Candidate:
    """One row of the table. `command` writes what the program needs into the setup's directory."""

    name: str
    command: Callable[[Setup], list[str]] | None  # None: no proxy at all
    logs: bool = False
    caches: bool = False


def _write(setup: Setup, name: str, text: str) -> str:
    path = setup.work / name
    path.write_text(text)
    return str(path)


def _nginx(setup: Setup) -> list[str]:
    return [
        machine.tool("nginx"),
        "-p",
        str(setup.work),
        "-c",
        _write(setup, "nginx.conf", configs.nginx(setup)),
    ]


def _haproxy(setup: Setup) -> list[str]:
    return [machine.tool("haproxy"), "-db", "-f", _write(setup, "haproxy.cfg", configs.haproxy(setup))]


def _varnish(setup: Setup) -> list[str]:
    machine.tool("cc")  # it compiles its configuration
    command = [machine.tool("varnishd"), "-F", "-j", "none", "-n", str(setup.work / "varnish")]
    command += ["-a", f"127.0.0.1:{setup.port}", "-f", _write(setup, "varnish.vcl", configs.varnish(setup))]
    return [*command, *configs.VARNISH_OPTIONS]


def _aiohttp(setup: Setup) -> list[str]:
    ports = [str(port) for port in (setup.port, *setup.backends)]
    return [sys.executable, "-m", "benchmarks.rig.aiohttp_proxy", *ports]


def _gateway(setup: Setup) -> list[str]:
    if importlib.util.find_spec("gateway.__main__") is None:
        raise machine.Missing(f"the gateway cannot be run by {sys.executable}: pip install -e .")
    config = _write(setup, "gateway.yaml", configs.gateway(setup))
    return [sys.executable, "-m", "gateway", "run", "-c", config]


CANDIDATES = {
    candidate.name: candidate
    for candidate in (
        Candidate("direct", None),
        Candidate("nginx", _nginx),
        Candidate("nginx-log", _nginx, logs=True),
        Candidate("haproxy", _haproxy),
        Candidate("aiohttp", _aiohttp),
        Candidate("gateway", _gateway, logs=True),
        Candidate("gateway-log-off", _gateway),
        Candidate("nginx-cache", _nginx, caches=True),
        Candidate("varnish", _varnish, caches=True),
        Candidate("gateway-cache", _gateway, logs=True, caches=True),
        Candidate("gateway-cache-log-off", _gateway, caches=True),
    )
}
PROXIES = [candidate.name for candidate in CANDIDATES.values() if not candidate.caches]


class Running(Started):
    """A started candidate: the port to load, the process whose cost counts. Ended and cleared on leaving."""

    def __init__(self, candidate: Candidate, mock: Mock, cores: machine.Cores, setup: Setup) -> None:
        super().__init__(candidate.name, setup.work)
        self.mock = mock
        self.cores = cores
        self._setup = setup
        self._log_read = self._log_lines = 0
        self.port, self.pid = mock.ports[0], mock.pid
        if candidate.command is None:
            return
        command = candidate.command(setup)
        with self._output.open("wb") as output:
            self.process = proc.Process(command, cores.proxy, setup.work / "errors.txt", stdout=output)
        self.port, self.pid = setup.port, self.process.pid

    def __repr__(self) -> str:
        return f"<Running {self.name} pid {self.pid} port {self.port}>"

    @property
    def _output(self) -> Path:
        """Where standard output goes; the same file as the access log of a proxy that writes it by itself."""
        return self._setup.access_log or self._setup.work / "output.txt"

    def log_lines(self) -> int:
        """How many lines the access log has by now; 0 for a candidate without one."""
        if self._setup.access_log is not None:
            with self._setup.access_log.open("rb") as file:
                file.seek(self._log_read)
                while block := file.read(1 << 20):
                    self._log_read += len(block)
                    self._log_lines += block.count(b"\n")
        return self._log_lines

    def wait_logged(self, lines: int) -> int:
        """Wait until the access log has `lines`, at most `LOG_S`; how many it has. At once without a log."""
        deadline = time.monotonic() + LOG_S
        while (seen := self.log_lines()) < lines and self._setup.access_log and time.monotonic() < deadline:
            time.sleep(0.02)
        return seen

    def wait_ready(self) -> None:
        """Wait until it answers a request as the mock itself does; raise `Failed` after `START_S`."""
        expected = ask(self.mock.ports[0])
        deadline = time.monotonic() + START_S
        got = "no answer yet"
        while time.monotonic() < deadline:
            self.check_alive()
            try:
                got = ask(self.port)
            except (OSError, http.client.HTTPException) as error:
                got = repr(error)
            if got == expected:
                return
            time.sleep(0.05)
        raise Failed(f"{self.name} does not answer as the mock does: {got[:300]}\n{self.complaint()}")


def ask(port: int) -> str:
    """One chat request; status and body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", "/v1/chat/completions", BODY, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return f"{answer.status} {answer.read().decode(errors='replace')}"
    finally:
        connection.close()


class Rig:
    """Owns the mock of one benchmark run and starts candidates in front of it."""

    def __init__(self, cores: machine.Cores, streams: bool, connections: int) -> None:
        self.cores = cores
        self.mock = Mock(cores)
        self._streams = streams
        self._connections = connections

    def __enter__(self) -> "Rig":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.mock.stop()

    def start(self, name: str) -> Running:
        """Start one candidate afresh; `Running.wait_ready` comes next. Raises `machine.Missing`."""
        candidate = CANDIDATES[name]
        work = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=machine.WORK))
        setup = Setup(
            port=machine.free_port(),
            admin_port=machine.free_port(),
            backends=self.mock.ports,
            work=work,
            connections=self._connections,
            streams=self._streams,
            caches=candidate.caches,
            access_log=work / "access.log" if candidate.logs else None,
        )
        try:
            return Running(candidate, self.mock, self.cores, setup)
        except BaseException:
            rmtree(work, ignore_errors=True)
            raise


def missing(names: Sequence[str]) -> dict[str, str]:
    """Those of `names` that cannot be run here, each with the reason and what to install."""
    reasons: dict[str, str] = {}
    for name in names:
        command = CANDIDATES[name].command
        if command is None:
            continue
        with tempfile.TemporaryDirectory() as work:
            try:
                command(Setup(port=1, admin_port=2, backends=(3,), work=Path(work)))
            except machine.Missing as reason:
                reasons[name] = str(reason)
    return reasons
