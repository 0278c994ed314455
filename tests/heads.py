"""Heads of requests and responses as the readers make them, for tests of what is decided by heads."""

from gateway.messages import RequestHead, ResponseHead

#: A wall clock for tests: Tue, 24 Nov 2026 09:00:00 GMT.
NOW = 1_795_510_800.0
NOW_DATE = b"Tue, 24 Nov 2026 09:00:00 GMT"


def parts_from(*fields: tuple[bytes, bytes]) -> tuple[bytes, ...]:
    return tuple(part for name, value in fields for part in (name, b": ", value, b"\r\n"))


def request_head(*fields: tuple[bytes, bytes], method: str = "GET") -> RequestHead:
    head = RequestHead()
    head.method = method
    head.target = b"/v1/models"
    head.path = "/v1/models"
    head.host = b"gateway.example"
    head.parts = parts_from(*fields)
    head.fields = b"".join(head.parts)
    return head


def response_head(*fields: tuple[bytes, bytes], status: int = 200) -> ResponseHead:
    head = ResponseHead()
    head.status = status
    head.parts = parts_from(*fields)
    head.fields = b"".join(head.parts)
    head.has_date = any(name.lower() == b"date" for name, _ in fields)
    return head
