"""Which entry is worth least? GDSF (greedy dual, size and frequency) over a heap."""

from gateway.cache.slot import Slot

#: Uses beyond these do not count, or what was popular yesterday would stay for days. S3-FIFO has 3; more hits
#: more often where popularity stays, and less where it moves. Tuned by benchmarks/cache_ratio.py.
MOST_USES = 4
#: How fast the going rate follows: the mean over about the last 50 that were let go.
RATE_SHARE = 0.02


class Ranking:
    """Slots in order of `worth` = floor + uses x density, the least one first.

    The floor is the worth of the last one that was let go, so what is not used again loses its lead over
    newcomers. A use raises `worth` only; the heap is put right when the slot comes to its top.
    """

    __slots__ = ("_added", "_heap", "floor", "rate")

    def __init__(self) -> None:
        self._heap: list[Slot] = []
        self._added = 0
        self.floor = 0.0
        self.rate = 0.0  # uses x density of what is let go: what a byte brings in at the margin

    def __len__(self) -> int:
        return len(self._heap)

    def use(self, slot: Slot) -> None:
        """Count a hit, wherever the slot is."""
        if slot.uses < MOST_USES:
            slot.uses += 1
        slot.worth = self.floor + slot.uses * slot.density

    def push(self, slot: Slot, uses: float) -> None:
        """Take in a slot that is nowhere in the ranking, at so many uses."""
        slot.worth = slot.rank = self.floor + uses * slot.density
        self._added += 1
        slot.order = self._added
        self._heap.append(slot)
        self._up(slot, len(self._heap) - 1)

    def pop(self) -> Slot:
        """Take out the one that is worth least, and raise the floor to it. IndexError when there is none."""
        while True:
            slot = self._heap[0]
            if slot.worth <= slot.rank:
                break
            slot.rank = slot.worth
            self._down(slot, 0)
        self.remove(slot)
        self.floor = slot.worth
        self.rate += RATE_SHARE * (max(slot.uses, 1) * slot.density - self.rate)
        return slot

    def remove(self, slot: Slot) -> None:
        """Take out a slot that is in the ranking."""
        place = slot.place
        slot.place = -1
        last = self._heap.pop()
        if last is not slot:
            self._down(last, place)
            if last.place == place:
                self._up(last, place)

    def clear(self) -> None:
        self._heap.clear()
        self.floor = self.rate = 0.0

    def _up(self, slot: Slot, place: int) -> None:
        heap = self._heap
        while place > 0:
            parent = heap[(place - 1) // 2]
            if not _less(slot, parent):
                break
            heap[place] = parent
            parent.place = place
            place = (place - 1) // 2
        heap[place] = slot
        slot.place = place

    def _down(self, slot: Slot, place: int) -> None:
        heap = self._heap
        end = len(heap)
        child = 2 * place + 1
        while child < end:
            least = heap[child]
            if child + 1 < end and _less(heap[child + 1], least):
                child += 1
                least = heap[child]
            if not _less(least, slot):
                break
            heap[place] = least
            least.place = place
            place = child
            child = 2 * place + 1
        heap[place] = slot
        slot.place = place


def _less(one: Slot, other: Slot) -> bool:
    """Of equals the one that came first."""
    return one.rank < other.rank or (one.rank == other.rank and one.order < other.order)
