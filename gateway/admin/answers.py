"""In which form does the admin side answer, and what does a failure look like?"""

import logging
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_CODES = {400: "bad_request", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "Server": "gateway",
    "X-Content-Type-Options": "nosniff",
}


class NotFound(Exception):
    """A name in the path that nothing has; the message is for the caller."""


def as_json(data: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """`data` as JSON on lines of its own: people read these with curl."""
    body = msgspec.json.format(msgspec.json.encode(data), indent=2) + b"\n"
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def refusal(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """An error, in the shape of those that clients of the gateway get."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    code = _CODES.get(
        status, "unavailable" if status == 503 else "internal" if status >= 500 else "bad_request"
    )
    error = {"message": message, "type": kind, "code": code, "param": None}
    return as_json({"error": error}, status, headers)


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every failure of a handler as JSON."""
    try:
        return await handler(request)
    except NotFound as error:
        return refusal(404, str(error))
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return refusal(405, f"this path takes {allowed}", {"Allow": allowed})
    except web.HTTPNotFound as error:
        ours = error.reason != "Not Found"
        return refusal(404, error.reason if ours else "nothing is at this path; /api lists what there is")
    except web.HTTPException as error:
        return refusal(error.status, error.reason)
    except Exception:
        log.exception("admin request %s failed", request.path)
        return refusal(500, "the answer could not be made; the log says why")


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """The fields that every answer has."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "gateway"
