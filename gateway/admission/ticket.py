"""Who waits for a backend, since when, until when, and what has become of it?"""

import enum
from collections.abc import Callable
from typing import Any

from gateway.errors import GatewayError


class Place(enum.IntEnum):
    """Where a ticket is."""

    NOWHERE = 0  # not entered yet, or no longer the queue's business
    WAITING = 1
    OUT = 2  # handed out by `next`; it may be put back


class Ticket:
    """One request that waits in a pool's queue.

    `priority` is 0 (high), 1 (normal) or 2 (low), `flow` says whose it is. It entered at `entered`, its
    answer is of no use after `deadline`, and a grant of none after `until`, which the queue sets. When the
    wait is over, one of `grant` and `refused` is set. `context` is carried for whoever grants.
    """

    __slots__ = (
        "context",
        "deadline",
        "entered",
        "flow",
        "grant",
        "number",
        "place",
        "priority",
        "refused",
        "until",
        "wake",
    )

    def __init__(
        self,
        priority: int,
        flow: int,
        entered: float,
        deadline: float,
        context: Any,
        wake: Callable[[], None],
    ) -> None:
        self.priority = priority
        self.flow = flow
        self.entered = entered
        self.deadline = deadline
        self.context = context
        self.wake = wake
        self.grant: Any = None
        self.refused: GatewayError | None = None
        self.until = deadline
        self.number = 0  # in the order of arrival, from 1
        self.place = Place.NOWHERE

    def __repr__(self) -> str:
        return f"<Ticket {self.number} of class {self.priority}, {self.place.name.lower()}>"
