"""How does one attempt go, from a lease to the head of an answer? Connect, send, wait; and its one end."""

from collections.abc import Callable

from gateway.errors import ClientGone, GatewayError
from gateway.health.faults import OUTCOMES
from gateway.http.headers import status_line
from gateway.lanes import Lane
from gateway.messages import AttemptTrace, Exchange, Outcome, Request, ResponseHead, TracedAttempt
from gateway.pool.lease import Lease
from gateway.ports import Capture, Client, Connections, Dialing, Upstream
from gateway.tokens.meter import Meter

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class Task:
    """What is to be done, the same for every attempt: the request with its head as it goes to backends.

    `target` and `tail` are the forwarded request line's target and everything behind the Host line;
    `total_at` is when it must be answered, `told` whether that is the client's wish, which is passed on.
    `capture` hears of the answer, where it may be kept.
    """

    __slots__ = ("capture", "client", "lane", "record", "request", "tail", "target", "told", "total_at")

    def __init__(
        self,
        lane: Lane,
        client: Client,
        request: Request,
        record: Exchange,
        target: bytes,
        tail: bytes,
        capture: Capture | None,
    ) -> None:
        self.lane = lane
        self.capture = capture
        self.client = client
        self.request = request
        self.record = record
        self.target = target
        self.tail = tail
        timeout_s = request.head.timeout_s
        total_s = lane.total_s
        self.told = timeout_s is not None and timeout_s <= total_s
        if timeout_s is not None and timeout_s < total_s:
            total_s = timeout_s
        self.total_at = request.started + total_s

    def repeatable(self) -> bool:
        """Whether the request can be sent again after it may have been received."""
        request = self.request
        return not request.streamed and (self.lane.replayable or request.head.method in _SAFE)

    def over_time(self) -> GatewayError:
        """What the request gets when it must be answered and is not: by whose bound, its own or ours."""
        if self.told:
            return GatewayError("deadline_exceeded", "The time that the request allows is over.")
        return GatewayError("total_timeout", "The request took longer than its total time.")


class Attempt:
    """One attempt under way; owns its lease and its connection until `end`, which is called exactly once."""

    __slots__ = (
        "connection", "lease", "meter", "outcome", "retry_after_s", "sent", "task", "trace", "traced",
    )  # fmt: skip

    def __init__(self, task: Task, lease: Lease, trace: AttemptTrace | None) -> None:
        self.task = task
        self.lease = lease
        self.trace = trace
        self.connection: Upstream | None = None
        self.sent = 0.0  # when; 0.0 as long as nothing was
        self.outcome = Outcome.CANCELLED
        self.meter: Meter | None = None  # of an answer whose tokens are counted
        self.retry_after_s: float | None = None
        if trace is not None:
            trace.backend = lease.backend.name
        record = task.record
        record.attempts += 1
        self.traced: TracedAttempt | None = None
        if record.trace is not None:
            backend = lease.backend
            path = task.target.partition(b"?")[0].decode("latin-1")
            self.traced = record.trace.attempt(
                backend.pool, backend.name, backend.url.rstrip("/") + path, lease.started
            )

    def __repr__(self) -> str:
        return f"<Attempt at {self.lease.backend.name}{' sent' if self.sent else ''} {self.outcome.label}>"

    async def begin(self, at: float) -> None:
        """Send the request, on an idle connection if there is one. Raises GatewayError and ClientGone."""
        connections: Connections = self.lease.backend.connections
        connection = connections.take()
        if connection is None:
            await self.open(connections, at)
        else:
            self.send(connections, connection, at)

    async def open(self, connections: Connections, at: float) -> None:
        """Send on a new connection."""
        task = self.task
        client, lane = task.client, task.lane
        until = at + lane.connect_s
        until = min(until, task.total_at)
        began = at
        dialing = connections.connect(client.wake)
        try:
            while not self.dialled(connections, dialing, at, until):
                at = await client.pause(at, until)
        except (GatewayError, ClientGone):
            dialing.give_up()
            raise
        finally:
            task.record.connect_s += at - began

    def dialled(self, connections: Connections, dialing: Dialing, at: float, until: float) -> bool:
        """Send once the connection stands; False as long as it does not."""
        connection = dialing.connection
        if connection is None:
            if dialing.error is not None:
                raise dialing.error
            if at >= until:
                if until >= self.task.total_at:
                    raise self.task.over_time()
                raise GatewayError("connect_timeout", "The backend did not accept a connection in time.")
            return False
        self.send(connections, connection, self.task.lane.now())
        return True

    def send(self, connections: Connections, connection: Upstream, at: float) -> None:
        """Send the request, its body as far as it is held."""
        task = self.task
        request, client = task.request, task.client
        head = request.head
        self.connection = connection
        self.sent = at
        host_line = connections.host_line
        if task.told:
            left_s = task.total_at - at
            host_line = b"%bX-Gateway-Timeout: %.3fs\r\n" % (host_line, left_s if left_s > 0.0 else 0.0)
        if self.traced is not None:
            host_line = b"%btraceparent: %b\r\n" % (host_line, self.traced.header)
        connection.send(
            b"%b %b%b%b%b" % (head.method.encode(), connections.prefix, task.target, host_line, task.tail),
            [] if request.streamed else request.body,
            head.method == "HEAD",
            head.websocket,
            client.wake,
        )
        if request.streamed:
            connection.begin_upload(head.chunked, client.on_upload_room)
            client.say_continue(request)
            client.upload_to(connection, request)

    async def head(self, until: float, at: float = 0.0) -> ResponseHead | None:
        """Wait from `at` until the answer has a head and something behind it: a body byte, its end, a switch.

        Without `at` from when it was sent. None when that has not come by `until`. Raises GatewayError for
        what went wrong, and ClientGone.
        """
        task = self.task
        client, request, lane = task.client, task.request, task.lane
        at = at or self.sent
        due, received = self.sent + lane.first_byte_s, request.received
        connection = self.connection
        assert connection is not None
        while (head := connection.answered()) is None:
            if connection.error is not None:
                await self._replace(connection, connection.error)
                return await self.head(until)
            if connection.reader.interim is not None:
                self._pass_interim(connection)
            wait = due if due < task.total_at else task.total_at
            if request.streamed and (not request.complete or request.received != received):
                wait, due, received = self._uploading(connection, at, due, received)
            if at >= wait:
                raise task.over_time() if at >= task.total_at else no_first_byte()
            if until < wait:
                if at >= until:
                    return None
                wait = until
            at = await client.pause(at, wait)
        if connection.reader.interim is not None:
            self._pass_interim(connection)
        task.record.first_byte = at
        return head

    def _uploading(
        self, connection: Upstream, at: float, due: float, received: int
    ) -> tuple[float, float, int]:
        """While the body still arrives its pieces are waited for; the backend's time starts with the last."""
        task = self.task
        client, request, lane = task.client, task.request, task.lane
        if client.refused is not None:
            raise client.refused
        if request.received != received:
            received, due = request.received, at + lane.first_byte_s
        wait = min(due, task.total_at)
        if not request.complete and connection.writable:
            stalls_at = due - lane.first_byte_s + lane.body_timeout_s
            if at >= stalls_at:
                raise GatewayError("body_timeout", "The request body stalled.", close=True)
            wait = min(wait, stalls_at)
        return wait, due, received

    def stale(self) -> bool:
        """Whether it was sent on a kept connection that the backend had closed while it was idle.

        That is no failure of the backend: the request may go on a new connection.
        """
        connection = self.connection
        return (
            connection is not None
            and connection.error is not None
            and connection.error.kind == "reset"
            and connection.reused
            and connection.touched < self.sent
            and self.task.repeatable()
        )

    async def _replace(self, connection: Upstream, error: GatewayError) -> None:
        if not self.stale():
            raise error
        connection.release(False)
        self.connection = None
        self.sent = 0.0
        await self.open(self.lease.backend.connections, self.task.lane.now())

    def _pass_interim(self, connection: Upstream) -> None:
        heads, connection.reader.interim = connection.reader.interim or (), None
        if self.task.request.head.minor:
            for head in heads:
                self.task.client.write_interim(status_line(head.status) + head.fields + b"\r\n")

    def failed(self, error: GatewayError) -> None:
        """Note what the attempt failed with."""
        self.outcome = OUTCOMES.get(error.kind, Outcome.CANCELLED)
        self.note(error.kind)

    def note(self, problem: str) -> None:
        """Note the kind of error, where that is recorded."""
        if self.trace is not None:
            self.trace.error = problem
        if self.traced is not None:
            self.traced.error = problem

    def judge(self, head: ResponseHead, at: float) -> None:
        """Note what the answer's status says of the backend; its first byte came at `at`."""
        status = head.status
        if status < 400:
            self.lease.first_body_byte(at)
            self.outcome = Outcome.OK
            return
        if head.retry_after.isdigit() and len(head.retry_after) < 9:
            self.retry_after_s = float(head.retry_after)
        if status == 429 or (status == 503 and self.retry_after_s is not None):
            self.outcome = Outcome.OVERLOADED
        else:
            self.outcome = Outcome.SERVER_ERROR if status >= 500 else Outcome.CLIENT_ERROR

    def end(self, at: float, reuse: bool, on_left: Callable[[bool], None] | None = None) -> None:
        """Close the lease and let go of the connection: for `reuse`, or to be left.

        `on_left` hears whether the backend was seen to stop within a second; see `Upstream.leave`.
        """
        connection = self.connection
        if self.traced is not None:
            self._note_end(self.traced, at)
        if connection is not None:
            if on_left is None:
                connection.release(reuse)
            else:
                connection.leave(on_left)
            if self.task.request.streamed:
                self.task.client.end_upload()
        if self.meter is not None:
            self.meter.end(self.task.record)
        trace = self.trace
        if trace is not None:
            trace.outcome = self.outcome
            trace.ended_s = at - self.lease.started
        # Last: whoever waits for a place here may be given it at once, and take the connection as well.
        self.lease.close(self.outcome, at, self.retry_after_s)

    def _note_end(self, traced: TracedAttempt, at: float) -> None:
        """Note what its span tells, while the connection still knows it."""
        traced.ended, traced.sent, traced.outcome = at, self.sent, self.outcome
        head = None if self.connection is None else self.connection.reader.head
        if head is not None:
            traced.status = head.status
            first_byte = self.task.record.first_byte
            traced.first_byte = first_byte if first_byte >= self.sent else 0.0


def no_first_byte() -> GatewayError:
    return GatewayError("first_byte_timeout", "The backend did not begin to answer in time.")
