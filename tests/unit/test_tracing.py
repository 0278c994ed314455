"""Is a traceparent read as the specification says, and is what begins here sampled by its id?"""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.messages import Exchange, Request, RequestHead, Trace
from gateway.tracing import MAX_STATE, Tracer, known_id, parse, sampled_id, without_trace

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEX = st.text("0123456789abcdef", min_size=1, max_size=40)


def request(traceparent: bytes = b"", *fields: tuple[bytes, bytes]) -> Request:
    """As the reader makes it."""
    head = RequestHead()
    head.host = b"gateway.test"
    parts: list[bytes] = []
    for name, value in fields:
        parts += (name, b": ", value, b"\r\n")
        head.with_trace = head.with_trace or name.lower() in (b"traceparent", b"tracestate")
    head.parts = tuple(parts)
    head.fields = b"".join(parts)
    made = Request(head, None, 0.0)
    if traceparent:
        made.traceparent, made.traceparent_line = traceparent, b"traceparent: %b\r\n" % traceparent
    return made


def exchange() -> Exchange:
    return Exchange("GET", "/", "id", "10.0.0.9", 0.0)


def begun(asked: Request, share: float = 1.0, seed: int = 1) -> Trace:
    record = exchange()
    Tracer(share, Random(seed)).begin(asked, record)
    assert record.trace is not None
    return record.trace


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (f"00-{TRACE}-{SPAN}-01", 1),
        (f"00-{TRACE}-{SPAN}-00", 0),
        (f"00-{TRACE}-{SPAN}-ff", 255),
        (f"01-{TRACE}-{SPAN}-01", 1),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future", 1),
        (f"cc-{TRACE}-{SPAN}-01-", 1),
    ],
)
def test_well_formed_ones_are_read(value, flags):
    """Two ids and flags; of versions to come what is known."""
    assert parse(value.encode()) == (TRACE, SPAN, flags)


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01-x",
        f"cc-{TRACE}-{SPAN}-01.x",
        f"cc-{TRACE}-{SPAN}-011",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01\n",
        f" 00-{TRACE}-{SPAN}-01",
        f"00_{TRACE}_{SPAN}_01",
    ],
)
def test_others_are_malformed(value):
    """A wrong length, case, version, an id of zeros, something behind it."""
    assert parse(value.encode()) is None


@given(st.one_of(st.binary(max_size=80), st.builds("-".join, st.lists(HEX, max_size=6)).map(str.encode)))
def test_what_is_read_can_be_said_again(value):
    """Whatever comes is malformed, or means what it says in the form of version 00."""
    found = parse(value)
    if found is not None:
        trace_id, span_id, flags = found
        again = f"00-{trace_id}-{span_id}-{flags:02x}".encode()
        assert parse(again) == found and value[2:55] == again[2:55]


def test_a_sampled_parent_goes_on():
    """In its trace, below its span; each attempt has an id of its own, and tells it."""
    asked = request(f"00-{TRACE}-{SPAN}-03".encode(), (b"TraceState", b"a=1"), (b"tracestate", b"b=2"))
    trace = begun(asked, share=0.0)
    assert (trace.trace_id, trace.parent_id, trace.sampled) == (TRACE, SPAN, True)
    assert (trace.state, trace.host, trace.restarted) == ("a=1,b=2", b"gateway.test", False)
    assert asked.traceparent_line == b"", "each attempt has its own"
    one, other = (trace.attempt("p", name, "http://x/", 1.0) for name in "ab")
    assert one is not None and other is not None
    assert one.header == f"00-{TRACE}-{one.span_id}-03".encode()
    assert len({SPAN, trace.span_id, one.span_id, other.span_id}) == 4
    trace.waited("p", 1.0, 2.0)
    assert trace.size == 4


def test_an_unsampled_parent_goes_on_as_it_came():
    """Nothing is recorded, whatever the share."""
    asked = request(f"00-{TRACE}-{SPAN}-00".encode())
    trace = begun(asked, share=1.0)
    assert (trace.trace_id, trace.sampled) == (TRACE, False)
    assert asked.traceparent_line == f"traceparent: 00-{TRACE}-{SPAN}-00\r\n".encode()
    assert trace.attempt("p", "a", "http://x/", 1.0) is None
    trace.waited("p", 1.0, 2.0)
    assert trace.size == 1


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("value", [b"", b"nonsense", f"00-{TRACE}-{SPAN}-01".encode()])
def test_what_is_none_begins_anew(share, value):
    """None, a malformed one, and two of them: a new trace without the old one's state."""
    fields = [(b"tracestate", b"a=1"), *([(b"TraceParent", value)] if value.startswith(b"00") else [])]
    asked = request(value, *fields)
    trace = begun(asked, share)
    assert trace.trace_id != TRACE and len(trace.trace_id) == 32 and trace.parent_id == ""
    assert (trace.sampled, trace.restarted, trace.state) == (share == 1.0, True, "")
    if share:
        assert asked.traceparent_line == b""
    else:
        line = f"traceparent: 00-{trace.trace_id}-{trace.span_id}-00\r\n"
        assert asked.traceparent_line == line.encode()


def test_a_long_state_is_cut():
    """A span keeps as much of it as must be passed on."""
    trace = begun(request(f"00-{TRACE}-{SPAN}-01".encode(), (b"tracestate", b"a=" + b"x" * 5000)))
    assert len(trace.state) == MAX_STATE


@given(st.integers(0, (1 << 128) - 1), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_keeps_what_a_smaller_one_keeps(number, one, other):
    """Sampling is by the id, so that all who go by the same share agree; 0 keeps nothing, 1 everything."""
    trace_id = f"{number:032x}"
    small, large = sorted((one, other))
    rng = Random(1)
    assert not Tracer(small, rng).samples(trace_id) or Tracer(large, rng).samples(trace_id)
    assert Tracer(1.0, rng).samples(trace_id) and not Tracer(0.0, rng).samples(trace_id)


def test_a_share_is_kept():
    """Of 4000 traces that begin here a quarter is sampled, give or take."""
    tracer, kept = Tracer(0.25, Random(3)), 0
    for _ in range(4000):
        record = exchange()
        tracer.begin(request(), record)
        assert record.trace is not None
        kept += record.trace.sampled
    assert 900 < kept < 1100


def test_ids_of_finished_requests():
    """The trace's own, else what the client has said; for exemplars only where somebody keeps the trace."""
    record = exchange()
    assert (known_id(record), sampled_id(record)) == ("", "")
    record.traceparent = "nonsense"
    assert (known_id(record), sampled_id(record)) == ("", "")
    record.traceparent = f"00-{TRACE}-{SPAN}-00"
    assert (known_id(record), sampled_id(record)) == (TRACE, "")
    record.traceparent = f"00-{TRACE}-{SPAN}-01"
    assert (known_id(record), sampled_id(record)) == (TRACE, TRACE)
    record.trace = Trace("a" * 32, "", SPAN, False, Random(1))
    assert (known_id(record), sampled_id(record)) == ("a" * 32, "")
    record.trace = Trace("a" * 32, "", SPAN, True, Random(1))
    assert (known_id(record), sampled_id(record)) == ("a" * 32, "a" * 32)


def test_lines_of_a_trace_are_taken_out():
    """Whatever their spelling, and nothing else."""
    fields = (
        b"A: traceparent: x\r\nTraceParent: 1\r\nTRACESTATE: \r\nX-TraceState: 2\r\ntracestate: b=\xff\r\n"
    )
    assert without_trace(fields) == b"A: traceparent: x\r\nX-TraceState: 2\r\n"
