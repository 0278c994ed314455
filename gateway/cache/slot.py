"""What does a store in memory note beside an entry? Where it stands in the queues it is in."""

from gateway.cache.entry import Entry


class Slot:
    """An entry's place: one object for store, expiry and eviction: each one more costs memory."""

    __slots__ = (
        "after",
        "before",
        "bucket",
        "density",
        "digest",
        "entry",
        "expires_at",
        "hits",
        "newer",
        "older",
        "order",
        "part",
        "place",
        "rank",
        "size",
        "used",
        "uses",
        "worth",
    )

    def __init__(self, digest: bytes, entry: Entry, size: int, expires_at: float, density: float) -> None:
        self.digest = digest
        self.entry = entry
        self.size = size  # bytes, as the entry counts them
        self.expires_at = expires_at  # wall clock; read at every hit, and a property of the entry is slow
        self.density = density  # backend seconds each byte saves at a hit
        self.hits = 0
        self.used = 0  # when last, in the store's turns
        # The ranking's
        self.uses = 0  # hits so far, up to MOST_USES
        self.order = 0  # which one came first
        self.part = 0  # what the ghost knows it by
        self.worth = 0.0  # what keeping it is worth now
        self.rank = 0.0  # what it was worth when it was put into order
        self.place = -1  # in the heap; -1 is nowhere
        # Among those that are not ranked yet
        self.older: Slot | None = None
        self.newer: Slot | None = None
        # The expiry wheel's
        self.bucket = -1  # -1 is nowhere
        self.before: Slot | None = None
        self.after: Slot | None = None

    def __repr__(self) -> str:
        return f"Slot({self.digest.hex()[:8]}, {self.size} bytes, {self.uses} uses, worth {self.worth:.3g})"
