"""What a body says is read like the model servers read it, from anything, without an exception."""

import json
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.routing.body import MAX_MODEL, MAX_PART, read_body, replace_model
from gateway.routing.members import BodyFacts

JSON = b"application/json"
NOTHING = BodyFacts()
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)
OBJECTS = st.dictionaries(
    st.text(max_size=6).filter(lambda key: key not in ("model", "stream")), VALUES, max_size=6
)


def spelled(members: list[tuple[str, object]], rng: random.Random) -> bytes:
    """A JSON object with `members` in that order, duplicates too, and spaces wherever they may stand."""

    def space() -> str:
        return "".join(rng.choice(" \t\r\n") for _ in range(rng.choice((0, 0, 1, 3))))

    def text(value: object) -> str:
        return json.dumps(value, ensure_ascii=rng.random() < 0.5)

    inner = ",".join(f"{space()}{text(k)}{space()}:{space()}{text(v)}{space()}" for k, v in members)
    return f"{space()}{{{inner or space()}}}{space()}".encode("utf-8", "surrogatepass")


@given(OBJECTS, st.text(min_size=1, max_size=20), st.booleans(), st.integers(0, 9), st.integers())
@settings(max_examples=150, deadline=None)
def test_the_model_is_found_wherever_it_stands(
    others: dict[str, object], model: str, stream: bool, at: int, seed: int
) -> None:
    """First, last or between others, however these look: its name, and whether a stream is asked for."""
    members = list(others.items())
    members.insert(min(at, len(members)), ("model", model))
    members.insert(at % (len(members) + 1), ("stream", stream))
    assert read_body(spelled(members, random.Random(seed)), JSON) == BodyFacts(model, stream)


def test_of_several_the_last_counts() -> None:
    """As in Python's own json, which most model servers use."""
    body = b'{"model": "a", "stream": true, "model": "b", "stream": false}'
    assert read_body(body, JSON) == BodyFacts("b", False)
    assert json.loads(body)["model"] == "b"
    assert read_body(b'{"model": "a", "mod\\u0065l": "b"}', JSON).model == "b"


NAMELESS = [
    *(
        b"",
        b" ",
        b"[]",
        b'"model"',
        b"null",
        b"{",
        b'{"model": "a"',
        b'{"model": "a",}',
        b'{"model": "a"} x',
        b"{}{}",
    ),
    *(
        b"{'model': 'a'}",
        b'{"model": NaN}',
        b'{"model": "\\ud800"}',
        b'{"model": "\xff"}',
        b'\xff{"model": "a"}',
    ),
    *(b'{"model": null}', b'{"model": 1}', b'{"model": ["a"]}', b'{"Model": "a"}', b'{"x": {"model": "a"}}'),
]


@pytest.mark.parametrize("body", NAMELESS)
def test_what_names_no_model(body: bytes) -> None:
    """Damaged, of another type, or elsewhere: no model, and no exception."""
    assert read_body(body, JSON) == NOTHING


@pytest.mark.parametrize("value", [b"1", b'"true"', b"null", b"[true]", b"{}"])
def test_only_true_asks_for_a_stream(value: bytes) -> None:
    """Anything that is not the JSON word true does not."""
    assert read_body(b'{"stream": %b}' % value, JSON) == NOTHING


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
@pytest.mark.parametrize("key", [b"x", b"model", b"stream"])
@pytest.mark.parametrize("closed", [True, False])
def test_deep_nesting_does_no_harm(opening: bytes, key: bytes, closed: bool) -> None:
    """100 000 brackets are refused without a crash, wherever they stand."""
    depth = 100_000
    closing = {b"[": b"]", b'{"a":': b"}", b'[{"a":': b"}]"}[opening] * depth if closed else b""
    body = b'{"model": "a", "%b": %b1%b}' % (key, opening * depth, closing)
    assert read_body(body, JSON) == NOTHING
    assert replace_model(body, "b") == body


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda data: b'{"model": "a"' + data))
@settings(max_examples=500, deadline=None)
def test_any_bytes(body: bytes) -> None:
    """Whatever comes: facts that can be sent on as JSON, no exception, whatever it calls itself."""
    for content_type in (JSON, b"multipart/form-data; boundary=x", b"multipart/form-data", b""):
        facts = read_body(body, content_type)
        assert msgspec.json.decode(msgspec.json.encode(facts)) == list(facts)
    assert isinstance(replace_model(body, "m"), bytes)


def test_long_names_are_cut() -> None:
    """Names beyond any real one cost no room in logs."""
    assert read_body(b'{"model": "%b"}' % (b"x" * 1000), JSON).model == "x" * MAX_MODEL
    assert read_body(form(("model", b"x" * 1000)), FORM).model == "x" * MAX_MODEL


FORM = b"multipart/form-data; boundary=XbX"


def form(*parts: tuple[str, bytes], preamble: bytes = b"") -> bytes:
    """`parts` as a form: what stands in the name's place, and the value."""
    body = preamble
    for name, value in parts:
        body += f'--XbX\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value + b"\r\n"
    return body + b"--XbX--\r\n"


AUDIO = ('file"; filename="a.wav"\r\nContent-Type: "audio/wav', b"RIFF\r\n\r\n\x00\xff--XbX no\r\n" * 500)


@pytest.mark.parametrize(
    "body",
    [
        form(("model", b"whisper"), AUDIO, ("stream", b"true")),
        form(("stream", b"True"), AUDIO, ("model", b"whisper")),
        form(AUDIO, ("model", b"whisper"), ("stream", b" true "), preamble=b"ignored\r\n"),
        form(("model", b"first"), ("model", b"whisper"), ("stream", b"true")),
        form(("model", b"whisper"), ("stream", b"true"))
        .replace(b'"model"', b"model")
        .replace(b"form-data; ", b"form-data;"),
        form(("model", b"whisper"), ("stream", b"true")).replace(
            b"Content-Disposition", b"content-disposition"
        ),
        form(("model", b"whisper"), ("stream", b"true")).replace(
            b"\r\n\r\n", b"\r\nContent-Type: text/plain\r\n\r\n"
        ),
    ],
)
def test_forms(body: bytes) -> None:
    """The text parts `model` and `stream`, the last of each, wherever they stand, in any spelling."""
    assert read_body(body, FORM) == BodyFacts("whisper", True)
    assert read_body(body, b'Multipart/Form-Data; charset=utf-8; Boundary="XbX"') == BodyFacts(
        "whisper", True
    )


@pytest.mark.parametrize(
    "body",
    [
        form(("file", b'\r\nContent-Disposition: form-data; name="model"\r\n\r\nevil\r\n')),
        form(('x"; filename="a; name=model', b"evil")),
        form(("models", b"evil")),
        form(("model", b"x" * MAX_PART)),
        form(("model", b"")),
        form(("model", b"evil"))[:-20],
        form(("model", b"evil")).replace(b"XbX", b"YbY"),
        b"",
    ],
)
def test_forms_that_name_no_model(body: bytes) -> None:
    """What stands inside a file, in a file's name or in an unfinished part is no model."""
    assert read_body(body, FORM) == NOTHING
    assert read_body(body, b"multipart/form-data") == NOTHING


def test_forms_made_to_be_slow() -> None:
    """Four megabytes of almost-parts are looked at once each, not over and over."""
    line = b'Content-Disposition: form-data; name="model'
    for piece in (
        b"\r\n--XbX",
        b"\r\n" + line,
        b"\r\n--XbX\r\n" + line,
        line + b"\r\n\r\n",
        b"\r\n",
        b"\r\n--Xb",
    ):
        assert read_body(piece * (4_000_000 // len(piece)), FORM) == NOTHING


@given(OBJECTS, st.text(max_size=20), st.integers(0, 9), st.integers())
@settings(max_examples=150, deadline=None)
def test_replacing_keeps_the_other_members_bytes(
    others: dict[str, object], model: str, at: int, seed: int
) -> None:
    """Numbers, escapes and order of the others stay as they were written; the model is the new one, once."""
    rng = random.Random(seed)
    members = list(others.items())
    members.insert(min(at, len(members)), ("model", "old"))
    body = spelled(members, rng)
    replaced = replace_model(body, model)
    assert read_body(replaced, JSON).model == model[:MAX_MODEL]
    before = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    after = msgspec.json.decode(replaced, type=dict[str, msgspec.Raw])
    assert list(after) == list(before)
    assert {k: bytes(v) for k, v in after.items() if k != "model"} == {
        k: bytes(v) for k, v in before.items() if k != "model"
    }


def test_replacing_is_exact() -> None:
    """What JSON readers disagree on stays: long numbers, exponents, escapes, bytes that are no UTF-8."""
    body = b'{"a":1.0,"b":1e999,"c":"\\u00e9\xc3\xa9\\/","model":"x","d":123456789012345,"e":[ 1],"f":"\xff"}'
    assert replace_model(body, 'n"') == body.replace(b'"x"', b'"n\\""')
    assert replace_model(b"{}", "n") == b'{"model":"n"}'
    assert replace_model(b'{"model":1,"model":2}', "n") == b'{"model":"n"}'


@pytest.mark.parametrize("body", [b"", b"[]", b"x", b'{"model": "a"', form(("model", b"a"))])
def test_what_is_no_object_is_left_alone(body: bytes) -> None:
    """Nothing to replace: the bytes as they are."""
    assert replace_model(body, "n") == body
