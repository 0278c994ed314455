"""What is there to measure with? Cores, ports, tools, the two C programs, and a description of it all."""

import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
WORK = HERE.parent / "work"
SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/sbin"])
PACKAGES = {
    "cc": "gcc libc6-dev",
    "nginx": "nginx",
    "haproxy": "haproxy",
    "varnishd": "varnish",
    "wrk": "wrk",
}


class Missing(Exception):
    """Something needed is not on this machine; the message says how to get it."""


@dataclass(frozen=True, slots=True)
class Cores:
    """`proxy` has one core to itself, `load` (mock, load generator, this program) the others."""

    proxy: tuple[int, ...]
    load: tuple[int, ...]

    def text(self) -> str:
        def names(cores: Sequence[int]) -> str:
            return ",".join(str(core) for core in cores)

        return f"proxy on core {names(self.proxy)}, mock and load on {names(self.load)}"


def split_cores(available: Sequence[int]) -> Cores:
    """The first core for the proxy, the second for mock and load; on a single core both share it."""
    ordered = sorted(available)
    return Cores((ordered[0],), (ordered[min(1, len(ordered) - 1)],))


def tool(name: str) -> str:
    """The path of a program; raises `Missing` with the package that has it."""
    path = shutil.which(name, path=SYSTEM_PATH)
    if path is None:
        raise Missing(f"{name} is not installed: apt-get install {PACKAGES.get(name, name)}")
    return path


def build(name: str) -> Path:
    """Compile `rig/NAME.c` into the work directory unless done; raises `Missing` without a compiler."""
    source, target = HERE / f"{name}.c", WORK / name
    WORK.mkdir(exist_ok=True)
    if target.exists() and target.stat().st_mtime > source.stat().st_mtime:
        return target
    command = [tool("cc"), "-O2", "-Wall", "-Wextra", "-o", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"cannot compile {source.name} (libc6-dev missing?):\n{done.stderr.strip()}")
    return target


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _version(name: str, flag: str) -> str:
    try:
        done = subprocess.run([tool(name), flag], capture_output=True, text=True, check=False)
    except Missing:
        return "not installed"
    return (done.stdout + done.stderr).strip().splitlines()[0]


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def description() -> dict[str, str]:
    """What to write beside a result so that another can judge it."""
    return {
        "cpu": f"{os.cpu_count()} x {_cpu_model()}",
        "kernel": platform.release(),
        "python": sys.version.split()[0],
        "nginx": _version("nginx", "-v"),
        "haproxy": _version("haproxy", "-v"),
        "varnish": _version("varnishd", "-V"),
        "wrk": _version("wrk", "-v"),
        "load_average": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }
