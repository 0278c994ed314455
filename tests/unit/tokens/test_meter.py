"""Does a meter count what an answer's pieces hold, when they came, and hold next to nothing itself?"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.messages import EVENTS, JSON, Exchange
from gateway.pool.stats import TokenStats
from gateway.tokens.meter import Meter
from tests.unit.tokens.streams import DONE, chunk, data, messages, responses, usage


class Upstream:
    """A backend's connection; `touched` is when bytes came last."""

    touched = 0.0


class Sink:
    def __init__(self) -> None:
        self.got = b""

    def relay(self, piece: bytes) -> None:
        self.got += piece


class Case:
    """One answer, asked for at 100 s."""

    def __init__(self, media: int = EVENTS) -> None:
        self.stats = TokenStats()
        self.upstream, self.sink = Upstream(), Sink()
        self.meter = Meter(self.stats, self.upstream, self.sink, media, 100.0)  # type: ignore[arg-type]
        self.record = Exchange("POST", "/v1/chat/completions", "id", "10.0.0.1", 99.0)

    def come(self, at: float, *events: bytes) -> None:
        self.upstream.touched = at
        self.meter.relay(b"".join(event + b"\n\n" for event in events))

    def end(self) -> tuple[int, int, int]:
        """The tokens counted."""
        self.meter.end(self.record)
        return self.stats.prompt, self.stats.completion, self.stats.cached


def said(text: str) -> bytes:
    return data(chunk({"content": text}))


ROLE = data(chunk({"role": "assistant", "content": ""}))
USAGE = data(chunk({}) | {"choices": [], "usage": usage(9, 12, 4)})


def test_the_first_token_is_no_role():
    """The time to the first token ends with the first content, not with the first event."""
    case = Case()
    case.come(100.5, ROLE)
    assert case.stats.first.total == 0
    case.come(101.5, said("Hi"))
    case.come(101.75, said(" you"), DONE)
    assert case.end() == (0, 2, 0)
    assert (case.stats.first.total, case.stats.first.sum) == (1, 1.5)
    assert (case.stats.gaps.total, case.stats.gaps.sum) == (1, 0.25)
    assert case.record.first_token == 101.5
    assert (case.record.prompt_tokens, case.record.completion_tokens) == (-1, 2)


def test_events_that_come_together_share_the_time():
    """Three events after 0.3 s are three gaps of 0.1 s; those that came with the first are none."""
    case = Case()
    case.come(101.0, said("a"), said("b"))
    case.come(101.3, said("c"), said("d"), said("e"))
    assert case.stats.gaps.total == 4
    assert case.stats.gaps.sum == pytest.approx(0.3)
    zero, tenth = case.stats.gaps.counts[0], case.stats.gaps.counts[case.stats.gaps.bounds.index(0.1) :]
    assert (zero, sum(tenth)) == (1, 3)


@given(st.lists(st.tuples(st.floats(0.0, 10.0), st.integers(0, 4)), max_size=30))
def test_gaps_add_up_to_the_time_of_the_stream(pieces):
    """Of n events there are n - 1 gaps, and their sum is the time from the first to the last of them."""
    case, at, times = Case(), 100.0, []
    for wait, events in pieces:
        at += wait
        case.come(at, *[said("a")] * events)
        times += [at] * events
    case.end()
    assert case.stats.first.total == min(1, len(times))
    assert case.stats.gaps.total == max(0, len(times) - 1)
    if times:
        assert case.stats.first.sum == pytest.approx(times[0] - 100.0)
        assert case.stats.gaps.sum == pytest.approx(times[-1] - times[0], abs=1e-6)
    assert case.stats.completion == len(times)


def test_usage_counts_where_it_is_told():
    """What the backend reports is what counts, and not how many events it took."""
    case = Case()
    case.come(101.0, ROLE, said("a"))
    case.come(102.0, said("b"), USAGE, DONE)
    assert case.end() == (9, 12, 4)
    assert (case.record.prompt_tokens, case.record.completion_tokens) == (9, 12)
    assert case.meter.count == 2


def test_usage_in_crumbs_is_found():
    """Usage that is torn apart by the network is put together."""
    case = Case()
    stream = b"\n\n".join([ROLE, *[said("word")] * 100, USAGE, DONE, b""])
    for at in range(0, len(stream), 7):
        case.upstream.touched = 101.0
        case.meter.relay(stream[at : at + 7])
    assert case.end() == (9, 12, 4)
    assert case.sink.got == stream
    assert case.meter.count == 100


def test_the_responses_api():
    """Its last event has the usage, behind all of the text."""
    case = Case()
    for event, _ in responses(9, ["a", "b"] * 100):
        case.come(101.0, event)
    assert case.end() == (9, 200, 3)
    assert case.meter.count == 200


def test_messages_tell_the_prompt_first_and_the_rest_last():
    """Anthropic's streams: input tokens in the first event, output tokens in the last but one."""
    case = Case()
    for event, _ in messages(9, ["word"] * 50):
        case.come(101.0, event)
    assert case.end() == (9, 50, 0)


@pytest.mark.parametrize("words", [0, 2, 50])
def test_messages_that_break_off(words):
    """The output tokens of the first event are not those of the answer: what was seen is counted."""
    case = Case()
    for event, content in messages(9, ["word"] * 50)[: 3 + words]:
        case.come(101.0, event)
        assert content is (case.meter.count > 0)
    assert case.end() == (9, words, 0)


def test_a_stream_that_breaks_off_counts_what_came():
    """`usage: null` in the chunks before the last is none."""
    case = Case()
    for _ in range(30):
        case.come(101.0, data(chunk({"content": "a"}, usage=None)))
    assert case.end() == (0, 30, 0)


@pytest.mark.parametrize("size", [10, 1000, 3000, 100_000])
def test_json_in_pieces(size):
    """Only the end of an answer is held, and its usage found in it; there is no first token."""
    case = Case(JSON)
    body = json.dumps({"data": [0.5] * 20_000, "usage": usage(7, 0)}).encode()
    held = 0
    for at in range(0, len(body), size):
        case.meter.relay(body[at : at + size])
        held = max(held, sum(map(len, case.meter._kept)))
    assert held <= 4096
    assert case.sink.got == body
    assert case.end() == (7, 0, 0)
    assert (case.record.prompt_tokens, case.record.completion_tokens, case.record.first_token) == (7, 0, 0.0)
    assert case.stats.first.total == 0


def test_another_kind_of_stream_counts_nothing():
    """Events that are no tokens leave no trace, and neither do answers without usage."""
    case = Case()
    for n in range(1000):
        case.come(101.0, b'data: {"tick": %d}' % n)
    assert case.end() == (0, 0, 0)
    assert (case.stats.first.total, case.record.completion_tokens, case.record.first_token) == (0, -1, 0.0)
    case = Case(JSON)
    case.meter.relay(b'{"object": "list", "data": []}')
    assert case.end() == (0, 0, 0)
    assert case.record.prompt_tokens == -1


@given(st.lists(st.binary(max_size=3000), max_size=30), st.sampled_from([EVENTS, JSON]))
def test_any_bytes_pass_as_they_are(pieces, media):
    """Whatever comes, the sink gets it, byte by byte, and little is held."""
    case = Case(media)
    for piece in pieces:
        case.meter.relay(piece)
        assert sum(map(len, case.meter._kept)) == case.meter._size <= 2048 + 3000
    case.end()
    assert case.sink.got == b"".join(pieces)


def test_a_clock_that_went_back_counts_as_no_time():
    """Sums never fall: that would look like a restart."""
    case = Case()
    case.come(99.0, said("a"))
    case.come(98.0, said("b"))
    assert (case.stats.first.sum, case.stats.gaps.sum) == (0.0, 0.0)
