"""Is this backend fit for work? One small question per kind of probe."""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from typing import Protocol

import aiohttp

from gateway.health.presets import PRESETS
from gateway.health.state import HealthRule, Result, parse_expect

USER_AGENT = "model-gateway/health"
#: How much of an answer is looked at for a word about loading.
LOOK_BYTES = 4096


class Asked(Protocol):
    """What asking needs to know of a backend."""

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
    def state(self) -> str:
        """`up`, `down`, `ejected`, `draining` or `starting`."""


class Probed(Asked, Protocol):
    """What probing needs to know of a backend, too."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def settled(self) -> bool:
        """False while the next probes decide something: worth asking again soon."""

    @property
    def answered_at(self) -> float:
        """When its traffic last got a good answer, in seconds of the monotonic clock.

        0.0 when it never has, and after a failure: a failure takes the proof away.
        """


#: (session, backend, rule, TLS settings or None for the usual ones) → (result, why in a few words)
Probe = Callable[
    [aiohttp.ClientSession, Probed, HealthRule, ssl.SSLContext | None], Awaitable[tuple[Result, str]]
]


def open_session() -> aiohttp.ClientSession:
    """Connections for probes: a fresh one each time, since that it is accepted is half of what is asked."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        # identity: an answer that is read for a word about loading must not come compressed
        headers={"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"},
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )


async def http(
    session: aiohttp.ClientSession, backend: Probed, rule: HealthRule, tls: ssl.SSLContext | None
) -> tuple[Result, str]:
    """GET the health path, below the backend's own prefix; a success when the status is an expected one.

    Redirects are answers, not followed. The body is read only where it tells loading from broken.
    """
    url = f"{backend.scheme}://{backend.authority.decode()}{backend.prefix}{rule.path}"
    try:
        async with session.get(
            url,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=rule.timeout_s),
            ssl=True if tls is None else tls,
        ) as response:
            return await _judge(response, rule)
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        return "failure", reason(error, rule.timeout_s)


async def tcp(
    session: aiohttp.ClientSession, backend: Probed, rule: HealthRule, tls: ssl.SSLContext | None
) -> tuple[Result, str]:
    """Open a connection, TLS included where the backend is https, and close it again."""
    encryption = None if backend.scheme != "https" else True if tls is None else tls
    try:
        async with asyncio.timeout(rule.timeout_s):
            transport, _ = await asyncio.get_running_loop().create_connection(
                asyncio.Protocol, backend.host, backend.port, ssl=encryption
            )
    except (TimeoutError, OSError, ValueError) as error:
        return "failure", reason(error, rule.timeout_s)
    transport.close()
    return "success", "accepts connections"


async def _judge(response: aiohttp.ClientResponse, rule: HealthRule) -> tuple[Result, str]:
    status = response.status
    said = f"{rule.path} answered {status}"
    if any(low <= status <= high for low, high in parse_expect(rule.expect)):
        return "success", said
    sign = None if rule.preset is None else PRESETS[rule.preset].loading.get(status)
    if sign is not None and (not sign or sign in await _beginning(response)):
        return "loading", f"loading: {said}"
    return "failure", f"{said}, expected {rule.expect}"


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """The first `LOOK_BYTES` of a body, in lower case."""
    found = b""
    while len(found) < LOOK_BYTES and (piece := await response.content.read(LOOK_BYTES - len(found))):
        found += piece
    return found.lower()


def reason(error: Exception, timeout_s: float) -> str:
    """A failed probe in a few words, the same ones every time."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        error = error.certificate_error
    elif isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout_s:g} s"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "closed the connection without an answer"
    if isinstance(error, OSError) and not isinstance(error, aiohttp.ClientError):
        return _system_reason(error)
    return f"{type(error).__name__}: {error}"


def _system_reason(error: OSError) -> str:
    if isinstance(error, ssl.CertificateError):
        return f"certificate not accepted: {error}"
    if isinstance(error, ssl.SSLError):  # its number is not one of the operating system's
        return f"TLS handshake failed: {error.reason or error}"
    number = error.errno
    if number is not None:
        # asyncio's own text repeats the address; a name that is not found has a negative number
        return f"cannot connect: {os.strerror(number) if number > 0 else error.strerror}"
    if isinstance(error, ConnectionError):  # a handshake cut short comes without a number
        return "closed the connection without an answer"
    return "cannot connect: none of its addresses answers"  # each with a text of its own
