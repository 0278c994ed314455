"""How does one request reach a backend and its answer come back? Attempts, their order, and the relay.

Whatever happens — success, failure, timeout, the client leaving at any await — the lease is closed and the
connection released, once, in one `finally`. Nothing is tried again after the first byte went downstream; a
cut answer is shown to the client as a cut.
"""

from gateway import clock
from gateway.attempts.retry import Failure, cause_of, decide, pause_s
from gateway.errors import ClientGone, GatewayError
from gateway.http.headers import status_line
from gateway.lanes import UPGRADE, Lane
from gateway.messages import AttemptTrace, Exchange, Outcome, Request, ResponseHead
from gateway.ports import Client, Connections, Upstream

now = clock.now

#: How an error of the gateway's own counts for the backend; kinds not listed say nothing about it.
_OUTCOMES: dict[str, Outcome] = {
    "connect_error": Outcome.CONNECT_ERROR,
    "connect_timeout": Outcome.CONNECT_ERROR,
    "reset": Outcome.RESET,
    "bad_response": Outcome.RESET,
    "first_byte_timeout": Outcome.TIMEOUT,
    "idle_timeout": Outcome.TIMEOUT,
    "total_timeout": Outcome.TIMEOUT,
}


class Forward:
    """One exchange with the backends of one pool; `run` answers the client or raises what to answer."""

    __slots__ = (
        "_connection",
        "_lease",
        "_outcome",
        "_retry_after_s",
        "_sent",
        "_trace",
        "_tried",
        "client",
        "lane",
        "record",
        "request",
        "tail",
        "target",
        "total_at",
    )

    def __init__(
        self, lane: Lane, client: Client, request: Request, record: Exchange, target: bytes, tail: bytes
    ) -> None:
        self.lane = lane
        self.client = client
        self.request = request
        self.record = record
        self.target = target
        self.tail = tail
        self.total_at = request.started + lane.total_s
        self._tried: tuple[str, ...] = ()
        self._trace: AttemptTrace | None = None
        self._connection: Upstream | None = None
        self._outcome = Outcome.CANCELLED
        self._retry_after_s: float | None = None
        self._sent = False

    def through(self, lane: Lane) -> "Forward":
        """The same exchange with another pool."""
        return Forward(lane, self.client, self.request, self.record, self.target, self.tail)

    async def run(self) -> None:
        """Try backends until one has answered the client.

        Raises GatewayError: no_backend (nothing was tried), or what the last attempt failed with.
        """
        lane, record = self.lane, self.record
        pool, sends, at = lane.pool, 1, now()
        lane.budget.deposit(at)
        record.pool = pool.name
        explain = lane.observer.wants_decision(at)
        while True:
            if explain:
                self._explain(at)
            self._lease = lease = pool.acquire(at, self._tried, True)
            backend = lease.backend
            record.backend = backend.name
            record.attempts += 1
            reuse = False
            pause: float | None = None
            try:
                connection = backend.connections.take()
                if connection is None:
                    await self._open(backend.connections)
                else:
                    self._send(backend.connections, connection, at)
                head = await self._head()
                pause = self._judge(head, sends)
                if pause is None and not self._reply_whole(head):
                    await self._relay(head)
                reuse = True
            except GatewayError as error:
                pause = self._failed(error, sends)
                if pause is None:
                    raise
            finally:
                self._end(reuse)
            if pause is None:
                if self._tried and self._outcome is Outcome.OK:
                    pool.retries["success"] += 1
                return
            sends += self._sent
            at = await self._next(pause)

    async def _next(self, pause: float) -> float:
        """Get ready for another attempt, `pause` seconds from now."""
        self._tried = (*self._tried, self._lease.backend.name)
        self._connection = None
        self._outcome = Outcome.CANCELLED
        self._retry_after_s = None
        self._sent = False
        at = now()
        until = at + pause
        while at < until:
            at = await self.client.pause(at, until)
        return at

    def _failed(self, error: GatewayError, number: int) -> float | None:
        self._outcome = _OUTCOMES.get(error.kind, Outcome.CANCELLED)
        if self._trace is not None:
            self._trace.error = error.kind
        return self._again(error.kind, number)

    async def _open(self, connections: Connections) -> None:
        """Send on a new connection."""
        client, at = self.client, now()
        until = at + self.lane.connect_s
        dialing = connections.connect(client.wake)
        try:
            while dialing.connection is None:
                if dialing.error is not None:
                    raise dialing.error
                if at >= until:
                    raise GatewayError("connect_timeout", "The backend did not accept a connection in time.")
                at = await client.pause(at, until)
        except (GatewayError, ClientGone):
            dialing.give_up()
            raise
        self._send(connections, dialing.connection, now())

    def _may_repeat(self) -> bool:
        """Whether the request can be sent again after it may have been received."""
        request = self.request
        return not request.streamed and (
            self.lane.replayable or request.head.method in ("GET", "HEAD", "OPTIONS")
        )

    def _send(self, connections: Connections, connection: Upstream, at: float) -> None:
        request, client = self.request, self.client
        head = request.head
        self._connection = connection
        self._sent = True
        self.record.sent = at
        connection.send(
            b"%b %b%b%b%b"
            % (head.method.encode(), connections.prefix, self.target, connections.host_line, self.tail),
            [] if request.streamed else request.body,
            head.method == "HEAD",
            head.websocket,
            client.wake,
        )
        if request.streamed:
            connection.begin_upload(head.chunked, client.on_upload_room)
            client.say_continue(request)
            client.upload_to(connection, request)

    async def _head(self) -> ResponseHead:
        """Wait until the answer has a head and something behind it: a body byte, its end, or a switch."""
        client, request, lane = self.client, self.request, self.lane
        at = self.record.sent
        until, received = at + lane.first_byte_s, request.received
        connection = self._connection
        assert connection is not None
        while (head := connection.answered()) is None:
            if connection.error is not None:
                await self._replace(connection, connection.error)
                return await self._head()
            if connection.reader.interim is not None:
                self._pass_interim(connection)
            wait = until if until < self.total_at else self.total_at
            if request.streamed and (not request.complete or request.received != received):
                wait, until, received = self._uploading(connection, at, until, received)
            if at >= wait:
                raise _over_time() if at >= self.total_at else _no_first_byte()
            at = await client.pause(at, wait)
        if connection.reader.interim is not None:
            self._pass_interim(connection)
        self.record.first_byte = at
        return head

    def _uploading(
        self, connection: Upstream, at: float, until: float, received: int
    ) -> tuple[float, float, int]:
        """While the body still arrives its pieces are waited for; the backend's time starts with the last."""
        client, request, lane = self.client, self.request, self.lane
        if client.refused is not None:
            raise client.refused
        if request.received != received:
            received, until = request.received, at + lane.first_byte_s
        wait = min(until, self.total_at)
        if not request.complete and connection.writable:
            stalls_at = until - lane.first_byte_s + lane.body_timeout_s
            if at >= stalls_at:
                raise GatewayError("body_timeout", "The request body stalled.", close=True)
            wait = min(wait, stalls_at)
        return wait, until, received

    async def _replace(self, connection: Upstream, error: GatewayError) -> None:
        """Send again on a new connection what was sent on one the backend had closed while it was idle.

        That is no failure of the backend. Any other error is raised.
        """
        untouched = connection.reused and connection.touched < self.record.sent
        if error.kind != "reset" or not untouched or not self._may_repeat():
            raise error
        connection.release(False)
        self._connection = None
        self._sent = False
        await self._open(self._lease.backend.connections)

    def _pass_interim(self, connection: Upstream) -> None:
        heads, connection.reader.interim = connection.reader.interim or (), None
        if self.request.head.minor:
            for head in heads:
                self.client.write_interim(status_line(head.status) + head.fields + b"\r\n")

    def _judge(self, head: ResponseHead, number: int) -> float | None:
        """What the status says of the backend; seconds to wait before another attempt, None to relay it."""
        status = head.status
        if status < 400:
            self._lease.first_body_byte(self.record.first_byte)
            self._outcome = Outcome.OK
            return None
        if head.retry_after.isdigit() and len(head.retry_after) < 9:
            self._retry_after_s = float(head.retry_after)
        if status == 429 or (status == 503 and self._retry_after_s is not None):
            self._outcome = Outcome.OVERLOADED
        else:
            self._outcome = Outcome.SERVER_ERROR if status >= 500 else Outcome.CLIENT_ERROR
        return self._again(status, number)

    def _again(self, problem: str | int, number: int) -> float | None:
        """Seconds to wait before another attempt after `problem` (kind or status); None: make none."""
        lane, request = self.lane, self.request
        pool, here = lane.pool, self._lease.backend.name
        failure = Failure(
            cause=cause_of(problem),
            # A send that never left is no send: a refused connect may try every other backend there is.
            attempt=number if self._sent else 0,
            method=request.head.method,
            nothing_sent=not self._sent,
            body_held=not request.streamed,
            replayable=lane.replayable,
            downstream_started=self.client.replying,
        )
        if not decide(lane.retry, failure):
            return None
        at = now()
        others = any(b.name != here and b.name not in self._tried for b in pool.candidates(at))
        if not self._sent and not others:
            return None
        pause = pause_s(lane.retry, number, not others, lane.rng, self._retry_after_s)
        if pause is None or at + pause >= self.total_at:
            return None
        if not lane.budget.withdraw(at):
            pool.retries["no_budget"] += 1
            return None
        pool.retries["tried"] += 1
        return pause

    def _reply_whole(self, head: ResponseHead) -> bool:
        """Give the client an answer that is complete already; False when it is not, or has no body."""
        connection = self._connection
        assert connection is not None
        reader = connection.reader
        if not reader.complete or reader.content_length is None or not head.has_body:
            return False
        self.record.status = head.status
        self.client.reply_whole(self.request, head.status, self._fields(head), connection.take_body())
        return True

    async def _relay(self, head: ResponseHead) -> None:
        """Give the client the answer as it arrives; from here on nothing can be taken back."""
        outcome, self._outcome = self._outcome, Outcome.CANCELLED
        client, connection = self.client, self._connection
        assert connection is not None
        reader = connection.reader
        self.record.status = head.status
        fields = self._fields(head)
        if reader.switched:
            await self._tunnel(fields, connection)
            self._outcome = Outcome.OK
            return
        length = None if head.status == 204 else reader.content_length
        client.begin_reply(self.request, head.status, fields, length, head.has_body)
        connection.stream_to(client)
        if not reader.complete:
            client.relay_from(connection)
            try:
                await self._body(connection)
            except GatewayError as error:
                client.cut_reply()
                self._outcome = _OUTCOMES.get(error.kind, Outcome.CANCELLED)
                self.record.error = error.kind
                if self._trace is not None:
                    self._trace.error = error.kind
                return
        client.end_reply()
        self._outcome = outcome

    async def _body(self, connection: Upstream) -> None:
        client, lane, at = self.client, self.lane, now()
        while not connection.reader.complete:
            if connection.error is not None:
                raise connection.error
            if client.refused is not None:
                raise client.refused
            if at >= self.total_at:
                raise _over_time()
            if client.writable:
                until = connection.touched + lane.idle_s
                if at >= until:
                    raise GatewayError("idle_timeout", "The backend stopped in the middle of its answer.")
            else:
                until = client.stalled_at + lane.body_timeout_s
                if at >= until and client.stalled(at):
                    raise GatewayError("client_closed", "The client takes nothing of the answer.")
                until = client.stalled_at + lane.body_timeout_s
            at = await client.pause(at, min(until, self.total_at))

    def _fields(self, head: ResponseHead) -> bytes:
        record, connections = self.record, self._lease.backend.connections
        waited = record.first_byte - record.sent
        own = record.first_byte - record.started - self.client.waited_s
        return (
            b"%b%bX-Request-ID: %b\r\n%b"
            b"Server-Timing: gateway;dur=%.2f, backend;dur=%.2f\r\nVia: 1.1 gateway\r\n"
            % (
                head.fields,
                b"" if head.has_date else self.lane.date.line(clock.wall()),
                record.request_id.encode(),
                connections.label_line,
                own * 1e3 if own > 0.0 else 0.0,
                waited * 1e3,
            )
        )

    async def _tunnel(self, fields: bytes, connection: Upstream) -> None:
        """The backend switched to WebSocket: bytes pass both ways until one side ends; never pooled again."""
        client, at = self.client, now()
        self.record.upgraded = True
        client.replying = True
        client.write_interim(status_line(101) + fields + UPGRADE + b"\r\n")
        client.relay_from(connection)
        connection.begin_upload(False, client.on_upload_room)
        connection.tunnel_to(client)
        client.tunnel_to(connection)
        while connection.error is None and at < (until := connection.touched + self.lane.total_s):
            try:
                at = await client.pause(at, until)
            except ClientGone:
                return

    def _end(self, reuse: bool) -> None:
        at = now()
        self.record.ended = at
        self._lease.close(self._outcome, at, self._retry_after_s)
        connection = self._connection
        if connection is not None:
            connection.release(reuse)
            if self.request.streamed:
                self.client.end_upload()
        trace = self._trace
        if trace is not None:
            trace.backend = self._lease.backend.name
            trace.outcome = self._outcome
            trace.ended_s = at - self._lease.started

    def _explain(self, at: float) -> None:
        pool = self.lane.pool
        self._trace = AttemptTrace(pool.name, pool.policy_name, "", *pool.explain(at, self._tried))
        if self.record.decision is None:
            self.record.decision = []
        self.record.decision.append(self._trace)


def _no_first_byte() -> GatewayError:
    return GatewayError("first_byte_timeout", "The backend did not begin to answer in time.")


def _over_time() -> GatewayError:
    return GatewayError("total_timeout", "The request took longer than its total time.")
