"""Do embeddings have length 1, repeat themselves and put similar texts close together?"""

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.audio import FRAME_SAMPLES, frame_count, tone, wav_header
from gateway.demo.embedding import DIMENSIONS, embed, to_base64


def closeness(a: str, b: str) -> float:
    return sum(x * y for x, y in zip(embed(a), embed(b), strict=True))


@given(st.text(max_size=200), st.integers(1, DIMENSIONS))
def test_unit_length(text: str, dimensions: int) -> None:
    """Every text has a vector of length 1 with the dimensions that were asked for, always the same."""
    vector = embed(text, dimensions)
    assert len(vector) == dimensions
    assert sum(x * x for x in vector) == pytest.approx(1.0)
    assert vector == embed(text, dimensions)


def test_similar_texts_are_closer() -> None:
    """Words in common, and parts of words in common, bring texts together."""
    asked = "How do I restart the model server?"
    near = closeness(asked, "how can I restart model servers")
    assert near > 0.5
    assert near > closeness(asked, "The weather in Lisbon is mild in spring") + 0.3


def test_base64_holds_the_same_floats() -> None:
    """base64 is the little-endian float32 form of the list."""
    vector = embed("hello")
    unpacked = struct.unpack(f"<{DIMENSIONS}f", base64.b64decode(to_base64(vector)))
    assert unpacked == pytest.approx(vector, abs=1e-6)


def test_tone_is_as_long_as_its_header_says() -> None:
    """The sizes in the WAV header are those of the samples that follow."""
    frames = frame_count(tokens=10)
    sound = b"".join(tone("alloy", frames))
    assert frames == 30
    assert len(sound) == frames * FRAME_SAMPLES * 2
    assert struct.unpack("<I", wav_header(frames)[-4:])[0] == len(sound)
    assert len({next(tone(voice, 1)) for voice in ("alloy", "ash", "coral", "echo", "nova", "sage")}) > 2
