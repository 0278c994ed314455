"""How does an answer reach the client? Whole, piece by piece, or as a tunnel; nothing can be taken back."""

from math import inf

from gateway.attempt import Attempt, Task
from gateway.errors import ClientGone, GatewayError
from gateway.health.faults import OUTCOMES
from gateway.http.headers import status_line
from gateway.lanes import UPGRADE, decision_line
from gateway.messages import JSON, OTHER, Outcome, ResponseHead
from gateway.ports import Capture, Sink, Upstream
from gateway.tokens.meter import Meter, count_usage
from gateway.tokens.usage import usage_in


def reply_whole(task: Task, attempt: Attempt, head: ResponseHead) -> bool:
    """Give the client an answer that is complete already; False when it is not, or has no body."""
    connection = attempt.connection
    assert connection is not None
    reader = connection.reader
    if not reader.complete or reader.content_length is None or not head.has_body:
        return False
    task.record.status = head.status
    capture, body = task.capture, connection.take_body()
    line = b"" if capture is None else capture.head(head, reader.content_length, False, attempt.sent)
    task.client.reply_whole(task.request, head.status, _fields(task, attempt, head, line), body)
    if capture is not None and capture.active:
        capture.whole(body, task.record.first_byte - attempt.sent)
    if head.media == JSON:
        if _has_tokens(task, head):
            count_usage(attempt.lease.backend.tokens, usage_in(body), task.record)
    elif (meter := _metered(task, attempt, head, task.client)) is not None:
        meter.take(body, task.record.first_byte)
    return True


async def relay(task: Task, attempt: Attempt, head: ResponseHead) -> None:
    """Give the client the answer as it arrives; notes in `attempt` and the record how that ended."""
    outcome, attempt.outcome = attempt.outcome, Outcome.CANCELLED
    client, connection = task.client, attempt.connection
    assert connection is not None
    reader = connection.reader
    task.record.status = head.status
    capture, line = _captured(task, attempt, head)
    fields = _fields(task, attempt, head, line)
    if reader.switched:
        await _tunnel(task, fields, connection)
        attempt.outcome = Outcome.OK
        return
    length = None if head.status == 204 else reader.content_length
    client.begin_reply(task.request, head.status, fields, length, head.has_body)
    if capture is not None:
        capture.begin(connection)
    sink: Sink = client if capture is None else capture
    connection.stream_to(_metered(task, attempt, head, sink) or sink, task.record.stream)
    if not reader.complete:
        if capture is None:
            client.relay_from(connection)
        try:
            await _body(task, connection, capture)
        except GatewayError as error:
            if capture is not None:
                capture.broke()
            client.cut_reply()
            # A long answer is no fault: that its total time is over counts against nobody.
            late = error.kind == "total_timeout"
            attempt.outcome = Outcome.CANCELLED if late else OUTCOMES.get(error.kind, Outcome.CANCELLED)
            task.record.error = error.kind
            attempt.note(error.kind)
            return
    if capture is not None:
        capture.finish(task.lane.now() - attempt.sent)
    client.end_reply()
    attempt.outcome = outcome


def _captured(task: Task, attempt: Attempt, head: ResponseHead) -> tuple[Capture | None, bytes]:
    """Who is to have the pieces, if anybody but the client, and what the client is told of it."""
    capture, connection = task.capture, attempt.connection
    if capture is None or connection is None:
        return None, b""
    reader = connection.reader
    line = capture.head(head, reader.content_length, reader.until_close, attempt.sent)
    return (capture if capture.active else None), line


def _has_tokens(task: Task, head: ResponseHead) -> bool:
    """Whether tokens may be told of in an answer with this head.

    One to GET may tell of some, too, but of such as were made before.
    """
    if head.media == OTHER or not task.lane.tokens:
        return False
    return 200 <= head.status < 300 and task.request.head.method == "POST"


def _metered(task: Task, attempt: Attempt, head: ResponseHead, sink: Sink) -> Meter | None:
    """What counts the answer's tokens on their way to `sink`; None where that is of no use."""
    if not _has_tokens(task, head) or attempt.connection is None:
        return None
    stats = attempt.lease.backend.tokens
    meter = attempt.meter = Meter(stats, attempt.connection, sink, head.media, attempt.sent)
    return meter


async def _body(task: Task, connection: Upstream, capture: Capture | None) -> None:
    client, lane = task.client, task.lane
    at = lane.now()
    asked, total_at = at, task.total_at
    while not connection.reader.complete:
        if connection.error is not None:
            raise connection.error
        if client.refused is not None:
            raise client.refused
        if at >= total_at:
            if not client.needed:
                raise task.over_time()
            # It is over for this client; those who wait as well each have a time of their own.
            task.record.error = task.over_time().kind
            client.cut_reply()
            total_at = inf
        if client.writable if capture is None else not capture.paused():
            until = connection.touched + lane.idle_s
            if at >= until:
                raise GatewayError("idle_timeout", "The backend stopped in the middle of its answer.")
        else:
            since = client.stalled_at if capture is None else max(connection.touched, asked)
            until = since + lane.body_timeout_s
            if at >= until:
                if client.stalled(at) if capture is None else capture.stalled(at):
                    raise GatewayError("client_closed", "The client takes nothing of the answer.")
                asked = at
                until = at + lane.body_timeout_s
        at = await client.pause(at, min(until, total_at))


def _fields(task: Task, attempt: Attempt, head: ResponseHead, line: bytes) -> bytes:
    record, lane = task.record, task.lane
    waited = record.first_byte - attempt.sent
    own = record.first_byte - record.started - task.client.waited_s
    return (
        b"%b%bX-Request-ID: %b\r\n%b%b%b"
        b"Server-Timing: gateway;dur=%.2f, backend;dur=%.2f\r\nVia: 1.1 gateway\r\n"
        % (
            head.fields,
            b"" if head.has_date else lane.date.line(lane.wall()),
            record.request_id.encode(),
            attempt.lease.backend.connections.label_line,
            line,
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
