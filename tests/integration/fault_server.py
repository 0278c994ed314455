"""A backend that fails as told, in a process of its own.

    python -m tests.integration.fault_server --port 8101 --name a

It answers a POST of `{"n": 7, "stream": false}` with its name and that number, as JSON or as an event stream,
so that a client can tell whose answer it got, whether it is its own, and whether it is whole. What it is to
do comes on standard input, a line each, and is confirmed on standard output once it holds: that way is open
while it refuses connections, and it ends when its parent does.

    {"fault": "busy", "delay_s": 0.2}    from now on be like this; what is not given is as at the start
    seen                                 which requests have arrived? A JSON list of their numbers

SIGTERM ends it in order, as servers do: no new connections, idle ones closed, answers under way finished.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

READY = b"ready\n"
DONE = b"data: [DONE]\n\n"
#: Closing with this resets the connection in place of ending it.
RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """`delay_s` comes before an answer, `pause_s` before each further one of a stream's `pieces`.

    `fault` is one of FAULTS, or empty. `retry_after_s` is what a busy server asks for, if anything.
    `idle_s` is how long a connection is kept after an answer; None: for ever.
    """

    fault: str = ""
    delay_s: float = 0.02
    pause_s: float = 0.01
    pieces: int = 6
    retry_after_s: int | None = None
    idle_s: float | None = None


FAULTS = {
    "": "none",
    "busy": "503 at once, while its checks say that all is well",
    "silent": "takes connections and requests and never answers",
    "resets": "resets every connection as soon as it stands, and those it has at their next request",
    "closes": "takes a request and closes without a word",
    "keeps for nothing": "answers the first request of a connection, and closes when a second one arrives",
    "stops at the head": "sends the head of its answer, then closes",
    "ends half-way": "closes in the middle of the body",
    "breaks half-way": "resets the connection in the middle of the body",
}


class Server:
    """All connections behave by `how`, which may change between any two bytes."""

    def __init__(self, name: str, how: Behaviour) -> None:
        self.name = name
        self.usual = how
        self.how = how
        self.seen: list[int] = []
        self.ending = False
        self.connections: set[asyncio.StreamWriter] = set()
        self.waiting: set[asyncio.StreamWriter] = set()  # for a request

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(writer)
        try:
            if self.how.fault == "resets":
                _reset(writer)
                return
            request = await self._request(reader, writer, None)
            while request is not None and await self._answer(request, reader, writer):
                if self.ending:
                    return
                request = await self._request(reader, writer, self.how.idle_s)
                if self.how.fault == "keeps for nothing":
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            self.connections.discard(writer)
            writer.close()

    async def _request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept_s: float | None
    ) -> dict[str, Any] | None:
        """The next request's JSON, empty for one without a body; None when its time is over."""
        self.waiting.add(writer)
        try:
            async with asyncio.timeout(kept_s):
                head = await reader.readuntil(b"\r\n\r\n")
        except TimeoutError:
            return None
        finally:
            self.waiting.discard(writer)
        length = head.lower().partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0]
        if not length:
            return {}
        request: dict[str, Any] = json.loads(await reader.readexactly(int(length)))
        self.seen.append(request["n"])
        return request

    async def _answer(
        self, request: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer in one way or another; False when the connection is not to be kept."""
        how = self.how
        match how.fault:
            case "silent":
                await reader.read()
                return False
            case "resets":
                _reset(writer)
                return False
            case "closes" if request:
                return False
            case "busy" if request:
                writer.write(_busy(how))
                return True
        async for piece in _pieces(self.name, request, how):
            writer.write(piece)
            await writer.drain()
        if how.fault == "breaks half-way" and request:
            await asyncio.sleep(0.05)  # what was written arrives: a reset may overtake it
            _reset(writer)
        return how.fault in ("", "keeps for nothing") or not request

    async def obey(self) -> None:
        """Do what standard input says, until it ends."""
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
        )
        while line := await lines.readline():
            if line == b"seen\n":
                _say(json.dumps(self.seen).encode() + b"\n")
                continue
            self.how = replace(self.usual, **json.loads(line))
            assert self.how.fault in FAULTS, self.how
            _say(READY)
        os._exit(0)  # nobody is left to whom it could matter how

    async def end(self, server: asyncio.Server) -> None:
        """Close the listener and idle connections, finish the answers under way."""
        self.ending = True
        server.close()
        for writer in self.waiting:
            writer.close()
        while self.connections:  # noqa: ASYNC110 - an event would be one more thing to keep in step
            await asyncio.sleep(0.005)


async def _pieces(name: str, request: dict[str, Any], how: Behaviour) -> AsyncIterator[bytes]:
    """The answer to `request`, as far as `how` lets it go."""
    if not request:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
        return
    whole = how.fault not in ("ends half-way", "breaks half-way")
    await asyncio.sleep(how.delay_s)
    if not request["stream"]:
        body = json.dumps({"name": name, "n": request["n"], "text": "x" * 200}).encode()
        yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        if how.fault != "stops at the head":
            yield body if whole else body[: len(body) // 2]
        return
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    if how.fault == "stops at the head":
        return
    for number in range(how.pieces if whole else how.pieces // 2):
        if number:
            await asyncio.sleep(how.pause_s)
        event = json.dumps({"name": name, "n": request["n"], "piece": number}).encode()
        yield _chunk(b"data: %b\n\n" % event)
    if whole:
        yield _chunk(DONE) + _chunk(b"")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _busy(how: Behaviour) -> bytes:
    after = b"" if how.retry_after_s is None else b"Retry-After: %d\r\n" % how.retry_after_s
    return b"HTTP/1.1 503 Service Unavailable\r\n%bContent-Length: 4\r\n\r\nbusy" % after


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


def _say(line: bytes) -> None:
    os.write(1, line)


async def run(options: argparse.Namespace) -> None:
    server = Server(options.name, Behaviour(**json.loads(options.behaviour)))
    # The port is held by the parent too, so that nobody else gets it between two starts: hence reuse_port.
    listener = await asyncio.start_server(
        server.serve, "127.0.0.1", options.port, reuse_port=True, backlog=512
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    obeying = asyncio.ensure_future(server.obey())
    _say(READY)
    await stop.wait()
    await server.end(listener)
    obeying.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await obeying


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this in order
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--behaviour", default="{}", help="JSON with keys of Behaviour: how it is at first")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
