"""Which events are in the pieces of a stream of server-sent events?"""

MAX_EVENT_BYTES = 64 * 1024 * 1024


class TooLong(Exception):
    """An event beyond all measure; whatever sends it is no gateway."""


class Events:
    """Puts events together from pieces as they come; what is kept is at most one unfinished event.

    The gateway writes each as `event: NAME`, one `data:` line or several, and an empty line; comments and
    other fields mean nothing here.
    """

    def __init__(self, max_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[tuple[str, bytes]]:
        """(name, data) of every event that `piece` completes. Raises TooLong."""
        found: list[tuple[str, bytes]] = []
        self._pieces.append(piece)
        self._size += len(piece)
        if b"\n" in piece:
            *whole, rest = b"".join(self._pieces).replace(b"\r\n", b"\n").split(b"\n\n")
            found = [event for event in map(_event, whole) if event[1]]
            self._pieces, self._size = [rest], len(rest)
        if self._size > self._max_bytes:
            raise TooLong(f"an event of more than {self._max_bytes} bytes")
        return found


def _event(text: bytes) -> tuple[str, bytes]:
    name, data = "message", []
    for line in text.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"data":
            data.append(value)
    return name, b"\n".join(data)
