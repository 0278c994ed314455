"""How does an answer reach the client? Whole, piece by piece, or as a tunnel; nothing can be taken back."""

from gateway.attempt import Attempt, Task
from gateway.errors import ClientGone, GatewayError
from gateway.health.faults import OUTCOMES
from gateway.http.headers import status_line
from gateway.lanes import UPGRADE, decision_line
from gateway.messages import Outcome, ResponseHead
from gateway.ports import Upstream


def reply_whole(task: Task, attempt: Attempt, head: ResponseHead) -> bool:
    """Give the client an answer that is complete already; False when it is not, or has no body."""
    connection = attempt.connection
    assert connection is not None
    reader = connection.reader
    if not reader.complete or reader.content_length is None or not head.has_body:
        return False
    task.record.status = head.status
    task.client.reply_whole(task.request, head.status, _fields(task, attempt, head), connection.take_body())
    return True


async def relay(task: Task, attempt: Attempt, head: ResponseHead) -> None:
    """Give the client the answer as it arrives; notes in `attempt` and the record how that ended."""
    outcome, attempt.outcome = attempt.outcome, Outcome.CANCELLED
    client, connection = task.client, attempt.connection
    assert connection is not None
    reader = connection.reader
    task.record.status = head.status
    fields = _fields(task, attempt, head)
    if reader.switched:
        await _tunnel(task, fields, connection)
        attempt.outcome = Outcome.OK
        return
    length = None if head.status == 204 else reader.content_length
    client.begin_reply(task.request, head.status, fields, length, head.has_body)
    connection.stream_to(client, task.record.stream)
    if not reader.complete:
        client.relay_from(connection)
        try:
            await _body(task, connection)
        except GatewayError as error:
            client.cut_reply()
            # A long answer is no fault: that its total time is over counts against nobody.
            late = error.kind == "total_timeout"
            attempt.outcome = Outcome.CANCELLED if late else OUTCOMES.get(error.kind, Outcome.CANCELLED)
            task.record.error = error.kind
            if attempt.trace is not None:
                attempt.trace.error = error.kind
            return
    client.end_reply()
    attempt.outcome = outcome


async def _body(task: Task, connection: Upstream) -> None:
    client, lane = task.client, task.lane
    at = lane.now()
    while not connection.reader.complete:
        if connection.error is not None:
            raise connection.error
        if client.refused is not None:
            raise client.refused
        if at >= task.total_at:
            raise task.over_time()
        if client.writable:
            until = connection.touched + lane.idle_s
            if at >= until:
                raise GatewayError("idle_timeout", "The backend stopped in the middle of its answer.")
        else:
            until = client.stalled_at + lane.body_timeout_s
            if at >= until and client.stalled(at):
                raise GatewayError("client_closed", "The client takes nothing of the answer.")
            until = client.stalled_at + lane.body_timeout_s
        at = await client.pause(at, min(until, task.total_at))


def _fields(task: Task, attempt: Attempt, head: ResponseHead) -> bytes:
    record, lane = task.record, task.lane
    waited = record.first_byte - attempt.sent
    own = record.first_byte - record.started - task.client.waited_s
    return (
        b"%b%bX-Request-ID: %b\r\n%b%b"
        b"Server-Timing: gateway;dur=%.2f, backend;dur=%.2f\r\nVia: 1.1 gateway\r\n"
        % (
            head.fields,
            b"" if head.has_date else lane.date.line(lane.wall()),
            record.request_id.encode(),
            attempt.lease.backend.connections.label_line,
            decision_line(record) if task.request.head.explain else b"",
            own * 1e3 if own > 0.0 else 0.0,
            waited * 1e3,
        )
    )


async def _tunnel(task: Task, fields: bytes, connection: Upstream) -> None:
    """The backend switched to WebSocket: bytes pass both ways until one side ends; never pooled again."""
    client, lane = task.client, task.lane
    at = lane.now()
    task.record.upgraded = True
    client.replying = True
    client.write_interim(status_line(101) + fields + UPGRADE + b"\r\n")
    client.relay_from(connection)
    connection.begin_upload(False, client.on_upload_room)
    connection.tunnel_to(client)
    client.tunnel_to(connection)
    while connection.error is None and at < (until := connection.touched + lane.total_s):
        try:
            at = await client.pause(at, until)
        except ClientGone:
            return
