"""How is the admin side asked? Over one kept connection, and every failure is one clear line."""

import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from gateway.top.document import Decision, Overview, Strange, read, read_decisions
from gateway.top.events import Events, TooLong

TIMEOUT_S = 5.0
MAX_BYTES = 64 * 1024 * 1024  # of an answer; that of 200 backends is a quarter of a megabyte

_Kind = TypeVar("_Kind")


class Unreachable(Exception):
    """The gateway did not answer as one; the text is a line that says why and what to do, `why` the first."""

    def __init__(self, url: str, why: str, what_to_do: str) -> None:
        super().__init__(f"{url}: {why}; {what_to_do}")
        self.why = why


class Refused(Exception):
    """The gateway answered that it will not; the text is its own."""


class Admin:
    """The admin side at `url`. Every method raises Unreachable or Refused."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url.rstrip("/")
        self._session = session

    def __repr__(self) -> str:
        return f"<Admin {self.url}>"

    async def overview(self) -> tuple[Overview, bytes]:
        """The gateway now, and the document as it came."""
        body = await self._ask("GET", "/api/overview")
        return self._read(body, read), body

    async def live(self, interval_s: float) -> AsyncIterator[Overview | list[Decision]]:
        """An overview at once and every `interval_s`; in between what was decided, newest first.

        Ends only by raising: a stream that stops or falls silent is Unreachable, too.
        """
        timeout = aiohttp.ClientTimeout(sock_connect=TIMEOUT_S, sock_read=interval_s + TIMEOUT_S)
        path, events = f"/api/live?interval={interval_s:g}", Events()
        with self._failures():
            async with self._session.get(self.url + path, timeout=timeout, allow_redirects=False) as answer:
                if answer.status != 200:
                    self._judge(path, answer, await _body(answer))
                async for piece in answer.content.iter_any():
                    for name, data in events.feed(piece):
                        if name == "overview":
                            yield self._read(data, read)
                        elif name == "decisions":
                            yield self._read(data, read_decisions)
        raise self._gone()

    async def change(self, pool: str, backend: str, what: str) -> str:
        """`what` is drain or undrain; the state the backend is in afterwards."""
        path = f"/api/pools/{quote(pool, safe='')}/backends/{quote(backend, safe='')}/{what}"
        return str(self._object(await self._ask("POST", path)).get("state", "?"))

    async def _ask(self, method: str, path: str) -> bytes:
        with self._failures():
            url = URL(self.url + path, encoded=True)  # names are quoted: a slash in one stays %2F
            async with self._session.request(method, url, allow_redirects=False) as answer:
                body = await _body(answer)
                if answer.status != 200:
                    self._judge(path, answer, body)
                return body
        raise AssertionError("every way out of the block above ends it")

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """What aiohttp raises within, as Unreachable."""
        try:
            yield
        except TimeoutError:
            why = f"no answer within {TIMEOUT_S:.0f} s"
            raise Unreachable(self.url, why, "it hangs, or packets are dropped on the way") from None
        except aiohttp.ClientConnectorDNSError as error:
            raise Unreachable(self.url, f"nobody knows the host {error.host}", "check the address") from None
        except aiohttp.ClientSSLError as error:
            why = f"no TLS connection ({str(error.os_error) or type(error).__name__})"
            raise Unreachable(self.url, why, "a gateway's own admin side speaks http://") from None
        except aiohttp.ClientConnectorError as error:
            why = os.strerror(error.errno) if error.errno else str(error.os_error)
            what_to_do = "is the gateway running, and is this its admin address?"
            raise Unreachable(self.url, why.lower(), what_to_do) from None
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, ConnectionError):
            raise self._gone() from None
        except (aiohttp.ClientError, TooLong, OSError, ValueError) as error:
            raise self._strange(str(error) or type(error).__name__) from None

    def _judge(self, path: str, answer: aiohttp.ClientResponse, body: bytes) -> None:
        """Raise what an answer other than 200 means; those that clients get have a field of their own."""
        message, asked = _message(body), path.partition("?")[0]
        absent = answer.status == 404 and asked in ("/api/overview", "/api/live")
        if absent or not message or "X-Gateway-Error" in answer.headers:
            raise self._strange(f"{asked} gave {answer.status}")
        raise Refused(message)

    def _read(self, body: bytes, reader: Callable[[bytes], _Kind]) -> _Kind:
        try:
            return reader(body)
        except Strange as error:
            raise self._strange(str(error)) from None

    def _object(self, body: bytes) -> dict[str, Any]:
        try:
            data = json.loads(body)
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise self._strange("no JSON object")
        return data

    def _gone(self) -> Unreachable:
        return Unreachable(
            self.url, "the connection was closed", "the gateway has ended, or is being restarted"
        )

    def _strange(self, why: str) -> Unreachable:
        return Unreachable(
            self.url,
            f"what answers there is no admin side of a gateway of this version ({why})",
            "check the address: clients use another one",
        )


def session() -> aiohttp.ClientSession:
    """For one `Admin`; to be used as a context. Proxies of the environment are left out."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        connector=aiohttp.TCPConnector(limit=2),
        headers={"Accept": "application/json"},
    )


def address(text: str) -> str:
    """The URL that `text` means: http://HOST:PORT, or HOST:PORT alone. ValueError with what is accepted."""
    url = text if "://" in text else f"http://{text}"
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme not in ("http", "https") or not parts.hostname or port is None or parts.query:
        raise ValueError(f"{text!r} is no admin address; write it as http://127.0.0.1:9901")
    return url.rstrip("/")


def reached(listening: str) -> str:
    """The URL by which this machine reaches HOST:PORT of a configuration: any address is loopback."""
    host, _, port = listening.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "*": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
    return f"http://{host}:{port}"


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    """All of it; one beyond all measure raises TooLong."""
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > MAX_BYTES:
            raise TooLong(f"an answer of more than {MAX_BYTES} bytes")
    return bytes(body)


def _message(body: bytes) -> str:
    """What an error of the gateway's own says; empty for anything else."""
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return ""
