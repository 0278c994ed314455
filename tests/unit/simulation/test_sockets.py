"""Connections to simulated machines, as the gateway sees them."""

from typing import cast

import pytest

from gateway.ports import Client
from gateway.simulation.batching import BatchMachine
from gateway.simulation.clients import SimulatedClient
from gateway.simulation.engine import Engine
from gateway.simulation.machines import Machine, Mode
from gateway.simulation.scenario import Steps
from gateway.simulation.schedule import Schedule
from gateway.simulation.slots import SlotMachine
from gateway.simulation.sockets import SimulatedConnections, SimulatedUpstream
from gateway.simulation.task import Task

SINK = cast(Client, SimulatedClient(Engine(), lambda error: None))
ALIKE = Steps(a=0.1, b=0.0, prefill=1e9, chunk=500)


class Rig:
    """One gateway's connections to a machine, and the times at which its scripts were woken."""

    def __init__(self, machine: Machine) -> None:
        self.engine = machine.engine
        self.tasks: dict[int, Task] = {}
        self.connections = SimulatedConnections(self.engine, machine, self.tasks)
        self.woken: list[float] = []
        self.relayed: list[SimulatedUpstream] = []  # whose answer is to be relayed when it comes

    def wake(self) -> None:
        self.woken.append(self.engine.now)
        for upstream in [one for one in self.relayed if one.answered() is not None]:
            self.relayed.remove(upstream)
            upstream.stream_to(SINK, upstream.task.stream)

    def open(self) -> SimulatedUpstream:
        dialing = self.connections.connect(self.wake)
        self.engine.run(self.engine.now + 0.001)
        self.woken.clear()
        assert dialing.connection is not None
        return dialing.connection

    def relay(self, upstream: SimulatedUpstream, task: Task) -> SimulatedUpstream:
        """Send, and relay the answer as soon as it has begun."""
        self.relayed.append(upstream)
        return self.send(upstream, task)

    def send(self, upstream: SimulatedUpstream, task: Task) -> SimulatedUpstream:
        self.tasks[task.number] = task
        upstream.send(b"POST /%d HTTP/1.1\r\n\r\n" % task.number, [], False, False, self.wake)
        return upstream


@pytest.fixture
def slots() -> Rig:
    return Rig(SlotMachine(Engine(), "m", Schedule(1.0), 2))


@pytest.fixture
def batching() -> Rig:
    return Rig(BatchMachine(Engine(), "m", Schedule(1.0), 8, ALIKE))


def test_a_whole_answer_comes_with_its_end(slots: Rig) -> None:
    """Head and end together, after the task's work."""
    upstream = slots.send(slots.open(), Task(17, 0.0, work_s=2.0))
    assert upstream.answered() is None
    slots.engine.run(10.0)
    head = upstream.answered()
    assert head is not None
    assert (head.status, upstream.complete, upstream.content_length) == (200, True, 0)
    assert slots.woken == [pytest.approx(2.001)]
    assert upstream.touched == pytest.approx(2.001)


def test_connections_are_kept_and_used_again(slots: Rig) -> None:
    """Only after an answer was taken to its end, and while the machine listens."""
    assert slots.connections.take() is None
    upstream = slots.send(slots.open(), Task(1, 0.0, work_s=1.0))
    slots.engine.run(2.0)
    upstream.release(True)
    again = slots.connections.take()
    assert again is not None
    assert again.reused
    assert slots.connections.take() is None
    slots.send(again, Task(2, 2.0, work_s=1.0)).release(True)
    assert slots.connections.idle == 0


def test_no_connection_is_kept_to_a_machine_that_ends(slots: Rig) -> None:
    """It has finished what it had, and closes."""
    upstream = slots.send(slots.open(), Task(1, 0.0, work_s=1.0))
    slots.connections.machine.stop_listening()
    slots.engine.run(2.0)
    assert upstream.complete
    upstream.release(True)
    assert slots.connections.idle == 0


def test_giving_a_connection_up_cancels_the_job(slots: Rig) -> None:
    """Its slot is free at once, and nobody is woken for it any more."""
    upstream = slots.send(slots.open(), Task(1, 0.0, work_s=5.0))
    machine = slots.connections.machine
    assert machine.inside == 1
    upstream.release(False)
    assert machine.inside == 0
    slots.engine.run(10.0)
    assert slots.woken == []


def test_an_error_is_an_answer(slots: Rig) -> None:
    """With its status and the seconds to wait."""
    machine = slots.connections.machine
    machine.most, machine.retry_after_s = 0, 3.0
    upstream = slots.send(slots.open(), Task(1, 0.0, work_s=1.0))
    slots.engine.run(1.0)
    head = upstream.answered()
    assert head is not None
    assert (head.status, head.retry_after, upstream.complete) == (429, b"3", True)


def test_a_machine_that_is_down_refuses_connections(slots: Rig) -> None:
    """After a millisecond; idle connections are gone; a dial given up tells nobody."""
    slots.connections.idle = 3
    slots.connections.machine.turn(Mode.DOWN)
    assert slots.connections.take() is None
    dialing = slots.connections.connect(slots.wake)
    slots.connections.connect(slots.wake).give_up()
    slots.engine.run(1.0)
    assert dialing.connection is None
    assert dialing.error is not None
    assert dialing.error.kind == "connect_error"
    assert slots.woken == [0.001]


def test_a_machine_going_down_breaks_exchanges(batching: Rig) -> None:
    """With `reset`, streams included, whose tokens count up to there."""
    upstream = batching.relay(batching.open(), Task(1, 0.0, prompt=1, output=100, stream=True))
    batching.engine.run(1.05)
    batching.connections.machine.turn(Mode.DOWN)
    assert upstream.error is not None
    assert upstream.error.kind == "reset"
    assert (batching.connections.pieces, batching.connections.streams) == (10, 0)
    upstream.release(False)
    assert batching.connections.idle == 0


def test_pieces_count_every_token_of_every_stream(batching: Rig) -> None:
    """n more for each step of n streams, read at any moment; answers that come whole add none."""
    first = batching.relay(batching.open(), Task(1, 0.0, prompt=1, output=1000, stream=True))
    seen = []
    for moment in (0.05, 0.15, 0.55):
        batching.engine.run(moment)
        seen.append(batching.connections.pieces)
    assert seen == [0, 1, 5]
    second = batching.relay(batching.open(), Task(2, 0.0, prompt=1, output=5, stream=True))
    batching.relay(batching.open(), Task(3, 0.0, prompt=1, output=5, stream=False))
    batching.engine.run(0.75)  # the second's first token has come
    assert batching.connections.pieces == 7 + 1
    batching.engine.run(2.05)
    assert batching.connections.pieces == 20 + 5
    assert (second.complete, second.streaming, first.streaming) == (True, False, True)
    first.release(False)
    batching.engine.run(5.0)
    assert batching.connections.pieces == 20 + 5


def test_pieces_are_each_gateway_s_own(batching: Rig) -> None:
    """Two gateways at one machine: neither sees the other's tokens."""
    other = Rig(batching.connections.machine)
    batching.relay(batching.open(), Task(1, 0.0, prompt=1, output=100, stream=True))
    other.relay(other.open(), Task(1, 0.0, prompt=1, output=3, stream=True))
    batching.engine.run(1.05)
    assert batching.connections.pieces == 10
    assert other.connections.pieces == 3


def test_a_stream_is_touched_as_long_as_its_machine_moves() -> None:
    """What the idle timeout goes by: a machine that stands still sends nothing."""
    machine = BatchMachine(Engine(), "m", Schedule(1.0, [(2.0, 0.0)]), 8, ALIKE)
    rig = Rig(machine)
    upstream = rig.relay(rig.open(), Task(1, 0.0, prompt=1, output=100, stream=True))
    assert upstream.touched == 0.0
    rig.engine.run(1.0)
    assert upstream.touched == 1.0
    rig.engine.run(60.0)
    assert upstream.touched == 2.0


def test_an_answer_nobody_relays_is_not_counted(batching: Rig) -> None:
    """That of a second attempt which lost, say."""
    upstream = batching.send(batching.open(), Task(1, 0.0, prompt=1, output=5, stream=True))
    batching.engine.run(0.25)
    assert upstream.answered() is not None
    upstream.release(False)
    batching.engine.run(1.0)
    assert batching.connections.pieces == 0


@pytest.mark.parametrize(("honours", "told_at"), [(True, 0.5), (False, 1.5)])
def test_whoever_leaves_hears_whether_the_machine_stops(honours: bool, told_at: float) -> None:
    """At once if it does; after the second that a backend is given, if not."""
    rig = Rig(SlotMachine(Engine(), "m", Schedule(1.0), 2, honours))
    upstream = rig.send(rig.open(), Task(1, 0.0, work_s=5.0))
    rig.engine.run(0.5)
    told: list[tuple[float, bool]] = []
    upstream.leave(lambda freed: told.append((rig.engine.now, freed)))
    rig.engine.run(10.0)
    assert told == [(told_at, honours)]
    assert rig.woken == []
