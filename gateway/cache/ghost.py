"""Was this key here lately? The digests that were let go, in a few bytes each."""

from array import array

WAYS = 3  # prints in a word, the newest in its lowest bits
PRINT_BITS = 20
PRINT_MASK = (1 << PRINT_BITS) - 1
NEWER_MASK = (1 << (WAYS - 1) * PRINT_BITS) - 1
FEWEST = 64  # words


def part_of(digest: bytes) -> int:
    """What is looked at of a digest: 56 bits, a small integer when compiled."""
    return int.from_bytes(digest[:7], "little")


class Ghost:
    """Remembers about as many of the last additions as it is asked to; approximate in both directions.

    A part falls into one of `span / 2` words and leaves a print there, which the third next print in the same
    word pushes out: half as many additions ago, 92 of 100 are remembered, as many ago 68, twice as many 24.
    One in 350,000 others is taken for one that is remembered. Four bytes each, and one word to look at.
    """

    __slots__ = ("_span", "_words")

    def __init__(self) -> None:
        self._words = array("Q", bytes(8 * FEWEST))
        self._span = 2 * FEWEST

    def add(self, part: int, span: int) -> None:
        """Remember it for about `span` more additions."""
        words = self._words
        if 4 * span > 5 * self._span:
            # What was remembered is lost. A store grows while it fills, when nothing has been let go yet.
            self._span = span
            self._words = words = array("Q", bytes(8 * (span // 2)))
        at = (part >> PRINT_BITS) % len(words)
        # The oldest is cut off before the shift: above 62 bits compiled integers become slow objects.
        words[at] = (words[at] & NEWER_MASK) << PRINT_BITS | _print(part)

    def take(self, part: int) -> bool:
        """Whether it is remembered; it is forgotten by this."""
        words = self._words
        at = (part >> PRINT_BITS) % len(words)
        word: int = words[at]
        if not word:
            return False
        mark = _print(part)
        for shift in range(0, WAYS * PRINT_BITS, PRINT_BITS):
            if word >> shift & PRINT_MASK == mark:
                newer = word & ((1 << shift) - 1)
                words[at] = (word >> (shift + PRINT_BITS)) << shift | newer
                return True
        return False

    def clear(self) -> None:
        self._words = array("Q", bytes(8 * len(self._words)))

    @property
    def size_bytes(self) -> int:
        return 8 * len(self._words)


def _print(part: int) -> int:
    """Never 0, which is an empty place."""
    return part & PRINT_MASK or 1
