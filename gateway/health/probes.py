"""Is this backend fit for work? One small question per kind of probe."""

import os
import ssl
from collections.abc import Awaitable, Callable
from typing import Protocol

import aiohttp

from gateway.health.state import HealthRule, HealthState, parse_expect

USER_AGENT = "model-gateway/health"


class Probed(Protocol):
    """What probing needs to know of a backend."""

    @property
    def pool(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def scheme(self) -> str: ...
    @property
    def authority(self) -> bytes:
        """host[:port], as in a Host header."""

    @property
    def prefix(self) -> str: ...
    @property
    def health(self) -> HealthState: ...


#: (session, backend, rule, TLS settings or None for the usual ones) → (fit, why in a few words)
Probe = Callable[
    [aiohttp.ClientSession, Probed, HealthRule, ssl.SSLContext | None], Awaitable[tuple[bool, str]]
]


async def http(
    session: aiohttp.ClientSession, backend: Probed, rule: HealthRule, tls: ssl.SSLContext | None
) -> tuple[bool, str]:
    """GET the health path, below the backend's own prefix; fit when the status is an expected one.

    Redirects are answers, not followed. The body is not read: headers say enough.
    """
    url = f"{backend.scheme}://{backend.authority.decode()}{backend.prefix}{rule.path}"
    try:
        async with session.get(
            url,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=rule.timeout_s),
            ssl=True if tls is None else tls,
        ) as response:
            status = response.status
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        return False, reason(error, rule.timeout_s)
    fit = any(low <= status <= high for low, high in parse_expect(rule.expect))
    return fit, f"{rule.path} answered {status}" + ("" if fit else f", expected {rule.expect}")


def reason(error: Exception, timeout_s: float) -> str:
    """A failed probe in a few words, the same ones every time."""
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout_s:g} s"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"certificate not accepted: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        # asyncio's own text repeats the address; a name that is not found has a negative number
        return f"cannot connect: {os.strerror(number) if number and number > 0 else error.os_error.strerror}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "closed the connection without an answer"
    return f"{type(error).__name__}: {error}"
