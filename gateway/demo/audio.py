"""How does a text sound? A tone whose length follows the text and whose pitch follows the voice."""

import math
import struct
import zlib
from collections.abc import Iterator

SAMPLE_RATE = 16_000  # Hz, 16 bits, one channel
FRAME_S = 0.02
FRAME_SAMPLES = int(SAMPLE_RATE * FRAME_S)
SECONDS_PER_TOKEN = 0.06
MAX_FRAMES = 3000  # one minute
_AMPLITUDE = 8000


def frame_count(tokens: int) -> int:
    """Frames of 20 ms for a text of `tokens` tokens: at least one, at most one minute."""
    return max(1, min(MAX_FRAMES, round(tokens * SECONDS_PER_TOKEN / FRAME_S)))


def wav_header(frames: int) -> bytes:
    """RIFF header of a PCM file with `frames` frames; the sizes are known before the first sample is sent."""
    size = frames * FRAME_SAMPLES * 2
    form = struct.pack("<HHIIHH", 1, 1, SAMPLE_RATE, SAMPLE_RATE * 2, 2, 16)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + size)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + form
        + (b"data" + struct.pack("<I", size))
    )


def tone(voice: str, frames: int) -> Iterator[bytes]:
    """`frames` pieces of 20 ms each. Every 50 Hz step fits a frame wholly, so one frame can be repeated."""
    pitch = 200 + 50 * (zlib.crc32(voice.encode()) % 12)
    turn = 2 * math.pi * pitch / SAMPLE_RATE
    samples = (round(_AMPLITUDE * math.sin(turn * at)) for at in range(FRAME_SAMPLES))
    frame = struct.pack(f"<{FRAME_SAMPLES}h", *samples)
    for _ in range(frames):
        yield frame
