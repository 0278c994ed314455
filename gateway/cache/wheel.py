"""Which entries have expired? A timing wheel: found in passing, a few at a time, without looking at all."""

from gateway.cache.slot import Slot

BUCKETS = 1024  # of a second each, by which an entry may be found later than it expired
STEPS = 64  # buckets looked into at a time


class ExpiryWheel:
    """Buckets of a second each, for the next 17 minutes; what expires later is filed in the last of them.

    `next_due` only ever looks at slots that have expired or that move on to a later bucket, so each slot is
    looked at once in 17 minutes. A clock that is set back or far ahead does no harm: a slot is due by its own
    time alone, the bucket only says when to look.
    """

    __slots__ = ("_buckets", "_hand")

    def __init__(self) -> None:
        self._buckets: list[Slot | None] = [None] * BUCKETS
        self._hand = -1  # the second whose bucket is looked into; -1 before the first

    def add(self, slot: Slot, now: float) -> None:
        """File a slot that is nowhere in the wheel."""
        if self._hand < 0:
            self._hand = int(now)
        # All in a bucket have expired when the hand reaches it, hence the one after its time.
        last = self._hand + BUCKETS - 1
        due = last if slot.expires_at >= last else int(slot.expires_at) + 1
        bucket = max(due, self._hand + 1) % BUCKETS
        first = self._buckets[bucket]
        slot.bucket = bucket
        slot.before = None
        slot.after = first
        if first is not None:
            first.before = slot
        self._buckets[bucket] = slot

    def remove(self, slot: Slot) -> None:
        """Take it out; one that is nowhere is left alone."""
        if slot.bucket < 0:
            return
        before, after = slot.before, slot.after
        if before is None:
            self._buckets[slot.bucket] = after
        else:
            before.after = after
        if after is not None:
            after.before = before
        slot.bucket = -1
        slot.before = slot.after = None

    def next_due(self, now: float) -> Slot | None:
        """One that has expired, still filed; None when none was met in a bounded number of looks."""
        if self._hand < 0:
            return None
        today = int(now)
        self._hand = min(max(self._hand, today - BUCKETS), today)  # all of them once, when it was set ahead
        for _ in range(STEPS):
            slot = self._buckets[self._hand % BUCKETS]
            if slot is not None:
                if slot.expires_at <= now:
                    return slot
                self.remove(slot)  # filed in the last bucket, or the clock was set back: file it anew
                self.add(slot, now)
            elif self._hand < today:
                self._hand += 1
            else:
                return None
        return None
