"""Does a request come from a page that has no business here?

Whoever reaches the admin address may use it, and browsers are the exception: a page from anywhere can make
them send requests, and read the answers where its own name has been made to point to this machine.
"""

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web


def foreign(request: web.Request, loopback: bool) -> str:
    """Why this looks like a request that some page made a browser send; "" when it does not.

    `loopback`: the admin side listens on a loopback address. Browsers name the page's origin in every request
    that can change something, in those of `EventSource` and in those whose answer a page of another origin
    wants to read; other clients send no Origin. The second rule is for pages whose own name has been made to
    point to this machine (DNS rebinding): for them origin and host agree, but no such name is ever that of a
    loopback address. To read, they need no Origin at all, so what tells about requests goes by the host.
    """
    origin = request.headers.get("Origin")
    if origin is not None and _authority(origin) != request.host.lower():
        return "this request comes from a page of another origin; send it without an Origin header"
    if not loopback or (origin is None and not request.path.startswith("/api/")):
        return ""
    if not is_loopback(_host(f"//{request.host}")):
        return "this address is local; call it by a local name such as 127.0.0.1 or localhost"
    return ""


def _authority(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # such as http://[::1
        return ""


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether a name or address, without its port, can only be this machine's own."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
