"""How does one request reach a backend and its answer come back? Attempts, their order, and the relay.

Whatever happens — success, failure, timeout, the client leaving at any await — the lease is closed and the
connection released, once, in one `finally`. Nothing is tried again after the first byte went downstream; a
cut answer is shown to the client as a cut.
"""

import random
from dataclasses import dataclass
from math import ceil, inf

from gateway import clock
from gateway.attempts.budget import RetryBudget
from gateway.attempts.retry import Failure, RetryRule, cause_of, decide, pause_s
from gateway.errors import ClientGone, GatewayError
from gateway.http.headers import DateField, status_line
from gateway.messages import AttemptTrace, Exchange, Outcome, Request, ResponseHead
from gateway.pool.lease import Lease
from gateway.pool.pool import Pool
from gateway.ports import Client, Connections, Observer, Upstream

now = clock.now

_OUTCOMES: dict[str, Outcome] = {
    "connect_error": Outcome.CONNECT_ERROR,
    "connect_timeout": Outcome.CONNECT_ERROR,
    "reset": Outcome.RESET,
    "bad_response": Outcome.RESET,
    "first_byte_timeout": Outcome.TIMEOUT,
    "idle_timeout": Outcome.TIMEOUT,
    "total_timeout": Outcome.TIMEOUT,
}
_UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True)
class Lane:
    """One route's way to one of its pools: the rules an exchange goes by, worked out once. Times in seconds."""

    pool: Pool
    retry: RetryRule
    budget: RetryBudget
    connect_s: float
    first_byte_s: float
    idle_s: float
    total_s: float
    body_timeout_s: float  # between two pieces of a request body, and for a client that takes no answer
    replayable: bool
    observer: Observer
    rng: random.Random
    date: DateField


class Forward:
    """One exchange with the backends of one pool; `run` answers the client or raises what to answer."""

    __slots__ = ("client", "lane", "record", "request", "tail", "target", "total_at")

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

    async def run(self) -> None:
        """Try backends until one has answered the client.

        Raises GatewayError: no_backend (nothing was tried), or what the last attempt failed with.
        """
        lane, record = self.lane, self.record
        pool, sends = lane.pool, 0
        tried: tuple[str, ...] = ()
        started = now()
        lane.budget.deposit(started)
        record.pool = pool.name
        explain = lane.observer.wants_decision(started)
        while True:
            trace = self._trace(started, tried) if explain else None
            lease = pool.acquire(started, tried, allow_tried=True)
            record.backend = lease.backend.name
            record.attempts += 1
            attempt = Attempt(self, lease, trace)
            failed = await attempt.run(sends + 1)
            if failed is None:
                if tried:
                    pool.retries["success"] += 1
                return
            sends += attempt.sent
            tried = (*tried, lease.backend.name)
            started = now()

    def _trace(self, at: float, tried: tuple[str, ...]) -> AttemptTrace:
        pool = self.lane.pool
        trace = AttemptTrace(pool.name, pool.policy_name, "", *pool.explain(at, tried))
        if self.record.decision is None:
            self.record.decision = []
        self.record.decision.append(trace)
        return trace

    def again(
        self, problem: str | int, attempt: int, sent: bool, tried: str, retry_after_s: float | None
    ) -> float | None:
        """Seconds to wait before another attempt after `problem` (kind or status); None: there must be none."""
        lane, request = self.lane, self.request
        pool = lane.pool
        failure = Failure(
            cause=cause_of(problem),
            # A send that never left is no send: a refused connect may try every backend there is.
            attempt=attempt if sent else 0,
            method=request.method,
            nothing_sent=not sent,
            body_held=request.complete and (not request.received or bool(request.body)),
            replayable=lane.replayable,
            downstream_started=self.client.replying,
        )
        if not decide(lane.retry, failure):
            return None
        at = now()
        others = any(backend.name != tried for backend in pool.candidates(at))
        if not sent and not others:
            return None
        pause = pause_s(lane.retry, attempt, not others, lane.rng, retry_after_s)
        if pause is None or at + pause >= self.total_at:
            return None
        if not lane.budget.withdraw(at):
            pool.retries["no_budget"] += 1
            return None
        pool.retries["tried"] += 1
        return pause


class Attempt:
    """One send to one backend; owns the lease and the connection until it ends."""

    __slots__ = (
        "_connection",
        "_forward",
        "_lease",
        "_outcome",
        "_retry_after_s",
        "_sent_at",
        "_trace",
        "sent",
    )

    def __init__(self, forward: Forward, lease: Lease, trace: AttemptTrace | None) -> None:
        self._forward = forward
        self._lease = lease
        self._trace = trace
        self._connection: Upstream | None = None
        self._outcome = Outcome.CANCELLED
        self._retry_after_s: float | None = None
        self._sent_at = 0.0
        self.sent = False

    async def run(self, number: int) -> bool | None:
        """Send and relay the answer. None: the client has its reply. True: failed, another attempt may be made.

        Raises GatewayError when it failed and must not be tried again.
        """
        forward, reuse = self._forward, False
        pause = 0.0
        try:
            head = await self._exchange()
            wait = self._judge(head, number)
            if wait is None:
                await self._relay(head)
                reuse = True
                return None
            pause, reuse = wait, True
        except GatewayError as error:
            self._outcome = _OUTCOMES.get(error.kind, Outcome.CANCELLED)
            if self._trace is not None:
                self._trace.error = error.kind
            again = forward.again(error.kind, number, self.sent, self._lease.backend.name, None)
            if again is None:
                raise
            pause = again
        finally:
            self._end(reuse)
        if pause:
            await wait_until(forward.client, now() + pause)
        return True

    def _end(self, reuse: bool) -> None:
        at = now()
        self._lease.close(self._outcome, at, self._retry_after_s)
        if self._connection is not None:
            self._connection.release(reuse)
            if not self._forward.request.complete:
                self._forward.client.end_upload()
        trace = self._trace
        if trace is not None:
            trace.backend = self._lease.backend.name
            trace.outcome = self._outcome
            trace.ended_s = at - self._lease.started

    async def _exchange(self) -> ResponseHead:
        """Connect, send, wait for the head; a reused connection that had died is replaced once, unseen."""
        forward = self._forward
        connections: Connections = self._lease.backend.connections
        connection = connections.take()
        if connection is not None:
            self._send(connection)
            try:
                return await self._head(connection)
            except GatewayError as error:
                if error.kind != "reset" or not self._stale(connection):
                    raise
                connection.release(reuse=False)
                self._connection = None
                self.sent = False
        connection = await self._dial(connections)
        self._send(connection)
        return await self._head(connection)

    def _stale(self, connection: Upstream) -> bool:
        """Whether a reused connection died before one byte of answer, and the request can be sent again."""
        request, forward = self._forward.request, self._forward
        return (
            connection.touched < self._sent_at
            and request.complete
            and (not request.received or bool(request.body))
            and (forward.lane.replayable or request.method in ("GET", "HEAD", "OPTIONS"))
        )

    async def _dial(self, connections: Connections) -> Upstream:
        client, connect_s = self._forward.client, self._forward.lane.connect_s
        until = now() + connect_s
        dialing = connections.connect(client.wake)
        try:
            while dialing.connection is None:
                if dialing.error is not None:
                    raise dialing.error
                if now() >= until:
                    raise GatewayError("connect_timeout", "The backend did not accept a connection in time.")
                await client.pause(until)
        except (GatewayError, ClientGone):
            dialing.give_up()
            raise
        return dialing.connection

    def _send(self, connection: Upstream) -> None:
        forward, backend = self._forward, self._lease.backend
        request = forward.request
        self._connection = connection
        self._sent_at = forward.record.sent = now()
        connection.send(
            b"%b %b%b HTTP/1.1\r\nHost: %b\r\n%b"
            % (
                request.method.encode(),
                backend.prefix.encode(),
                forward.target,
                backend.authority,
                forward.tail,
            ),
            request.body if request.complete else [],
            request.method,
            request.websocket,
            forward.client.wake,
        )
        self.sent = True
        if not request.complete:
            connection.begin_upload(request.chunked, forward.client.on_upload_room)
            if request.expects_continue:
                forward.client.say_continue(request)
            forward.client.upload_to(connection, request)

    async def _head(self, connection: Upstream) -> ResponseHead:
        """Wait until the answer has a head and something behind it: a body byte, its end, or a switch."""
        forward = self._forward
        client, request = forward.client, forward.request
        first_byte_s = forward.lane.first_byte_s
        progress, received = self._sent_at, request.received
        while (head := connection.answered) is None:
            if connection.error is not None:
                raise connection.error
            if client.refused is not None:
                raise client.refused
            if connection.reader.interim:
                self._pass_interim(connection)
            at = now()
            if request.received != received:
                progress, received = at, request.received
            stalled = not request.complete and connection.writable
            until = progress + (forward.lane.body_timeout_s if stalled else first_byte_s)
            if at >= until:
                raise _BODY_STALLED() if stalled else _no_first_byte()
            if at >= forward.total_at:
                raise _over_time()
            await client.pause(min(until, forward.total_at))
        forward.record.first_byte = now()
        return head

    def _pass_interim(self, connection: Upstream) -> None:
        heads, connection.reader.interim = connection.reader.interim or (), None
        if self._forward.request.minor:
            for head in heads:
                self._forward.client.write_interim(status_line(head.status) + b"".join(head.parts) + b"\r\n")

    def _judge(self, head: ResponseHead, number: int) -> float | None:
        """What the status says of the backend; seconds to wait before another attempt, None to relay it."""
        status = head.status
        if status < 400:
            self._lease.first_body_byte(self._forward.record.first_byte)
            self._outcome = Outcome.OK
            return None
        if head.retry_after.isdigit() and len(head.retry_after) < 9:
            self._retry_after_s = float(head.retry_after)
        if status == 429 or (status == 503 and self._retry_after_s is not None):
            self._outcome = Outcome.OVERLOADED
        else:
            self._outcome = Outcome.SERVER_ERROR if status >= 500 else Outcome.CLIENT_ERROR
        if status not in (429, 502, 503, 504):
            return None
        return self._forward.again(status, number, True, self._lease.backend.name, self._retry_after_s)

    async def _relay(self, head: ResponseHead) -> None:
        """Give the client the answer; from here on nothing can be taken back."""
        outcome, self._outcome = self._outcome, Outcome.CANCELLED
        forward, connection = self._forward, self._connection
        assert connection is not None
        client = forward.client
        forward.record.status = head.status
        if connection.reader.switched:
            await self._tunnel(head, connection)
            self._outcome = Outcome.OK
            return
        client.begin_reply(
            forward.request,
            head.status,
            self._fields(head),
            head.content_length if head.status != 204 else None,
            head.has_body,
        )
        connection.stream_to(client)
        if not connection.reader.complete:
            client.relay_from(connection)
            try:
                await self._body(connection)
            except GatewayError as error:
                client.cut_reply()
                self._outcome = _OUTCOMES.get(error.kind, Outcome.CANCELLED)
                forward.record.error = error.kind
                if self._trace is not None:
                    self._trace.error = error.kind
                return
        client.end_reply()
        self._outcome = outcome

    async def _body(self, connection: Upstream) -> None:
        forward = self._forward
        client, idle_s = forward.client, forward.lane.idle_s
        while not connection.reader.complete:
            if connection.error is not None:
                raise connection.error
            if client.refused is not None:
                raise client.refused
            at = now()
            if at >= forward.total_at:
                raise _over_time()
            if client.writable:
                until = connection.touched + idle_s
                if at >= until:
                    raise GatewayError("idle_timeout", "The backend stopped in the middle of its answer.")
            else:
                until = at + forward.lane.body_timeout_s
            await client.pause(min(until, forward.total_at))
            if not client.writable and now() >= until and client.stalled():
                raise GatewayError("client_closed", "The client takes nothing of the answer.")

    def _fields(self, head: ResponseHead) -> list[bytes]:
        record, backend = self._forward.record, self._lease.backend
        waited = record.first_byte - self._sent_at
        own = record.first_byte - record.started - self._forward.client.waited_s
        fields = head.parts
        fields.append(
            b"X-Request-ID: %b\r\nX-Gateway-Backend: %b\r\nServer-Timing: gateway;dur=%.2f, backend;dur=%.2f\r\nVia: 1.1 gateway\r\n"
            % (record.request_id.encode(), backend.name.encode(), max(own, 0.0) * 1e3, waited * 1e3)
        )
        if not head.has_date:
            fields.append(self._forward.lane.date.line(clock.wall()))
        return fields

    async def _tunnel(self, head: ResponseHead, connection: Upstream) -> None:
        """The backend switched to WebSocket: bytes pass both ways until one side ends; never pooled again."""
        forward = self._forward
        client = forward.client
        forward.record.upgraded = True
        fields = self._fields(head)
        client.replying = True
        client.write_interim(status_line(101) + b"".join(fields) + _UPGRADE + b"\r\n")
        client.relay_from(connection)
        connection.begin_upload(False, client.on_upload_room)
        connection.tunnel_to(client)
        client.tunnel_to(connection)
        idle_s = forward.lane.total_s
        while not client.lost and connection.error is None:
            until = connection.touched + idle_s
            if now() >= until:
                break
            try:
                await client.pause(until)
            except ClientGone:
                break


async def wait_until(client: Client, until: float) -> None:
    while now() < until:
        await client.pause(until)


def request_tail(request: Request, forwarding: bytes, request_id: str) -> bytes:
    """The forwarded head behind its Host line: the client's fields, ours, the framing, the empty line."""
    parts = [*request.parts, b"X-Request-ID: ", request_id.encode(), b"\r\n", forwarding]
    if request.websocket:
        parts.append(_UPGRADE)
    if request.complete:
        if request.received or request.content_length is not None or request.method in _BODY_METHODS:
            parts.append(b"Content-Length: %d\r\n" % sum(map(len, request.body)))
    elif request.content_length is not None:
        parts.append(b"Content-Length: %d\r\n" % request.content_length)
    else:
        parts.append(b"Transfer-Encoding: chunked\r\n")
    parts.append(b"Via: 1.1 gateway\r\n\r\n")
    return b"".join(parts)


def retry_after_line(seconds: float) -> bytes:
    return b"Retry-After: %d\r\n" % max(1, ceil(min(seconds, 3600.0) if seconds != inf else 3600.0))


def _BODY_STALLED() -> GatewayError:
    return GatewayError("body_timeout", "The request body stalled.", close=True)


def _no_first_byte() -> GatewayError:
    return GatewayError("first_byte_timeout", "The backend did not begin to answer in time.")


def _over_time() -> GatewayError:
    return GatewayError("total_timeout", "The request took longer than its total time.")
