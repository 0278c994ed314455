"""Does the client that nobody waits for take everything, and end when it is told to?"""

import asyncio

import pytest

from gateway.clock import now
from gateway.errors import ClientGone
from gateway.http.detached import DetachedClient
from gateway.messages import Request, RequestHead


def made() -> tuple[DetachedClient, list[BaseException | None]]:
    ended: list[BaseException | None] = []
    return DetachedClient(asyncio.get_running_loop(), "10.0.0.1", ended.append), ended


async def test_it_waits_until_it_is_woken_or_its_time_is_over() -> None:
    """A pause ends with a wake, or at its moment; what it has waited is counted."""
    client, ended = made()
    times: list[float] = []

    async def script() -> None:
        times.append(await client.pause(now(), now() + 60.0))
        times.append(await client.pause(times[0], times[0] + 0.01))

    client.start(script())
    assert times == []
    client.wake()
    assert len(times) == 1
    await asyncio.sleep(0.05)
    assert len(times) == 2
    assert ended == [None]
    assert client.waited_s >= 0.01
    client.end()


@pytest.mark.parametrize("how", ["abort", "over"])
async def test_it_leaves_when_it_is_not_wanted_any_more(how: str) -> None:
    """At its next wait, which is now; but it goes on while others wait for what it asks."""
    client, ended = made()
    waits = 0

    async def script() -> None:
        nonlocal waits
        while True:
            waits += 1
            await client.pause(now(), now() + 60.0)

    client.start(script())
    client.needed = True
    if how == "abort":
        client.abort()
    else:
        client.cut_reply()
        client.wake()
    assert (waits, ended) == (2, [])
    client.needed = False
    client.wake()
    (error,) = ended
    assert isinstance(error, ClientGone)
    client.end()


async def test_it_takes_any_answer() -> None:
    """Whole or in pieces: bytes are counted, and it never is full."""
    client, _ = made()
    request = Request(RequestHead(), None, now())
    client.begin_reply(request, 200, b"", None, True)
    for _ in range(3):
        client.relay(b"x" * 100_000)
    client.end_reply()
    assert client.replying
    assert client.writable
    assert client.bytes_out == 300_000
    assert not client.stalled(now())
    client.end()
