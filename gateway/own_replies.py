"""What does the gateway answer itself? Errors, the models of its pools, TRACE, OPTIONS at their last hop."""

from typing import Any

import msgspec

from gateway import clock
from gateway.errors import GatewayError
from gateway.http.headers import DateField
from gateway.lanes import decision_line, retry_after_line
from gateway.messages import Exchange, Request
from gateway.ports import Client
from gateway.routing.routes import Routes, models_answer

_ALLOW = b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
_JSON = b"Content-Type: application/json\r\n"


class OwnReplies:
    """Writes the replies that no backend gives."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._date = DateField()

    def __repr__(self) -> str:
        return f"<OwnReplies of {len(list(self._routes))} routes>"

    def answers(self, client: Client, request: Request, record: Exchange) -> bool:
        """Answer what no backend is asked: TRACE, OPTIONS * or at its last hop, the models of the pools."""
        head = request.head
        if head.method == "TRACE":
            raise GatewayError(
                "method_not_allowed", "TRACE is not answered here.", close=not request.complete
            )
        if head.method == "OPTIONS" and (head.path == "*" or head.max_forwards == 0):
            self.reply(client, request, record, 204, [_ALLOW], b"")
            return True
        if self._routes.lists_models(head.method, head.path):
            answer = models_answer(self._routes.models, head.path)
            self.reply(client, request, record, 200, [_JSON], msgspec.json.encode(answer))
            return True
        return False

    def error(self, client: Client, request: Request, record: Exchange, error: GatewayError) -> None:
        record.error = error.kind
        rule = error.rule
        record.status = rule.status
        if client.replying or client.lost:
            client.cut_reply()
            return
        if error.close:
            request.keep_alive = False
        fields = [_JSON, b"X-Gateway-Error: %b\r\n" % error.kind.encode()]
        if error.retry_after_s is not None:
            fields.append(retry_after_line(error.retry_after_s))
        if rule.status == 405:
            fields.append(b"Allow: %b\r\n" % error.allow.encode() if error.allow else _ALLOW)
        if record.backend:
            fields.append(b"X-Gateway-Backend: %b\r\n" % record.backend.encode())
        if request.head.explain and record.decision:
            fields.append(decision_line(record))
        body: dict[str, Any] = {
            "message": error.message,
            "type": rule.type,
            "param": None,
            "code": error.kind,
        }
        self.reply(client, request, record, rule.status, fields, msgspec.json.encode({"error": body}))

    def reply(
        self,
        client: Client,
        request: Request,
        record: Exchange,
        status: int,
        fields: list[bytes],
        body: bytes,
    ) -> None:
        record.status = status
        fields.append(b"X-Request-ID: %b\r\nVia: 1.1 gateway\r\n" % record.request_id.encode())
        fields.append(self._date.line(clock.wall()))
        with_body = status != 204 and request.head.method != "HEAD"
        client.begin_reply(request, status, b"".join(fields), None if status == 204 else len(body), with_body)
        if with_body:
            client.relay(body)
        client.end_reply()
