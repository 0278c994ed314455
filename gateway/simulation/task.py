"""What does a client ask for?"""

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class Task:
    """One request of a client, who arrives at `at`.

    `work_s` counts for machines with slots: seconds on a free one of speed 1, of which the first byte takes
    `first_s` (0: the answer comes whole). `prompt` and `output` tokens count for those that batch. `stream`:
    the answer is sent as it is made. `deadline_s` is what the client grants from its arrival, infinity when
    it has all the time in the world. `size` is the body in bytes.
    """

    number: int
    at: float
    work_s: float = 0.0
    first_s: float = 0.0
    prompt: int = 0
    output: int = 0
    stream: bool = False
    priority: str = "normal"
    deadline_s: float = inf
    size: int = 1000
