"""Into which class of size does a request fall? Requests of one class are expected to take about as long."""

from typing import Final

#: Classes: bit length of the body, for plain and for streamed answers.
KINDS: Final = 64
STREAMED: Final = 32


def kind_of(size: int, stream: bool) -> int:
    """The class of a request with a body of `size` bytes; from STREAMED on where a stream is asked for."""
    kind = size.bit_length()
    if kind >= STREAMED:
        kind = STREAMED - 1
    return kind + STREAMED if stream else kind
