"""What stands in for the connections to backends? Machines, behind the protocols of ports.py.

There is no network: what is sent is there at once. Opening a connection takes a millisecond, connections are
kept, and those of a machine that goes down break.
"""

from collections.abc import Callable, Mapping
from functools import partial

from gateway.errors import GatewayError
from gateway.messages import ResponseHead
from gateway.ports import Client
from gateway.simulation.engine import Engine
from gateway.simulation.machines import Job, Machine, Mode
from gateway.simulation.task import Task

CONNECT_S = 0.001
LEFT_S = 1.0  # how long a backend that was left is watched; as http/connections.py has it
#: "POST " comes before the path, which names the task: `/17`.
_PATH_AT = 6


class SimulatedUpstream(Job):
    """One exchange with a machine, as both sides see it; it is its own reader."""

    __slots__ = (
        "_connections",
        "_touched",
        "_wake",
        "complete",
        "content_length",
        "error",
        "head",
        "interim",
        "metered",
        "rest",
        "reused",
        "streaming",
        "switched",
        "writable",
    )

    def __init__(self, connections: "SimulatedConnections", reused: bool) -> None:
        self._connections = connections
        self._wake: Callable[[], None] = _nothing
        self._touched = 0.0
        self.reused = reused
        self.error: GatewayError | None = None
        self.writable = True
        self.complete = False
        self.content_length: int | None = None
        self.head: ResponseHead | None = None
        self.interim: list[ResponseHead] | None = None
        self.switched = False
        self.rest = b""
        self.streaming = False  # the answer has begun, and more is to come
        self.metered = False  # its tokens are being counted

    def __repr__(self) -> str:
        return f"<SimulatedUpstream {self._connections.machine.name}{' done' if self.complete else ''}>"

    # What the gateway calls.

    @property
    def reader(self) -> "SimulatedUpstream":
        return self

    @property
    def touched(self) -> float:
        """When something last came: a stream's tokens come as long as its machine moves."""
        return self._connections.machine.moved_at() if self.streaming else self._touched

    def answered(self) -> ResponseHead | None:
        return self.head

    def send(
        self,
        head: bytes,
        body: list[bytes],
        without_body: bool,
        wants_upgrade: bool,
        wake: Callable[[], None],
    ) -> None:
        super().__init__(self._connections.tasks[int(head[_PATH_AT : head.index(b" ", _PATH_AT)])])
        self._wake = wake
        if self.error is None:
            self._connections.machine.receive(self)

    def take_body(self) -> bytes:
        return b""

    def stream_to(self, sink: Client, metered: bool) -> None:
        """Tokens are not carried, but counted: those so far as one piece, and then each."""
        if not metered:
            return
        connections = self._connections
        connections.passed += 1
        if not self.complete:
            self.metered = True
            connections.streams += 1
            connections.passed -= connections.machine.steps()

    def leave(self, on_end: Callable[[bool], None]) -> None:
        """As `release`; a machine that honours cancelling is seen to stop at once, another one never."""
        engine, honoured = self._connections.engine, self._connections.machine.honours_cancel
        self.release(False)
        engine.at(engine.now if honoured else engine.now + LEFT_S, partial(on_end, honoured))

    def release(self, reuse: bool) -> None:
        connections = self._connections
        self._wake = _nothing
        self._streamed()
        if not self.complete:
            connections.machine.leave(self)
        elif reuse and self.error is None and connections.machine.mode is not Mode.DOWN:
            connections.idle += 1

    # What the machine calls.

    def began(self) -> None:
        self.head = self._connections.ok
        self.streaming = True
        self._wake()

    def ended(self) -> None:
        if not self.streaming:
            self.content_length = 0
            self.head = self._connections.ok
        self._streamed()
        self.complete = True
        self._wake()

    def refused(self, status: int, retry_after_s: float | None) -> None:
        self.head = head = ResponseHead()
        head.status = status
        if retry_after_s is not None:
            head.retry_after = b"%d" % retry_after_s
        self._touched = self._connections.engine.now
        self.content_length = 0
        self.complete = True
        self._wake()

    def broke(self) -> None:
        self._streamed()
        self.error = GatewayError("reset", "The backend's connection broke before its answer was whole.")
        self._wake()

    def _streamed(self) -> None:
        """No more of this answer will come."""
        connections = self._connections
        self._touched = connections.engine.now
        self.streaming = False
        if self.metered:
            self.metered = False
            connections.streams -= 1
            connections.passed += connections.machine.steps()


class SimulatedDialing:
    """A connection being opened; refused when nothing listens."""

    __slots__ = ("_connections", "_given_up", "_wake", "connection", "error")

    def __init__(self, connections: "SimulatedConnections", wake: Callable[[], None]) -> None:
        self._connections = connections
        self._wake = wake
        self._given_up = False
        self.connection: SimulatedUpstream | None = None
        self.error: GatewayError | None = None
        connections.engine.at(connections.engine.now + CONNECT_S, self._answer)

    def give_up(self) -> None:
        self._given_up = True

    def _answer(self) -> None:
        if self._given_up:
            return
        if self._connections.machine.mode is Mode.DOWN:
            self.error = GatewayError("connect_error", "The backend refused the connection.")
        else:
            self.connection = SimulatedUpstream(self._connections, reused=False)
        self._wake()


class SimulatedConnections:
    """One gateway's connections to one machine."""

    __slots__ = (
        "engine",
        "host_line",
        "idle",
        "label_line",
        "machine",
        "ok",
        "passed",
        "prefix",
        "streams",
        "tasks",
    )

    def __init__(self, engine: Engine, machine: Machine, tasks: Mapping[int, Task]) -> None:
        self.engine = engine
        self.machine = machine
        self.tasks = tasks  # that are under way, by number
        self.prefix = b""
        self.host_line = b" HTTP/1.1\r\n"
        self.label_line = b""
        self.ok = ResponseHead()
        self.ok.status = 200
        self.ok.has_date = True
        self.idle = 0  # open, and free for the next exchange
        self.streams = 0  # whose tokens are being counted
        self.passed = 0  # see pieces
        machine.listeners.append(self._broken)

    def __repr__(self) -> str:
        return f"<SimulatedConnections {self.machine.name}, {self.idle} idle, {self.streams} streams>"

    @property
    def pieces(self) -> int:
        """Tokens relayed to this gateway's clients so far: n more with each step of n streams."""
        return self.passed + self.streams * self.machine.steps() if self.streams else self.passed

    def take(self) -> SimulatedUpstream | None:
        if not self.idle:
            return None
        self.idle -= 1
        return SimulatedUpstream(self, reused=True)

    def connect(self, wake: Callable[[], None]) -> SimulatedDialing:
        return SimulatedDialing(self, wake)

    def _broken(self) -> None:
        self.idle = 0


def _nothing() -> None:
    """Nobody waits."""
