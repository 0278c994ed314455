"""How is a candidate measured? Fresh model servers, a fresh proxy, the schedule, and what came of it."""

import asyncio
import gc
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from shutil import rmtree

import uvloop

from benchmarks.rig import machine
from benchmarks.rig.load import LoadFailed
from benchmarks.rig.started import Failed
from benchmarks.shootout.client import Client, Seen
from benchmarks.shootout.figures import counted, figures
from benchmarks.shootout.peers import SETTLE_S, Peer, Running
from benchmarks.shootout.plan import Request
from benchmarks.shootout.scenarios import Scenario
from benchmarks.shootout.servers import Servers
from benchmarks.shootout.texts import Setup

PATIENCE_S = 30.0  # of a client; all attempts of any candidate fit in
AHEAD_S = 0.3  # from the last preparation to the first request
APART_S = 0.037  # candidates measured at the same time get the same requests a little apart, not in one burst

Sample = dict[str, float]
Measured = tuple[Sample, list[Seen]]


class Cell:
    """One candidate with its own model servers, from before its start to the figures; ended on leaving."""

    def __init__(self, peer: Peer, scenario: Scenario, cores: machine.Cores) -> None:
        self.name = peer.name
        self._ended = ExitStack()
        machine.WORK.mkdir(exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f"{peer.name}-", dir=machine.WORK))
        self._ended.callback(rmtree, work, ignore_errors=True)
        try:
            self._servers = self._ended.enter_context(Servers(scenario, cores, work))
            setup = Setup(
                machine.free_port(),
                machine.free_port(),
                self._servers.ports,
                tuple(backend.at_once for backend in scenario.backends),
                work,
                scenario.first_byte_s,
                scenario.streams,
            )
            self._running = self._ended.enter_context(Running(peer, setup, cores))
        except BaseException:
            self._ended.close()
            raise
        self._began_s = self._cpu_s = self._load_cpu_s = self.cores = self.load_cores = 0.0
        self._asked = 0

    def __repr__(self) -> str:
        return f"<Cell {self.name} {self._running!r} {self._servers!r}>"

    def close(self) -> None:
        """End proxy and servers, and clear what they wrote."""
        self._ended.close()

    def wait_ready(self) -> None:
        """Raises `Failed` if the candidate has ended or does not answer."""
        self._running.wait_ready()

    def begin(self, zero: float) -> None:
        """Start the events, remember the counters."""
        self._asked = self._requests()
        self._servers.start(zero)
        self._began_s = time.monotonic()
        self._cpu_s, self._load_cpu_s = self._running.cpu_s(), self._servers.cpu_s()

    async def load(self, schedule: Sequence[Request], zero: float) -> list[Seen]:
        """Send the schedule; CPU time is that until the last request, not of waiting for the last answer."""
        client = Client(self._running.ports, schedule, PATIENCE_S)
        await client.send(zero)
        took_s = time.monotonic() - self._began_s
        self.cores = (self._running.cpu_s() - self._cpu_s) / took_s
        self.load_cores = (self._servers.cpu_s() - self._load_cpu_s) / took_s
        return await client.finish()

    def sample(self, everything: Sequence[Seen]) -> Measured:
        """The figures, and the requests that count; raises `Failed` if the candidate has ended."""
        self._running.check_alive()
        seen = counted(everything)
        sample = figures(seen, PATIENCE_S)
        sample |= {
            "errors_percent": 100 * sample["errors_share"],
            "attempts": (self._requests() - self._asked) / max(1, len(everything)),
            "cores": self.cores,
        }
        for number, counts in enumerate(self._servers.stats()):
            sample[f"requests_at_{number}"] = float(counts["requests"])
        return sample, seen

    def _requests(self) -> int:
        return sum(counts["requests"] for counts in self._servers.stats())


def measure(
    group: Sequence[Peer],
    scenario: Scenario,
    schedule: Sequence[Request],
    warm_up_s: float,
    cores: machine.Cores,
) -> dict[str, Measured | Exception]:
    """Measure the group's candidates, all at the same time; what failed is given in place of its figures."""
    found: dict[str, Measured | Exception] = {}
    with ExitStack() as ended:
        cells: list[Cell] = []
        for peer in group:
            try:
                cells.append(Cell(peer, scenario, cores))
                ended.callback(cells[-1].close)
            except (Failed, LoadFailed) as error:
                found[peer.name] = error
        for cell in list(cells):
            try:
                cell.wait_ready()
            except Failed as error:
                found[cell.name] = error
                cells.remove(cell)
        time.sleep(SETTLE_S)
        answers, own_cores = uvloop.run(_together(cells, schedule, warm_up_s))
        load_cores = own_cores + sum(cell.load_cores for cell in cells)  # they share one
        for cell, seen in zip(cells, answers, strict=True):
            try:
                sample, kept = cell.sample(seen)
            except (Failed, LoadFailed) as error:
                found[cell.name] = error
            else:
                found[cell.name] = sample | {"load_cores": load_cores}, kept
    return found


async def _together(
    cells: Sequence[Cell], schedule: Sequence[Request], warm_up_s: float
) -> tuple[list[list[Seen]], float]:
    """Send the schedule to each, with no pause of the collector; what was seen, and the cores it took."""
    gc.collect()
    gc.freeze()
    gc.disable()
    began_s, cpu_s = time.monotonic(), time.process_time()
    try:
        zeros = [began_s + AHEAD_S + warm_up_s + number * APART_S for number in range(len(cells))]
        for cell, zero in zip(cells, zeros, strict=True):
            cell.begin(zero)
        loads = (cell.load(schedule, zero) for cell, zero in zip(cells, zeros, strict=True))
        seen = list(await asyncio.gather(*loads))
        return seen, (time.process_time() - cpu_s) / (time.monotonic() - began_s)
    finally:
        gc.enable()
        gc.unfreeze()
