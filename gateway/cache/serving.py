"""May a kept answer be given to this request now? Fresh, stale, or only once the backend has been asked?"""

import enum
from typing import Final

from gateway.cache.entry import Entry
from gateway.cache.lines import parts_of, values_of
from gateway.cache.traits import forbids_stale
from gateway.cache.wishes import Wishes


class Serve(enum.IntEnum):
    """What is to be done with what was found under a key."""

    MISS = 0  # nothing there: forward
    FRESH = 1  # give it
    STALE_REVALIDATE = 2  # give it, and ask for it anew behind the client's back
    STALE_ALLOWED = 3  # give it: the client takes it as stale as it is
    REVALIDATE = 4  # it has expired: forward, with its validator if it has one
    REQUEST = 5  # it is fresh, but the client wants it newer: forward likewise


_MISS: Final = Serve.MISS
_FRESH: Final = Serve.FRESH
_STALE_REVALIDATE: Final = Serve.STALE_REVALIDATE
_STALE_ALLOWED: Final = Serve.STALE_ALLOWED
_REVALIDATE: Final = Serve.REVALIDATE
_REQUEST: Final = Serve.REQUEST

#: Statuses in whose place a stale answer may be given (RFC 5861 4).
ERRORS: Final = frozenset((500, 502, 503, 504))


def age_of(entry: Entry, now: float) -> float:
    """`Entry.age`, for those who ask at every hit: this is compiled, and takes half as long."""
    age_s = entry.age_s + now - entry.stored_at
    return age_s if age_s > 0.0 else 0.0


def serve(entry: Entry | None, wishes: Wishes, now: float) -> Serve:
    """What to do about a request with `wishes` for which `entry` was found; `now`: wall clock.

    With `only_if_cached`, all but FRESH and the STALE ones is answered with 504 (RFC 9111 5.2.1.7).
    """
    if entry is None or entry.status == 0:
        return _MISS
    age_s = age_of(entry, now)
    left_s = entry.fresh_s - age_s
    return _of_fresh(wishes, age_s, left_s) if left_s > 0.0 else _of_stale(entry, wishes, age_s, -left_s)


def _of_fresh(wishes: Wishes, age_s: float, left_s: float) -> Serve:
    # max-age=0 is a reload: what is kept, if only for a moment, is not what the backend gives now.
    if wishes.no_cache or wishes.max_age_s == 0:
        return _REQUEST
    newer = left_s < wishes.min_fresh_s or 0 < wishes.max_age_s < age_s
    return _REQUEST if newer else _FRESH


def _of_stale(entry: Entry, wishes: Wishes, age_s: float, stale_s: float) -> Serve:
    if wishes.no_cache:
        return _REVALIDATE
    if wishes.max_stale_s >= 0:
        # RFC 9111 5.2.1.2; the age it must not exceed is another limit, not a longer one.
        in_age = wishes.max_age_s < 0 or age_s <= wishes.max_age_s
        if in_age and stale_s <= wishes.max_stale_s and wishes.min_fresh_s < 0 and not _never_stale(entry):
            return _STALE_ALLOWED
        return _REVALIDATE
    # RFC 9111 5.2.1.1 and 5.2.1.3: who says either wants nothing stale.
    if wishes.max_age_s >= 0 or wishes.min_fresh_s >= 0:
        return _REVALIDATE
    return _STALE_REVALIDATE if stale_s < entry.stale_while_s else _REVALIDATE


def may_serve_on_error(entry: Entry | None, wishes: Wishes, now: float) -> bool:
    """Whether `entry` may stand in for an error: one of ERRORS, or none that answers (RFC 5861 4).

    It may whatever freshness the client asked for, but not when it asked for the backend's own word. A
    client's stale-if-error takes the place of the entry's window.
    """
    if entry is None or entry.status == 0 or wishes.no_cache:
        return False
    stale_s = entry.age(now) - entry.fresh_s
    if stale_s < 0.0:
        return True
    if wishes.stale_if_error_s >= 0:
        return stale_s < wishes.stale_if_error_s and not _never_stale(entry)
    return stale_s < entry.stale_if_error_s


def _never_stale(entry: Entry) -> bool:
    return forbids_stale(values_of(parts_of(entry.fields), b"cache-control"))
