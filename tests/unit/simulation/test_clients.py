"""The client's side of a simulated exchange."""

import pytest

from gateway.errors import ClientGone
from gateway.messages import Request, RequestHead
from gateway.simulation.clients import SimulatedClient
from gateway.simulation.engine import Engine


class Story:
    """A client whose script waits, and what it came to."""

    def __init__(self, until: float) -> None:
        self.engine = Engine()
        self.ends: list[BaseException | None] = []
        self.times: list[float] = []
        self.client = SimulatedClient(self.engine, self.ends.append)
        self.until = until

    async def wait(self) -> None:
        at = self.engine.now
        while at < self.until:
            at = await self.client.pause(at, self.until)
            self.times.append(at)


def test_a_wait_ends_at_its_time() -> None:
    """Within the alarm's millisecond, as with an event loop's timers."""
    story = Story(5.0)
    story.client.start(story.wait())
    story.engine.run(4.9)
    assert story.ends == []
    story.engine.run(6.0)
    assert story.ends == [None]
    assert story.times == [pytest.approx(5.0, abs=0.002)]
    assert story.client.waited_s == pytest.approx(5.0, abs=0.002)


def test_a_wake_ends_a_wait_early() -> None:
    """And the script sees what time it is."""
    story = Story(5.0)
    story.client.start(story.wait())
    story.engine.at(1.0, story.client.wake)
    story.engine.run(2.0)
    assert story.times == [1.0]
    assert story.ends == []


def test_a_client_that_leaves_ends_its_script() -> None:
    """At its wait, with ClientGone."""
    story = Story(5.0)
    story.client.start(story.wait())
    story.client.leave()
    assert [type(end) for end in story.ends] == [ClientGone]
    assert "left" in repr(story.client)


def test_a_client_is_as_new_for_its_next_task() -> None:
    """Nothing of the last answer is left, and its alarm still rings."""
    story = Story(1.0)
    client, request = story.client, Request(RequestHead(), None, 0.0)
    client.reply_whole(request, 200, b"", b"")
    client.cut_reply()
    client.leave()
    client.begin()
    assert (client.status, client.began_at, client.whole, client.cut, client.lost, client.replying) == (
        0,
        0.0,
        False,
        False,
        False,
        False,
    )
    client.start(story.wait())
    story.engine.run(2.0)
    assert story.ends == [None]


def test_a_reply_begins_once_and_ends() -> None:
    """The time of its first byte is kept."""
    story = Story(1.0)
    story.engine.run(3.0)
    story.client.begin_reply(Request(RequestHead(), None, 0.0), 206, b"", None, True)
    story.engine.run(4.0)
    assert (story.client.status, story.client.began_at, story.client.whole) == (206, 3.0, False)
    story.client.end_reply()
    assert story.client.whole
