"""What time is it? The only module that reads a clock.

`now()` is monotonic seconds, for every duration and deadline; `wall()` is seconds since the epoch,
for people (logs, `Date`). Deciding code takes `now: float` as an argument and never calls either.
"""

import time

now = time.monotonic
wall = time.time


def cpu_s() -> float:
    """CPU seconds this process has used, user and system."""
    return time.process_time()


def iso(wall_s: float) -> str:
    """`wall_s` as RFC 3339 in UTC with milliseconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(wall_s)) + f".{int(wall_s % 1 * 1000):03d}Z"
