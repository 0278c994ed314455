"""Request heads for the cache's tests."""

from gateway.messages import RequestHead


def head(
    *fields: tuple[bytes, bytes],
    method: str = "POST",
    target: bytes = b"/v1/chat/completions",
    host: bytes = b"gateway:8080",
    content_type: bytes = b"application/json",
) -> RequestHead:
    """As the reader makes them; `content_type` b"" for none."""
    made = RequestHead()
    made.method, made.target, made.host, made.content_type = method, target, host, content_type
    told = [(b"Content-Type", content_type)] if content_type else []
    made.parts = tuple(part for name, value in [*told, *fields] for part in (name, b": ", value, b"\r\n"))
    made.fields = b"".join(made.parts)
    return made
