"""Does the writer never wait, never lose a line in silence, and put whole lines into a pipe?"""

import os
import threading

from gateway.telemetry.writer import Writer, to_fd


def test_lines_arrive_in_order():
    """What is offered is written, first come first."""
    out: list[bytes] = []
    writer = Writer("test", out.append)
    for i in range(100):
        assert writer.offer(b"%d" % i)
    writer.close(10)
    assert out == [b"%d" % i for i in range(100)]
    assert writer.lost == 0 and writer.pending == 0


def test_a_full_backlog_refuses_and_counts():
    """While the output is stuck, what exceeds the backlog is refused; what was taken is written later."""
    stuck, out = threading.Event(), []

    def write(data: bytes) -> None:
        stuck.wait(30)
        out.append(data)

    writer = Writer("test", write, backlog=10)
    assert writer.offer(b"12345", 1)
    assert writer.offer(b"67890", 1)
    assert writer.full
    assert not writer.offer(b"more", 3)
    assert writer.lost == 3
    stuck.set()
    writer.close(10)
    assert out == [b"12345", b"67890"]


def test_closing_does_not_wait_for_ever():
    """With a stuck output, close returns and counts what is left as lost; nothing is taken after."""
    stuck = threading.Event()
    writer = Writer("test", lambda data: stuck.wait(30))
    writer.offer(b"a", 2)
    writer.offer(b"b", 5)
    writer.close(0.01)
    assert writer.lost == 7
    assert not writer.offer(b"c", 1)
    assert writer.lost == 8
    stuck.set()


def test_a_failed_write_is_counted_and_the_next_one_tried():
    """A broken pipe loses lines, not the thread."""
    out: list[bytes] = []

    def write(data: bytes) -> None:
        if data == b"bad":
            raise BrokenPipeError
        out.append(data)

    writer = Writer("test", write)
    for data in (b"a", b"bad", b"b"):
        writer.offer(data, 1)
    writer.close(10)
    assert out == [b"a", b"b"] and writer.lost == 1


def test_close_twice_and_without_a_line():
    """Closing needs no thread, and can be done again."""
    writer = Writer("test", lambda data: None)
    writer.close()
    writer.close()
    assert writer.lost == 0


def test_a_pipe_that_takes_little_at_a_time_gets_everything():
    """A non-blocking pipe smaller than the data: the rest is written when there is room."""
    reader, end = os.pipe()
    os.set_blocking(end, False)
    data = os.urandom(1 << 20)
    writer = Writer("test", to_fd(end))
    try:
        writer.offer(data)
        got = b""
        while len(got) < len(data):
            got += os.read(reader, 65536)
        assert got == data
        writer.close(10)
        assert writer.lost == 0
    finally:
        os.close(reader)
        os.close(end)


def test_a_closed_pipe_is_counted():
    """When the reader has gone, the line is lost and said to be."""
    reader, end = os.pipe()
    os.close(reader)
    writer = Writer("test", to_fd(end))
    writer.offer(b"line\n")
    writer.close(10)
    os.close(end)
    assert writer.lost == 1
