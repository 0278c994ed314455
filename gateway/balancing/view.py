"""What does a policy see of a backend? The read-only face of it that all of them are given.

A class rather than a protocol: compiled, what is read of it is a field and what is asked a call of C, where
names would have to be looked up for every candidate of every pick. Whoever has backends derives from it.
"""

from gateway.balancing.context import PickContext
from gateway.balancing.native import mypyc_attr

#: The `limit` of a backend about whose capacity nothing is known.
NO_LIMIT = 1 << 30


@mypyc_attr(allow_interpreted_subclasses=True)  # tests have backends of their own
class BackendView:
    """One backend. Reading any of it writes nothing.

    `weight` is the effective one (> 0): `base_weight`, the configured one, lowered by slow start or while
    degraded. `in_flight` are the attempts under way from this gateway; `limit` is how many of them it takes
    at most, configured or found, NO_LIMIT when nothing is known.
    """

    __slots__ = ("base_weight", "in_flight", "limit", "name", "weight")

    name: str
    weight: float
    base_weight: float
    in_flight: int
    limit: int

    @property
    def waiting(self) -> int:
        """Those of the attempts under way without a first body byte yet."""
        raise NotImplementedError

    def latency_s(self, now: float) -> float | None:
        """Estimated seconds to the first body byte; None when never measured."""
        raise NotImplementedError

    def expected_s(self, now: float, context: PickContext) -> float:
        """Seconds until a request like the context's, sent now, would be answered, weight left out.

        Slowness of the backend x predicted work, what is under way there included: see pool/speed.py.
        Comparable between backends of one pool, always > 0, also for one that was never measured.
        """
        raise NotImplementedError
