"""Who answers first, when a second attempt is made before the first has failed? See attempts/hedge.py."""

from math import inf

from gateway.attempt import Attempt, Task, no_first_byte
from gateway.attempts.hedge import Hedger
from gateway.balancing.context import PickContext
from gateway.errors import GatewayError
from gateway.messages import Outcome, ResponseHead
from gateway.ports import Connections, Dialing

#: While a second attempt cannot be made, how soon it is tried again: a share of the time to the first try.
AGAIN = 0.25


class Rival:
    """A second attempt, driven by plain calls: its script waits for both. `error`: what it failed with."""

    __slots__ = ("_connections", "_dialing", "_until", "attempt", "error")

    def __init__(self, attempt: Attempt, at: float) -> None:
        task = attempt.task
        self.attempt = attempt
        self.error: GatewayError | None = None
        self._connections: Connections = attempt.lease.backend.connections
        self._until = min(at + task.lane.connect_s, task.total_at)
        self._dialing: Dialing | None = None
        connection = self._connections.take()
        if connection is None:
            self._dialing = self._connections.connect(task.client.wake)
        else:
            attempt.send(self._connections, connection, at)

    def __repr__(self) -> str:
        return f"<Rival {self.attempt!r}>"

    @property
    def due(self) -> float:
        """When it fails if nothing happens."""
        attempt = self.attempt
        if attempt.connection is None:
            return self._until
        return min(attempt.sent + attempt.task.lane.first_byte_s, attempt.task.total_at)

    def head(self, at: float) -> ResponseHead | None:
        """The head of its answer, once it has one; `error` is set when none will come."""
        attempt = self.attempt
        try:
            if self._dialing is not None and attempt.connection is None:
                attempt.dialled(self._connections, self._dialing, at, self._until)
            connection = attempt.connection
            if connection is None:
                return None
            if (head := connection.answered()) is not None:
                return head
            if attempt.stale():
                connection.release(False)
                attempt.connection = None
                self._until = at + attempt.task.lane.connect_s
                self._dialing = self._connections.connect(attempt.task.client.wake)
            elif connection.error is not None:
                self.error = connection.error
            elif at >= self.due:
                self.error = no_first_byte()
        except GatewayError as error:
            self.error = error
        return None

    def give_up(self) -> None:
        """Stop connecting, if it still does."""
        if self._dialing is not None and self.attempt.connection is None:
            self._dialing.give_up()


async def race(
    task: Task, first: Attempt, context: PickContext, hedger: Hedger, explain: bool
) -> tuple[Attempt, ResponseHead]:
    """The attempt that answers, and its head; every other one is ended here, `first` only if it lost.

    Raises what `first.head` raises, when there is no second attempt that still may answer.
    """
    delay_s = hedger.delay_s(context.kind, first.sent)
    if delay_s is None:
        return first, await _alone(first, first.sent)
    rival = await _late(task, first, context, hedger, explain, delay_s)
    if isinstance(rival, ResponseHead):
        return first, rival
    hedges = task.lane.pool.hedges
    won = False
    try:
        head = await _both(task, first, rival)
        won = head is not None
    finally:
        at = task.lane.now()
        if not won:
            rival.give_up()
            _leave(rival.attempt, hedger, at)
            hedges["lost" if rival.error is None else "failed"] += 1
            if rival.error is not None:  # if the first fails as well, there is no use in going there again
                context.tried = (*context.tried, rival.attempt.lease.backend.name)
    if head is None:
        return first, await _alone(first, at)
    hedges["won"] += 1
    hedger.observe(context.kind, at - first.sent)  # it would have taken longer still
    _leave(first, hedger, at)
    task.record.sent, task.record.first_byte = rival.attempt.sent, at
    return rival.attempt, head


async def _late(
    task: Task, first: Attempt, context: PickContext, hedger: Hedger, explain: bool, delay_s: float
) -> "ResponseHead | Rival":
    """The head of the first's answer, or a second attempt that has been begun because that is late."""
    lane = task.lane
    refused, at, due = "", first.sent, first.sent + delay_s
    while True:
        head = await first.head(due, at)
        if head is not None:
            return head
        at = lane.now()
        # Asked again soon where it cannot be: an answer that is only a little late comes meanwhile, and one
        # that hangs is worth what has been saved up by then.
        due = at + AGAIN * delay_s
        why = _unwise(task, first, context, hedger, at)
        if why:
            if not refused:
                lane.pool.hedges[why] += 1
            refused = why
        elif (rival := _second(task, first, context, hedger, explain, at)) is not None:
            return rival


async def _alone(first: Attempt, at: float) -> ResponseHead:
    head = await first.head(inf, at)
    assert head is not None
    return head


def _unwise(task: Task, first: Attempt, context: PickContext, hedger: Hedger, at: float) -> str:
    """Why no second attempt is made now; empty when one may be."""
    pool = task.lane.pool
    if not hedger.affordable() or task.lane.budget.retries_left(at) < 1.0:
        return "no_budget"
    tried = (*context.tried, first.lease.backend.name)
    if len(pool.queue) or all(backend.name in tried for backend in pool.candidates(at)):
        return "no_backend"
    return ""


def _second(
    task: Task, first: Attempt, context: PickContext, hedger: Hedger, explain: bool, at: float
) -> Rival | None:
    lane = task.lane
    pool = lane.pool
    tried = context.tried
    context.now = at
    context.tried = (*tried, first.lease.backend.name)
    trace = pool.trace(context) if explain else None
    lease = pool.spare(context)
    context.tried = tried
    if lease is None:
        return None
    lane.budget.withdraw(at)
    hedger.spend()
    attempt = Attempt(task, lease, trace)
    if attempt.traced is not None:
        attempt.traced.hedge = True
    if trace is not None:
        task.record.decision = [*(task.record.decision or ()), trace]
    return Rival(attempt, at)


async def _both(task: Task, first: Attempt, rival: Rival) -> ResponseHead | None:
    """Wait for one of two; the rival's head, or None when only the first is still to be waited for.

    An answer that says "I cannot" (429, 5xx) does not beat the other attempt, which may still answer well,
    and a kept connection that the backend had closed is not opened anew while the rival runs. When the first
    has failed, the rival is waited for alone; what the first failed with is raised if the rival fails too.
    """
    client, at = task.client, task.lane.now()
    connection = first.connection
    assert connection is not None
    failure: GatewayError | None = None
    over = False  # nothing good comes of the first as it is
    due = first.sent + task.lane.first_byte_s
    while True:
        head = rival.head(at)
        if head is not None:
            if head.status < 429 or failure is not None:
                return head
            rival.attempt.judge(head, at)
            rival.error = GatewayError("bad_response", "The second backend could not answer either.")
        if not over:
            answer = connection.answered()
            if answer is not None and answer.status < 429:
                return None
            over, failure = _over(first, answer, at, due)
        if at >= task.total_at:
            raise task.over_time()
        if rival.error is not None:
            if rival.attempt.outcome is Outcome.CANCELLED:
                rival.attempt.failed(rival.error)
            if failure is not None:
                raise failure
            return None
        at = await client.pause(at, min(rival.due, task.total_at, inf if over else due))


def _over(
    first: Attempt, answer: ResponseHead | None, at: float, due: float
) -> tuple[bool, GatewayError | None]:
    """Whether nothing good comes of the first as it is, noted in it, and what it failed with if it did."""
    connection = first.connection
    assert connection is not None
    if answer is not None:
        first.judge(answer, at)
        return True, None
    if first.stale():
        return True, None
    failure = connection.error or (no_first_byte() if at >= due else None)
    if failure is not None:
        first.failed(failure)
    return failure is not None, failure


def _leave(attempt: Attempt, hedger: Hedger, at: float) -> None:
    """End an attempt that is not wanted any more, and watch whether its backend stops."""
    if attempt.traced is not None:
        attempt.traced.lost = attempt.outcome is Outcome.CANCELLED
    if attempt.outcome is Outcome.CANCELLED and attempt.connection is not None:
        now = attempt.task.lane.now
        attempt.end(at, False, lambda freed: hedger.cancelled(freed, now()))
    else:
        attempt.end(at, False)
