"""Where does a text lie among others? Feature-hashed words and letter groups as a unit vector.

Each word and each of its 3- to 5-letter groups adds +1 or -1 to one of 256 places, both chosen by its
CRC-32 (the hashing trick, Weinberger et al. 2009). Texts with words in common get a larger cosine.
"""

import math
import re
import struct
import zlib
from base64 import b64encode

DIMENSIONS = 256
_WORD = re.compile(r"\w+")
_GROUPS = (3, 4, 5)


def embed(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """The unit vector of `text`: the first `dimensions` (1 to 256) places, brought to length 1."""
    vector = [0.0] * DIMENSIONS
    for word in _WORD.findall(text.lower()):
        _add(vector, word, 1.0)
        padded = f"<{word}>"
        for size in _GROUPS:
            for at in range(len(padded) - size + 1):
                _add(vector, padded[at : at + size], 0.5)
    vector = vector[:dimensions]
    if not any(vector):
        vector[0] = 1.0  # a text without words still needs a vector of length 1
    norm = math.sqrt(sum(x * x for x in vector))
    return [x / norm for x in vector]


def _add(vector: list[float], feature: str, weight: float) -> None:
    mixed = zlib.crc32(feature.encode())
    sign = 1.0 if mixed & 0x8000_0000 else -1.0
    vector[mixed % DIMENSIONS] += sign * weight


def to_base64(vector: list[float]) -> str:
    """Little-endian 32-bit floats in base64: `encoding_format: base64`."""
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
