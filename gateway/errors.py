"""What went wrong, whose fault is it, and what does the client get? One table from kind to answer."""

from dataclasses import dataclass
from typing import Literal

Side = Literal["caller", "overload", "backend", "network", "gateway"]


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """How one kind of error is answered: HTTP status, whose fault, OpenAI error type."""

    status: int
    side: Side
    type: str = "invalid_request_error"


_SERVER = "server_error"

#: kind → rule. The kind is the value of `X-Gateway-Error` and of the error object's `code`.
RULES: dict[str, ErrorRule] = {
    "bad_request": ErrorRule(400, "caller"),
    "route_not_found": ErrorRule(404, "caller"),
    "model_not_found": ErrorRule(404, "caller"),
    "method_not_allowed": ErrorRule(405, "caller"),
    "header_timeout": ErrorRule(408, "caller"),
    "body_timeout": ErrorRule(408, "caller"),
    "body_too_large": ErrorRule(413, "caller"),
    "target_too_long": ErrorRule(414, "caller"),
    "expectation_failed": ErrorRule(417, "caller"),
    "header_too_large": ErrorRule(431, "caller"),
    "client_closed": ErrorRule(499, "caller"),  # logged, never sent: nobody is there to read it
    "internal": ErrorRule(500, "gateway", _SERVER),
    "method_not_implemented": ErrorRule(501, "caller"),
    "transfer_encoding_not_implemented": ErrorRule(501, "caller"),
    "connect_error": ErrorRule(502, "network", _SERVER),
    "reset": ErrorRule(502, "network", _SERVER),
    "bad_response": ErrorRule(502, "backend", _SERVER),
    "no_backend": ErrorRule(503, "overload", _SERVER),
    "queue_full": ErrorRule(503, "overload", _SERVER),
    "shed": ErrorRule(503, "overload", _SERVER),
    "deadline": ErrorRule(503, "overload", _SERVER),
    "queue_timeout": ErrorRule(503, "overload", _SERVER),
    "buffers_full": ErrorRule(503, "overload", _SERVER),
    "out_of_sockets": ErrorRule(503, "overload", _SERVER),
    "too_many_connections": ErrorRule(503, "overload", _SERVER),
    "shutting_down": ErrorRule(503, "overload", _SERVER),
    "connect_timeout": ErrorRule(504, "network", _SERVER),
    "not_cached": ErrorRule(504, "caller"),  # RFC 9111 5.2.1.7
    "first_byte_timeout": ErrorRule(504, "backend", _SERVER),
    "idle_timeout": ErrorRule(504, "backend", _SERVER),
    "deadline_exceeded": ErrorRule(504, "caller", _SERVER),
    "total_timeout": ErrorRule(504, "backend", _SERVER),
    "version_not_supported": ErrorRule(505, "caller"),
}


class GatewayError(Exception):
    """An error the gateway answers itself.

    `kind` is a key of `RULES`; `message` is for the client's eyes (no addresses, no secrets);
    `retry_after_s` becomes `Retry-After`; `close` ends the client's connection after the answer.
    """

    def __init__(
        self, kind: str, message: str, *, retry_after_s: float | None = None, close: bool = False
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.rule = RULES[kind]
        self.retry_after_s = retry_after_s
        self.close = close
        self.allow: str = ""  # the methods that would have been taken, for 405

    def __repr__(self) -> str:
        return f"<GatewayError {self.kind} {self.rule.status}: {self.message}>"


class ClientGone(Exception):
    """The client closed its connection; there is nobody to answer."""


def body_too_large(max_body: int) -> GatewayError:
    """What a request body over `max_body` bytes gets, announced or arrived."""
    return GatewayError(
        "body_too_large", f"The request body is over the limit of {max_body} bytes.", close=True
    )
