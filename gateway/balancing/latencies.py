"""What latency is a candidate given that was never measured?"""

from collections.abc import Sequence

from gateway.balancing.policy import BackendView

#: With no measurement anywhere every latency is the same, and requests in flight decide.
NOTHING_MEASURED_S = 1.0


def latencies_s(candidates: Sequence[BackendView], now: float) -> list[float]:
    """Each one's latency in seconds, the lower median of the known ones where it was never measured.

    Zero would send a newcomer the whole burst, infinity nothing.
    """
    found = [backend.latency_s(now) for backend in candidates]
    known = [latency for latency in found if latency is not None]
    if len(known) == len(found):
        return known
    known.sort()
    middle = known[(len(known) - 1) // 2] if known else NOTHING_MEASURED_S
    return [middle if latency is None else latency for latency in found]
