"""How does one request reach a backend, and what is done when that fails? Turns, attempts, and their order.

Whatever happens — success, failure, timeout, the client leaving at any await — the lease is closed and the
connection released, once, in one `finally`. Nothing is tried again after the first byte went downstream; a
cut answer is shown to the client as a cut.
"""

from math import inf

from gateway.admission.queue import Ticket
from gateway.attempt import Attempt, Task
from gateway.attempts.retry import Failure, cause_of, decide, pause_s
from gateway.balancing.context import PickContext
from gateway.errors import GatewayError
from gateway.lanes import Lane, flow_of
from gateway.messages import Exchange, Outcome, Request
from gateway.pool.lease import Lease
from gateway.pool.pool import ASK_AGAIN_S
from gateway.ports import Capture, Client
from gateway.race import race
from gateway.relay import relay, reply_whole


class Forward:
    """One exchange with the backends of one pool; `run` answers the client or raises what to answer."""

    __slots__ = ("_context", "_explain", "client", "task")

    def __init__(
        self,
        lane: Lane,
        client: Client,
        request: Request,
        record: Exchange,
        target: bytes,
        tail: bytes,
        capture: Capture | None = None,
    ) -> None:
        self.task = Task(lane, client, request, record, target, tail, capture)
        self.client = client
        self._explain = False
        self._context = PickContext(0.0, lane.rng, size=request.received, stream=record.stream)

    def through(self, lane: Lane) -> "Forward":
        """The same exchange with another pool."""
        task = self.task
        return Forward(lane, self.client, task.request, task.record, task.target, task.tail, task.capture)

    async def run(self) -> None:  # noqa: C901, PLR0912, PLR0915  in one piece, see below
        """Try backends until one has answered the client, or the capture has declined an answer.

        Raises GatewayError: no_backend, one of the queue's kinds, or what the last attempt failed with.
        The loop stands in one piece because each coroutine more costs every request another generator.
        """
        task, context = self.task, self._context
        lane, record = task.lane, task.record
        pool, sends, again, at = lane.pool, 1, False, lane.now()
        hedger = None if task.request.streamed else pool.hedger
        lane.budget.deposit(at)
        if hedger is not None:
            hedger.deposit()
        if lane.affinity is not None:
            lane.tie(context, task.request)
        record.pool = pool.name
        self._explain = lane.observer.wants_decision(at) or task.request.head.explain
        while True:
            context.now = at
            trace = pool.trace(context) if self._explain else None
            if trace is not None:  # noted first: a refusal is explained as well
                record.decision = [*(record.decision or ()), trace]
            lease = pool.acquire(context)
            if lease is None:
                lease, at = await self._turn(at)
            record.backend = lease.backend.name
            attempt = Attempt(task, lease, trace)
            pause: float | None = None
            reuse = False
            try:
                await attempt.begin(at)
                record.sent = attempt.sent
                if hedger is None:
                    head = await attempt.head(inf)
                    assert head is not None
                else:
                    attempt, head = await race(task, attempt, context, hedger, self._explain)
                    record.backend = attempt.lease.backend.name
                attempt.judge(head, record.first_byte)
                if head.status >= 400:
                    pause = self._again(attempt, head.status, sends)
                if (
                    pause is None
                    and (task.capture is None or not task.capture.declines(head))
                    and not reply_whole(task, attempt, head)
                ):
                    await relay(task, attempt, head)
                reuse = True
            except GatewayError as error:
                attempt.failed(error)
                pause = self._again(attempt, error.kind, sends)
                if pause is None:
                    if error.retry_after_s is None and attempt.outcome is Outcome.CONNECT_ERROR:
                        error.retry_after_s = pool.retry_after(lane.now())
                    raise
            finally:
                record.ended = at = lane.now()
                attempt.end(at, reuse)
            if pause is None:
                if again and attempt.outcome is Outcome.OK:
                    pool.retries["success"] += 1
                return
            again = True
            sends += attempt.sent > 0.0
            at = await self._rest(attempt, at, pause)

    async def _turn(self, at: float) -> tuple[Lease, float]:
        """Wait until a backend has room; the lease, and what time it is then."""
        task, client = self.task, self.client
        lane, head = task.lane, task.request.head
        pool = lane.pool
        ticket = Ticket(lane.class_of(head), flow_of(head), at, task.total_at, self._context, client.wake)
        try:
            pool.wait(ticket, at)
            while (lease := ticket.grant) is None:
                if ticket.refused is not None:
                    raise ticket.refused
                if at >= ticket.until:
                    raise pool.queue.timed_out(ticket, at)
                at = await client.pause(at, min(ticket.until, at + ASK_AGAIN_S))
                if ticket.grant is None:
                    pool.bind(at)
        except BaseException as error:
            if isinstance(error, GatewayError):
                pool.shed[error.kind] += 1
            pool.queue.leave(ticket, at)
            if ticket.grant is not None:
                ticket.grant.close(Outcome.CANCELLED, lane.now())
            if task.record.trace is not None:
                task.record.trace.waited(pool.name, ticket.entered, lane.now())
            raise
        task.record.queued_s += at - ticket.entered
        if task.record.trace is not None:
            task.record.trace.waited(pool.name, ticket.entered, at)
        return lease, at

    async def _rest(self, attempt: Attempt, at: float, pause: float) -> float:
        """Get ready for another attempt, `pause` seconds from now."""
        self._context.tried = (*self._context.tried, attempt.lease.backend.name)
        until = at + pause
        while at < until:
            at = await self.client.pause(at, until)
        return at

    def _again(self, attempt: Attempt, problem: str | int, number: int) -> float | None:
        """Seconds to wait before another attempt after `problem` (kind or status); None: make none."""
        task, tried = self.task, self._context.tried
        lane, request = task.lane, task.request
        pool, here, sent = lane.pool, attempt.lease.backend.name, attempt.sent > 0.0
        failure = Failure(
            cause=cause_of(problem),
            # A send that never left is no send: a refused connect may try every other backend there is.
            attempt=number if sent else 0,
            method=request.head.method,
            nothing_sent=not sent,
            body_held=not request.streamed,
            replayable=lane.replayable,
            downstream_started=self.client.replying,
        )
        if not decide(lane.retry, failure):
            return None
        at = lane.now()
        pool.candidates(at)
        others = any(b.name != here and b.name not in tried for b in pool.well)
        if not sent and not others:
            return None
        pause = pause_s(lane.retry, number, not others, lane.rng, attempt.retry_after_s)
        if pause is None or at + pause >= task.total_at:
            return None
        # What reached nobody costs the pool nothing, and comes to each backend once at most.
        if sent and not lane.budget.withdraw(at):
            pool.retries["no_budget"] += 1
            return None
        pool.retries["tried"] += 1
        return pause
